"""From an answer of dispatch to bytes on a connection: one document, a list in chunks, a watch, a stream of bytes.

A stream (watch, follow) ends when either side leaves: whoever sends listens for the client's going meanwhile.
"""

from __future__ import annotations

import itertools
import zlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol
from urllib.parse import unquote

import anyio
from anyio.lowlevel import checkpoint

from minik8s.api.request import JSON, PROTOBUF, ApiRequest, WatchEvent, WatchStream
from minik8s.api.resource import Resource
from minik8s.api.resources import COMPONENT_STATUSES, ENDPOINTS
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.encoding import Encoder
from minik8s.apiserver.fanout import Fanout
from minik8s.apiserver.httpcall import NO_CACHE, ZIP_LEVEL, ZIPPED, Header, HttpCall, headers_of
from minik8s.apiserver.listening import (
    AsyncMessages,
    agree_on_bytes,
    agree_on_events,
    byte_messages,
    event_message,
    listens,
    tell,
)
from minik8s.apiserver.negotiation import DEFAULT, Representation
from minik8s.apiserver.response import (
    ApiResponse,
    ListResponse,
    ObjectResponse,
    ProxyResponse,
    ProxyTarget,
    StreamResponse,
    UpgradeResponse,
    WatchResponse,
)
from minik8s.apiserver.upgrade.handshake import agree
from minik8s.machinery.errors import ApiError

DEPRECATED: dict[Resource[Any], str] = {
    COMPONENT_STATUSES: "v1 ComponentStatus is deprecated in v1.19+",
    ENDPOINTS: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""Warnings that come with every answer about these resources."""


class AnyEncoder(Protocol):
    """What turns the parts of one request's answer into bytes of one media type."""

    @property
    def media_type(self) -> str: ...
    @property
    def shares_events(self) -> bool:
        """Whether a watch event looks the same to everybody who asked for this representation."""
        ...

    def object(self, response: ObjectResponse) -> bytes: ...
    def list(self, response: ListResponse) -> Iterator[bytes]: ...
    def event(self, event: WatchEvent) -> bytes: ...


class Answerer:
    """Sends the answers of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._fanouts: dict[str, Fanout] = defaultdict(Fanout)  # by media type: what is shared is bytes

    async def respond(
        self, call: HttpCall, request: ApiRequest, response: ApiResponse, representation: Representation
    ) -> None:
        if isinstance(response, StreamResponse):
            await self._stream(call, response)
            return
        if isinstance(response, ProxyResponse):
            await self._pass_on(call, request, response.target)
            return
        if isinstance(response, UpgradeResponse):
            await _upgrade(call, response)
            return
        resource = response.resource or request.resource
        if isinstance(response, ObjectResponse) and response.resource is None:
            representation = Representation(representation.media_type)
        warnings = response.warnings
        if resource in DEPRECATED:
            warnings = [*warnings, DEPRECATED[resource]]
        elif request.resource.custom is not None and request.resource.custom.deprecated:
            warnings = [*warnings, request.resource.custom.deprecated]
        is_plain = representation.shape == "object" and representation.media_type == JSON
        if is_plain and isinstance(response, ObjectResponse) and response.source is not None and not call.pretty:
            await call.answer(response.code, response.source.encoded + b"\n", headers_of(JSON, warnings))
            return
        encoder = self._encoder(call, resource, response, representation)
        headers = headers_of(_content_type(encoder, response), warnings)
        if isinstance(response, ObjectResponse):
            await call.answer(response.code, encoder.object(response), headers)
        elif isinstance(response, ListResponse):
            await self._list(call, encoder, response, headers)
        else:
            await self._watch(call, encoder, response, headers)

    def _encoder(
        self, call: HttpCall, resource: Resource[Any], response: ApiResponse, representation: Representation
    ) -> AnyEncoder:
        if representation.media_type == PROTOBUF:
            from minik8s.apiserver.protobuf import encoder_for

            if encoder := encoder_for(resource, response, representation):
                return encoder
            representation = DEFAULT
        include = call.options.get("includeObject", "")
        return Encoder(resource, representation, now=self._ctx.clock.now, include=include, pretty=call.pretty)

    async def _list(self, call: HttpCall, encoder: AnyEncoder, response: ListResponse, headers: list[Header]) -> None:
        chunks = encoder.list(response)
        while not (first := next(chunks)):
            await checkpoint()
        begun = [first, *itertools.islice(chunks, 2)]
        if len(begun) < 3:  # the objects and the end: not worth a stream
            await call.answer(200, b"".join(begun), headers)
            return
        zipped = zlib.compressobj(ZIP_LEVEL, wbits=31) if call.takes_gzip else None
        await call.start(200, [*headers, *ZIPPED] if zipped else headers)
        for chunk in itertools.chain(begun, chunks):
            await call.chunk(zipped.compress(chunk) if zipped else chunk)
        await call.chunk(zipped.flush() if zipped else b"", more=False)

    async def _watch(self, call: HttpCall, encoder: AnyEncoder, response: WatchResponse, headers: list[Header]) -> None:
        session, resource = response.session, response.resource
        about = (resource.group, resource.version, resource.plural)

        def count(events: int) -> None:
            self._ctx.metrics.watch_events[about] += events

        if listens(call):
            await tell(call, agree_on_events(call), _event_messages(response.events, encoder, count))
            return

        def encode(batch: list[WatchEvent]) -> bytes:
            return encoder.event(batch[0]) if len(batch) == 1 else b"".join([encoder.event(event) for event in batch])

        if call.stream is not None and session is not None and session.key is not None and encoder.shares_events:
            fanout = self._fanouts[encoder.media_type]
            lines = fanout.lines(session, response.events, encode, call.stream, count)
        else:
            lines = _counted(response.events, encode, count)
        await self._until_left(call, lines, headers)

    async def _stream(self, call: HttpCall, response: StreamResponse) -> None:
        if listens(call):
            await self._tell_bytes(call, response)
            return
        headers = [(b"content-type", response.media_type.encode()), NO_CACHE]
        await self._until_left(call, response.chunks, headers, wait=not response.live)

    async def _tell_bytes(self, call: HttpCall, response: StreamResponse) -> None:
        try:
            agreement = agree_on_bytes(call)
            first = b"" if response.live else await anext(response.chunks, b"")  # until then it can still be refused
            await tell(call, agreement, byte_messages(first, response.chunks, agreement))
        finally:
            await _close(response.chunks)

    async def _pass_on(self, call: HttpCall, request: ApiRequest, target: ProxyTarget) -> None:
        """Whatever it is, somebody else answers: a backend, or a node's kubelet."""
        depth = 7 if request.namespace else 5  # /api/v1/[namespaces/NS/]pods/NAME/proxy
        parts = call.raw_path.lstrip(b"/").split(b"/", depth)
        prefix = "/" + b"/".join(parts[:depth]).decode("latin-1")
        query = b"?" + call.query.encode("latin-1") if call.query else b""
        if len(parts) <= depth and call.method in ("GET", "HEAD") and call.upgradable is None:
            location = prefix.encode("latin-1") + b"/" + query
            await call.answer(301, b"", [(b"location", location)])
            return
        rest = b"/" + b"".join(parts[depth:])
        if target.node:
            await self._kubelet(call, target.node, rest)
            return
        from minik8s.apiserver.reverseproxy import pass_on  # HTTP towards others is loaded when first needed

        await pass_on(call, target, prefix, rest + query)

    async def _kubelet(self, call: HttpCall, node: str, path: bytes) -> None:
        """The node's kubelet answers without a connection."""
        answer = self._ctx.connector.kubelet(node, call.method, unquote(path.decode("latin-1")), call.options)
        headers = [(b"content-type", answer.media_type.encode())]
        if answer.chunks is None:
            await call.answer(answer.code, b"" if call.method == "HEAD" else answer.body, headers)
        else:
            await self._until_left(call, answer.chunks, headers, wait=True)

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


async def _counted(
    events: WatchStream, encode: Callable[[list[WatchEvent]], bytes], count: Callable[[int], None]
) -> AsyncIterator[bytes]:
    async for batch in events:
        count(len(batch))
        yield encode(batch)


async def _event_messages(events: WatchStream, encoder: AnyEncoder, count: Callable[[int], None]) -> AsyncMessages:
    async for batch in events:
        count(len(batch))
        for event in batch:
            yield event_message(encoder.event(event), encoder.media_type)


def _content_type(encoder: AnyEncoder, response: ApiResponse) -> str:
    streams = isinstance(response, WatchResponse) and encoder.media_type != JSON
    return f"{encoder.media_type};stream=watch" if streams else encoder.media_type


async def _upgrade(call: HttpCall, response: UpgradeResponse) -> None:
    """Ends HTTP on the connection and lets the two sides talk. Raises ApiError while it is still HTTP."""
    agreement = agree(call.method, call.raw_headers, websocket=response.websocket, spdy=response.spdy)
    async with response.open(agreement) as converse:
        stream = call.upgrade(agreement.head)
        try:
            await converse(stream)
        except* anyio.BrokenResourceError:
            pass  # the client has gone in the middle of an answer
        finally:
            await stream.aclose()


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
