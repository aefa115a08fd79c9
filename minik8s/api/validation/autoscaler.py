"""A HorizontalPodAutoscaler's spec (v2). Upstream: pkg/apis/autoscaling/validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.validation.common import Causes, named, required_name
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.quantity import parse_quantity

Part = Mapping[str, Any]

_SOURCES = {  # in the order in which upstream looks for them
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_NEEDS = {
    "Object": "must set either a target value or averageValue",
    "External": "must set either a target value for metric or a per-pod target",
    "Pods": "must specify a positive target averageValue",
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
    for index, metric in enumerate(metrics):
        yield from _metric(metric, f"spec.metrics[{index}]")
    if minimum == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", detail)


def _metric(metric: Part, path: str) -> Causes:
    """One metric: of the sources that are given the first is looked at, and the type says which is wanted."""
    kind = metric.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric source type")
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, sorted(_SOURCES))
    given = [source for source in _SOURCES if metric.get(_SOURCES[source]) is not None]
    if given:
        field = _SOURCES[given[0]]
        yield from _source(metric[field], f"{path}.{field}", given[0])
    if kind not in _SOURCES:
        yield not_supported(f"{path}.type", kind, sorted(_SOURCES))
    elif kind not in given:
        yield required(f"{path}.{_SOURCES[kind]}", "must populate information for the given metric source")
    for other in given if len(given) > 1 else ():
        if other != kind:
            yield forbidden(f"{path}.{_SOURCES[other]}", "must populate the given metric source only")


def _source(source: Part, path: str, kind: str) -> Causes:
    if kind in ("Resource", "ContainerResource"):
        yield from _resource(source, path, kind)
        return
    if kind == "Object":
        described = source.get("describedObject") or {}
        for name in ("kind", "name"):
            yield from required_name(described.get(name), f"{path}.describedObject.{name}", names.path_segment)
    identifier = (source.get("metric") or {}).get("name")
    if identifier:
        yield from named(identifier, f"{path}.metric.name", names.path_segment)
    else:
        yield required(f"{path}.metric.name", "must specify a metric name")
    target = source.get("target") or {}
    yield from _target(target, f"{path}.target")
    value, average = target.get("value"), target.get("averageValue")
    if average is None and (kind == "Pods" or value is None):
        yield required(f"{path}.target.averageValue", _NEEDS[kind])
    if kind == "External" and value is not None and average is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        yield forbidden(f"{path}.target.value", detail)


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
    if utilization is not None and value is not None:
        detail = "may not set both a target raw value and a target utilization"
        yield forbidden(f"{path}.target.averageValue", detail)


def _target(target: Part, path: str) -> Causes:
    kind = target.get("type", "")
    if not kind:
        yield required(f"{path}.type", "must specify a metric target type")
    if kind not in _TARGETS:
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
