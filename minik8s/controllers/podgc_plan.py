"""Which pods nobody will ever finish, decided without I/O.

Numbers and texts are those of upstream's pod garbage collector (`pkg/controller/podgc/gc_controller.go`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from minik8s.api.pods import disruption_target, is_terminal
from minik8s.machinery.meta import Doc, Obj, is_condition_true, is_terminating, name_of, namespace_of

PERIOD = 20.0
QUARANTINE = 40.0
"""Seconds a node must have been missing before its pods are given up."""
TERMINATED_THRESHOLD = 12500
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


def index(pod: Doc) -> tuple[str, ...]:
    """Index values of pods that may have to be collected: few, in a cluster that is well."""
    if is_terminal(pod):
        return ("finished",)
    if is_terminating(pod) and not pod["spec"].get("nodeName"):
        return ("unscheduled",)
    return ()


def surplus(finished: Sequence[Doc], threshold: int = TERMINATED_THRESHOLD) -> list[Doc]:
    """The oldest of the finished pods beyond the threshold, evicted ones first: those nobody waits for."""
    excess = len(finished) - threshold
    if excess <= 0:
        return []
    return sorted(finished, key=_worth)[:excess]


def _worth(pod: Doc) -> tuple[bool, str, str, str]:
    status = pod.get("status") or {}
    evicted = status.get("phase") == "Failed" and status.get("reason") == "Evicted"
    return not evicted, pod["metadata"]["creationTimestamp"], namespace_of(pod), name_of(pod)


def is_out_of_service(node: Doc) -> bool:
    """Whether somebody declared the node dead (the taint) and it is not Ready."""
    taints = node["spec"].get("taints") or ()
    return any(taint["key"] == OUT_OF_SERVICE for taint in taints) and not is_condition_true(node, "Ready")


def stranded(pods: Iterable[Doc]) -> list[Doc]:
    """Of the pods on a node that is out of service, those whose deletion waits for it."""
    return [pod for pod in pods if is_terminating(pod)]


def failed_status(pod: Doc, message: str, now: datetime) -> Obj | None:
    """A status patch (strategic) that ends the pod and, with a message, says why; None when it has ended already."""
    if is_terminal(pod):
        return None
    status: Obj = {"phase": "Failed"}
    if message:
        status["conditions"] = [disruption_target("DeletionByPodGC", message, now)]
    return {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
