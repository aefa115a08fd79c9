"""Kinds in two versions."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.conversion import convert
from minik8s.api.resources import EVENTS, EVENTS_V1, HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from minik8s.machinery.frozen import freeze

CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Value", "value": "1Gi"}}}
USED = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "1"}}}


def autoscaler(**spec: Any) -> dict[str, Any]:
    """A v2 autoscaler; its document is frozen."""
    obj: dict[str, Any] = freeze(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web", "annotations": {"mine": "kept"}},
            "spec": {"maxReplicas": 5, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, **spec},
            "status": {"currentMetrics": [USED], "conditions": [{"type": "AbleToScale", "status": "True"}]},
        }
    )
    return obj


def test_v1_knows_one_metric() -> None:
    """The cpu target is a field of v1; what else v2 says travels in annotations under upstream's names."""
    old = convert(autoscaler(metrics=[MEMORY, CPU], behavior={"scaleUp": {}}), HORIZONTAL_POD_AUTOSCALERS_V1)
    assert old["apiVersion"] == "autoscaling/v1"
    assert old["spec"]["targetCPUUtilizationPercentage"] == 60
    assert old["status"]["currentCPUUtilizationPercentage"] == 40
    assert set(old["metadata"]["annotations"]) == {
        "mine",
        "autoscaling.alpha.kubernetes.io/metrics",
        "autoscaling.alpha.kubernetes.io/behavior",
        "autoscaling.alpha.kubernetes.io/conditions",
    }
    assert not {"metrics", "behavior"} & set(old["spec"])


def test_there_and_back() -> None:
    """What v2 says of targets, behaviour and conditions survives a way through v1; cpu becomes the first metric."""
    new = autoscaler(metrics=[MEMORY, CPU], behavior={"scaleUp": {}})
    back = convert(convert(new, HORIZONTAL_POD_AUTOSCALERS_V1), HORIZONTAL_POD_AUTOSCALERS)
    assert back["spec"] == {**new["spec"], "metrics": [CPU, MEMORY]}
    assert back["metadata"] == new["metadata"]
    assert back["status"]["conditions"] == new["status"]["conditions"]


def test_annotations_that_are_no_json() -> None:
    """A user's own text under upstream's name is dropped, not an error."""
    old = {
        "apiVersion": "autoscaling/v1",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "annotations": {"autoscaling.alpha.kubernetes.io/metrics": "{"}},
        "spec": {"maxReplicas": 5},
    }
    new = convert(freeze(old), HORIZONTAL_POD_AUTOSCALERS)
    assert "metrics" not in new["spec"]
    assert new["metadata"] == {"name": "web"}


def test_events_have_other_names_for_the_same() -> None:
    """Every field of an event has its name in the other version, and comes back."""
    core = freeze(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e"},
            "involvedObject": {"kind": "Pod"},
            "message": "hello",
            "reason": "Said",
            "source": {"component": "me"},
            "count": 2,
            "firstTimestamp": None,
            "lastTimestamp": None,
            "reportingComponent": "me",
        }
    )
    new = convert(core, EVENTS_V1)
    assert (new["regarding"], new["note"], new["reason"], new["deprecatedCount"]) == (
        {"kind": "Pod"},
        "hello",
        "Said",
        2,
    )
    assert convert(new, EVENTS) == core


def test_the_same_version_is_itself_and_others_are_unknown() -> None:
    """A version is converted to itself by copying; a pair that nobody declared is a KeyError."""
    new = autoscaler()
    assert convert(new, HORIZONTAL_POD_AUTOSCALERS) == new
    with pytest.raises(KeyError):
        convert(new, EVENTS)
