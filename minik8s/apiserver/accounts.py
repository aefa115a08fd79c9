"""Identity requests: tokens for service accounts, and answers to "who is this?"."""

from __future__ import annotations

from typing import Any

from minik8s.api.request import ApiRequest, User
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS, SECRETS
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.body import read_object, read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import truth
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.machinery import field
from minik8s.machinery.errors import Conflict, Invalid
from minik8s.machinery.meta import Doc, Obj, rfc3339, uid_of
from minik8s.machinery.names import new_uid

API_VERSION = "authentication.k8s.io/v1"
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 600, 1 << 32, 3600
_BOUND: dict[str, Resource[Any]] = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


async def create_token(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST serviceaccounts/token: a signed token, bound to an object if asked."""
    account = (await find(ctx, served, request.namespace, request.name)).value
    obj, warnings = read_object(request, API_VERSION, "TokenRequest", "Ignore")
    obj = await admit_created(ctx, request, obj, dry_run=truth(request.options, "dryRun"), warnings=warnings)
    spec: Obj = dict(obj.get("spec", {}))
    seconds = spec.get("expirationSeconds", DEFAULT_SECONDS)
    _check_seconds(seconds)
    audiences = spec.get("audiences") or [ctx.tokens.issuer]
    bound = await _bound_object(ctx, request, spec.get("boundObjectRef") or {})
    now = ctx.clock.now()
    token = ctx.tokens.issue(account, audiences=audiences, seconds=seconds, now=now, jti=new_uid(ctx.rng), bound=bound)
    spec |= {"audiences": audiences, "expirationSeconds": seconds}
    expires = rfc3339(now.fromtimestamp(now.timestamp() + seconds, tz=now.tzinfo))
    metadata = {**obj["metadata"], "name": request.name, "namespace": request.namespace}
    document = {**obj, "metadata": metadata, "spec": spec, "status": {"token": token, "expirationTimestamp": expires}}
    return ObjectResponse(document, code=201, warnings=warnings)


def _check_seconds(seconds: int) -> None:
    why = ""
    if seconds < MIN_SECONDS:
        why = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        why = "may not specify a duration larger than 2^32 seconds"
    if why:
        cause = field.invalid("spec.expirationSeconds", seconds, why)
        raise Invalid.object("TokenRequest", "authentication.k8s.io", "", [cause])


async def _bound_object(ctx: ServerContext, request: ApiRequest, reference: Doc) -> dict[str, dict[str, str]]:
    """{"pod": {name, uid}, …}; raises NotFound when the object is not there, Conflict when it is another one."""
    if not reference:
        return {}
    kind, name = reference.get("kind", ""), reference.get("name", "")
    resource = _BOUND.get(kind)
    if resource is None:
        cause = field.invalid("spec.boundObjectRef.kind", kind, "must be Pod, Secret or Node")
        raise Invalid.object("TokenRequest", "authentication.k8s.io", "", [cause])
    namespace = request.namespace if resource.namespaced else ""
    found = (await find(ctx, ctx.registry.served(resource), namespace, name)).value
    if reference.get("uid") and reference["uid"] != uid_of(found):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record."
        raise Conflict.object(resource.plural, "", name, why)
    bound = {kind.lower(): {"name": name, "uid": uid_of(found)}}
    node = found.get("spec", {}).get("nodeName") if kind == "Pod" else None
    if node and (entry := await ctx.store.get(ctx.registry.served(NODES).key("", node))):
        bound["node"] = {"name": node, "uid": uid_of(entry.value)}
    return bound


async def self_subject_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST selfsubjectreviews: who am I."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    metadata = {"creationTimestamp": rfc3339(ctx.clock.now())}
    status = {"userInfo": _user_info(request.user)}
    return ObjectResponse({**obj, "metadata": metadata, "status": status}, code=201, warnings=warnings)


async def token_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST tokenreviews: whose token is this."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    token = obj.get("spec", {}).get("token")
    if not token:
        cause = field.required("spec.token")
        raise Invalid.object(served.resource.kind, served.resource.group, "", [cause])
    user = ctx.tokens.authenticate(token, ctx.clock.now())
    status: Obj
    if user is None:
        status = {"user": {}, "error": "invalid bearer token"}
    else:
        status = {"authenticated": True, "user": _user_info(user), "audiences": [ctx.tokens.issuer]}
    return ObjectResponse({**obj, "status": status}, code=201, warnings=warnings)


def _user_info(user: User) -> Obj:
    info: Obj = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = {key: list(values) for key, values in user.extra.items()}
    return info
