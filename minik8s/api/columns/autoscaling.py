"""Columns of HorizontalPodAutoscaler, in the form of autoscaling/v2 and of v1."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, UNKNOWN, UNSET, age, dig
from minik8s.machinery.meta import Doc, name_of

_SHOWN = 2
_MEMBERS = {
    "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
    "External": "external",
}  # fmt: skip


def _metric(spec: Doc, status: Doc) -> str:
    """One metric as `current/target`."""
    kind = spec.get("type", "")
    member = _MEMBERS.get(kind)
    if member is None:
        return "<unknown type>"
    target = dig(spec, member, "target", default={})
    current = dig(status, member, "current", default={}) if status.get("type") == kind else {}
    if kind == "Pods":
        return f"{current.get('averageValue') or UNKNOWN}/{target.get('averageValue', '')}"
    average = f"{current.get('averageValue') or UNKNOWN}/{target.get('averageValue')}"
    if kind in ("Resource", "ContainerResource"):
        name = dig(spec, member, "name", default="")
        if target.get("averageValue") is not None:
            return f"{name}: {average}"
        return f"{name}: {_utilization(current.get('averageUtilization'), target.get('averageUtilization'))}"
    if target.get("averageValue") is not None:
        return f"{average} (avg)"
    return f"{current.get('value') or UNKNOWN}/{target.get('value', '')}"


def _utilization(current: int | None, target: int | None) -> str:
    shown = UNKNOWN if current is None else f"{current}%"
    return f"{shown}/{'<auto>' if target is None else f'{target}%'}"


def _targets(obj: Doc) -> str:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if (target := spec.get("targetCPUUtilizationPercentage")) is not None:
        return f"cpu: {_utilization(status.get('currentCPUUtilizationPercentage'), target)}"
    metrics, current = spec.get("metrics") or [], status.get("currentMetrics") or []
    if not metrics:
        return NONE
    texts = [_metric(m, current[i] if i < len(current) else {}) for i, m in enumerate(metrics[:_SHOWN])]
    more = f" + {len(metrics) - _SHOWN} more..." if len(metrics) > _SHOWN else ""
    return ", ".join(texts) + more


def _autoscaler(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    reference = spec.get("scaleTargetRef") or {}
    minimum = spec.get("minReplicas")
    return [
        name_of(obj), f"{reference.get('kind', '')}/{reference.get('name', '')}", _targets(obj),
        UNSET if minimum is None else str(minimum), spec.get("maxReplicas", 0),
        dig(obj, "status", "currentReplicas", default=0), age(obj, now),
    ]  # fmt: skip


COLUMNS = {
    ("autoscaling", "HorizontalPodAutoscaler"): columns(
        "Name:s/name, Reference:s, Targets:s, MinPods:s, MaxPods:s, Replicas:s, Age:s", _autoscaler
    ),
}
