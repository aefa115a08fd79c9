"""Requests by HTTP meet each other: who waits, for how long, who is refused, and who never is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from minik8s.api.request import ApiRequest
from minik8s.api.resources import PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.apiserver.interception import Proceed
from minik8s.apiserver.response import ApiResponse

pytestmark = pytest.mark.anyio

LEVELS = PRIORITY_LEVEL_CONFIGURATIONS.path()
SCHEMAS = LEVELS.replace("prioritylevelconfigurations", "flowschemas")
SLOW = "configmaps/slow"
FAST = "configmaps/fast"
REFUSAL = "Too many requests, please try again later.\n"


def level(**limited: Any) -> dict[str, Any]:
    return {"metadata": {"name": "mine"}, "spec": {"type": "Limited", "limited": limited}}


def schema(*users: str) -> dict[str, Any]:
    everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    subjects = [{"kind": "User", "user": {"name": user}} for user in users]
    spec = {
        "priorityLevelConfiguration": {"name": "mine"},
        "distinguisherMethod": {"type": "ByUser"},
        "matchingPrecedence": 50,
        "rules": [{"subjects": subjects, "resourceRules": [everything]}],
    }
    return {"metadata": {"name": "mine"}, "spec": spec}


def queue(length: int = 50) -> dict[str, Any]:
    return {"type": "Queue", "queuing": {"queues": 64, "handSize": 1, "queueLengthLimit": length}}


class Door:
    """A server on which requests for `SLOW` are under way until `release`, in a level of so many seats."""

    def __init__(self, server: Any, admin: dict[str, str], group: anyio.abc.TaskGroup) -> None:
        self.server, self._admin, self._group = server, admin, group
        self.released = anyio.Event()
        self.begun: list[str] = []
        self.answers: list[httpx.Response] = []
        server.ctx.interceptors.append(self._hold)

    async def _hold(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        if request.name == "slow":
            self.begun.append(request.user.name)
            await self.released.wait()
        return await proceed(request)

    def as_user(self, user: str) -> dict[str, str]:
        return {**self._admin, "impersonate-user": user, "impersonate-group": "system:authenticated"}

    async def ask(self, user: str, path: str = FAST, **options: Any) -> httpx.Response:
        response: httpx.Response = await self.server.call("GET", path, headers=self.as_user(user), **options)
        return response

    async def send(self, user: str, count: int = 1, path: str = SLOW) -> None:
        """Requests that go on; their answers come in `answers`."""

        async def one() -> None:
            self.answers.append(await self.ask(user, path))

        for _ in range(count):
            self._group.start_soon(one)
        await self.server.settle()

    async def let_go(self) -> None:
        """Ends all of them, those that begin then too."""
        self.released.set()
        for _ in range(5):
            await self.server.settle()

    @property
    def level(self) -> Any:
        return self.server.ctx.flows.levels.by_name["mine"]

    async def metric(self, name: str) -> float:
        """A metric of the level, summed over its other labels."""
        lines = (await self.server.call("GET", "/metrics", headers=self._admin)).text.splitlines()
        wanted = [line for line in lines if line.startswith(f"apiserver_flowcontrol_{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in wanted if 'priority_level="mine"' in line)


@asynccontextmanager
async def door(start: Any, admin: dict[str, str], *, seats: int, response: Any, shares: int = 1) -> AsyncIterator[Door]:
    """A server with the level `mine`, which has that many seats and borrows none."""
    async with start(anonymous=True) as server, anyio.create_task_group() as group:
        limited = {"nominalConcurrencyShares": shares, "borrowingLimitPercent": 0, "limitResponse": response}
        await server.ok("POST", LEVELS, level(**limited), headers=admin)
        await server.ok("POST", SCHEMAS, schema("ann", "bob"), headers=admin)
        for name in ("slow", "fast"):
            await server.ok("POST", "configmaps", {"metadata": {"name": name}}, headers=admin)
        levels = server.ctx.flows.levels
        shares_of_all = 245 + shares
        levels.total = seats * shares_of_all // shares
        server.ctx.flows.refresh()
        levels.divide(server.clock.monotonic())
        found = Door(server, admin, group)
        assert (found.level.bounds.nominal, found.level.current) == (seats, seats)
        yield found
        found.released.set()
        group.cancel_scope.cancel()


async def test_those_who_find_no_seat_are_refused(start: Any, admin: dict[str, str]) -> None:
    """Where nobody may wait: 429 in plain text, Retry-After, the headers that name the flow; and it is counted."""
    async with door(start, admin, seats=2, response={"type": "Reject"}) as d:
        await d.send("ann", 2)
        response = await d.ask("bob")
        assert (response.status_code, response.text, response.headers["retry-after"]) == (429, REFUSAL, "1")
        assert response.headers["x-kubernetes-pf-prioritylevel-uid"] == d.level.uid.decode()
        assert await d.metric("rejected_requests_total") == 1
        assert await d.metric("current_executing_requests") == 2
        await d.let_go()
        assert [answer.status_code for answer in d.answers] == [200, 200]
        assert (await d.ask("bob")).status_code == 200
        assert await d.metric("dispatched_requests_total") == 3
        assert d.level.queues.idle


async def test_those_who_wait_get_their_turn(start: Any, admin: dict[str, str]) -> None:
    """When a seat is free, by flows: bob's one request need not wait for all of ann's."""
    async with door(start, admin, seats=1, response=queue()) as d:
        await d.send("ann", 6)
        await d.send("bob", 1)
        assert d.begun == ["ann"]
        assert await d.metric("current_inqueue_requests") == 6
        await d.let_go()
        assert [answer.status_code for answer in d.answers] == [200] * 7
        assert d.begun.index("bob") <= 2
        assert await d.metric("request_wait_duration_seconds_count") == 7
        assert await d.metric("current_inqueue_requests") == 0


async def test_full_queues_refuse(start: Any, admin: dict[str, str]) -> None:
    """A flow that fills its queue fills nobody else's."""
    async with door(start, admin, seats=1, response=queue(length=2)) as d:
        await d.send("ann", 3)
        assert (await d.ask("ann")).status_code == 429
        await d.send("bob", 1, FAST)
        assert len(d.answers) == 0
        await d.let_go()
        assert [answer.status_code for answer in d.answers] == [200] * 4


async def test_nobody_waits_for_ever(start: Any, admin: dict[str, str]) -> None:
    """A quarter of the time that a request has, then it is refused; what is left is what it may take."""
    async with door(start, admin, seats=1, response=queue()) as d:
        await d.send("ann")
        await d.send("bob", 1, f"{FAST}?timeout=8s")
        d.server.clock.advance(1.9)
        await d.server.settle()
        assert not d.answers
        d.server.clock.advance(0.2)
        await d.server.settle()
        assert [(answer.status_code, answer.text) for answer in d.answers] == [(429, REFUSAL)]
        assert await d.metric("rejected_requests_total") == 1
        await d.send("bob", 1, f"{SLOW}?timeout=20s")
        d.server.clock.advance(4)
        d.released.set()
        d.released = anyio.Event()
        await d.server.settle()
        assert d.begun == ["ann", "bob"]
        d.server.clock.advance(15.9)
        await d.server.settle()
        assert len(d.answers) == 2
        d.server.clock.advance(0.2)
        await d.server.settle()
        assert d.answers[-1].status_code == 504
        assert d.level.queues.idle


async def test_who_never_waits(start: Any, admin: dict[str, str]) -> None:
    """system:masters, those of other levels, and what lasts; but a watch has to begin."""
    async with door(start, admin, seats=1, response={"type": "Reject"}) as d:
        await d.send("ann")
        assert (await d.ask("bob")).status_code == 429
        assert (await d.ask("bob", "configmaps?watch=1")).status_code == 429
        assert (await d.ask("bob", "pods/none/log")).status_code == 404
        assert (await d.ask("carl")).status_code == 200
        assert (await d.server.call("GET", FAST, headers=admin)).status_code == 200


async def test_a_watch_holds_its_seat_until_it_has_begun(start: Any, admin: dict[str, str]) -> None:
    """Without a present state to send, that is at once; with one, when it is sent; either way only once."""
    async with door(start, admin, seats=1, response={"type": "Reject"}) as d:
        for query in (
            "watch=1",
            f"watch=1&resourceVersion={d.server.ctx.store.revision}",
            "watch=1&labelSelector=x=y",
            "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1",
        ):
            async with d.server.watching(f"configmaps?{query}", headers=d.as_user("ann")):
                await d.server.settle()
                assert (d.level.queues.seats, d.level.queues.executing) == (0, 0)
            assert d.level.queues.idle


async def test_wide_lists_take_more_seats(start: Any, admin: dict[str, str]) -> None:
    """One for a hundred objects; pages and names are narrow. A list waits until it has all that it needs."""
    async with door(start, admin, seats=20, response=queue()) as d:
        for number in range(150):
            await d.server.ok("POST", "configmaps", {"metadata": {"name": f"c{number}"}}, headers=admin)
        seen: list[int] = []

        async def look(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            seen.append(d.level.queues.seats)
            return await proceed(request)

        d.server.ctx.interceptors.append(look)
        for query in (
            "",
            "?limit=100",
            "?fieldSelector=metadata.name=fast",
            "?limit=nonsense",
            "?watch=1&timeoutSeconds=1",
        ):
            with anyio.move_on_after(0.0) if "watch" in query else anyio.CancelScope():
                await d.ask("ann", f"configmaps{query}")
        assert seen[:4] == [2, 1, 1, 2]
        assert seen[4:] in ([], [1])


async def test_limits_follow_what_is_asked_for(start: Any, admin: dict[str, str]) -> None:
    """Every ten seconds: what the other levels have no use for is lent to one whose requests wait."""
    async with door(start, admin, seats=2, response=queue()) as d:
        limited = {"nominalConcurrencyShares": 1, "borrowingLimitPercent": 100, "limitResponse": queue()}
        await d.server.ok("PUT", f"{LEVELS}/mine", level(**limited), headers=admin)
        await d.send("ann", 8)
        before = len(d.begun)
        assert before < 8
        d.server.clock.advance(10)
        await d.server.settle()
        assert len(d.begun) == d.level.current == d.level.bounds.highest == 4 >= before
        await d.let_go()
        assert len(d.answers) == 8
        assert d.server.clock.pending == 0 or d.level.queues.idle


async def test_a_level_that_is_deleted(start: Any, admin: dict[str, str]) -> None:
    """Those who wait there get their turn; it is gone when the last of them is, and new requests go elsewhere."""
    async with door(start, admin, seats=1, response=queue()) as d:
        await d.send("ann", 3)
        await d.server.ok("DELETE", f"{LEVELS}/mine", headers=admin)
        old = d.level
        response = await d.ask("ann")
        assert response.status_code == 200
        assert response.headers["x-kubernetes-pf-prioritylevel-uid"] != old.uid.decode()
        assert old.retiring
        await d.let_go()
        assert [answer.status_code for answer in d.answers] == [200] * 3
        await d.ask("carl")
        assert "mine" not in d.server.ctx.flows.levels.by_name


async def test_more_seats_let_in_who_waits(start: Any, admin: dict[str, str]) -> None:
    """A change of the level counts for those who wait already."""
    async with door(start, admin, seats=1, response=queue()) as d:
        await d.send("ann", 4)
        assert len(d.begun) == 1
        limited = {"nominalConcurrencyShares": 500, "limitResponse": queue()}
        await d.server.ok("PUT", f"{LEVELS}/mine", level(**limited), headers=admin)
        await d.ask("carl")
        await d.server.settle()
        assert len(d.begun) == 4


async def test_who_leaves_the_queue(start: Any, admin: dict[str, str]) -> None:
    """A request that is cancelled while it waits leaves nothing behind."""
    async with door(start, admin, seats=1, response=queue()) as d:
        await d.send("ann")
        app, messages = d.server.http._transport._app, []

        async def receive() -> Any:
            await anyio.sleep_forever()

        async def send(message: Any) -> None:
            messages.append(message)

        path = "/api/v1/namespaces/default/configmaps/fast"
        headers = [(name.encode(), value.encode()) for name, value in d.as_user("bob").items()]
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": headers,
                 "query_string": b""}  # fmt: skip
        async with anyio.create_task_group() as group:
            group.start_soon(app, scope, receive, send)
            await d.server.settle()
            assert d.level.queues.waiting == 1
            group.cancel_scope.cancel()
        assert d.level.queues.waiting == 0
        assert not messages
        await d.let_go()
        assert d.level.queues.idle


async def test_no_limit(start: Any, admin: dict[str, str]) -> None:
    """A server with no seats at all lets everybody in."""
    async with door(start, admin, seats=1, response={"type": "Reject"}) as d:
        d.server.ctx.flows.levels.total = 0
        d.server.ctx.flows.levels.divide(0.0)
        await d.send("ann", 30)
        assert len(d.begun) == 30
