"""Identity requests: tokens for service accounts, and answers to "who is this?".

Upstream: pkg/registry/core/serviceaccount/storage/token.go and pkg/registry/authentication.
"""

from __future__ import annotations

from typing import Any

from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS, SECRETS
from minik8s.api.users import user_info
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.authentication import InvalidToken
from minik8s.apiserver.body import read_object, read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import truth
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.machinery import field
from minik8s.machinery.errors import BadRequest, Conflict, Invalid
from minik8s.machinery.meta import Doc, Obj, rfc3339, uid_of
from minik8s.machinery.names import new_uid

API_VERSION = "authentication.k8s.io/v1"
MIN_SECONDS, MAX_SECONDS, DEFAULT_SECONDS = 600, 1 << 32, 3600
KUBELET_SECONDS, EXTENDED_SECONDS = 3607, 365 * 24 * 3600
"""A token asked for with the first number (kubelets do, for pods) is good for the second: old clients do not reload."""
_BOUND: dict[str, Resource[Any]] = {"Pod": PODS, "Secret": SECRETS, "Node": NODES}


async def create_token(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST serviceaccounts/token: a signed token, bound to an object if asked."""
    account = (await find(ctx, served, request.namespace, request.name)).value
    obj, warnings = read_object(request, API_VERSION, "TokenRequest", "Ignore")
    _check_metadata(obj["metadata"], request)
    dry_run = truth(request.options, "dryRun")
    obj = await admit_created(ctx, request, obj, dry_run=dry_run, warnings=warnings)
    spec: Obj = dict(obj.get("spec", {}))
    seconds = spec.get("expirationSeconds", DEFAULT_SECONDS)
    _check_seconds(seconds)
    audiences = spec.get("audiences") or [ctx.tokens.issuer]
    bound = await _bound_object(ctx, request, spec.get("boundObjectRef") or {})
    now = ctx.clock.now()
    spec |= {"audiences": audiences, "expirationSeconds": seconds}
    token = "" if dry_run else _issue(ctx, account, audiences, seconds, bound)
    expires = rfc3339(now.fromtimestamp(now.timestamp() + seconds, tz=now.tzinfo))
    metadata = {**obj["metadata"], "name": request.name, "namespace": request.namespace}
    document = {**obj, "metadata": metadata, "spec": spec, "status": {"token": token, "expirationTimestamp": expires}}
    return ObjectResponse(document, code=201, warnings=warnings)


def _issue(
    ctx: ServerContext, account: Doc, audiences: list[str], seconds: int, bound: dict[str, dict[str, str]]
) -> str:
    extended = seconds == KUBELET_SECONDS and "pod" in bound and audiences == [ctx.tokens.issuer]
    return ctx.tokens.issue(
        account,
        audiences=audiences,
        seconds=EXTENDED_SECONDS if extended else seconds,
        warn_after=seconds if extended else 0,
        now=ctx.clock.now(),
        jti=new_uid(ctx.rng),
        bound=bound,
    )


def _check_metadata(metadata: Doc, request: ApiRequest) -> None:
    if metadata.get("name") and metadata["name"] != request.name:
        raise BadRequest(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({request.name})"
        )
    if metadata.get("namespace") and metadata["namespace"] != request.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")


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
    version, kind, name = (reference.get(key, "") for key in ("apiVersion", "kind", "name"))
    resource = _BOUND.get(kind) if "/" not in version else None
    if resource is None:
        whole = version if "/" in version else f"/{version}"
        raise BadRequest(f"cannot bind token to object of type {whole}, Kind={kind}")
    namespace = request.namespace if resource.namespaced else ""
    found = (await find(ctx, ctx.registry.served(resource), namespace, name)).value
    if kind == "Pod" and (runs_as := found["spec"].get("serviceAccountName", "")) != request.name:
        who = f'cannot bind token for serviceaccount "{request.name}" to pod'
        raise BadRequest(f'{who} running with different serviceaccount "{runs_as}"')
    if reference.get("uid") and reference["uid"] != uid_of(found):
        why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
        raise Conflict.object(kind, "", name, f"{why}The object might have been deleted and then recreated")
    bound = {kind.lower(): {"name": name, "uid": uid_of(found)}}
    node = found.get("spec", {}).get("nodeName") if kind == "Pod" else None
    if node and (entry := await ctx.store.get(ctx.registry.served(NODES).key("", node))):
        bound["node"] = {"name": node, "uid": uid_of(entry.value)}
    return bound


async def self_subject_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST selfsubjectreviews: who am I."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    obj = await admit_created(ctx, request, obj, warnings=warnings)
    metadata = {"creationTimestamp": rfc3339(ctx.clock.now())}
    status = {"userInfo": user_info(request.user)}
    return ObjectResponse({**obj, "metadata": metadata, "status": status}, code=201, warnings=warnings)


async def token_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST tokenreviews: whose token is this, and for which of the audiences that were asked about."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    obj = await admit_created(ctx, request, obj, warnings=warnings)
    spec = obj.get("spec", {})
    if not spec.get("token"):
        raise BadRequest("token is required for TokenReview in authentication")
    status: Obj
    try:
        user, audiences = ctx.authenticator.bearer(spec["token"], spec.get("audiences") or ())
        status = {"authenticated": True, "user": user_info(user), "audiences": audiences}
    except InvalidToken as error:
        status = {"user": {}, "error": str(error)}
    return ObjectResponse({**obj, "status": status}, code=201, warnings=warnings)
