"""The API server's HTTP face: an ASGI application that parses, hands over to dispatch, and encodes.

Nothing is decided here but form: the request line and headers become an `ApiRequest`, answers and errors become
bytes (see `answering`).
"""

from __future__ import annotations

from typing import Any

from minik8s.api.request import JSON, PROTOBUF, ApiRequest, User
from minik8s.api.resource import Resource
from minik8s.apiserver.aggregation.remote import RemoteApi
from minik8s.apiserver.answering import Answerer
from minik8s.apiserver.authorization import AccessAttributes, authorize, authorize_path, is_privileged
from minik8s.apiserver.authorization.authorizer import selected_name
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import answer
from minik8s.apiserver.encoding import encode_document
from minik8s.apiserver.flowcontrol.flows import Refused
from minik8s.apiserver.httpcall import ClientLeft, HttpCall, Receive, Scope, Send, headers_of, verb_meant
from minik8s.apiserver.impersonation import impersonate, is_impersonating
from minik8s.apiserver.inflight import DEFAULT_SECONDS, LONG_RUNNING, LONGEST_WAIT, is_lasting, request_seconds
from minik8s.apiserver.negotiation import DEFAULT, Representation, check_shape, has_protobuf, negotiate
from minik8s.apiserver.nonresource import Site
from minik8s.apiserver.observing import Observer
from minik8s.apiserver.plain import NOT_FOUND, PlainResponse, too_many
from minik8s.apiserver.requestinfo import PASSES_ON, RequestInfo, check_scope, parse_path, verb_of
from minik8s.apiserver.response import WatchResponse
from minik8s.clock import Deadline
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, InternalError, MethodNotAllowed, NotAcceptable, Timeout

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_MEANT = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
"""The verbs of methods where they are not allowed: what is asked of the authorizer before that is said."""
_RAW = frozenset({"log", "exec", "attach", "portforward", "proxy"})
"""Subresources that answer bytes, whatever Accept says."""
log = get_logger(__name__)


class HttpApp:
    """The ASGI application of one API server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._site = Site(ctx)
        self._answerer = Answerer(ctx)
        self._observer = Observer(ctx)
        self._flows = ctx.flows

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"unexpected ASGI scope {scope['type']}")
        call = HttpCall(scope, receive, send)
        self._observer.begin(call)
        try:
            await self._admit(call)
        except ApiError as error:
            await self._fail(call, error)
        except ClientLeft:
            return
        except Exception as error:
            log.exception("request failed", method=call.method, path=call.path)
            await self._fail(call, InternalError(f"Internal error occurred: {type(error).__name__}: {error}"))
        finally:
            self._observer.end(call)

    async def _admit(self, call: HttpCall) -> None:
        """Lets a request in when there is room, for as long as requests of its sort may take."""
        user = self._user(call)
        info = call.info = parse_path(call.path)
        if info is not None and info.subresource in LONG_RUNNING:
            await self._serve(call, user, info)
            return
        flow = self._flows.flow(user, call)
        call.extra = (*call.extra, *flow.headers)
        lasts = info is not None and is_lasting(call.method, info, call.options)
        seconds = DEFAULT_SECONDS if lasts else request_seconds(call.options.get("timeout"))
        try:
            seat = call.seat = self._flows.enter(flow, width := self._flows.width(flow, call))
            if seat is None:
                came = self._ctx.clock.monotonic()
                seat = call.seat = await self._flows.wait(flow, width, seconds * LONGEST_WAIT)
                seconds -= self._ctx.clock.monotonic() - came
        except Refused as refused:
            self._ctx.metrics.terminations[("429",)] += 1
            await self._plain(call, too_many(refused.retry_after))
            return
        try:
            await (self._serve(call, user, info) if lasts else self._serve_in_time(call, user, info, seconds))
        finally:
            seat.leave()

    async def _serve_in_time(self, call: HttpCall, user: User, info: RequestInfo | None, seconds: float) -> None:
        current, mutating = self._ctx.inflight.current, call.method != "GET"
        current[mutating] += 1
        try:
            await Deadline(self._ctx.clock, seconds, self._serve(call, user, info))
        except TimeoutError:
            self._ctx.metrics.terminations[("504",)] += 1
            raise Timeout("Timeout: request did not complete within the allotted timeout") from None
        finally:
            current[mutating] -= 1

    async def _serve(self, call: HttpCall, user: User, info: RequestInfo | None) -> None:
        if info is None:
            authorize_path(self._ctx.authorizer, user, call.method, call.path)
            if (api := self._ctx.remotes.at(call.path)) is not None:
                await self._forward(call, user, api)
                return
            excluded = call.repeated.get("exclude") or [call.options.get("exclude", "")]
            await self._plain(call, self._site.answer(call.path, call.headers, call.options, excluded))
            return
        if not is_privileged(user):
            authorize(self._ctx.authorizer, _attributes(user, call, info))
        call.allowed = True
        if (api := self._ctx.remotes.at(call.path)) is not None:
            await self._forward(call, user, api)
            return
        resource = self._ctx.registry.get(info.group, info.version, info.plural)
        if resource is None:
            await self._plain(call, self._site.unserved(info.group))
            return
        request = call.request = await self._request(call, info, resource, user)
        if request.verb == "watch" or request.subresource in LONG_RUNNING:
            self._observer.lasting(call, request)
        representation = _representation(call, request)
        response = await answer(self._ctx, request)
        if isinstance(response, WatchResponse) and call.seat is not None:
            response.begun(call.seat.leave)
        try:
            await self._answerer.respond(call, request, response, representation)
        finally:
            if isinstance(response, WatchResponse):
                response.close()

    async def _forward(self, call: HttpCall, user: User, api: RemoteApi) -> None:
        """Another server has the answer."""
        from minik8s.apiserver.aggregation.forwarding import pass_on

        if call.seat is not None and verb_meant(call) == "watch":
            call.seat.leave()  # when its first events are sent, only the other server knows
        if (instead := await pass_on(self._ctx, call, user, api)) is not None:
            await self._plain(call, instead)

    def _user(self, call: HttpCall) -> User:
        """Who calls; raises Unauthorized, or Forbidden for one who may not act as somebody else."""
        ctx = self._ctx
        protocols = call.header(b"sec-websocket-protocol")
        authorization, certificate = call.header(b"authorization"), call.certificate
        user = ctx.authenticator.caller(authorization, protocols, certificate, call.raw_headers)
        call.user = user
        if not is_impersonating(call.headers):
            return user
        call.acting = impersonate(ctx.authorizer, user, call.raw_headers)
        return call.acting

    async def _request(self, call: HttpCall, info: RequestInfo, resource: Resource[Any], user: User) -> ApiRequest:
        check_scope(info, namespaced=resource.namespaced)
        if call.method not in _METHODS and info.subresource != PASSES_ON:
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
            body=await call.body() if call.method != "GET" and info.subresource != PASSES_ON else None,
            content_type=call.header(b"content-type") or JSON,
            user=user,
            user_agent=call.header(b"user-agent"),
        )

    async def _plain(self, call: HttpCall, plain: PlainResponse) -> None:
        if plain is not NOT_FOUND and call.method not in ("GET", "HEAD") and plain.only_get:
            raise MethodNotAllowed.default()
        headers = [(name.encode(), value.encode()) for name, value in plain.headers.items()]
        headers.append((b"content-type", plain.media_type.encode()))
        await call.answer(plain.code, b"" if call.method == "HEAD" else plain.body, headers)

    async def _fail(self, call: HttpCall, error: ApiError) -> None:
        if call.upgraded:
            return
        if call.started:
            if call.lasts is not None:
                await call.chunk(b"", more=False)
            elif call.stream is not None:
                call.stream.abort()  # what has been sent is not the whole answer, and must not look like it
            return
        representation = _plain_representation(call)
        headers = headers_of(representation.media_type, [])
        if error.retry_after:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        await call.answer(error.code, encode_document(error.to_status(), representation, pretty=call.pretty), headers)


def _representation(call: HttpCall, request: ApiRequest) -> Representation:
    """The form of the answer; raises NotAcceptable."""
    if request.subresource in _RAW:
        return DEFAULT
    accept = call.header(b"accept")
    protobuf = PROTOBUF in accept and has_protobuf(request)
    tables = "Table" not in accept or "get" in request.resource.verbs
    representation = negotiate(accept, streaming=request.verb == "watch", protobuf=protobuf, tables=tables)
    if representation.shape != "object":
        check_shape(representation, request)
    return representation


def _plain_representation(call: HttpCall) -> Representation:
    """The form of an error: as negotiated, but never a table."""
    try:
        media_type = negotiate(call.header(b"accept"), protobuf=True).media_type
    except NotAcceptable:
        return DEFAULT
    return Representation(media_type)


def _attributes(user: User, call: HttpCall, info: RequestInfo) -> AccessAttributes:
    """What the authorizer is asked; it has its say before anybody looks whether the resource exists."""
    try:
        verb: str = verb_of(call.method, info, call.options, namespaced=False)
    except MethodNotAllowed:
        verb = _MEANT.get(call.method, "")
    in_itself = info.plural == "namespaces" and not info.group
    return AccessAttributes(
        user,
        verb,
        info.group,
        info.version,
        info.plural,
        info.subresource,
        info.name if in_itself else info.namespace,
        info.name or selected_name(verb, call.options),
        field_selector=call.options.get("fieldSelector", ""),
        label_selector=call.options.get("labelSelector", ""),
    )
