"""Questions about what is allowed: the SubjectAccessReview family. Nothing is stored; the answer is the authorizer's.

Upstream: pkg/registry/authorization.
"""

from __future__ import annotations

from minik8s.api.rbac import FULL_AUTHORITY
from minik8s.api.request import ApiRequest, User
from minik8s.api.validation.accessreviews import validate_access_review
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.authorization import AccessAttributes, Decision, RuleSet, is_privileged
from minik8s.apiserver.authorization.selectors import field_selector, label_selector
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.machinery.errors import BadRequest, Invalid
from minik8s.machinery.meta import Doc, Obj, evolve


async def access_review(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST …subjectaccessreviews: may somebody do something."""
    obj, warnings = read_resource(request, served.resource, "Ignore")
    obj = await admit_created(ctx, request, obj, warnings=warnings)
    local, own = served.resource.namespaced, served.resource.plural.startswith("self")
    if local:
        obj = evolve(obj, "metadata", "namespace", value=_namespace(obj, request.namespace))
    if errors := list(validate_access_review(obj, own=own, local=local)):
        raise Invalid.object(served.resource.kind, served.resource.group, "", errors)
    spec = obj["spec"]
    attributes, ignored = attributes_in(request.user if own else _subject(spec), spec)
    decision = decide(ctx, attributes)
    status: Obj = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    if ignored:
        status["evaluationError"] = "; ".join(ignored)
    return ObjectResponse({**obj, "status": status}, code=201, warnings=warnings)


def _namespace(obj: Doc, namespace: str) -> str:
    """That of a local review, which need not name it. Raises BadRequest if it names another."""
    if obj["metadata"].get("namespace") not in (None, "", namespace):
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    return namespace


def decide(ctx: ServerContext, attributes: AccessAttributes) -> Decision:
    """The authorizer's answer; those whom nobody asks may do everything."""
    return Decision(True) if is_privileged(attributes.user) else ctx.authorizer.authorize(attributes)


def attributes_in(user: User, spec: Doc) -> tuple[AccessAttributes, list[str]]:
    """The question that a review's spec holds, and what of it is left out."""
    given = spec.get("resourceAttributes")
    if given is None:
        path = spec["nonResourceAttributes"]
        return AccessAttributes(user, path.get("verb", ""), path=path.get("path", "") or "/"), []
    (fields, fields_ignored), (labels, labels_ignored) = field_selector(given), label_selector(given)
    attributes = AccessAttributes(
        user,
        given.get("verb", ""),
        given.get("group", ""),
        given.get("version", "") or "*",
        given.get("resource", ""),
        given.get("subresource", ""),
        given.get("namespace", ""),
        given.get("name", ""),
        field_selector=fields,
        label_selector=labels,
    )
    return attributes, [text for text in (fields_ignored, labels_ignored) if text]


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
