"""What an autoscaler makes of its metrics: replicas, limits, conditions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from minik8s.controllers.horizontal_limits import Memory, Recommendation, ScaleEvent, normalize
from minik8s.controllers.horizontal_plan import Failure, Reading, decide, enabled, refused, remember, status_of
from minik8s.controllers.horizontal_replicas import (
    Measure,
    NoReplicaCount,
    PodMetric,
    Tolerance,
    by_average,
    by_utilization,
    requests_of,
)
from minik8s.testing.clocks import EPOCH

NOW = EPOCH + timedelta(hours=1)
LONG_AGO = "2026-01-01T00:00:00Z"
WINDOW = timedelta(seconds=15)


def make_pod(name: str, *, phase: str = "Running", ready: str = "True", since: str = LONG_AGO, **more: Any) -> Any:
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": since}]
    container = {"name": "c", "resources": {"requests": more.pop("requests", {"cpu": "1"})}}
    metadata = {"name": name, **more.pop("metadata", {})}
    status = {"phase": phase, "startTime": more.pop("start", LONG_AGO), "conditions": conditions}
    return {"metadata": metadata, "spec": {"containers": [container]}, "status": status}


def measure(pods: list[Any], levels: dict[str, int], current: int | None = None, **options: Any) -> Measure:
    """`levels`: milli-cores by pod."""
    metrics = {name: PodMetric(level, NOW, WINDOW) for name, level in levels.items()}
    return Measure(pods, metrics, "cpu", len(pods) if current is None else current, Tolerance(), NOW, **options)


def pods(count: int, **options: Any) -> list[Any]:
    return [make_pod(f"p{number}", **options) for number in range(count)]


def levels(*values: int) -> dict[str, int]:
    return {f"p{number}": value for number, value in enumerate(values)}


@pytest.mark.parametrize(
    ("values", "target", "replicas"),
    [
        ((300, 500, 700), 30, 5),
        ((500, 500, 500), 50, 3),
        ((540, 540, 540), 50, 3),  # within a tenth
        ((560, 560, 560), 50, 4),
        ((100, 300, 500), 50, 2),
        ((10, 10, 10), 50, 1),
    ],
)
def test_utilization(values: tuple[int, ...], target: int, replicas: int) -> None:
    """Usage over requests against the target, rounded up; a tenth off target is left alone."""
    assert by_utilization(measure(pods(3), levels(*values)), target).replicas == replicas


def test_average_value() -> None:
    """An amount a pod needs no requests, and has no utilization."""
    proposal = by_average(measure(pods(3, requests={}), levels(300, 500, 700)), 250)
    assert (proposal.replicas, proposal.average, proposal.utilization) == (6, 500, None)


def test_a_pod_without_metrics() -> None:
    """It counts as idle when the others ask for more, and as fully used when they ask for less."""
    some = pods(3)
    assert by_utilization(measure(some, levels(900, 900)), 50).replicas == 4  # 1800 over 3 pods, not over 2
    assert by_utilization(measure(some, levels(100, 100)), 50).replicas == 3  # a missing 1000 keeps them
    assert by_utilization(measure(some, levels(200, 200, 200)), 50).replicas == 2


def test_a_pod_that_starts() -> None:
    """A pod that is not ready counts as idle while more are wanted, and not at all while fewer are."""
    some = [*pods(2), make_pod("new", ready="False", since="2026-01-01T00:59:00Z", start="2026-01-01T00:59:00Z")]
    assert by_utilization(measure(some, {**levels(900, 900), "new": 5000}), 50).replicas == 4
    assert by_utilization(measure(some, {**levels(200, 200), "new": 5000}), 50).replicas == 1


def test_pods_that_do_not_count() -> None:
    """Pods that are going, or have failed, are left out; pending ones wait their turn."""
    going = make_pod("going", metadata={"deletionTimestamp": LONG_AGO})
    failed, pending = make_pod("failed", phase="Failed"), make_pod("pending", phase="Pending")
    some = [*pods(2), going, failed, pending]
    usage = {**levels(200, 200), "going": 9000, "failed": 9000}
    assert by_utilization(measure(some, usage, current=3), 20).replicas == 3
    assert by_utilization(measure(some, usage, current=3), 100).replicas == 1


@pytest.mark.parametrize(
    ("some", "usage", "why"),
    [
        ([], {}, "no pods returned by selector while calculating replica count"),
        (pods(1), {}, "did not receive metrics for targeted pods (pods might be unready)"),
        (pods(1, requests={}), levels(1), "missing request for cpu in container c of Pod p0"),
    ],
)
def test_no_answer(some: list[Any], usage: dict[str, int], why: str) -> None:
    """Without pods, metrics or requests there is no number, and upstream's words say why."""
    with pytest.raises(NoReplicaCount) as caught:
        by_utilization(measure(some, usage), 50)
    assert str(caught.value) == why


def test_metrics_of_the_status_are_in_the_order_of_the_spec() -> None:
    """A metric that could not be read has an empty entry: clients go by the place. Without metrics there are none."""
    silent = Failure("FailedGetPodsMetric", "why")
    hpa: Any = {"metadata": {}, "spec": SPEC, "status": {"currentMetrics": [{"type": "Resource"}]}}
    done = decide(SPEC, 4, [silent, reading(5)], Memory(), NOW)
    assert status_of(hpa, 4, done, (), NOW)["currentMetrics"] == [{"type": ""}, reading(5).status]
    done = decide(SPEC, 4, [silent, reading(3)], Memory(), NOW)
    assert status_of(hpa, 4, done, (), NOW)["currentMetrics"] == [{"type": ""}, reading(3).status]
    off = enabled(SPEC, 0)
    assert off is not None
    assert "currentMetrics" not in status_of(hpa, 0, off, (), NOW)


def test_requests_of_the_pod_itself() -> None:
    """A pod's own requests go before its containers', of which none has to say anything then."""
    pod = make_pod("p", requests={})
    pod["spec"]["resources"] = {"requests": {"cpu": "2"}}
    assert requests_of([pod], "cpu") == {"p": 2000}
    with pytest.raises(NoReplicaCount, match="missing pod-level request for memory in Pod p"):
        requests_of([pod], "memory")


def test_requests_of_one_container() -> None:
    """A container resource metric looks at that container only."""
    pod = make_pod("p")
    pod["spec"]["containers"].append({"name": "d", "resources": {"requests": {"cpu": "250m"}}})
    assert requests_of([pod], "cpu") == {"p": 1250}
    assert requests_of([pod], "cpu", "d") == {"p": 250}
    with pytest.raises(NoReplicaCount, match="container x not found in Pod p"):
        requests_of([pod], "cpu", "x")


SPEC = {"minReplicas": 2, "maxReplicas": 10}


@pytest.mark.parametrize(
    ("spec", "current", "desired", "replicas", "reason"),
    [
        (SPEC, 3, 5, 5, "DesiredWithinRange"),
        (SPEC, 3, 9, 6, "ScaleUpLimit"),
        (SPEC, 1, 9, 4, "ScaleUpLimit"),
        (SPEC, 6, 30, 10, "TooManyReplicas"),
        (SPEC, 5, 1, 2, "TooFewReplicas"),
    ],
)
def test_bounds_without_behavior(spec: Any, current: int, desired: int, replicas: int, reason: str) -> None:
    """One step doubles at most (or reaches four), and the spec's bounds hold."""
    verdict = normalize(spec, current, desired, Memory(), NOW)
    assert (verdict.replicas, verdict.limited[1]) == (replicas, reason)


def ago(seconds: float) -> Any:
    return NOW - timedelta(seconds=seconds)


def test_downscale_window() -> None:
    """For five minutes the highest recommendation holds; then it is forgotten."""
    verdict = normalize(SPEC, 6, 3, Memory([Recommendation(6, ago(200))]), NOW)
    assert (verdict.replicas, verdict.able[0]) == (6, "ScaleDownStabilized")
    verdict = normalize(SPEC, 6, 3, Memory([Recommendation(6, ago(301))]), NOW)
    assert (verdict.replicas, verdict.able[0]) == (3, "ReadyForNewScale")


def behavior(direction: str, *policies: tuple[str, int, int], **rules: Any) -> Any:
    listed = [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in policies]
    side = {"selectPolicy": "Max", "stabilizationWindowSeconds": 0, "policies": listed, **rules}
    return {"minReplicas": 1, "maxReplicas": 100, "behavior": {direction: side}}


@pytest.mark.parametrize(
    ("spec", "current", "desired", "memory", "replicas", "reason"),
    [
        (behavior("scaleUp", ("Pods", 4, 15), ("Percent", 100, 15)), 10, 90, Memory(), 20, "ScaleUpLimit"),
        (behavior("scaleUp", ("Pods", 4, 15), ("Percent", 100, 15)), 1, 90, Memory(), 5, "ScaleUpLimit"),
        (
            behavior("scaleUp", ("Pods", 4, 15), ("Percent", 100, 15), selectPolicy="Min"),
            10,
            90,
            Memory(),
            14,
            "ScaleUpLimit",
        ),
        (
            behavior("scaleUp", ("Pods", 4, 60)),
            13,
            90,
            Memory(ups=[ScaleEvent(3, ago(30)), ScaleEvent(50, ago(61))]),
            14,
            "ScaleUpLimit",
        ),
        (behavior("scaleUp", selectPolicy="Disabled"), 10, 90, Memory(), 10, "ScaleUpLimit"),
        (behavior("scaleUp", ("Pods", 200, 15)), 10, 500, Memory(), 100, "TooManyReplicas"),
        (behavior("scaleDown", ("Percent", 10, 60)), 50, 5, Memory(), 45, "ScaleDownLimit"),
        (behavior("scaleDown", ("Pods", 100, 60)), 50, 0, Memory(), 1, "TooFewReplicas"),
        (behavior("scaleDown", selectPolicy="Disabled"), 50, 5, Memory(), 50, "ScaleDownLimit"),
        (behavior("scaleDown", ("Percent", 100, 15)), 50, 5, Memory(), 5, "DesiredWithinRange"),
    ],
)
def test_policies(spec: Any, current: int, desired: int, memory: Memory, replicas: int, reason: str) -> None:
    """The chosen policy limits the change within its period, what was changed in it already included."""
    verdict = normalize(spec, current, desired, memory, NOW)
    assert (verdict.replicas, verdict.limited[1]) == (replicas, reason)


def test_windows_of_behavior() -> None:
    """The window of scaling up takes the lowest, that of scaling down the highest recommendation in it."""
    up = behavior("scaleUp", ("Percent", 900, 15), stabilizationWindowSeconds=60)
    verdict = normalize(up, 5, 9, Memory([Recommendation(6, ago(30)), Recommendation(2, ago(61))]), NOW)
    assert (verdict.replicas, verdict.able[0]) == (6, "ScaleUpStabilized")
    down = behavior("scaleDown", ("Percent", 100, 15), stabilizationWindowSeconds=60)
    verdict = normalize(down, 5, 1, Memory([Recommendation(4, ago(30)), Recommendation(5, ago(61))]), NOW)
    assert (verdict.replicas, verdict.able[0]) == (4, "ScaleDownStabilized")
    verdict = normalize(down, 5, 1, Memory([Recommendation(4, ago(60))]), NOW)
    assert (verdict.replicas, verdict.able[0]) == (1, "ReadyForNewScale"), "the window's first moment is not in it"
    verdict = normalize(SPEC, 5, 1, Memory([Recommendation(4, ago(300))]), NOW)
    assert verdict.replicas == 4, "but it is in the one of autoscalers without behavior"


def test_without_asking_metrics() -> None:
    """A target of no replicas is switched off; one outside its bounds is brought back at once."""
    off = enabled(SPEC, 0)
    assert off is not None
    assert [c.reason for c in off.conditions] == ["SucceededGetScale", "ScalingDisabled"]
    assert not off.rescale
    high, low = enabled(SPEC, 20), enabled(SPEC, 1)
    assert high is not None
    assert low is not None
    assert (high.replicas, high.reason) == (10, "Current number of replicas above Spec.MaxReplicas")
    assert (low.replicas, low.reason) == (2, "Current number of replicas below Spec.MinReplicas")
    assert enabled(SPEC, 5) is None


def reading(replicas: int, title: str = "cpu resource") -> Reading:
    return Reading(replicas, title, {"type": "Resource", "resource": {"name": title}})


BROKEN = Failure("FailedGetResourceMetric", "failed to get cpu utilization: nothing there")


@pytest.mark.parametrize(
    ("readings", "current", "replicas", "reason", "failed"),
    [
        ([reading(5, "a"), reading(3, "b")], 4, 5, "a above target", False),
        ([reading(3, "a"), reading(3, "b")], 4, 3, "All metrics below target", False),
        ([BROKEN], 4, 4, "", True),
        ([BROKEN, reading(3)], 4, 4, "", True),
        ([BROKEN, reading(6, "b")], 4, 6, "b above target", False),
    ],
)
def test_decide(readings: list[Any], current: int, replicas: int, reason: str, failed: bool) -> None:
    """The largest proposal counts; a metric that cannot be read forbids to scale down, not up."""
    done = decide(SPEC, current, readings, Memory(), NOW)
    assert (done.replicas, done.reason, done.failed is not None) == (replicas, reason, failed)
    active = next(c for c in done.conditions if c.type == "ScalingActive")
    assert active.status == ("False" if failed else "True")


def test_status() -> None:
    """The status shows present and wanted replicas, the metrics, and when the last change was."""
    hpa: Any = {"metadata": {"generation": 3}, "spec": SPEC, "status": {"lastScaleTime": LONG_AGO}}
    done = decide(SPEC, 4, [reading(5)], Memory(), NOW)
    status = status_of(hpa, 4, done, done.conditions, NOW)
    assert (status["currentReplicas"], status["desiredReplicas"], status["observedGeneration"]) == (4, 5, 3)
    assert status["lastScaleTime"] == "2026-01-01T01:00:00Z"
    assert [c["type"] for c in status["conditions"]] == ["AbleToScale", "ScalingActive", "ScalingLimited"]
    hpa["status"] = {**status, "desiredReplicas": 7}
    unscaled = status_of(hpa, 4, done, [*done.conditions, refused("no")], NOW + timedelta(hours=1))
    assert (unscaled["desiredReplicas"], unscaled["lastScaleTime"]) == (7, "2026-01-01T01:00:00Z")
    memory = Memory()
    remember(memory, 4, 5, NOW)
    remember(memory, 5, 2, NOW)
    assert ([e.change for e in memory.ups], [e.change for e in memory.downs]) == ([1], [3])
