"""The pod conditions that a kubelet owns, with upstream's reasons and messages.

From pkg/kubelet/status/generate.go. Conditions of others (readiness gates, DisruptionTarget) are read, never written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minik8s.api.pods import is_sidecar
from minik8s.api.restart import may_start_over
from minik8s.kubelet.phase import init_done
from minik8s.machinery.meta import Doc, Obj, find_condition, transition_time

_ENDED = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}

Verdict = tuple[bool, str, str]
"""Status, reason, message."""


def pod_conditions(
    pod: Doc,
    statuses: Mapping[str, Doc],
    *,
    phase: str,
    sandbox_ready: bool,
    initialized: bool,
    restarting: bool = False,
) -> list[Obj]:
    """The conditions in their usual order, without transition times (see `with_times`)."""
    ready = containers_ready(pod["spec"], statuses, phase)
    verdicts: dict[str, Verdict] = {
        "PodReadyToStartContainers": (sandbox_ready, "", ""),
        "Initialized": _initialized(pod["spec"], statuses, phase, initialized),
        "Ready": pod_ready(pod, ready),
        "ContainersReady": ready,
        "PodScheduled": (True, "", ""),
    }
    if may_start_over(pod["spec"]):
        verdicts["AllContainersRestarting"] = _restarting(phase, restarting)
    generation = pod["metadata"].get("generation")
    return [_condition(type_, verdict, generation) for type_, verdict in verdicts.items()]


def with_times(conditions: Iterable[Doc], previous: Iterable[Doc] | None, now: str) -> list[Obj]:
    """Each condition with the lastTransitionTime of the previous one of its type, or `now` if its status moved."""
    before = {condition["type"]: condition for condition in previous or ()}
    return [
        {**condition, "lastTransitionTime": transition_time(before.get(condition["type"]), condition["status"], now)}
        for condition in conditions
    ]


def containers_ready(spec: Doc, statuses: Mapping[str, Doc], phase: str) -> Verdict:
    """ContainersReady: every app container and sidecar is ready."""
    names = [c["name"] for c in spec.get("initContainers") or () if is_sidecar(c)]
    names += [c["name"] for c in spec["containers"]]
    unknown = [name for name in names if name not in statuses]
    if phase == "Succeeded" and not unknown:
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    unready = [name for name in names if name in statuses and not statuses[name].get("ready")]
    return _verdict("ContainersNotReady", unknown, f"containers with unready status: {_shown(unready)}", unready)


def pod_ready(pod: Doc, ready: Verdict) -> Verdict:
    """Ready: ContainersReady, and every readiness gate's condition is True."""
    if not ready[0]:
        return ready
    messages = []
    for gate in pod["spec"].get("readinessGates") or ():
        type_ = gate["conditionType"]
        condition = find_condition((pod.get("status") or {}).get("conditions"), type_)
        if condition is None:
            messages.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif condition["status"] != "True":
            messages.append(f'the status of pod readiness gate "{type_}" is not "True", but {condition["status"]}')
    return (False, "ReadinessGatesNotReady", ", ".join(messages)) if messages else (True, "", "")


def _initialized(spec: Doc, statuses: Mapping[str, Doc], phase: str, initialized: bool) -> Verdict:
    inits = spec.get("initContainers") or ()
    unknown = [c["name"] for c in inits if c["name"] not in statuses]
    if phase == "Succeeded" and not unknown:
        return True, "PodCompleted", ""
    if initialized:
        return True, "", ""
    undone = [c["name"] for c in inits if c["name"] in statuses and not init_done(c, statuses[c["name"]])]
    message = f"containers with incomplete status: {_shown(undone)}"
    return _verdict("ContainersNotInitialized", unknown, message, undone)


def _restarting(phase: str, restarting: bool) -> Verdict:
    """Only pods whose rules can have all containers restarted say whether that is being done."""
    if phase in _ENDED:
        return False, _ENDED[phase], ""
    started = "RestartAllContainersStarted", "container exited with restart policy rule"
    return (True, *started) if restarting else (False, "", "")


def _verdict(reason: str, unknown: list[str], message: str, bad: list[str]) -> Verdict:
    messages = [f"containers with unknown status: {_shown(unknown)}"] if unknown else []
    messages += [message] if bad else []
    return (False, reason, ", ".join(messages)) if messages else (True, "", "")


def _shown(names: list[str]) -> str:
    return f"[{' '.join(names)}]"


def _condition(type_: str, verdict: Verdict, generation: int | None) -> Obj:
    good, reason, message = verdict
    condition: Obj = {"type": type_, "status": "True" if good else "False", "lastProbeTime": None}
    if generation is not None:
        condition["observedGeneration"] = generation
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    return condition
