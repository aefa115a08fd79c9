"""A HorizontalPodAutoscaler's spec (v2). Upstream: pkg/apis/autoscaling/validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, required_name
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.quantity import parse_quantity

Part = Mapping[str, Any]

_SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_TARGETS = ("Utilization", "Value", "AverageValue")
MAX_STABILIZATION, MAX_PERIOD = 3600, 1800


def validate_autoscaler(spec: Part) -> Causes:
    minimum, maximum = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if minimum is not None and minimum < 0:
        yield invalid("spec.minReplicas", minimum, "must be greater than or equal to 0")
    if not maximum:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif maximum < 0:
        yield invalid("spec.maxReplicas", maximum, "must be greater than 0")
    if maximum and minimum is not None and maximum < minimum:
        yield invalid("spec.maxReplicas", maximum, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    for field in ("kind", "name"):
        yield from required_name(target.get(field), f"spec.scaleTargetRef.{field}", names.path_segment)
    yield from _metrics(spec.get("metrics") or (), minimum)
    if (behavior := spec.get("behavior")) is not None:
        for direction in ("scaleUp", "scaleDown"):
            if (rules := behavior.get(direction)) is not None:
                yield from _rules(rules, f"spec.behavior.{direction}")


def _metrics(metrics: Any, minimum: int | None) -> Causes:
    if minimum == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", detail)
    for index, metric in enumerate(metrics):
        yield from _metric(metric, f"spec.metrics[{index}]")


def _metric(metric: Part, path: str) -> Causes:
    kind = metric.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
        return
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, tuple(_SOURCES))
        return
    field = _SOURCES[kind]
    for other in _SOURCES.values():
        if other != field and metric.get(other) is not None:
            yield forbidden(f"{path}.{other}", "must populate the given metric source only")
    source, path = metric.get(field), f"{path}.{field}"
    if source is None:
        yield required(path, "must populate information for the given metric source")
        return
    if kind in ("Resource", "ContainerResource"):
        yield from _resource(source, path, kind)
        return
    if kind == "Object":
        described = source.get("describedObject") or {}
        for name in ("kind", "name"):
            yield from required_name(described.get(name), f"{path}.describedObject.{name}", names.path_segment)
    identifier = source.get("metric") or {}
    yield from required_name(identifier.get("name"), f"{path}.metric.name", names.path_segment)
    if (selector := identifier.get("selector")) is not None:
        yield from validate_label_selector(selector, f"{path}.metric.selector")
    target = source.get("target") or {}
    yield from _target(target, f"{path}.target")
    if kind == "Pods" and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must specify a positive target averageValue")
    elif kind != "Pods" and target.get("value") is None and target.get("averageValue") is None:
        yield required(f"{path}.target.averageValue", "must set either a target value for metric or a per-pod target")


def _resource(source: Part, path: str, kind: str) -> Causes:
    if not source.get("name"):
        yield required(f"{path}.name", "must specify a resource name")
    if kind == "ContainerResource":
        yield from required_name(source.get("container"), f"{path}.container", names.path_segment)
    target = source.get("target") or {}
    yield from _target(target, f"{path}.target")
    utilization, value = target.get("averageUtilization"), target.get("averageValue")
    if utilization is None and value is None:
        detail = "must set either a target raw value or a target utilization"
        yield required(f"{path}.target.averageUtilization", detail)
    elif utilization is not None and value is not None:
        detail = "may not set both a target raw value and a target utilization"
        yield forbidden(f"{path}.target.averageValue", detail)


def _target(target: Part, path: str) -> Causes:
    kind = target.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    elif kind not in _TARGETS:
        yield invalid(f"{path}.type", kind, "must be either Utilization, Value, or AverageValue")
    for field in ("value", "averageValue"):
        amount = target.get(field)
        if amount is not None and parse_quantity(amount).nanos <= 0:
            yield invalid(f"{path}.{field}", amount, "must be positive")
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        yield invalid(f"{path}.averageUtilization", utilization, "must be greater than 0")


def _rules(rules: Part, path: str) -> Causes:
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        yield invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero")
    elif window is not None and window > MAX_STABILIZATION:
        detail = f"must be less than or equal to {MAX_STABILIZATION}"
        yield invalid(f"{path}.stabilizationWindowSeconds", window, detail)
    tolerance = rules.get("tolerance")
    if tolerance is not None and parse_quantity(tolerance).nanos < 0:
        yield invalid(f"{path}.tolerance", tolerance, "must be greater than or equal to 0")
    choice = rules.get("selectPolicy")
    if choice is not None and choice not in ("Disabled", "Max", "Min"):
        yield not_supported(f"{path}.selectPolicy", choice, ("Disabled", "Max", "Min"))
    policies = rules.get("policies") or ()
    if not policies:
        yield required(f"{path}.policies", "must specify at least one Policy")
    for index, policy in enumerate(policies):
        place = f"{path}.policies[{index}]"
        if policy.get("type") not in ("Pods", "Percent"):
            yield not_supported(f"{place}.type", policy.get("type", ""), ("Percent", "Pods"))
        for field in ("value", "periodSeconds"):
            if policy.get(field, 0) <= 0:
                yield invalid(f"{place}.{field}", policy.get(field, 0), "must be greater than zero")
        if policy.get("periodSeconds", 0) > MAX_PERIOD:
            yield invalid(
                f"{place}.periodSeconds", policy["periodSeconds"], f"must be less than or equal to {MAX_PERIOD}"
            )
