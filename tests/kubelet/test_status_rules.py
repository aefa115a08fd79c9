"""Phase, conditions, container statuses and the status patch as tables."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import PODS
from minik8s.kubelet.conditions import pod_conditions, with_times
from minik8s.kubelet.container_status import ContainerRecord, container_status, record_of
from minik8s.kubelet.phase import by_name, has_initialized, pod_phase
from minik8s.kubelet.pod_status import PodView, pod_status, status_patch
from minik8s.machinery.patch.strategic import apply_strategic

DIED = {"terminated": {"exitCode": 1}}
STATES: dict[str, dict[str, Any]] = {
    "new": {"state": {"waiting": {"reason": "ContainerCreating"}}},
    "up": {"state": {"running": {}}, "started": True, "ready": True},
    "starting": {"state": {"running": {}}, "started": False},
    "ok": {"state": {"terminated": {"exitCode": 0}}, "ready": True},
    "bad": {"state": DIED},
    "loop": {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": DIED},
}


def phase_of(policy: str, states: dict[str, str], *, ended: bool = False) -> str:
    """Names starting with i are init containers, with s sidecars, the others apps."""
    inits = [{"name": n, **({"restartPolicy": "Always"} if n.startswith("s") else {})} for n in states if n[0] in "is"]
    spec = {"restartPolicy": policy, "initContainers": inits}
    spec["containers"] = [{"name": n} for n in states if n[0] not in "is"]
    statuses = by_name([{"name": name, **STATES[state]} for name, state in states.items()])
    return pod_phase(spec, statuses, ended=ended, initialized=has_initialized(spec, statuses))


@pytest.mark.parametrize(
    ("policy", "states", "phase"),
    [
        ("Always", {"c": "new"}, "Pending"),
        ("Always", {"c": "up"}, "Running"),
        ("Always", {"c": "up", "d": "new"}, "Pending"),
        ("Always", {"c": "up", "d": "loop"}, "Running"),
        ("Always", {"c": "loop"}, "Running"),
        ("Always", {"c": "ok"}, "Running"),
        ("OnFailure", {"c": "ok"}, "Succeeded"),
        ("OnFailure", {"c": "bad"}, "Running"),
        ("OnFailure", {"c": "ok", "d": "bad"}, "Running"),
        ("Never", {"c": "bad"}, "Failed"),
        ("Never", {"c": "ok", "d": "bad"}, "Failed"),
        ("Never", {"c": "ok", "d": "up"}, "Running"),
        ("Never", {"c": "ok"}, "Succeeded"),
        ("Always", {"i": "up", "c": "new"}, "Pending"),
        ("Always", {"i": "loop", "c": "new"}, "Pending"),
        ("Never", {"i": "bad", "c": "new"}, "Failed"),
        ("OnFailure", {"i": "bad", "c": "new"}, "Pending"),
        ("Always", {"i": "ok", "c": "up"}, "Running"),
        ("Always", {"s": "starting", "c": "new"}, "Pending"),
        ("Always", {"s": "loop", "c": "up"}, "Running"),
        ("Never", {"s": "up", "c": "ok"}, "Running"),
        ("Never", {"s": "ok", "c": "ok"}, "Succeeded"),
    ],
)
def test_phase(policy: str, states: dict[str, str], phase: str) -> None:
    """The phase of every combination that upstream's table names."""
    assert phase_of(policy, states) == phase


@pytest.mark.parametrize(
    ("states", "phase"), [({"c": "ok"}, "Succeeded"), ({"c": "bad"}, "Failed"), ({"c": "ok", "d": "bad"}, "Failed")]
)
def test_phase_of_an_ended_pod(states: dict[str, str], phase: str) -> None:
    """When nothing will be started again, exit codes alone decide, whatever the policy."""
    assert phase_of("Always", states, ended=True) == phase


def conditions_of(states: dict[str, str], phase: str = "Running", **pod: Any) -> dict[str, Any]:
    statuses = by_name([{"name": name, **STATES[state]} for name, state in states.items()])
    spec = {
        "initContainers": [{"name": n} for n in states if n[0] == "i"],
        "containers": [{"name": n} for n in states if n[0] != "i"],
        **pod.pop("spec", {}),
    }
    made = pod_conditions(
        {"metadata": {"generation": 3}, "spec": spec, **pod},
        statuses,
        phase=phase,
        sandbox_ready=True,
        initialized=has_initialized(spec, statuses),
    )
    return {c["type"]: (c["status"], c.get("reason", ""), c.get("message", "")) for c in made}


GATES = {"spec": {"readinessGates": [{"conditionType": "x/gate"}]}}
NO_GATE = 'corresponding condition of pod readiness gate "x/gate" does not exist.'


@pytest.mark.parametrize(
    ("states", "phase", "type_", "expected"),
    [
        ({"c": "up"}, "Running", "Ready", ("True", "", "")),
        (
            {"c": "new", "d": "up"},
            "Pending",
            "Ready",
            ("False", "ContainersNotReady", "containers with unready status: [c]"),
        ),
        ({"c": "ok"}, "Succeeded", "Ready", ("False", "PodCompleted", "")),
        ({"c": "bad"}, "Failed", "ContainersReady", ("False", "PodFailed", "")),
        ({"c": "ok"}, "Succeeded", "Initialized", ("True", "PodCompleted", "")),
        (
            {"i1": "ok", "i2": "new", "c": "new"},
            "Pending",
            "Initialized",
            ("False", "ContainersNotInitialized", "containers with incomplete status: [i2]"),
        ),
        ({"i1": "new", "c": "up"}, "Running", "Initialized", ("True", "", "")),
    ],
)
def test_conditions(states: dict[str, str], phase: str, type_: str, expected: tuple[str, str, str]) -> None:
    """Reasons and messages are upstream's."""
    assert conditions_of(states, phase)[type_] == expected


def test_readiness_gates() -> None:
    """A pod with gates is ready only when each gate's condition is True."""
    assert conditions_of({"c": "up"}, **GATES)["Ready"] == ("False", "ReadinessGatesNotReady", NO_GATE)
    no = {"conditions": [{"type": "x/gate", "status": "False"}]}
    text = 'the status of pod readiness gate "x/gate" is not "True", but False'
    assert conditions_of({"c": "up"}, status=no, **GATES)["Ready"] == ("False", "ReadinessGatesNotReady", text)
    yes = {"conditions": [{"type": "x/gate", "status": "True"}]}
    assert conditions_of({"c": "up"}, status=yes, **GATES)["Ready"][0] == "True"


def test_transition_times() -> None:
    """lastTransitionTime moves only when the status does."""
    before = [{"type": "Ready", "status": "True", "lastTransitionTime": "then"}]
    same = with_times([{"type": "Ready", "status": "True", "reason": "new"}], before, "now")
    moved = with_times([{"type": "Ready", "status": "False"}], before, "now")
    assert (same[0]["lastTransitionTime"], moved[0]["lastTransitionTime"]) == ("then", "now")


def test_container_states() -> None:
    """Waiting shows the last exit as lastState; a final exit shows the one before."""
    record = ContainerRecord("c", "app")
    container = {"name": "c", "image": "i"}
    assert container_status(container, record, "ContainerCreating")["state"] == {
        "waiting": {"reason": "ContainerCreating"}
    }
    for code in (1, 2, 3):
        record.end({"exitCode": code})
    ended = container_status(container, record, "")
    assert (ended["state"], ended["lastState"]) == (
        {"terminated": {"exitCode": 3}},
        {"terminated": {"exitCode": 2}},
    )
    record.wait("CrashLoopBackOff", "m")
    waiting = container_status(container, record, "")
    assert waiting["state"] == {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}
    assert waiting["lastState"] == {"terminated": {"exitCode": 3}}
    record.settle()
    assert container_status(container, record, "")["state"] == {"terminated": {"exitCode": 3}}


def test_an_earlier_life() -> None:
    """What ran when the last kubelet died is lost with 137; counts and completed exits stay."""
    status = {"name": "c", "state": {"running": {}}, "lastState": DIED, "restartCount": 4, "containerID": "r://x"}
    lost = record_of({"name": "c"}, "app", status)
    assert (lost.exit_code, lost.restart_count, lost.exits[0]) == (137, 4, {"exitCode": 1})
    done = record_of({"name": "i"}, "init", {"name": "i", "state": {"terminated": {"exitCode": 0}}})
    assert done.ready
    assert record_of({"name": "c"}, "app", None).exits == ()


POD: dict[str, Any] = {
    "metadata": {"name": "p", "uid": "u", "generation": 2},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]},
    "status": {"phase": "Pending", "qosClass": "BestEffort"},
}


def view(record: ContainerRecord, **options: Any) -> PodView:
    return PodView(pod=POD, records={"c": record}, start_time="t", host_ip="10.0.0.1", **options)


def test_terminal_only_when_nothing_runs() -> None:
    """A pod keeps its phase until its containers are gone, and a terminal phase for ever."""
    record = ContainerRecord("c", "app")
    record.end({"exitCode": 0})
    assert pod_status(view(record), {"phase": "Running"}, "now")["phase"] == "Running"
    assert pod_status(view(record, ended=True), {"phase": "Running"}, "now")["phase"] == "Succeeded"
    assert pod_status(view(record, ended=True), {"phase": "Failed"}, "now")["phase"] == "Failed"


def test_failure_of_the_pod_as_a_whole() -> None:
    """A deadline or an eviction makes the pod Failed although its containers ended well."""
    record = ContainerRecord("c", "app")
    record.end({"exitCode": 0})
    status = pod_status(view(record, ended=True, failure=("DeadlineExceeded", "late")), {}, "now")
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "late")


def test_status_patch() -> None:
    """The patch brings the API's status to the wanted one, leaves others' conditions, and then has nothing to say."""
    gate = {"type": "x/gate", "status": "True"}
    old = {**POD, "status": {**POD["status"], "message": "old", "conditions": [gate]}}
    record = ContainerRecord("c", "app")
    desired = pod_status(view(record, pod_ips=("10.1.0.2",)), {}, "2026-01-01T00:00:00Z")
    patch = status_patch(old, desired)
    assert patch is not None
    assert patch["metadata"] == {"uid": "u"}
    assert patch["status"]["message"] is None
    new = apply_strategic(old, patch, PODS.type)
    assert [c["type"] for c in new["status"]["conditions"]] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
        "x/gate",
    ]
    assert new["status"]["qosClass"] == "BestEffort"
    assert new["status"]["podIPs"] == [{"ip": "10.1.0.2"}]
    assert "message" not in new["status"]
    assert status_patch(new, desired) is None


def test_changed_addresses_replace_the_old_ones() -> None:
    """podIPs merge by address in a strategic merge patch, so a new sandbox's address must replace the list."""
    record = ContainerRecord("c", "app")
    old = {**POD, "status": {"podIPs": [{"ip": "10.1.0.1"}]}}
    patch = status_patch(old, pod_status(view(record, pod_ips=("10.1.0.2",)), {}, "2026-01-01T00:00:00Z"))
    assert patch is not None
    assert apply_strategic(old, patch, PODS.type)["status"]["podIPs"] == [{"ip": "10.1.0.2"}]
