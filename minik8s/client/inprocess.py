"""The shortest road to an API server: a function call.

Requests take the same way through the server as those that come by HTTP (authorization, admission, validation,
storage), without sockets and without encoding. And mostly without waiting for anything: a program that asks again and
again would never let others have their turn, and a test of it could not even time out. So every few requests there is
a pause, as each over a socket has one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from anyio.lowlevel import checkpoint

from minik8s.api.request import ApiRequest, ByteStream, ListResult, WatchStream
from minik8s.machinery.meta import Obj

PAUSE_EVERY = 16
"""Requests. The cluster's own components do not count: they rest between the keys of their queues."""
Dispatch = Callable[[ApiRequest], Awaitable[Any]]
"""Answers with an object that has `.document`, `.result`, `.events` and `.close`, or `.chunks`, by kind of request."""


class InProcessTransport:
    """A `Transport` over a server's dispatch function."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._requests = 0

    async def call(self, request: ApiRequest) -> Obj:
        if not request.user.trusted:
            await self._pause()
        document: Obj = (await self._dispatch(request)).document
        return document

    async def list(self, request: ApiRequest) -> ListResult:
        if not request.user.trusted:
            await self._pause()
        result: ListResult = (await self._dispatch(request)).result
        return result

    def watch(self, request: ApiRequest) -> AbstractAsyncContextManager[WatchStream]:
        return _Watching(self._dispatch, request)

    @asynccontextmanager
    async def stream(self, request: ApiRequest) -> AsyncIterator[ByteStream]:
        response = await self._dispatch(request)
        try:
            yield response.chunks
        finally:
            await response.chunks.aclose()

    async def _pause(self) -> None:
        self._requests += 1
        if self._requests % PAUSE_EVERY == 0:
            await checkpoint()

    async def aclose(self) -> None:
        """Nothing is held open."""


class _Watching(AbstractAsyncContextManager[WatchStream]):
    """A watch from its request to its end; a class, because a cluster has one for every resource."""

    def __init__(self, dispatch: Dispatch, request: ApiRequest) -> None:
        self._dispatch, self._request = dispatch, request
        self._response: Any

    async def __aenter__(self) -> WatchStream:
        self._response = await self._dispatch(self._request)
        events: WatchStream = self._response.events
        return events

    async def __aexit__(self, *exc_info: object) -> None:
        self._response.close()
        await self._response.events.aclose()
