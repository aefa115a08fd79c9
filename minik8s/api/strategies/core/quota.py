"""LimitRange and ResourceQuota: bounds on what a namespace may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.resources import (
    QUOTA_RESOURCES,
    is_overcommittable,
    validate_amount,
    validate_container_resource_name,
    validate_resource_name,
)
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, required
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
        seen = set()
        for index, item in enumerate(limits):
            path, kind = f"spec.limits[{index}]", item.get("type", "")
            yield from _limit_type(kind, f"{path}.type")
            if kind in seen:
                yield duplicate(f"{path}.type", kind)
            seen.add(kind)
            yield from _limit(item, path)


def _limit_type(kind: str, path: str) -> Causes:
    if wrong := names.qualified_name(kind):
        for text in wrong:
            yield invalid(path, kind, text)
    elif "/" not in kind and kind not in _LIMIT_TYPES:
        yield invalid(path, kind, "must be a standard limit type or fully qualified")


def _limit(item: Mapping[str, Any], path: str) -> Causes:
    kind = item.get("type", "")
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
    ("min", "max", "min", "min", "min value {0} is greater than max value {1}"),
    (
        "min",
        "defaultRequest",
        "defaultRequest",
        "defaultRequest",
        "min value {0} is greater than default request value {1}",
    ),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        "defaultRequest",
        "default request value {0} is greater than max value {1}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "defaultRequest",
        "default request value {0} is greater than default limit value {1}",
    ),
    ("min", "default", "default", "min", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "max", "default value {0} is greater than max value {1}"),
)
"""(smaller part, larger part, part that the error names, part whose value it shows, text)."""


def _order(name: str, amounts: Mapping[str, Mapping[str, Quantity]], path: str) -> Causes:
    for low, high, blamed, shown, text in _ORDERED:
        small, large = amounts.get(low, {}).get(name), amounts.get(high, {}).get(name)
        if small is not None and large is not None and small > large:
            yield invalid(f"{path}.{blamed}[{name}]", str(amounts[shown][name]), text.format(small, large))
    ratio = amounts["maxLimitRequestRatio"].get(name)
    if ratio is not None and ratio < Quantity(10**9):
        yield invalid(f"{path}.maxLimitRequestRatio[{name}]", str(ratio), f"ratio {ratio} is less than 1")
    least, most = amounts["min"].get(name), amounts["max"].get(name)
    if ratio is not None and least and most and least.nanos and ratio.nanos * least.nanos > most.nanos * 10**9:
        detail = f"ratio {ratio} is greater than max/min = {most.nanos / least.nanos:f}"
        yield invalid(f"{path}.maxLimitRequestRatio[{name}]", str(ratio), detail)
    limit, request = amounts.get("default", {}).get(name), amounts.get("defaultRequest", {}).get(name)
    if not is_overcommittable(name) and limit is not None and request is not None and limit != request:
        detail = f"default value {limit} must equal to defaultRequest value {request} in {name}"
        yield invalid(f"{path}.defaultRequest[{name}]", str(request), detail)


def _amounts(item: Mapping[str, Any], part: str) -> dict[str, Quantity]:
    return {name: parse_quantity(amount) for name, amount in (item.get(part) or {}).items()}


class ResourceQuotaStrategy(KindStrategy):
    """Upstream: pkg/registry/core/resourcequota/strategy.go."""

    changes_last = True
    returns_deleted = True

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
    if "/" not in name and not is_standard_for_quota(name):
        yield invalid(path, name, "must be a standard resource for quota")


def is_standard_for_quota(name: str) -> bool:
    return name in QUOTA_RESOURCES or name.startswith(("hugepages-", "requests.hugepages-"))


def _scopes(spec: Doc) -> Causes:
    scopes: list[str] = spec.get("scopes") or []
    hard = sorted(spec.get("hard") or ())
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid("spec.scopes", scopes, "unsupported scope")
        for _ in _out_of_scope(hard, scope):
            yield invalid("spec.scopes", scopes, _NOT_IN_SCOPE)
    yield from _conflicts(scopes, scopes)
    if (selector := spec.get("scopeSelector")) is not None:
        expressions = selector.get("matchExpressions") or ()
        for expression in expressions:
            yield from _expression(expression, hard, selector)
        yield from _conflicts([e.get("scopeName", "") for e in expressions], scopes)


def _conflicts(chosen: Sequence[str], scopes: list[str]) -> Causes:
    for pair in _OPPOSITES:
        if pair <= set(chosen):
            yield invalid("spec.scopes", scopes or None, "conflicting scopes")


def _expression(expression: Mapping[str, Any], hard: Sequence[str], selector: Mapping[str, Any]) -> Causes:
    """One expression of a scope selector. Upstream's paths do not say which."""
    path = "spec.scopeSelector.matchExpressions"
    scope, operator, values = expression.get("scopeName", ""), expression.get("operator", ""), expression.get("values")
    if scope not in _SCOPES:
        yield invalid(f"{path}.scopeName", scope, "unsupported scope")
    for _ in _out_of_scope(hard, scope):
        yield invalid(path, _go_selector(selector), _NOT_IN_SCOPE)
    if scope in _WITHOUT_VALUES and operator != "Exists":
        yield invalid(f"{path}.operator", operator, _ONLY_EXISTS)
    if operator in ("In", "NotIn"):
        if not values:
            detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield required(f"{path}.values", detail)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield invalid(f"{path}.values", values, detail)
    else:
        yield invalid(f"{path}.operator", operator, "not a valid selector operator")


def _out_of_scope(hard: Sequence[str], scope: str) -> list[str]:
    """The standard resources that objects of a scope do not use; others are not judged."""
    allowed = _IN_SCOPE.get(scope)
    return [] if allowed is None else [name for name in hard if name not in allowed and is_standard_for_quota(name)]


def _go_selector(selector: Mapping[str, Any]) -> dict[str, Any]:
    """A scope selector as upstream's message shows it: the internal struct's field names."""
    fields = {"ScopeName": "scopeName", "Operator": "operator", "Values": "values"}
    listed = selector.get("matchExpressions") or ()
    return {"MatchExpressions": [{shown: e.get(name) for shown, name in fields.items()} for e in listed]}


_NOT_IN_SCOPE = "unsupported scope applied to resource"
_WITHOUT_VALUES = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_ONLY_EXISTS = (
    "must be 'Exist' only operator when scope is any of ResourceQuotaScopeTerminating, "
    "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or "
    "ResourceQuotaScopeCrossNamespacePodAffinity"
)
_COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
_POD_RESOURCES = frozenset({"pods", *_COMPUTE})
_IN_SCOPE: Mapping[str, frozenset[str]] = {
    "BestEffort": frozenset({"pods"}),
    **dict.fromkeys(
        ("CrossNamespacePodAffinity", "NotBestEffort", "NotTerminating", "PriorityClass", "Terminating"), _POD_RESOURCES
    ),
    "VolumeAttributesClass": frozenset({"persistentvolumeclaims", "requests.storage"}),
}
"""What objects of a scope can use."""
