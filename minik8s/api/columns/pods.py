"""Columns of Pod and PodTemplate.

A pod's Status column is the one place where kubectl's users see why a pod does not run, so its algorithm follows
upstream's `printPod` step by step.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.meta import Doc, Obj, find_condition, is_condition_true, is_terminating, name_of


@attrs.define
class _Summary:
    """What the containers of a pod amount to."""

    reason: str
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, status: Doc) -> None:
        """Adds a container's restarts; `last_restart` keeps the latest end of an earlier run."""
        self.restarts += status.get("restartCount") or 0
        finished = dig(status, "lastState", "terminated", "finishedAt", default="")
        self.last_restart = max(self.last_restart, finished)  # RFC 3339 in UTC sorts as text


def _restartable(spec: Doc) -> dict[str, bool]:
    return {c["name"]: c.get("restartPolicy") == "Always" for c in spec.get("initContainers") or ()}


def _ended(terminated: Doc) -> str:
    """Why a container ended, in one word."""
    if reason := terminated.get("reason"):
        return str(reason)
    signal = terminated.get("signal")
    return f"Signal:{signal}" if signal else f"ExitCode:{terminated.get('exitCode', 0)}"


def summarize(pod: Doc) -> _Summary:
    """The Status word, the ready containers and the restarts of a pod."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    summary = _Summary(status.get("reason") or status.get("phase") or "")
    scheduled = find_condition(status.get("conditions"), "PodScheduled")
    if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
        summary.reason = "SchedulingGated"
    sidecars = _Summary("")
    initializing = _initializing(spec, status, summary, sidecars)
    if not initializing or is_condition_true(pod, "Initialized"):
        summary.restarts, summary.last_restart = sidecars.restarts, sidecars.last_restart
        _running(pod, summary)
    if is_terminating(pod):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            summary.reason = "Terminating"
    return summary


def _initializing(spec: Doc, status: Doc, summary: _Summary, sidecars: _Summary) -> bool:
    """Walks the init containers; whether one of them still holds the pod up, and how, in the reason."""
    restartable = _restartable(spec)
    for index, container in enumerate(status.get("initContainerStatuses") or ()):
        summary.count(container)
        sidecar = restartable.get(container.get("name", ""), False)
        if sidecar:
            sidecars.count(container)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), dig(state, "waiting", "reason")
        if terminated is not None and not terminated.get("exitCode"):
            continue
        if sidecar and container.get("started"):
            summary.ready += bool(container.get("ready"))
            continue
        if terminated is not None:
            summary.reason = f"Init:{_ended(terminated)}"
        elif waiting and waiting != "PodInitializing":
            summary.reason = f"Init:{waiting}"
        else:
            summary.reason = f"Init:{index}/{len(restartable)}"
        return True
    return False


def _running(pod: Doc, summary: _Summary) -> None:
    """Walks the containers from last to first: the first one that has something to say wins."""
    has_running, error = False, ""
    for container in reversed(dig(pod, "status", "containerStatuses", default=())):
        summary.count(container)
        state = container.get("state") or {}
        terminated = state.get("terminated")
        if waiting := dig(state, "waiting", "reason"):
            summary.reason = waiting
        elif terminated is not None:
            summary.reason = _ended(terminated)
            if terminated.get("exitCode"):
                error = summary.reason
        elif container.get("ready") and state.get("running") is not None:
            has_running = True
            summary.ready += 1
    if summary.reason == "Completed":
        if has_running and is_condition_true(pod, "Ready"):
            summary.reason = "Running"
        elif error or has_running:
            summary.reason = error or "NotReady"


def _gates(pod: Doc) -> str:
    gates = dig(pod, "spec", "readinessGates", default=())
    true = sum(is_condition_true(pod, gate.get("conditionType", "")) for gate in gates)
    return f"{true}/{len(gates)}" if gates else NONE


def _pod(obj: Doc, now: datetime) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    summary = summarize(obj)
    total = len(spec.get("containers") or ()) + sum(_restartable(spec).values())
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts = f"{restarts} ({render.since(summary.last_restart, now)} ago)"
    ips = status.get("podIPs")
    return [
        name_of(obj), f"{summary.ready}/{total}", summary.reason, restarts, age(obj, now),
        (ips[0].get("ip") if ips else "") or status.get("podIP") or NONE,
        spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE, _gates(obj),
    ]  # fmt: skip


_FINISHED = {
    "Succeeded": "The pod has completed successfully.",
    "Failed": "The pod failed.",
}


def _pod_conditions(obj: Doc) -> list[Obj]:
    phase = dig(obj, "status", "phase", default="")
    if phase not in _FINISHED:
        return []
    return [{"type": "Completed", "status": "True", "reason": phase, "message": _FINISHED[phase]}]


def _template(obj: Doc, now: datetime) -> list[Any]:
    pod_spec = dig(obj, "template", "spec")
    pod_labels = render.labels(dig(obj, "template", "metadata", "labels"))
    return [name_of(obj), render.containers(pod_spec), render.images(pod_spec), pod_labels]


COLUMNS = {
    ("", "Pod"): columns(
        "Name:s/name, Ready:s, Status:s, Restarts:s, Age:s, IP:s+, Node:s+, Nominated Node:s+, Readiness Gates:s+",
        _pod,
        _pod_conditions,
    ),
    ("", "PodTemplate"): columns("Name:s/name, Containers:s, Images:s, Pod Labels:s", _template),
}
