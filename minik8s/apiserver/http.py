"""The API server's HTTP face: an ASGI application that parses, hands over to dispatch, and encodes.

Nothing is decided here but form: the request line and headers become an `ApiRequest`, answers and errors become
bytes. A stream (watch, follow) ends when either side leaves: the handler listens for the client's going while it
sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import anyio

from minik8s.api.request import JSON, ApiRequest, User
from minik8s.apiserver.authorization import AUTHENTICATED, authorize_path
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.encoding import Encoder, encode_document
from minik8s.apiserver.negotiation import DEFAULT, Representation, negotiate
from minik8s.apiserver.nonresource import PlainResponse, Site
from minik8s.apiserver.options import truth
from minik8s.apiserver.requestinfo import RequestInfo, parse_path, verb_of
from minik8s.apiserver.response import ApiResponse, ListResponse, ObjectResponse, StreamResponse, WatchResponse
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, InternalError, MethodNotAllowed, RequestEntityTooLarge, Unauthorized

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

MAX_BODY = 3 * 1024 * 1024
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_BROWSERS = ("curl/", "Wget/", "Mozilla/")
_NO_CACHE: Header = (b"cache-control", b"no-cache, private")
log = get_logger(__name__)


class HttpCall:
    """One HTTP request: its parts as strings, and the ways to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._raw_headers: Iterable[Header] = scope["headers"]
        self.options: dict[str, str] = {}
        self.repeated: dict[str, list[str]] = {}
        if query := scope["query_string"]:
            self._parse_query(query.decode("latin-1"))
        self.receive, self.send = receive, send
        self.started = False

    def _parse_query(self, query: str) -> None:
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self.options:
                self.repeated.setdefault(name, [self.options[name]]).append(value)
            self.options[name] = value

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    def header_values(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._raw_headers if key == name]

    @property
    def pretty(self) -> bool:
        return truth(self.options, "pretty") or self.header(b"user-agent").startswith(_BROWSERS)

    async def body(self) -> bytes:
        """The whole request body; raises RequestEntityTooLarge."""
        length = self.header(b"content-length")
        if length.isdigit() and int(length) > MAX_BODY:
            raise _too_large()
        chunks, size = [], 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                raise _too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks) if len(chunks) > 1 else chunks[0]

    async def start(self, code: int, headers: list[Header]) -> None:
        self.started = True
        await self.send({"type": "http.response.start", "status": code, "headers": headers})

    async def chunk(self, data: bytes, *, more: bool = True) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, code: int, body: bytes, headers: list[Header]) -> None:
        """A whole answer with its length."""
        await self.start(code, [*headers, (b"content-length", str(len(body)).encode())])
        await self.chunk(body, more=False)


class ClientLeft(Exception):
    """The client closed the connection before it had sent its request."""


class HttpApp:
    """The ASGI application of one API server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._site = Site(ctx)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']}")
        call = HttpCall(scope, receive, send)
        try:
            await self._serve(call)
        except ApiError as error:
            await self._fail(call, error)
        except ClientLeft:
            return
        except Exception as error:
            log.exception("request failed", method=call.method, path=call.path)
            await self._fail(call, InternalError(f"Internal error occurred: {type(error).__name__}: {error}"))

    async def _serve(self, call: HttpCall) -> None:
        user = self._authenticate(call)
        info = parse_path(call.path)
        if info is None:
            authorize_path(user, call.path)
            if call.method not in ("GET", "HEAD"):
                raise MethodNotAllowed.default()
            await self._plain(call, self._site.answer(call.path, call.headers, call.options))
            return
        request = await self._request(call, info, user)
        representation = negotiate(call.header(b"accept"))
        response = await dispatch(self._ctx, request)
        await self._respond(call, request, response, representation)

    async def _request(self, call: HttpCall, info: RequestInfo, user: User) -> ApiRequest:
        if call.method not in _METHODS:
            raise MethodNotAllowed.default()
        resource = self._ctx.registry.find(info.group, info.version, info.plural)
        verb = verb_of(call.method, info, call.options, namespaced=resource.namespaced)
        options = call.options
        if info.legacy_watch and info.name:
            options = {**options, "fieldSelector": f"metadata.name={info.name}"}
        return ApiRequest(
            verb=verb,
            resource=resource,
            namespace=info.namespace,
            name=info.name if verb != "watch" else "",
            subresource=info.subresource,
            path=info.path,
            options=options,
            repeated=call.repeated,
            body=await call.body() if call.method != "GET" else None,
            content_type=call.header(b"content-type") or JSON,
            user=user,
            user_agent=call.header(b"user-agent"),
        )

    def _authenticate(self, call: HttpCall) -> User:
        """Who calls; raises Unauthorized for a token that is not one of ours."""
        scheme, _, token = call.header(b"authorization").partition(" ")
        if not token:
            return self._ctx.anonymous
        if scheme.lower() != "bearer":
            raise Unauthorized("Unauthorized")
        user = self._ctx.tokens.authenticate(token.strip(), self._ctx.clock.now())
        if user is None:
            raise Unauthorized("Unauthorized")
        if name := call.header(b"impersonate-user"):
            groups = call.header_values(b"impersonate-group")
            return User(name, call.header(b"impersonate-uid"), (*groups, AUTHENTICATED))
        return user

    async def _respond(
        self, call: HttpCall, request: ApiRequest, response: ApiResponse, representation: Representation
    ) -> None:
        if isinstance(response, StreamResponse):
            await self._stream(call, response.chunks, response.media_type)
            return
        resource = response.resource or request.resource
        if isinstance(response, ObjectResponse) and response.resource is None:
            representation = Representation(representation.media_type)
        headers = _headers(representation.media_type, response.warnings)
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
        async def lines() -> AsyncIterator[bytes]:
            async for batch in response.events:
                if len(batch) == 1:
                    yield encoder.event(batch[0])
                else:
                    yield b"".join([encoder.event(event) for event in batch])

        try:
            await self._until_left(call, lines(), headers)
        finally:
            response.close()

    async def _stream(self, call: HttpCall, chunks: AsyncIterator[bytes], media_type: str) -> None:
        first = await anext(chunks, b"")  # an error comes before the answer has begun

        async def all_chunks() -> AsyncIterator[bytes]:
            if first:
                yield first
            async for chunk in chunks:
                yield chunk

        await self._until_left(call, all_chunks(), [(b"content-type", media_type.encode()), _NO_CACHE])

    async def _until_left(self, call: HttpCall, chunks: AsyncIterator[bytes], headers: list[Header]) -> None:
        """Sends until there is nothing more, or nobody to send to."""
        await call.start(200, headers)
        await call.chunk(b"")  # the client sees the answer begin, though nothing has happened yet
        async with anyio.create_task_group() as group:
            group.start_soon(_wait_for_disconnect, call, group.cancel_scope)
            async for chunk in chunks:
                await call.chunk(chunk)
            await call.chunk(b"", more=False)
            group.cancel_scope.cancel()

    async def _plain(self, call: HttpCall, plain: PlainResponse) -> None:
        headers = [(name.encode(), value.encode()) for name, value in plain.headers.items()]
        headers.append((b"content-type", plain.media_type.encode()))
        await call.answer(plain.code, plain.body if call.method == "GET" else b"", headers)

    async def _fail(self, call: HttpCall, error: ApiError) -> None:
        if call.started:
            await call.chunk(b"", more=False)
            return
        headers = _headers(JSON, [])
        if error.retry_after:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        await call.answer(error.code, encode_document(error.to_status(), DEFAULT, pretty=call.pretty), headers)


async def _wait_for_disconnect(call: HttpCall, scope: anyio.CancelScope) -> None:
    while (await call.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _headers(media_type: str, warnings: Iterable[str]) -> list[Header]:
    headers = [(b"content-type", media_type.encode()), _NO_CACHE]
    for warning in dict.fromkeys(warnings):
        text = warning.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
        headers.append((b"warning", f'299 - "{text}"'.encode()))
    return headers


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
