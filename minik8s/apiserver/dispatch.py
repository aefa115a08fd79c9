"""The whole API server without HTTP: a request that has been understood goes in, an answer comes out.

The tables below say which function serves what. Everything a caller can do wrong leaves here as an `ApiError`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from minik8s.api.metrics import METRICS
from minik8s.api.request import ADMIN, ApiRequest
from minik8s.api.resource import ALL_VERBS
from minik8s.apiserver import (
    accounts,
    connecting,
    creating,
    deleting,
    eviction,
    metrics,
    namespaces,
    patching,
    podsubresources,
    proxying,
    reading,
    reviews,
    scale,
    updating,
    watching,
)
from minik8s.apiserver.authorization import authorize_request
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.interception import WRITES, Interceptor, Proceed
from minik8s.apiserver.observing import keep_direct
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ApiResponse
from minik8s.machinery.causes import CAUSE, ORIGIN
from minik8s.machinery.errors import ApiError, MethodNotAllowed, NotFound

Handler = Callable[[ServerContext, Served, ApiRequest], Awaitable[ApiResponse]]

VERBS: dict[str, Handler] = {
    "get": reading.get,
    "list": reading.list_objects,
    "watch": watching.watch,
    "create": creating.create,
    "update": updating.update,
    "patch": patching.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}

SUBRESOURCES: dict[tuple[str, str], Handler] = {
    ("status", "get"): reading.get,
    ("status", "update"): updating.update,
    ("status", "patch"): patching.patch,
    ("approval", "get"): reading.get,
    ("approval", "update"): updating.update,
    ("approval", "patch"): patching.patch,
    ("resize", "get"): reading.get,
    ("resize", "update"): updating.update,
    ("resize", "patch"): patching.patch,
    ("ephemeralcontainers", "get"): reading.get,
    ("ephemeralcontainers", "update"): updating.update,
    ("ephemeralcontainers", "patch"): patching.patch,
    ("scale", "get"): scale.get_scale,
    ("scale", "update"): scale.update_scale,
    ("scale", "patch"): scale.update_scale,
    ("binding", "create"): podsubresources.bind,
    ("eviction", "create"): eviction.evict,
    ("log", "get"): podsubresources.log,
    ("exec", "get"): connecting.execute,
    ("exec", "create"): connecting.execute,
    ("attach", "get"): connecting.attach,
    ("attach", "create"): connecting.attach,
    ("portforward", "get"): connecting.port_forward,
    ("portforward", "create"): connecting.port_forward,
    ("proxy", "get"): proxying.proxy,
    ("proxy", "create"): proxying.proxy,
    ("proxy", "update"): proxying.proxy,
    ("proxy", "patch"): proxying.proxy,
    ("proxy", "delete"): proxying.proxy,
    ("finalize", "update"): namespaces.finalize,
    ("token", "create"): accounts.create_token,
}

CONNECTIONS = frozenset({"exec", "attach", "portforward"})

CREATE_ONLY: dict[str, Handler] = {
    "bindings": podsubresources.bind,
    "selfsubjectreviews": accounts.self_subject_review,
    "tokenreviews": accounts.token_review,
    "selfsubjectaccessreviews": reviews.access_review,
    "localsubjectaccessreviews": reviews.access_review,
    "subjectaccessreviews": reviews.access_review,
    "selfsubjectrulesreviews": reviews.rules_review,
}


COMPUTED: dict[str, dict[str, Handler]] = {
    resource.group_resource: {"get": metrics.get, "list": metrics.list_metrics} for resource in METRICS
}
"""Resources that are not stored, by group and plural: what each verb does."""


async def dispatch(ctx: ServerContext, request: ApiRequest) -> ApiResponse:
    """Answers one request. Raises ApiError."""
    if request.user.trusted or request.user is ADMIN:  # the cluster itself: it would drown everybody else
        authorize_request(ctx.authorizer, request)
        return await answer(ctx, request)
    began, code = ctx.clock.monotonic(), 500
    try:
        authorize_request(ctx.authorizer, request)
        response = await answer(ctx, request)
        code = getattr(response, "code", 200)
        return response
    except ApiError as error:
        code = error.code
        raise
    finally:
        keep_direct(ctx, request, code, began)


async def answer(ctx: ServerContext, request: ApiRequest) -> ApiResponse:
    """The same for a request that has been authorized."""
    if not ctx.interceptors:
        return await carry_out(ctx, request)
    proceed: Proceed = partial(carry_out, ctx)
    for interceptor in reversed(ctx.interceptors):
        proceed = partial(_through, interceptor, proceed)
    return await proceed(request)


async def _through(interceptor: Interceptor, proceed: Proceed, request: ApiRequest) -> ApiResponse:
    return await interceptor(request, proceed)


async def carry_out(ctx: ServerContext, request: ApiRequest) -> ApiResponse:
    """What there is to do for a request that nobody holds up."""
    if ctx.remotes.apis and (api := ctx.remotes.apis.get((request.resource.group, request.resource.version))):
        from minik8s.apiserver.aggregation.forwarding import forward

        return await forward(ctx, request, api)
    served = ctx.registry.served(request.resource)
    request.resource = served.resource  # the caller's may be of another cluster, or know only names
    if request.verb == "get" and request.subresource in CONNECTIONS:
        authorize_request(ctx.authorizer, request, "create")  # a WebSocket begins as a GET, and is no less powerful
    handler = _handler(served, request)
    if request.verb not in WRITES:
        return await handler(ctx, served, request)
    at, cause = ctx.clock.monotonic(), CAUSE.get()
    token = ORIGIN.set((request.user.name, request.user_agent, request.verb, request.subresource, at, cause))
    try:
        return await handler(ctx, served, request)
    finally:
        ORIGIN.reset(token)


def _handler(served: Served, request: ApiRequest) -> Handler:
    resource, sub = served.resource, request.subresource
    if not sub:
        if request.verb not in (resource.verbs if served.custom is None else ALL_VERBS):
            raise MethodNotAllowed.default()
        if (computed := COMPUTED.get(resource.group_resource)) is not None:
            return computed[request.verb]
        return CREATE_ONLY.get(resource.plural) or VERBS[request.verb]
    declared = resource.subresource(sub)
    if declared is None:
        raise NotFound.path()
    handler = SUBRESOURCES.get((sub, request.verb))
    if handler is None:
        raise MethodNotAllowed.default()
    return handler
