"""What follows from a node's health, as tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.controllers import nodelifecycle_plan as plan

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = "2026-01-01T12:00:00Z"


def node(taints: Any = None, unschedulable: bool = False, labels: Any = None, **conditions: str) -> Any:
    spec: dict[str, Any] = {"taints": taints} if taints else {}
    if unschedulable:
        spec["unschedulable"] = True
    reported = [{"type": key, "status": value, "lastTransitionTime": "then"} for key, value in conditions.items()]
    metadata = {"name": "n", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels or {}}
    return {"metadata": metadata, "spec": spec, "status": {"conditions": reported}}


def taint(key: str, effect: str, **more: str) -> dict[str, str]:
    return {"key": f"node.kubernetes.io/{key}", "effect": effect, **more}


@pytest.mark.parametrize(
    ("obj", "execute", "expected"),
    [
        (node(Ready="True", MemoryPressure="False"), True, set()),
        (node(Ready="False"), False, {("not-ready", "NoSchedule")}),
        (node(Ready="False"), True, {("not-ready", "NoSchedule"), ("not-ready", "NoExecute")}),
        (node(Ready="Unknown"), True, {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}),
        (
            node(
                Ready="True", MemoryPressure="True", DiskPressure="True", PIDPressure="True", NetworkUnavailable="True"
            ),
            True,
            {
                (key, "NoSchedule")
                for key in ("memory-pressure", "disk-pressure", "pid-pressure", "network-unavailable")
            },
        ),
        (node(Ready="True", unschedulable=True), True, {("unschedulable", "NoSchedule")}),
    ],
)
def test_taints_by_condition(obj: Any, execute: bool, expected: set[tuple[str, str]]) -> None:
    """Each bad condition has its taint; only lost nodes drive pods away, and only if they may."""
    taints = plan.desired_taints(obj, execute=execute, now=NOW)
    assert {(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in taints} == expected
    assert all(t["timeAdded"] == STAMP for t in taints)


def test_taints_that_stay() -> None:
    """Other people's taints stay as they are, ours keep the time they were added, those that no longer hold go."""
    mine = taint("unreachable", "NoSchedule", timeAdded="before")
    foreign = {"key": "dedicated", "value": "x", "effect": "NoExecute"}
    stale = taint("memory-pressure", "NoSchedule", timeAdded="before")
    taints = plan.desired_taints(node([mine, foreign, stale], Ready="Unknown"), execute=False, now=NOW)
    assert taints == [mine, foreign]


def test_lost_conditions() -> None:
    """What a node reported becomes Unknown from now on; what it never reported says so; what is Unknown stays."""
    lost = {c["type"]: c for c in plan.lost_conditions(node(Ready="True", DiskPressure="Unknown"), NOW)}
    assert lost["Ready"] == {
        "type": "Ready",
        "status": "Unknown",
        "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.",
        "lastTransitionTime": STAMP,
    }
    assert lost["DiskPressure"]["lastTransitionTime"] == "then"
    assert lost["PIDPressure"] == {
        "type": "PIDPressure",
        "status": "Unknown",
        "reason": "NodeStatusNeverUpdated",
        "message": "Kubelet never posted node status.",
        "lastHeartbeatTime": "2026-01-01T00:00:00Z",
        "lastTransitionTime": STAMP,
    }


def test_grace() -> None:
    """A node that never said whether it is ready has longer, and one whose Lease is good for longer has that much."""
    assert plan.grace(node(Ready="True")) == 50
    assert plan.grace(node()) == 60
    assert plan.grace(node(Ready="True"), 20) == 50
    assert plan.grace(node(Ready="True"), 400) == 500


@pytest.mark.parametrize(
    ("ready", "lost", "rate"),
    [(1, 0, 0.1), (1, 2, 0.1), (3, 3, 0.1), (1, 3, 0.0), (20, 40, 0.01), (0, 5, 0.1)],
)
def test_rates(ready: int, lost: int, rate: float) -> None:
    """A zone that is mostly unhealthy is left alone if small and treated slowly if large; one that is down is not."""
    assert plan.Zone(ready, lost).rate == rate


def test_budget() -> None:
    """One node at once, then one every ten seconds; a zone without a rate never gets any."""
    zone = plan.Zone(ready=5, lost=2, filled=100.0)
    assert [zone.take(now) for now in (100.0, 101.0, 109.9, 110.1, 110.2)] == [True, False, False, True, False]
    assert not plan.Zone(ready=1, lost=3).take(0.0)


@pytest.mark.parametrize(
    ("zones", "expected"),
    [([], False), ([(0, 1)], True), ([(0, 1), (1, 0)], False), ([(0, 1), (0, 3)], True), ([(0, 1), (0, 0)], True)],
)
def test_all_down(zones: list[tuple[int, int]], expected: bool) -> None:
    """All is down when no zone that has nodes has a ready one."""
    assert plan.all_down([plan.Zone(*zone) for zone in zones]) is expected
