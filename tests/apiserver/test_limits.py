"""What a request may take: room among others, time, and bytes on the wire."""

from __future__ import annotations

import gzip
from typing import Any

import anyio
import httpx
import pytest

from minik8s.apiserver.inflight import request_seconds
from minik8s.clock import Deadline
from minik8s.machinery.errors import BadRequest
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio

LARGE = {"metadata": {"name": "large"}, "data": {"k": "x" * 200_000}}
PATH = "/api/v1/namespaces/default/configmaps"
SMALL = {"metadata": {"name": "small"}, "data": {"k": "x" * 1000}}


async def raw(server: Any, path: str, **headers: str) -> tuple[httpx.Headers, bytes]:
    """Headers and body as they are on the wire."""
    async with server.http.stream("GET", path, headers={"accept-encoding": "", **headers}) as response:
        assert response.status_code == 200
        return response.headers, b"".join([chunk async for chunk in response.aiter_raw()])


@pytest.mark.parametrize("accepted", ["gzip", "deflate, gzip, br"])
async def test_large_answers_are_zipped(server: Any, accepted: str) -> None:
    """An object, a list in one piece, a list in many; with the headers that caches need."""
    await server.ok("POST", "configmaps", LARGE)
    for number in range(300):
        await server.ok("POST", "configmaps", {**SMALL, "metadata": {"name": f"c{number}"}})
    base = "/api/v1/namespaces/default/configmaps"
    for path in (f"{base}/large", f"{base}?fieldSelector=metadata.name=large", base):
        headers, body = await raw(server, path, **{"accept-encoding": accepted})
        assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
        assert gzip.decompress(body) == (await raw(server, path))[1]


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "br"])
async def test_nobody_is_sent_what_he_cannot_read(server: Any, accepted: str) -> None:
    """Only `gzip` means gzip."""
    await server.ok("POST", "configmaps", LARGE)
    headers, body = await raw(server, "/api/v1/configmaps", **{"accept-encoding": accepted})
    assert "content-encoding" not in headers
    assert body.startswith(b"{")


async def test_small_answers_and_watches_are_not_zipped(server: Any) -> None:
    """What is under 128 KiB, and streams of any size."""
    await server.ok("POST", "configmaps", SMALL)
    headers, _ = await raw(server, "/api/v1/configmaps", **{"accept-encoding": "gzip"})
    assert "content-encoding" not in headers
    await server.ok("POST", "configmaps", LARGE)
    async with server.watching("configmaps?watch=1", headers={"accept-encoding": "gzip"}) as events:
        assert "content-encoding" not in events.response.headers
        await events.next()


async def test_zipped_bodies_are_not_understood(server: Any) -> None:
    """As upstream: the body is taken for what its Content-Type says."""
    body = gzip.compress(b'{"metadata":{"name":"a"}}')
    response = await server.call("POST", "configmaps", body, headers={"content-encoding": "gzip"})
    assert response.status_code == 400


async def test_places_are_given_back(server: Any) -> None:
    """Whatever came of the request."""
    for path in ("configmaps", "configmaps/none", "/nonsense", "/api/v1/pods?limit=x"):
        await server.call("GET", path)
        await server.call("POST", path, b"{")
    assert server.ctx.inflight.current == {False: 0, True: 0}


@pytest.mark.parametrize(("text", "seconds"), [(None, 60), ("", 60), ("0s", 60), ("5s", 5), ("1h", 60), ("32s", 32)])
def test_how_long_a_request_may_take(text: str | None, seconds: float) -> None:
    """As it asks, but not longer than a minute."""
    assert request_seconds(text) == seconds


async def test_a_timeout_that_is_none(server: Any) -> None:
    """Upstream's words; but a watch's `timeout` is nobody's business."""
    message = 'invalid timeout specified in the request URL - time: invalid duration "soon"'
    await server.refused("GET", "configmaps?timeout=soon", 400, "BadRequest", message)
    async with server.watching("configmaps?watch=1&timeout=soon"):
        pass
    with pytest.raises(BadRequest):
        request_seconds("5")


async def test_a_request_that_takes_too_long(server: Any) -> None:
    """A body that never comes to its end is a 504, and the place is free again."""
    messages: list[Any] = []

    async def receive() -> Any:
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "headers": [],
        "query_string": b"timeout=5s",
    }  # fmt: skip
    app = server.http._transport._app
    async with anyio.create_task_group() as group:
        group.start_soon(app, scope, receive, send)
        await server.settle()
        assert server.ctx.inflight.current[True] == 1
        server.clock.advance(4)
        assert not messages
        server.clock.advance(2)
        await server.settle()
    assert messages[0]["status"] == 504
    assert b"Timeout: request did not complete within the allotted timeout" in messages[1]["body"]
    assert server.ctx.inflight.current[True] == 0


async def test_deadline_leaves_alone_what_is_done() -> None:
    """Work that does not wait, waits within its time, fails, or is cancelled from outside."""
    clock, done = ManualClock(), []

    async def work(steps: int, error: Exception | None = None) -> None:
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        if error is not None:
            raise error
        done.append(steps)

    await Deadline(clock, 1, work(0))
    await Deadline(clock, 1, work(3))
    assert done == [0, 3]
    for steps in (0, 2):
        with pytest.raises(ValueError, match="mine"):
            await Deadline(clock, 1, work(steps, ValueError("mine")))
    with anyio.move_on_after(0) as scope:
        await Deadline(clock, 1, anyio.sleep_forever())  # type: ignore[arg-type]
    assert scope.cancelled_caught


async def test_deadline_ends_work_with_scopes_of_its_own() -> None:
    """Also in the middle of a task group, and nothing is left running."""
    clock, ended = ManualClock(), []

    async def child() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def work() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            await anyio.sleep_forever()

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await Deadline(clock, 1, work())
        ended.append(False)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        clock.advance(2)
    assert ended == [True, False]
