"""Which requests a webhook or a policy is about: rules, equivalent versions, selectors.

Upstream: k8s.io/apiserver `pkg/admission/plugin/webhook/predicates`; policies use the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.plugin import Attributes, World
from minik8s.apiserver.registry import Registry
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, labels_of
from minik8s.machinery.selectors import LabelSelector

EXEMPT = frozenset(
    f"{plural}.admissionregistration.k8s.io"
    for plural in (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    )
)
"""Nobody is asked about the configuration of admission itself: a broken one could not be mended any more."""


def namespace_of_request(attributes: Attributes) -> str:
    """The namespace that a request is about; a Namespace is in itself."""
    request = attributes.request
    return attributes.name if request.resource is NAMESPACES else request.namespace


def matched_resource(
    rules: Iterable[Mapping[str, Any]], attributes: Attributes, registry: Registry, match_policy: str
) -> Resource[Any] | None:
    """The resource as which the request matches: its own, or with Equivalent another version of it; None if neither.

    Rules may carry `resourceNames`, as those of policies do.
    """
    request, operation = attributes.request, attributes.operation
    own, subresource = request.resource, request.subresource
    # equivalent resources have one name in all their versions and groups, so most rules are done with here
    rules = [
        rule
        for rule in rules
        if names_resource(rule.get("resources") or (), own.plural, subresource)
        and _has(rule.get("operations"), operation)
    ]
    if any(_matches(rule, attributes, own) for rule in rules):
        return own
    if not rules or match_policy != "Equivalent":
        return None
    others = registry.sharing(own)
    return next((other for rule in rules for other in others if _matches(rule, attributes, other)), None)


def _matches(rule: Mapping[str, Any], attributes: Attributes, resource: Resource[Any]) -> bool:
    names = rule.get("resourceNames")
    """Whether a rule that names the resource and the operation is about this group and version, scope and object."""
    return (
        _has(rule.get("apiGroups"), resource.group)
        and _has(rule.get("apiVersions"), resource.version)
        and _in_scope(rule.get("scope") or "*", attributes, resource)
        and (not names or attributes.request.name in names or _object_name(attributes) in names)
    )


def _object_name(attributes: Attributes) -> str:
    name: str = ((attributes.object or {}).get("metadata") or {}).get("name", "")
    return name


def _has(wanted: Iterable[str] | None, value: str) -> bool:
    values = wanted or ()
    return "*" in values or value in values


def names_resource(wanted: Iterable[str], plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `*` (no subresources), `*/scale`, `pods/*` (the pod itself as well), `*/*`."""
    for name in wanted:
        resource, _, sub = name.partition("/")
        if resource in ("*", plural) and sub in ("*", subresource):
            return True
    return False


def _in_scope(scope: str, attributes: Attributes, resource: Resource[Any]) -> bool:
    namespaced = bool(attributes.request.namespace) and resource is not NAMESPACES
    return scope == "*" or (scope == "Namespaced") is namespaced


def in_selected_namespace(selector: Doc | None, attributes: Attributes, world: World) -> bool:
    """Whether the request's namespace has the labels; what is in no namespace always passes. Raises NotFound."""
    parsed = LabelSelector.from_object(selector) if selector else None
    if parsed is None or parsed.is_everything:
        return True
    name, resource = namespace_of_request(attributes), attributes.request.resource
    if not name and resource is not NAMESPACES:
        return True
    if resource is NAMESPACES and not attributes.request.subresource and attributes.object is not None:
        return parsed.matches(labels_of(attributes.object))
    namespace = world.get(NAMESPACES, name)
    if namespace is None:
        raise NotFound.object("namespaces", "", name)
    return parsed.matches(labels_of(namespace))


def is_selected_object(selector: Doc | None, attributes: Attributes) -> bool:
    """Whether the object, as it is or as it was, has the labels."""
    parsed = LabelSelector.from_object(selector) if selector else None
    if parsed is None or parsed.is_everything:
        return True
    return any(
        parsed.matches((obj.get("metadata") or {}).get("labels") or {})
        for obj in (attributes.object, attributes.old)
        if obj is not None
    )
