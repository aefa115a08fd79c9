"""Requests that are calls of an ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from minik8s.client.asgi import AppTransport

pytestmark = pytest.mark.anyio
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-one", b"1")]}


@asynccontextmanager
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    with anyio.fail_after(10):
        async with (
            anyio.create_task_group() as group,
            httpx.AsyncClient(transport=AppTransport(app, group), base_url="http://test") as http,
        ):
            yield http


async def test_a_request_arrives_as_it_was_sent() -> None:
    """Method, path as written, query, headers and body reach the application; status and headers come back."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope, body=(await receive())["body"])
        await send({**START, "status": 418})
        await send({"type": "http.response.body", "body": b"tea"})

    async with client(app) as http:
        response = await http.put("/a%2Fb?c=d", content=b"hello", headers={"X-Mine": "yes"})
    assert (response.status_code, response.headers["x-one"], response.content) == (418, "1", b"tea")
    assert (seen["method"], seen["path"], seen["raw_path"]) == ("PUT", "/a/b", b"/a%2Fb")
    assert (seen["query_string"], seen["body"]) == (b"c=d", b"hello")
    assert (b"x-mine", b"yes") in seen["headers"]


async def test_chunks_arrive_as_they_are_sent() -> None:
    """The reader has a chunk before the application sends the next."""
    taken = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await taken.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    async with client(app) as http, http.stream("GET", "/") as response:
        chunks = response.aiter_raw()
        assert await anext(chunks) == b"one"
        taken.set()
        assert await anext(chunks) == b"two"


async def test_a_reader_that_leaves_ends_the_application() -> None:
    """Closing the answer cancels the application where it stands."""
    ended = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with client(app) as http:
        async with http.stream("GET", "/"):
            assert not ended.is_set()
        await ended.wait()


async def test_an_application_that_says_nothing() -> None:
    """An application that returns without an answer is a protocol error, not a hang."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        return

    async with client(app) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="without an answer"):
            await http.get("/")
