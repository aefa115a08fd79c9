"""The API server's HTTP face: an ASGI application that parses, hands over to dispatch, and encodes.

Nothing is decided here but form: the request line and headers become an `ApiRequest`, answers and errors become
bytes. A stream (watch, follow) ends when either side leaves: the handler listens for the client's going while it
sends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import anyio

from minik8s.api.request import JSON, YAML, ApiRequest, User, WatchEvent
from minik8s.api.resource import Resource
from minik8s.api.resources import COMPONENT_STATUSES, ENDPOINTS
from minik8s.apiserver.authentication import authenticate, impersonate
from minik8s.apiserver.authorization import authorize_path, forbidden, is_allowed
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.encoding import Encoder, encode_document
from minik8s.apiserver.fanout import Fanout, Stream
from minik8s.apiserver.negotiation import DEFAULT, Representation, check_shape, negotiate
from minik8s.apiserver.nonresource import NOT_FOUND, PlainResponse, Site
from minik8s.apiserver.options import truth
from minik8s.apiserver.requestinfo import RequestInfo, check_scope, parse_path, verb_of
from minik8s.apiserver.response import ApiResponse, ListResponse, ObjectResponse, StreamResponse, WatchResponse
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, InternalError, MethodNotAllowed, NotAcceptable, RequestEntityTooLarge

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

STREAM = "minik8s.stream"
"""The ASGI extension by which our own server offers an answer's raw stream."""
MAX_BODY = 3 * 1024 * 1024
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_BROWSERS = ("curl/", "Wget/", "Mozilla/")
DEPRECATED: dict[Resource[Any], str] = {
    COMPONENT_STATUSES: "v1 ComponentStatus is deprecated in v1.19+",
    ENDPOINTS: "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
"""Warnings that come with every answer about these resources."""
_IMPERSONATION = frozenset({b"impersonate-user", b"impersonate-group", b"impersonate-uid"})
_RAW = frozenset({"log"})
"""Subresources that answer bytes, whatever Accept says."""
_NO_CACHE: Header = (b"cache-control", b"no-cache, private")
log = get_logger(__name__)


class HttpCall:
    """One HTTP request: its parts as strings, and the ways to answer it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.raw_headers: Iterable[Header] = scope["headers"]
        self.options: dict[str, str] = {}
        self.repeated: dict[str, list[str]] = {}
        if query := scope["query_string"]:
            self._parse_query(query.decode("latin-1"))
        self.receive, self.send = receive, send
        self.stream: Stream | None = scope.get("extensions", {}).get(STREAM)
        self.started = False

    def _parse_query(self, query: str) -> None:
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self.options:
                self.repeated.setdefault(name, [self.options[name]]).append(value)
            else:
                self.options[name] = value

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

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
        self._fanout = Fanout()

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
        user = self._user(call)
        info = parse_path(call.path)
        if info is None:
            authorize_path(user, call.method, call.path)
            await self._plain(call, self._site.answer(call.path, call.headers, call.options))
            return
        if not is_allowed(user):
            raise _forbidden(user, call, info)
        resource = self._ctx.registry.get(info.group, info.version, info.plural)
        if resource is None:
            await self._plain(call, self._site.unserved(info.group))
            return
        request = await self._request(call, info, resource, user)
        representation = _representation(call, request)
        response = await dispatch(self._ctx, request)
        try:
            await self._respond(call, request, response, representation)
        finally:
            if isinstance(response, WatchResponse):
                response.close()

    def _user(self, call: HttpCall) -> User:
        """Who calls; raises Unauthorized, or Forbidden for one who may not act as somebody else."""
        ctx = self._ctx
        authorization = call.header(b"authorization")
        user = ctx.anonymous
        if authorization:
            user = authenticate(authorization, ctx.tokens, ctx.anonymous, ctx.clock.now())
        if _IMPERSONATION.isdisjoint(call.headers):
            return user
        return impersonate(user, call.raw_headers)

    async def _request(self, call: HttpCall, info: RequestInfo, resource: Resource[Any], user: User) -> ApiRequest:
        check_scope(info, namespaced=resource.namespaced)
        if call.method not in _METHODS:
            raise MethodNotAllowed.default()
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

    async def _respond(
        self, call: HttpCall, request: ApiRequest, response: ApiResponse, representation: Representation
    ) -> None:
        if isinstance(response, StreamResponse):
            await self._stream(call, response)
            return
        resource = response.resource or request.resource
        if isinstance(response, ObjectResponse) and response.resource is None:
            representation = Representation(representation.media_type)
        headers = _headers(representation.media_type, response.warnings)
        if resource in DEPRECATED:
            headers += _warnings([DEPRECATED[resource]])
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
        headers = [(b"content-type", response.media_type.encode()), _NO_CACHE]
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

    async def _plain(self, call: HttpCall, plain: PlainResponse) -> None:
        if plain is not NOT_FOUND and call.method not in ("GET", "HEAD") and plain.only_get:
            raise MethodNotAllowed.default()
        headers = [(name.encode(), value.encode()) for name, value in plain.headers.items()]
        headers.append((b"content-type", plain.media_type.encode()))
        await call.answer(plain.code, b"" if call.method == "HEAD" else plain.body, headers)

    async def _fail(self, call: HttpCall, error: ApiError) -> None:
        if call.started:
            await call.chunk(b"", more=False)
            return
        representation = _plain_representation(call)
        headers = _headers(representation.media_type, [])
        if error.retry_after:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        await call.answer(error.code, encode_document(error.to_status(), representation, pretty=call.pretty), headers)


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


def _representation(call: HttpCall, request: ApiRequest) -> Representation:
    """The form of the answer; raises NotAcceptable."""
    if request.subresource in _RAW:
        return DEFAULT
    representation = negotiate(call.header(b"accept"), streaming=request.verb == "watch")
    if representation.shape != "object":
        check_shape(representation, request)
    return representation


def _plain_representation(call: HttpCall) -> Representation:
    """The form of an error: as negotiated, but never a table."""
    try:
        yaml = negotiate(call.header(b"accept")).media_type == YAML
    except NotAcceptable:
        return DEFAULT
    return Representation(YAML) if yaml else DEFAULT


def _forbidden(user: User, call: HttpCall, info: RequestInfo) -> ApiError:
    """The authorizer's refusal; it has its say before anybody looks whether the resource exists."""
    try:
        verb: str = verb_of(call.method, info, call.options, namespaced=False)
    except MethodNotAllowed:
        verb = call.method.lower()
    return forbidden(
        user,
        verb,
        group=info.group,
        plural=info.plural,
        namespace=info.namespace,
        name=info.name,
        subresource=info.subresource,
    )


def _headers(media_type: str, warnings: Sequence[str]) -> list[Header]:
    headers = [(b"content-type", media_type.encode()), _NO_CACHE]
    return [*headers, *_warnings(warnings)] if warnings else headers


def _warnings(texts: Iterable[str]) -> list[Header]:
    """Warning headers, one for each text; no text can end its header."""
    headers = []
    for text in dict.fromkeys(texts):
        safe = "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\").replace('"', '\\"')
        headers.append((b"warning", f'299 - "{safe}"'.encode()))
    return headers


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
