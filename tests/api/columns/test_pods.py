"""The columns of pods: what the Status word says of every state a pod can be in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.columns import columns_for
from minik8s.api.resources import PODS

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
RUNNING: dict[str, Any] = {"ready": True, "state": {"running": {}}}


def pod(phase: str = "Running", *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A pod with one status a container; `init`, `initSpec`, `conditions`, `deleted`, `reason` and more on request."""
    status: dict[str, Any] = {"phase": phase, "containerStatuses": list(containers)}
    spec: dict[str, Any] = {"containers": [{"name": f"c{i}"} for i, _ in enumerate(containers)] or [{"name": "c"}]}
    meta: dict[str, Any] = {"name": "p", "creationTimestamp": "2026-01-01T00:55:00Z"}
    if "init" in more:
        status["initContainerStatuses"] = [{"name": f"i{n}", **s} for n, s in enumerate(more["init"])]
        kinds = more.get("initSpec") or [{}] * len(more["init"])
        spec["initContainers"] = [{"name": f"i{n}", **s} for n, s in enumerate(kinds)]
    if more.get("deleted"):
        meta["deletionTimestamp"] = "2026-01-01T00:59:00Z"
    for condition in more.get("conditions") or ():
        status.setdefault("conditions", []).append(condition)
    if "reason" in more:
        status["reason"] = more["reason"]
    return {"metadata": meta, "spec": spec, "status": status}


def true(type_: str) -> dict[str, str]:
    return {"type": type_, "status": "True"}


def ended(code: int, **more: Any) -> dict[str, Any]:
    return {"state": {"terminated": {"exitCode": code, **more}}}


def waiting(reason: str) -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason}}}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("obj", "ready", "status"),
    [
        (pod("Pending"), "0/1", "Pending"),
        (pod("Running", RUNNING), "1/1", "Running"),
        (pod("Running", RUNNING, {"ready": False, "state": {"running": {}}}), "1/2", "Running"),
        (pod("Pending", waiting("ImagePullBackOff")), "0/1", "ImagePullBackOff"),
        (pod("Running", RUNNING, waiting("CrashLoopBackOff")), "1/2", "CrashLoopBackOff"),
        (pod("Succeeded", ended(0, reason="Completed")), "0/1", "Completed"),
        (pod("Failed", ended(1, reason="Error")), "0/1", "Error"),
        (pod("Failed", ended(137, signal=9)), "0/1", "Signal:9"),
        (pod("Failed", ended(3)), "0/1", "ExitCode:3"),
        (pod("Failed", reason="Evicted"), "0/1", "Evicted"),
        (pod("Running", ended(0, reason="Completed"), RUNNING), "1/2", "NotReady"),
        (pod("Running", ended(0, reason="Completed"), RUNNING, conditions=[true("Ready")]), "1/2", "Running"),
        (pod("Failed", ended(0, reason="Completed"), ended(1, reason="Error")), "0/2", "Error"),
        (pod("Running", RUNNING, deleted=True), "1/1", "Terminating"),
        (pod("Failed", deleted=True), "0/1", "Failed"),
        (pod("Running", RUNNING, deleted=True, reason="NodeLost"), "1/1", "Unknown"),
        (pod("Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]),
         "0/1", "SchedulingGated"),
        (pod("Pending", init=[{"state": {"running": {}}}, waiting("PodInitializing")]), "0/1", "Init:0/2"),
        (pod("Pending", init=[ended(0), waiting("PodInitializing")]), "0/1", "Init:1/2"),
        (pod("Pending", init=[ended(1)]), "0/1", "Init:ExitCode:1"),
        (pod("Pending", init=[ended(137, signal=9)]), "0/1", "Init:Signal:9"),
        (pod("Pending", init=[ended(1, reason="Error")]), "0/1", "Init:Error"),
        (pod("Pending", init=[waiting("CrashLoopBackOff")]), "0/1", "Init:CrashLoopBackOff"),
        (pod("Running", RUNNING, init=[ended(0)]), "1/1", "Running"),
        (pod("Running", RUNNING, init=[{"started": True, "ready": True, **RUNNING}], initSpec=[SIDECAR]), "2/2",
         "Running"),
        (pod("Pending", waiting("PodInitializing"), init=[{"started": False}], initSpec=[SIDECAR]), "0/2", "Init:0/1"),
        (pod("Running", RUNNING, init=[waiting("X")], conditions=[true("Initialized")]), "1/1", "Init:X"),
    ],
)  # fmt: skip
def test_status(obj: dict[str, Any], ready: str, status: str) -> None:
    """The Ready and Status cells for one state of a pod."""
    cells = columns_for(PODS).cells(obj, NOW)
    assert (cells[1], cells[2]) == (ready, status)


def test_restarts() -> None:
    """Restarts are summed over containers and sidecars, not over finished init containers, with the last one's age."""
    last = {"lastState": {"terminated": {"finishedAt": "2026-01-01T00:57:00Z"}}}
    older = {"lastState": {"terminated": {"finishedAt": "2026-01-01T00:10:00Z"}}}
    obj = pod(
        "Running",
        {**RUNNING, "restartCount": 2, **last},
        {**RUNNING, "restartCount": 1, **older},
        init=[{**ended(0), "restartCount": 7}, {"restartCount": 1, "started": True}],
        initSpec=[{}, SIDECAR],
    )
    assert columns_for(PODS).cells(obj, NOW)[3] == "4 (3m ago)"
    assert columns_for(PODS).cells(pod("Running", {**RUNNING, "restartCount": 2}), NOW)[3] == "2"
    held_up = pod("Pending", init=[{**waiting("CrashLoopBackOff"), "restartCount": 5}])
    assert columns_for(PODS).cells(held_up, NOW)[3] == "5"


def test_wide_cells() -> None:
    """Age, addresses, node and readiness gates, and what stands for their absence."""
    obj = pod("Running", RUNNING, conditions=[true("a")])
    assert columns_for(PODS).cells(obj, NOW)[4:] == ["5m", "<none>", "<none>", "<none>", "<none>"]
    obj["spec"] |= {"nodeName": "n", "readinessGates": [{"conditionType": "a"}, {"conditionType": "b"}]}
    obj["status"] |= {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "nominatedNodeName": "m"}
    assert columns_for(PODS).cells(obj, NOW)[5:] == ["10.0.0.1", "n", "m", "1/2"]


@pytest.mark.parametrize(
    ("phase", "conditions"),
    [
        ("Running", []),
        ("Succeeded", [("Completed", "True", "Succeeded", "The pod has completed successfully.")]),
        ("Failed", [("Completed", "True", "Failed", "The pod failed.")]),
    ],
)
def test_row_conditions(phase: str, conditions: list[tuple[str, ...]]) -> None:
    """A finished pod's row says so."""
    rows = columns_for(PODS).conditions(pod(phase))
    assert [(c["type"], c["status"], c["reason"], c["message"]) for c in rows] == conditions
