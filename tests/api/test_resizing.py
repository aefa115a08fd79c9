"""What a pod counts for while it is resized in place."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.pods import in_units, pod_limits, pod_requests
from minik8s.api.quota import usage_of
from minik8s.api.resizing import effective_spec, resizes
from minik8s.api.resources import PODS

INFEASIBLE = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]


def pod(spec: str, allocated: str, actual: str, **status: Any) -> dict[str, Any]:
    held = {"requests": {"cpu": actual}, "limits": {"cpu": actual}}
    known = {"name": "c", "allocatedResources": {"cpu": allocated}, "resources": held}
    wanted = {"requests": {"cpu": spec}, "limits": {"cpu": spec}}
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "resources": wanted}]},
        "status": {"containerStatuses": [known], **status},
    }


def counted(of: dict[str, Any]) -> tuple[int, int]:
    spec = {"spec": effective_spec(of)}
    return in_units(pod_requests(spec))["cpu"], in_units(pod_limits(spec))["cpu"]


@pytest.mark.parametrize(
    ("spec", "allocated", "actual", "infeasible", "requests", "limits"),
    [
        ("1", "1", "1", False, 1000, 1000),
        ("2", "1", "1", False, 2000, 2000),
        ("1", "1", "2", False, 2000, 2000),
        ("1", "3", "2", False, 3000, 2000),
        ("9", "1", "1", True, 1000, 1000),
    ],
)
def test_a_resize_counts_at_its_largest(
    spec: str, allocated: str, actual: str, infeasible: bool, requests: int, limits: int
) -> None:
    """Until a resize is done the largest of what is wanted, granted and held counts; an infeasible wish does not."""
    resized = pod(spec, allocated, actual, **({"conditions": INFEASIBLE} if infeasible else {}))
    assert counted(resized) == (requests, limits)
    assert resizes(resized) == (requests != int(spec) * 1000 or limits != int(spec) * 1000)


def test_a_quota_counts_what_a_pod_still_holds() -> None:
    """A pod that gives something up gives it up in its quota only when its node has taken it back."""
    usage = usage_of(PODS, pod("1", "1", "3"), datetime(2026, 1, 1, tzinfo=UTC))
    assert usage["requests.cpu"].milli() == usage["limits.cpu"].milli() == 3000


@pytest.mark.parametrize(("held", "requests"), [("5", 4000), ("2", 3000), ("4", 3000)])
def test_resources_of_the_whole_pod(held: str, requests: int) -> None:
    """The pod's own figures count as its containers' do; its status includes the overhead, its spec does not."""
    resized = pod("1", "1", "1", allocatedResources={"cpu": held}, resources={"requests": {"cpu": held}})
    resized["spec"] |= {"resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}}
    assert in_units(pod_requests({"spec": effective_spec(resized)}))["cpu"] == requests + 1000
