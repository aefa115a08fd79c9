"""HorizontalPodAutoscaler, in both its versions: v1 is checked by what it means in v2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.conversion import convert
from minik8s.api.resources import HORIZONTAL_POD_AUTOSCALERS
from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.autoscaler import validate_autoscaler
from minik8s.machinery.meta import Doc, Obj

DEFAULT_CPU = 80
"""Percent of the requested CPU that is aimed at when no metric is given."""
_METRICS_ANNOTATION = "autoscaling.alpha.kubernetes.io/metrics"
_POLICIES: Mapping[str, list[Obj]] = {
    "scaleUp": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
    "scaleDown": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}


class AutoscalerStrategy(KindStrategy):
    """autoscaling/v2. Upstream: pkg/registry/autoscaling/horizontalpodautoscaler/strategy.go."""

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": DEFAULT_CPU}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        if (behavior := spec.get("behavior")) is not None:
            for direction, policies in _POLICIES.items():
                _default_rules(behavior.setdefault(direction, {}), direction, policies)
        self.default_status(obj)

    def default_status(self, obj: Obj) -> None:
        if (status := obj.get("status")) is not None and "currentMetrics" not in status:
            obj["status"] = {**status, "currentMetrics": None}

    def initial_status(self, obj: Obj) -> Obj:
        return {"desiredReplicas": 0, "currentMetrics": None}

    def check(self, obj: Doc) -> Causes:
        return validate_autoscaler(obj["spec"])


def _default_rules(rules: Obj, direction: str, policies: list[Obj]) -> None:
    rules.setdefault("selectPolicy", "Max")
    if "policies" not in rules:
        rules["policies"] = [dict(policy) for policy in policies]
    if direction == "scaleUp":
        rules.setdefault("stabilizationWindowSeconds", 0)


class AutoscalerV1Strategy(KindStrategy):
    """autoscaling/v1, which knows one metric."""

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        spec.setdefault("minReplicas", 1)
        if _METRICS_ANNOTATION not in (obj["metadata"].get("annotations") or {}):
            spec.setdefault("targetCPUUtilizationPercentage", DEFAULT_CPU)

    def check(self, obj: Doc) -> Causes:
        modern: Mapping[str, Any] = convert(
            {**obj, "apiVersion": self.resource.api_version}, HORIZONTAL_POD_AUTOSCALERS
        )
        return validate_autoscaler(modern["spec"])


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "v1/horizontalpodautoscalers": AutoscalerV1Strategy,
    "v2/horizontalpodautoscalers": AutoscalerStrategy,
}
