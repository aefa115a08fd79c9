"""What a SubjectAccessReview and its kin may ask. Upstream: pkg/apis/authorization/validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minik8s.api.validation.common import Causes, named
from minik8s.machinery import field, names
from minik8s.machinery.meta import Doc

Part = Mapping[str, Any]


def validate_access_review(obj: Doc, *, own: bool, local: bool) -> Causes:
    """`own` is for a review of the caller's own access, `local` for one of a namespace."""
    spec = obj.get("spec") or {}
    yield from _attributes(spec)
    if not own and not spec.get("user") and not spec.get("groups"):
        yield field.invalid("spec.user", "", "at least one of user or group must be specified")
    for name, keys in (("fieldSelector", _field_key), ("labelSelector", _label_key)):
        if (selector := (spec.get("resourceAttributes") or {}).get(name)) is not None:
            yield from _selector(selector, f"spec.resourceAttributes.{name}", keys)
    yield from _metadata(obj, local=local)
    if local:
        yield from _local(spec, obj["metadata"].get("namespace", ""))


def _attributes(spec: Part) -> Causes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        detail = "cannot be specified in combination with resourceAttributes"
        yield field.invalid("spec.nonResourceAttributes", path, detail)
    elif resource is None and path is None:
        detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield field.invalid("spec.resourceAttributes", None, detail)


def _selector(selector: Part, path: str, keys: Callable[[Part, str], Causes]) -> Causes:
    raw, requirements = selector.get("rawSelector"), selector.get("requirements") or ()
    if raw and requirements:
        yield field.invalid(f"{path}.rawSelector", raw, "may not specified at the same time as requirements")
    if not raw and not requirements:
        detail = f"when {path} is specified, requirements or rawSelector is required"
        yield field.required(f"{path}.requirements", detail)
    for index, requirement in enumerate(requirements):
        place = f"{path}.requirements[{index}]"
        yield from _counts(requirement, place)
        yield from keys(requirement, place)


def _counts(requirement: Part, path: str) -> Causes:
    """Operators that nobody knows are for newer servers to know; what they say is not taken into account."""
    operator, values = requirement.get("operator"), requirement.get("values") or ()
    if operator in ("In", "NotIn") and not values:
        yield field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
    if operator in ("Exists", "DoesNotExist") and values:
        yield field.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def _field_key(requirement: Part, path: str) -> Causes:
    if not requirement.get("key"):
        yield field.required(f"{path}.key", "must be specified")


def _label_key(requirement: Part, path: str) -> Causes:
    yield from named(requirement.get("key", ""), f"{path}.key", names.qualified_name)
    for index, value in enumerate(requirement.get("values") or ()):
        yield from named(value, f"{path}.values[{index}]", names.label_value)


def _metadata(obj: Doc, *, local: bool) -> Causes:
    """Reviews are no objects: their metadata must be empty, but for the namespace of a local one."""
    kept = ("managedFields", "namespace") if local else ("managedFields",)
    if any(value and key not in kept for key, value in obj["metadata"].items()):
        detail = "must be empty except for namespace" if local else "must be empty"
        yield field.invalid("metadata", obj["metadata"], detail)


def _local(spec: Part, namespace: str) -> Causes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and (given := resource.get("namespace", "")) != namespace:
        yield field.invalid("spec.resourceAttributes.namespace", given, "must match metadata.namespace")
    if path is not None:
        yield field.invalid("spec.nonResourceAttributes", path, "disallowed on this kind of request")
