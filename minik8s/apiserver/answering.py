"""From an answer of dispatch to bytes on a connection: one document, a list in chunks, a watch, a stream of bytes.

A stream (watch, follow) ends when either side leaves: whoever sends listens for the client's going meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio

from minik8s.api.request import ApiRequest, WatchEvent
from minik8s.api.resource import Resource
from minik8s.api.resources import COMPONENT_STATUSES, ENDPOINTS
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.encoding import Encoder
from minik8s.apiserver.fanout import Fanout
from minik8s.apiserver.httpcall import NO_CACHE, Header, HttpCall, headers_of, warning_headers
from minik8s.apiserver.negotiation import Representation
from minik8s.apiserver.response import ApiResponse, ListResponse, ObjectResponse, StreamResponse, WatchResponse
from minik8s.machinery.errors import ApiError

DEPRECATED: dict[Resource[Any], str] = {
    COMPONENT_STATUSES: "v1 ComponentStatus is deprecated in v1.19+",
    ENDPOINTS: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""Warnings that come with every answer about these resources."""


class Answerer:
    """Sends the answers of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._fanout = Fanout()

    async def respond(
        self, call: HttpCall, request: ApiRequest, response: ApiResponse, representation: Representation
    ) -> None:
        if isinstance(response, StreamResponse):
            await self._stream(call, response)
            return
        resource = response.resource or request.resource
        if isinstance(response, ObjectResponse) and response.resource is None:
            representation = Representation(representation.media_type)
        headers = headers_of(representation.media_type, response.warnings)
        if resource in DEPRECATED:
            headers += warning_headers([DEPRECATED[resource]])
        encoder = Encoder(
            resource,
            representation,
            now=self._ctx.clock.now(),
            include=call.options.get("includeObject", ""),
            pretty=call.pretty,
        )
        if isinstance(response, ObjectResponse):
            await call.answer(response.code, encoder.object(response), headers)
        elif isinstance(response, ListResponse):
            await self._list(call, encoder, response, headers)
        else:
            await self._watch(call, encoder, response, headers)

    async def _list(self, call: HttpCall, encoder: Encoder, response: ListResponse, headers: list[Header]) -> None:
        chunks = encoder.list(response)
        first = next(chunks)
        second = next(chunks, None)
        if second is None:
            await call.answer(200, first, headers)
            return
        await call.start(200, headers)
        await call.chunk(first)
        await call.chunk(second)
        for chunk in chunks:
            await call.chunk(chunk)
        await call.chunk(b"", more=False)

    async def _watch(self, call: HttpCall, encoder: Encoder, response: WatchResponse, headers: list[Header]) -> None:
        def encode(batch: list[WatchEvent]) -> bytes:
            return encoder.event(batch[0]) if len(batch) == 1 else b"".join([encoder.event(event) for event in batch])

        session = response.session
        if call.stream is not None and session is not None and session.key is not None and encoder.shares_events:
            lines = self._fanout.lines(session, response.events, encode, call.stream)
        else:
            lines = (encode(batch) async for batch in response.events)
        await self._until_left(call, lines, headers)

    async def _stream(self, call: HttpCall, response: StreamResponse) -> None:
        headers = [(b"content-type", response.media_type.encode()), NO_CACHE]
        await self._until_left(call, response.chunks, headers, wait=not response.live)

    async def _until_left(
        self, call: HttpCall, chunks: AsyncIterator[bytes], headers: list[Header], *, wait: bool = False
    ) -> None:
        """Sends until there is nothing more, or nobody to send to.

        With `wait` the answer begins with the first chunk, because what goes wrong before it is still an error.
        """
        failure: ApiError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_wait_for_disconnect, call, group.cancel_scope)
            try:
                first = await anext(chunks, b"") if wait else b""
                await call.start(200, headers)
                await call.chunk(first)  # the client sees the answer begin, though nothing may have happened yet
                async for chunk in chunks:
                    await call.chunk(chunk)
                await call.chunk(b"", more=False)
            except ApiError as error:
                failure = error
            finally:
                await _close(chunks)
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _wait_for_disconnect(call: HttpCall, scope: anyio.CancelScope) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _close(chunks: AsyncIterator[bytes]) -> None:
    """Ends a generator that may have been left in the middle."""
    aclose = getattr(chunks, "aclose", None)
    if aclose is not None:
        with anyio.CancelScope(shield=True):
            await aclose()
