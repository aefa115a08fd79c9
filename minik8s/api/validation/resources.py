"""Resource names and amounts: requests, limits, capacities, quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.pods import container_amounts, container_totals, quantities
from minik8s.api.validation.common import NOT_NEGATIVE, Causes, named
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, render, required
from minik8s.machinery.quantity import NANO, ZERO, Quantity, parse_quantity

CONTAINER_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_COUNTED = (
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
"""Resources that are numbers of objects."""
QUOTA_RESOURCES = frozenset(
    {*CONTAINER_RESOURCES, *_COUNTED, "requests.storage"}
    | {f"{part}.{name}" for part in ("requests", "limits") for name in CONTAINER_RESOURCES}
)
_STANDARD = QUOTA_RESOURCES | {"storage"}


def is_native(name: str) -> bool:
    """Whether Kubernetes itself defines the resource."""
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    """Whether it is somebody's device or licence: domain-qualified, not Kubernetes' own, not for quota."""
    return not is_native(name) and not name.startswith("requests.") and not names.qualified_name("requests." + name)


def is_hugepages(name: str) -> bool:
    return name.startswith("hugepages-")


def is_overcommittable(name: str) -> bool:
    """Whether limits may be larger than requests."""
    return is_native(name) and not is_hugepages(name)


def validate_resource_name(name: str, path: str) -> Causes:
    """Any resource name: a standard one or a qualified one."""
    if wrong := names.qualified_name(name):
        for text in wrong:
            yield invalid(path, name, text)
    elif "/" not in name and name not in _STANDARD and not is_hugepages(name.removeprefix("requests.")):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def validate_container_resource_name(name: str, path: str) -> Causes:
    """A resource that a container can ask for."""
    yield from validate_resource_name(name, path)
    if "/" not in name:
        if name not in CONTAINER_RESOURCES and not is_hugepages(name):
            yield invalid(path, name, "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def validate_amount(name: str, amount: str, path: str) -> Causes:
    """An amount of a resource: not negative, and whole for what cannot be divided."""
    quantity = parse_quantity(amount)
    if quantity.nanos < 0:
        yield invalid(path, str(quantity), NOT_NEGATIVE)
    if (name in _COUNTED or name.startswith("count/") or is_extended(name)) and quantity.nanos % NANO:
        yield invalid(path, str(quantity), "must be an integer")


def validate_requirements(resources: Mapping[str, Any], path: str, claims: frozenset[str] = frozenset()) -> Causes:
    """A container's requests and limits."""
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if not limits and not requests and not resources.get("claims"):
        return
    for part, listed in (("limits", limits), ("requests", requests)):
        for name, amount in listed.items():
            place = f"{path}.{part}[{name}]"
            yield from validate_container_resource_name(name, place)
            yield from validate_amount(name, amount, place)
    for name, amount in requests.items():
        yield from _within_limit(name, parse_quantity(amount), limits.get(name), path)
    if any(map(is_hugepages, [*limits, *requests])) and not {"cpu", "memory"} & {*limits, *requests}:
        yield forbidden(path, "HugePages require cpu or memory")
    if listed := resources.get("claims"):
        yield from _claims(listed, f"{path}.claims", claims)


def _claims(listed: Sequence[Mapping[str, Any]], path: str, known: frozenset[str]) -> Causes:
    """The pod's claims that a container uses, as a whole or one request of them."""
    seen = set()
    for index, claim in enumerate(listed):
        name, request, place = claim.get("name", ""), claim.get("request", ""), f"{path}[{index}]"
        key = f"{name}/{request}" if request else name
        if not name:
            yield required(place)
        elif key in seen:
            yield duplicate(place, key)
        if name and name not in known:
            detail = f": {', '.join(sorted(known))}" if known else " which is empty"
            message = f"Not found: {render(name)}: must be one of the names in pod.spec.resourceClaims{detail}"
            yield StatusCause("FieldValueNotFound", message, place)
        if request:
            yield from named(request, f"{place}.request", names.dns1123_label)
        seen.add(key)


def _within_limit(name: str, request: Quantity, limit_text: str | None, path: str) -> Causes:
    overcommittable = is_overcommittable(name)
    if limit_text is None:
        if not overcommittable:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
        return
    limit = parse_quantity(limit_text)
    if not overcommittable and request != limit:
        yield invalid(f"{path}.requests", str(request), f"must be equal to {name} limit of {limit}")
    elif request > limit:
        yield invalid(f"{path}.requests", str(request), f"must be less than or equal to {name} limit of {limit}")


def validate_overhead(overhead: Mapping[str, str], path: str) -> Causes:
    """The overhead of a runtime: like requests."""
    for name, amount in overhead.items():
        yield from validate_container_resource_name(name, f"{path}.limits[{name}]")
        yield from validate_amount(name, amount, f"{path}.limits[{name}]")


def validate_pod_level(spec: Mapping[str, Any], path: str) -> Causes:
    """A pod's own requests and limits, of the few resources that have them, and no less than its containers'."""
    resources = spec["resources"]
    if resources.get("claims"):
        yield forbidden(f"{path}.claims", "claims cannot be set for Resources at pod-level")
    for part in ("limits", "requests"):
        for name in resources.get(part) or ():
            if name not in ("cpu", "memory") and not is_hugepages(name):
                yield not_supported(f"{path}.{part}[{name}]", name, ("cpu", "hugepages-", "memory"))
    yield from validate_requirements({**resources, "claims": ()}, path)
    own = quantities(resources.get("requests"))
    for name, amount in container_totals(spec, "requests").items():
        if name not in ("cpu", "memory") and not is_hugepages(name):
            continue
        if (had := own.get(name, ZERO)) < amount:
            detail = f"must be greater than or equal to aggregate container requests of {amount}"
            yield invalid(f"{path}.requests[{name}]", str(had), detail)
    limits = quantities(resources.get("limits"))
    for index, container in enumerate(spec.get("containers") or ()):
        for name, amount in container_amounts(container, "limits").items():
            if name in limits and limits[name] < amount:
                detail = f"must be less than or equal to pod limits of {limits[name]}"
                yield invalid(f"{path}.containers[{index}][{name}].limits", str(amount), detail)
