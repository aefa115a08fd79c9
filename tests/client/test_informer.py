"""Informers: caches that survive dropped streams and lost history, against a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.request import ApiRequest, ListResult, WatchEvent
from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.client.informer import Informer, Informers
from minik8s.machinery.errors import Expired, ServiceUnavailable
from minik8s.machinery.selectors import LabelSelector

DROP = object()
"""In a script: the stream ends."""


def pod(name: str, version: int, namespace: str = "ns", uid: str = "", node: str = "", **labels: str) -> Any:
    metadata = {"name": name, "namespace": namespace, "uid": uid or name, "resourceVersion": str(version)}
    spec = {"nodeName": node} if node else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**metadata, "labels": labels}, "spec": spec}


def added(obj: Any) -> WatchEvent:
    return WatchEvent("ADDED", obj)


def modified(obj: Any) -> WatchEvent:
    return WatchEvent("MODIFIED", obj)


def deleted(obj: Any) -> WatchEvent:
    return WatchEvent("DELETED", obj)


def bookmark(version: int) -> WatchEvent:
    return WatchEvent("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": str(version)}})


def shown(obj: Any) -> str:
    return "" if obj is None else f"{obj['metadata']['name']}@{obj['metadata']['resourceVersion']}"


class Server:
    """Answers lists and watches from a script, one entry each: batches, errors, DROP, or an anyio.Event to wait for."""

    def __init__(self, lists: list[Any], watches: list[list[Any]]) -> None:
        self.lists, self.watches = lists, watches
        self.asked: list[tuple[str, str]] = []

    async def list(self, request: ApiRequest) -> ListResult:
        self.asked.append(("list", request.options.get("fieldSelector", "")))
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        version, items = answer
        return ListResult(list(items), str(version))

    @asynccontextmanager
    async def watch(self, request: ApiRequest) -> AsyncIterator[AsyncIterator[Any]]:
        assert request.options["allowWatchBookmarks"] == "true"
        self.asked.append(("watch", request.options["resourceVersion"]))
        script = self.watches.pop(0) if self.watches else [anyio.Event()]
        if isinstance(script[0], Exception):
            raise script[0]

        async def stream() -> AsyncIterator[Any]:
            for step in script:
                if step is DROP:
                    return
                if isinstance(step, anyio.Event):
                    await step.wait()
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step

        async with aclosing(stream()) as batches:  # type: ignore[type-var]
            yield batches


@pytest.fixture
def play(virtual: Any) -> Callable[..., tuple[Server, Informer[Any], list[Any]]]:
    """Runs an informer against a script for a time; answers the server, the informer and what its handler was told."""

    def run(lists: Any, watches: Any, seconds: float = 100) -> tuple[Server, Informer[Any], list[Any]]:
        server, told = Server(lists, watches), []
        made: list[Informer[Any]] = []

        async def body(clock: Any) -> None:
            informer: Informer[Any] = Informer(Client(server), clock, Random(1), PODS)  # type: ignore[arg-type]
            made.append(informer)
            informer.add_handler(lambda old, new: told.append((shown(old), shown(new))))
            async with anyio.create_task_group() as group:
                group.start_soon(informer.run)
                await clock.sleep(seconds)
                group.cancel_scope.cancel()

        virtual(body)
        return server, made[0], told

    return run


def test_list_then_watch(play: Any) -> None:
    """What is there is added, then every event is told once, in order, and the cache is the result."""
    events = [[added(pod("b", 6)), modified(pod("a", 7))], [deleted(pod("b", 8))], anyio.Event()]
    server, informer, told = play([(5, [pod("a", 3)])], [events])
    assert server.asked == [("list", ""), ("watch", "5")]
    assert told == [("", "a@3"), ("", "b@6"), ("a@3", "a@7"), ("b@8", "")]
    assert [shown(obj) for obj in informer.lister.all()] == ["a@7"]
    assert informer.lister.revision == 8


def test_a_dropped_stream_is_resumed(play: Any) -> None:
    """After a dropped stream the watch goes on after the last event or bookmark; nothing is listed again."""
    watches = [[[added(pod("a", 6))], DROP], [[bookmark(9)], ConnectionError("gone")]]
    server, informer, told = play([(5, [])], watches)
    assert server.asked == [("list", ""), ("watch", "5"), ("watch", "6"), ("watch", "9")]
    assert told == [("", "a@6")]
    assert informer.lister.revision == 9


@pytest.mark.parametrize("how", ["event", "answer"])
def test_lost_history_is_made_up_for(play: Any, how: str) -> None:
    """After 410 it lists again and tells the difference: deletions, changes, additions, replaced objects as both."""
    gone = Expired("too old resource version: 5 (900)")
    broken = [[WatchEvent("ERROR", gone.to_status())]] if how == "event" else [gone]
    before = [pod("gone", 1), pod("same", 2), pod("changed", 3), pod("replaced", 4, uid="old")]
    after = [pod("same", 2), pod("changed", 901), pod("replaced", 902, uid="new"), pod("fresh", 903)]
    server, informer, told = play([(5, before), (910, after)], [broken])
    assert server.asked == [("list", ""), ("watch", "5"), ("list", ""), ("watch", "910")]
    assert told[4:] == [
        ("gone@1", ""),
        ("replaced@4", ""),
        ("changed@3", "changed@901"),
        ("", "replaced@902"),
        ("", "fresh@903"),
    ]
    assert informer.statistics.lists == 2


def test_failures_are_retried_ever_later(play: Any) -> None:
    """A server that cannot be reached is asked again, less and less often, and the list is kept."""
    busy = [[ServiceUnavailable("starting")] for _ in range(40)]
    server, informer, _ = play([OSError("refused"), (5, [pod("a", 1)])], busy, seconds=100)
    assert [asked for asked in server.asked if asked[0] == "list"] == [("list", ""), ("list", "")]
    assert 8 <= len(server.asked) <= 16
    assert len(informer.lister) == 1


def test_events_before_an_error_count(play: Any) -> None:
    """What came in the same batch before an error is in the cache, and the watch goes on after it."""
    busy = WatchEvent("ERROR", ServiceUnavailable("busy").to_status())
    server, _, told = play([(5, [])], [[[added(pod("a", 6)), busy]]])
    assert server.asked[-1] == ("watch", "6")
    assert told == [("", "a@6")]


def test_caught_up(virtual: Any) -> None:
    """Waiting for a revision ends with the event that reaches it, at once if that has been seen."""

    async def body(clock: Any) -> None:
        gates = [anyio.Event(), anyio.Event(), anyio.Event()]
        script = [gates[0], [added(pod("a", 6))], gates[1], [added(pod("b", 8))], gates[2]]
        informers = Informers(Client(Server([(5, [])], [script])), clock)  # type: ignore[arg-type]
        lister = informers(PODS).lister
        reached: list[int] = []

        async def wait(revision: int) -> None:
            await lister.caught_up(revision)
            reached.append(revision)

        async with anyio.create_task_group() as group:
            group.start_soon(informers.run)
            await informers(PODS).synced()
            await lister.caught_up(5)
            for revision in (8, 6, 7):
                group.start_soon(wait, revision)
            await clock.sleep(1)
            assert reached == []
            gates[0].set()
            await clock.sleep(1)
            assert reached == [6]
            gates[1].set()
            await clock.sleep(1)
            assert sorted(reached) == [6, 7, 8]
            group.cancel_scope.cancel()

    virtual(body)


def test_handlers_come_and_go(virtual: Any) -> None:
    """A late handler is told what is there first; a removed one is told nothing more."""

    async def body(clock: Any) -> None:
        gate = anyio.Event()
        server = Server([(5, [pod("a", 1)])], [[gate, [modified(pod("a", 6))], anyio.Event()]])
        informers = Informers(Client(server), clock)  # type: ignore[arg-type]
        late: list[Any] = []
        removed: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(informers.run)
            await informers(PODS).synced()
            informers(PODS).add_handler(lambda old, new: late.append((shown(old), shown(new))))
            informers(PODS).add_handler(lambda old, new: removed.append((shown(old), shown(new))))()
            gate.set()
            await clock.sleep(1)
            group.cancel_scope.cancel()
        assert late == [("", "a@1"), ("a@1", "a@6")]
        assert removed == [("", "a@1")]

    virtual(body)


def test_one_informer_for_all(virtual: Any) -> None:
    """The same resource and selector is the same informer, started once; another selector is another one."""

    async def body(clock: Any) -> None:
        server = Server([(5, []), (5, [])], [])
        informers = Informers(Client(server), clock)  # type: ignore[arg-type]
        first = informers(PODS)
        async with anyio.create_task_group() as group:
            group.start_soon(informers.run)
            await first.synced()
            assert informers(PODS) is first
            other = informers(PODS, field_selector="spec.nodeName=n1")
            await other.synced()
            group.cancel_scope.cancel()
        assert other is not first
        lists = [asked for asked in server.asked if asked[0] == "list"]
        assert lists == [("list", ""), ("list", "spec.nodeName=n1")]

    virtual(body)


@pytest.mark.parametrize("built_early", [True, False])
def test_indexes(play: Any, built_early: bool) -> None:
    """An index is right whether it is built before or after the events; values without objects disappear."""
    before = [pod("a", 1, node="n1"), pod("b", 2, node="n1"), pod("c", 3, "other")]
    _, informer, _ = play([(5, before)], [])
    lister = informer.lister

    def names(index: str, value: str) -> list[str]:
        return sorted(obj["metadata"]["name"] for obj in lister.by_index(index, value))

    if built_early:
        assert names("node", "n1") == ["a", "b"]
    informer._apply([modified(pod("a", 6, node="n2")), deleted(pod("b", 7, node="n1")), added(pod("d", 8, node="n2"))])
    assert (names("node", "n1"), names("node", "n2")) == ([], ["a", "d"])
    assert names("namespace", "other") == ["c"]
    assert lister.index_values("node") == ["n2"]
    with pytest.raises(KeyError):
        lister.by_index("unheard-of", "x")


def test_select(play: Any) -> None:
    """Selecting by label gives the same with and without help of an index, in one namespace and in all."""
    web = [pod("a", 1, app="web", tier="front"), pod("b", 2, app="web"), pod("c", 3, "other", app="web")]
    _, informer, _ = play([(5, [*web, pod("d", 4, app="db")])], [])

    def names(selector: str, namespace: str = "") -> list[str]:
        found = informer.lister.select(LabelSelector.parse(selector), namespace)
        return sorted(obj["metadata"]["name"] for obj in found)

    assert names("app=web") == ["a", "b", "c"]
    assert names("app=web", "ns") == ["a", "b"]
    assert names("app=web,tier=front") == ["a"]
    assert names("app in (db,web),!tier", "ns") == ["b", "d"]
    assert names("", "other") == ["c"]
    assert names("app=none") == []
    assert informer.lister.select(LabelSelector.from_object(None)) == []
