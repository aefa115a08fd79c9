"""LimitRange and ResourceQuota: bounds on what a namespace may use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import unique
from minik8s.api.validation.resources import (
    CONTAINER_RESOURCES,
    QUOTA_RESOURCES,
    validate_amount,
    validate_container_resource_name,
    validate_resource_name,
)
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.quantity import Quantity, parse_quantity

_LIMIT_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_SCOPES = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_BEST_EFFORT_RESOURCES = frozenset({"pods"})
_OPPOSITES = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))


class LimitRangeStrategy(KindStrategy):
    """Upstream: pkg/registry/core/limitrange/strategy.go."""

    creates_on_update = True

    def default(self, obj: Obj) -> None:
        for item in obj["spec"].get("limits") or ():
            if item.get("type") != "Container":
                continue
            limits = {**(item.get("max") or {}), **(item.get("default") or {})}
            requests = {**(item.get("min") or {}), **limits, **(item.get("defaultRequest") or {})}
            if limits:
                item["default"] = limits
            if requests:
                item["defaultRequest"] = requests

    def check(self, obj: Doc) -> Causes:
        limits = obj["spec"].get("limits") or ()
        for index, item in enumerate(limits):
            yield from _limit(item, f"spec.limits[{index}]")
        yield from unique((f"spec.limits[{i}].type", item.get("type", "")) for i, item in enumerate(limits))


def _limit(item: Mapping[str, Any], path: str) -> Causes:
    kind = item.get("type", "")
    if wrong := names.qualified_name(kind):
        for text in wrong:
            yield invalid(f"{path}.type", kind, text)
    elif "/" not in kind and kind not in _LIMIT_TYPES:
        yield invalid(f"{path}.type", kind, "must be a standard limit type or fully qualified")
    check_name = validate_container_resource_name if kind in ("Pod", "Container") else validate_resource_name
    parts = ["max", "min"]
    if kind == "Pod":
        for part in ("default", "defaultRequest"):
            if item.get(part):
                yield forbidden(f"{path}.{part}", "may not be specified when `type` is 'Pod'")
    else:
        parts += ["default", "defaultRequest"]
    parts.append("maxLimitRequestRatio")
    amounts = {part: _amounts(item, part) for part in parts}
    for part in parts:
        for name in amounts[part]:
            yield from check_name(name, f"{path}.{part}[{name}]")
    if kind == "PersistentVolumeClaim" and "storage" not in {**amounts["min"], **amounts["max"]}:
        yield required(
            f"{path}.limits", "either minimum or maximum storage value is required, but neither was provided"
        )
    for name in dict.fromkeys(name for listed in amounts.values() for name in listed):
        yield from _order(name, amounts, path)


_ORDERED = (
    ("min", "max", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {0} is greater than max value {1}"),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "default request value {0} is greater than default limit value {1}",
    ),
    ("min", "default", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "default value {0} is greater than max value {1}"),
)
"""(smaller part, larger part, part that the error names, text)."""


def _order(name: str, amounts: Mapping[str, Mapping[str, Quantity]], path: str) -> Causes:
    for low, high, blamed, text in _ORDERED:
        small, large = amounts.get(low, {}).get(name), amounts.get(high, {}).get(name)
        if small is not None and large is not None and small > large:
            value = amounts[blamed][name]
            yield invalid(f"{path}.{blamed}[{name}]", str(value), text.format(small, large))
    ratio = amounts["maxLimitRequestRatio"].get(name)
    if ratio is not None and ratio < Quantity(10**9):
        yield invalid(f"{path}.maxLimitRequestRatio[{name}]", str(ratio), f"ratio {ratio} is less than 1")


def _amounts(item: Mapping[str, Any], part: str) -> dict[str, Quantity]:
    return {name: parse_quantity(amount) for name, amount in (item.get(part) or {}).items()}


class ResourceQuotaStrategy(KindStrategy):
    """Upstream: pkg/registry/core/resourcequota/strategy.go."""

    returns_deleted = True
    status_keeps_metadata = False

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        for name, amount in (spec.get("hard") or {}).items():
            path = f"spec.hard[{name}]"
            yield from validate_quota_resource_name(name, path)
            yield from validate_amount(name, amount, path)
        yield from _scopes(spec)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if sorted(obj["spec"].get("scopes") or ()) != sorted(old["spec"].get("scopes") or ()):
            yield invalid("spec.scopes", obj["spec"].get("scopes"), "field is immutable")


def validate_quota_resource_name(name: str, path: str) -> Causes:
    """A resource that a quota can bound: a standard one, an extended one, or `count/<resource>`."""
    yield from validate_resource_name(name, path)
    if "/" not in name and name not in QUOTA_RESOURCES and not name.startswith(("hugepages-", "requests.hugepages-")):
        yield invalid(path, name, "must be a standard resource for quota")


def _scopes(spec: Doc) -> Causes:
    scopes = spec.get("scopes") or ()
    hard = set(spec.get("hard") or ())
    for scope in scopes:
        if scope not in _SCOPES:
            yield not_supported("spec.scopes", list(scopes), _SCOPES)
        elif (scope == "BestEffort" and not hard <= _BEST_EFFORT_RESOURCES) or (
            scope in ("Terminating", "NotTerminating", "NotBestEffort") and not hard <= _POD_RESOURCES
        ):
            yield invalid("spec.scopes", list(scopes), "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _OPPOSITES):
        yield invalid("spec.scopes", list(scopes), "conflicting scopes")
    for index, expression in enumerate((spec.get("scopeSelector") or {}).get("matchExpressions") or ()):
        path = f"spec.scopeSelector.matchExpressions[{index}]"
        if expression.get("scopeName") not in _SCOPES:
            yield not_supported(f"{path}.scopeName", expression.get("scopeName", ""), _SCOPES)
        operator, values = expression.get("operator"), expression.get("values")
        if operator in ("In", "NotIn") and not values:
            yield required(
                f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
        elif operator in ("Exists", "DoesNotExist") and values:
            yield invalid(
                f"{path}.values",
                values,
                "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector",
            )
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid(f"{path}.operator", operator or "", "not a valid selector operator")


_POD_RESOURCES = frozenset(
    {
        "pods",
        *CONTAINER_RESOURCES,
        *(f"{part}.{name}" for part in ("requests", "limits") for name in CONTAINER_RESOURCES),
    }
)
