"""Questions about what is allowed: the SubjectAccessReview family. Nothing is stored; the answer is the authorizer's.

Upstream: pkg/registry/authorization.
"""

from __future__ import annotations

from minik8s.api.rbac import FULL_AUTHORITY
from minik8s.api.request import ApiRequest, User
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.authorization import AccessAttributes, Decision, RuleSet, is_privileged
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.machinery import field
from minik8s.machinery.errors import BadRequest, Invalid
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.meta import Doc, Obj


async def access_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST …subjectaccessreviews: may somebody do something."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    obj = await admit_created(ctx, request, obj, warnings=warnings)
    spec = obj.get("spec", {})
    user = request.user
    errors = _attribute_errors(spec)
    if not served.resource.plural.startswith("self"):
        errors += _subject_errors(spec)
        user = _subject(spec)
    errors += _metadata_errors(served, obj)
    if served.resource.namespaced:
        errors += _local_errors(spec)
    if errors:
        raise Invalid.object(served.resource.kind, served.resource.group, "", errors)
    if served.resource.namespaced:
        _check_namespace(spec, request.namespace)
    decision = decide(ctx, attributes_in(user, spec))
    status: Obj = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return ObjectResponse({**obj, "status": status}, code=201, warnings=warnings)


def decide(ctx: ServerContext, attributes: AccessAttributes) -> Decision:
    """The authorizer's answer; those whom nobody asks may do everything."""
    return Decision(True) if is_privileged(attributes.user) else ctx.authorizer.authorize(attributes)


def attributes_in(user: User, spec: Doc) -> AccessAttributes:
    """The question that a review's spec holds."""
    given = spec.get("resourceAttributes")
    if given is None:
        path = spec["nonResourceAttributes"]
        return AccessAttributes(user, path.get("verb", ""), path=path.get("path", "") or "/")
    return AccessAttributes(
        user,
        given.get("verb", ""),
        given.get("group", ""),
        given.get("version", "") or "*",
        given.get("resource", ""),
        given.get("subresource", ""),
        given.get("namespace", ""),
        given.get("name", ""),
    )


def _metadata_errors(served: Served, obj: Doc) -> FieldErrors:
    """Reviews are no objects: their metadata must be empty, but for the namespace of a local one."""
    kept = ("managedFields", "namespace") if served.resource.namespaced else ("managedFields",)
    metadata = {key: value for key, value in obj["metadata"].items() if value and key not in kept}
    if not metadata:
        return []
    detail = "must be empty except for namespace" if served.resource.namespaced else "must be empty"
    return [field.invalid("metadata", obj["metadata"], detail)]


def _local_errors(spec: Doc) -> FieldErrors:
    if spec.get("nonResourceAttributes") is None:
        return []
    value, detail = spec["nonResourceAttributes"], "disallowed on this kind of request"
    return [field.invalid("spec.nonResourceAttributes", value, detail)]


def _check_namespace(spec: Doc, namespace: str) -> None:
    if spec["resourceAttributes"].get("namespace", "") != namespace:
        raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")


def _attribute_errors(spec: Doc) -> FieldErrors:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        return [field.invalid("spec.nonResourceAttributes", path, detail)]
    if resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [field.invalid("spec.resourceAttributes", None, detail)]
    return []


def _subject_errors(spec: Doc) -> FieldErrors:
    if spec.get("user") or spec.get("groups"):
        return []
    return [field.invalid("spec.user", "", "at least one of user or group must be specified")]


def _subject(spec: Doc) -> User:
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user", ""), spec.get("uid", ""), tuple(spec.get("groups") or ()), extra)


async def rules_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST selfsubjectrulesreviews: what the caller may do in a namespace."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    obj = await admit_created(ctx, request, obj, warnings=warnings)
    namespace = obj.get("spec", {}).get("namespace")
    if not namespace:
        raise BadRequest("no namespace on request")
    privileged = is_privileged(request.user)
    found = RuleSet(FULL_AUTHORITY) if privileged else ctx.authorizer.rules_for(request.user, namespace)
    status: Obj = {
        "resourceRules": [rule for rule in found.rules if rule.get("resources")],
        "nonResourceRules": [rule for rule in found.rules if rule.get("nonResourceURLs")],
        "incomplete": bool(found.error),
    }
    if found.error:
        status["evaluationError"] = found.error
    return ObjectResponse({**obj, "status": status}, code=201, warnings=warnings)
