"""Between the versions of the few kinds that are served in more than one.

Each pair is two pure functions from document to document; what the other version cannot say travels in
annotations, under upstream's names (HorizontalPodAutoscaler v1), or has a deprecated field (Event).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from minik8s.api.resource import Resource
from minik8s.machinery.meta import Doc, Obj

_EVENT_FIELDS = (  # core/v1, events.k8s.io/v1
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
)
_TO_EVENTS = dict(_EVENT_FIELDS)
_TO_CORE = {new: old for old, new in _EVENT_FIELDS}

_ALPHA = "autoscaling.alpha.kubernetes.io/"


def convert(obj: Doc, resource: Resource[Any]) -> Obj:
    """The document as `resource`'s version says it. Raises KeyError when no conversion is known."""
    source = obj["apiVersion"]
    if source == resource.api_version:
        return dict(obj)
    converted = _CONVERSIONS[source, resource.api_version, resource.kind](obj)
    return {**converted, "kind": resource.kind, "apiVersion": resource.api_version}


def _renamed(names: dict[str, str]) -> Callable[[Doc], Obj]:
    def rename(obj: Doc) -> Obj:
        return {names.get(key, key): value for key, value in obj.items()}

    return rename


def _is_cpu(metric: Doc) -> bool:
    resource = metric.get("resource") or {}
    target = resource.get("target") or resource.get("current") or {}
    return metric["type"] == "Resource" and resource.get("name") == "cpu" and "averageUtilization" in target


def _hpa_to_v1(obj: Doc) -> Obj:
    spec, status = obj["spec"], obj.get("status", {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    new_spec = {k: v for k, v in spec.items() if k not in ("metrics", "behavior")}
    new_status = {k: v for k, v in status.items() if k not in ("currentMetrics", "conditions")}
    new_status.setdefault("currentReplicas", 0)
    cpu, others = _split(spec.get("metrics"))
    if cpu is not None:
        new_spec["targetCPUUtilizationPercentage"] = cpu["resource"]["target"]["averageUtilization"]
    current_cpu, current_others = _split(status.get("currentMetrics"))
    if current_cpu is not None:
        new_status["currentCPUUtilizationPercentage"] = current_cpu["resource"]["current"]["averageUtilization"]
    kept = {
        "metrics": others,
        "current-metrics": current_others,
        "behavior": spec.get("behavior"),
        "conditions": status.get("conditions"),
    }
    annotations |= {_ALPHA + name: orjson.dumps(value).decode() for name, value in kept.items() if value}
    return _with_annotations({**obj, "spec": new_spec, "status": new_status}, annotations)


def _hpa_to_v2(obj: Doc) -> Obj:
    spec, status = dict(obj["spec"]), dict(obj.get("status") or {})
    annotations = dict(obj["metadata"].get("annotations") or {})
    kept = {
        name: _parsed(annotations.pop(_ALPHA + name, ""))
        for name in ("metrics", "current-metrics", "behavior", "conditions")
    }
    metrics: list[Any] = list(kept["metrics"] or ())
    if (target := spec.pop("targetCPUUtilizationPercentage", None)) is not None:
        metrics.insert(0, _cpu_metric("target", {"type": "Utilization", "averageUtilization": target}))
    current: list[Any] = list(kept["current-metrics"] or ())
    if (used := status.pop("currentCPUUtilizationPercentage", None)) is not None:
        current.insert(0, _cpu_metric("current", {"averageUtilization": used}))
    if metrics:
        spec["metrics"] = metrics
    if kept["behavior"]:
        spec["behavior"] = kept["behavior"]
    status["currentMetrics"] = current or None
    if kept["conditions"]:
        status["conditions"] = kept["conditions"]
    return _with_annotations({**obj, "spec": spec, "status": status}, annotations)


def _cpu_metric(part: str, value: Obj) -> Obj:
    return {"type": "Resource", "resource": {"name": "cpu", part: value}}


def _split(metrics: Any) -> tuple[Any, list[Any]]:
    """The first CPU utilisation metric, and the others."""
    cpu, others = None, []
    for metric in metrics or ():
        if cpu is None and _is_cpu(metric):
            cpu = metric
        else:
            others.append(metric)
    return cpu, others


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text) if text else None
    except ValueError:
        return None  # a user's own text under that name is dropped, as upstream does


def _with_annotations(obj: Obj, annotations: Obj) -> Obj:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "annotations"}
    if annotations:
        metadata["annotations"] = annotations
    return {**obj, "metadata": metadata}


_CONVERSIONS: dict[tuple[str, str, str], Callable[[Doc], Obj]] = {
    ("v1", "events.k8s.io/v1", "Event"): _renamed(_TO_EVENTS),
    ("events.k8s.io/v1", "v1", "Event"): _renamed(_TO_CORE),
    ("autoscaling/v2", "autoscaling/v1", "HorizontalPodAutoscaler"): _hpa_to_v1,
    ("autoscaling/v1", "autoscaling/v2", "HorizontalPodAutoscaler"): _hpa_to_v2,
}
