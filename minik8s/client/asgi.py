"""An httpx transport that calls an ASGI application in this loop, and streams.

httpx's own `ASGITransport` collects the whole body before it answers, so a watch through it never returns. Here the
application runs as a task of its own per request, and its chunks arrive as it sends them.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from typing import Any

import anyio
import httpx
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


def app_client(app: App, group: TaskGroup, token: str) -> httpx.AsyncClient:
    """A client of the application that needs no socket, and bears a token."""
    return httpx.AsyncClient(
        transport=AppTransport(app, group),
        base_url="http://minik8s",
        headers={"Authorization": f"Bearer {token}"},
        timeout=None,
        trust_env=False,
    )


def blocking_client(client: httpx.AsyncClient, call: Callable[..., Any]) -> httpx.Client:
    """The same client for synchronous code; `call(function, *args)` awaits an async function in the client's loop."""
    return httpx.Client(
        transport=_BlockingTransport(client._transport, call),
        base_url=client.base_url,
        headers=client.headers,
        timeout=None,
        trust_env=False,
    )


class _BlockingTransport(httpx.BaseTransport):
    """An async transport of another thread's loop."""

    def __init__(self, transport: httpx.AsyncBaseTransport, call: Callable[..., Any]) -> None:
        self._transport, self._call = transport, call

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        answer = self._call(self._transport.handle_async_request, copy)
        stream = _BlockingStream(answer.stream, self._call)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream, request=request)


class _BlockingStream(httpx.SyncByteStream):
    """The chunks of an async stream, each waited for."""

    def __init__(self, stream: httpx.AsyncByteStream, call: Callable[..., Any]) -> None:
        self._stream, self._call = stream, call

    def __iter__(self) -> Iterator[bytes]:
        chunks = aiter(self._stream)
        while (chunk := self._call(anext, chunks, None)) is not None:
            yield chunk

    def close(self) -> None:
        self._call(self._stream.aclose)


class AppTransport(httpx.AsyncBaseTransport):
    """Requests become calls of `app`, each in a task of `group`."""

    def __init__(self, app: App, group: TaskGroup) -> None:
        self._app, self._group = app, group

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request, await request.aread())
        self._group.start_soon(exchange.run, self._app, name=f"{request.method} {request.url.path}")
        try:
            await exchange.started.wait()
        except BaseException:
            await exchange.aclose()
            raise
        if exchange.status is None:
            await exchange.aclose()
            raise httpx.RemoteProtocolError("the application ended without an answer", request=request)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange, request=request)


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer."""

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        url = request.url
        self._scope: Message = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.partition(b"?")[0],
            "query_string": url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 0),
        }
        self._body: bytes | None = body
        self._left = anyio.Event()
        self._cancel = anyio.CancelScope()
        self._send: MemoryObjectSendStream[bytes]
        self._receive: MemoryObjectReceiveStream[bytes]
        self._send, self._receive = anyio.create_memory_object_stream[bytes](math.inf)
        self.started = anyio.Event()
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []

    async def run(self, app: App) -> None:
        """Carries the application through; ends early when the client has closed the answer."""
        with self._cancel, self._send:
            try:
                await app(self._scope, self._take, self._give)
            finally:
                self.started.set()

    async def _take(self) -> Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _give(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
            self.started.set()
            return
        if self._left.is_set():
            return
        if body := message.get("body"):
            await self._send.send(bytes(body))
        if not message.get("more_body"):
            self._send.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._receive:
            yield chunk

    async def aclose(self) -> None:
        self._left.set()
        self._cancel.cancel()
        self._send.close()
        self._receive.close()
