"""Health of nodes and what follows from it, decided without I/O.

Conditions and taints. Numbers and texts are those of upstream's node-lifecycle controller
(`pkg/controller/nodelifecycle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from minik8s.api.nodes import REGION, ZONE
from minik8s.machinery.meta import Doc, Obj, find_condition, labels_of, rfc3339, set_condition

MONITOR_PERIOD = 5.0
GRACE = 50.0
STARTUP_GRACE = 60.0
"""Seconds without a sign of life; the second for nodes that never gave one."""
LEASE_SECONDS = 40
"""A Lease of this duration, which is a kubelet's default, and a quarter more are `GRACE`."""
EVICTION_RATE = 0.1
SECONDARY_RATE = 0.01
"""Nodes per second that may get a NoExecute taint, in a healthy zone and in a large one that is mostly unhealthy."""
UNHEALTHY_SHARE = 0.55
LARGE_ZONE = 50

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
BY_CONDITION: Mapping[tuple[str, str], str] = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
MANAGED = frozenset((*BY_CONDITION.values(), UNSCHEDULABLE))
LOST = frozenset((NOT_READY, UNREACHABLE))
MONITORED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def ready_status(node: Doc) -> str:
    """ "True", "False" or "Unknown"; "" for a node that never said."""
    condition = find_condition((node.get("status") or {}).get("conditions"), "Ready")
    return "" if condition is None else str(condition.get("status", ""))


def zone_of(node: Doc) -> str:
    labels = labels_of(node)
    return f"{labels.get(REGION, '')}/{labels.get(ZONE, '')}"


def heartbeat(node: Doc) -> tuple[str, ...]:
    """What of a node's own report changes with every sign of life."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    return tuple(f"{c.get('type')}={c.get('status')}@{c.get('lastHeartbeatTime', '')}" for c in conditions)


def grace(node: Doc, lease: float = 0) -> float:
    """Seconds of silence after which the node counts as lost.

    Upstream has one number for all, to be set with the kubelets' nodeLeaseDurationSeconds; here a Lease that is good
    for longer says so itself (`lease`, in seconds).
    """
    return max(GRACE if ready_status(node) else STARTUP_GRACE, patience(lease))


def patience(lease: float) -> float:
    """The least of these seconds for any node whose Lease is good for so long."""
    return max(GRACE, lease * GRACE / LEASE_SECONDS)


def lost_conditions(node: Doc, now: datetime) -> list[Obj]:
    """The conditions of a node that has stopped reporting: everything it used to say is unknown."""
    old = (node.get("status") or {}).get("conditions") or ()
    result = [dict(condition) for condition in old]
    for type_ in MONITORED:
        present = find_condition(old, type_)
        if present is not None and present.get("status") == "Unknown":
            continue
        new: Obj = {"type": type_, "status": "Unknown", "lastTransitionTime": rfc3339(now)}
        if present is None:
            new |= {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}
            new["lastHeartbeatTime"] = node["metadata"].get("creationTimestamp", rfc3339(now))
        else:
            new |= {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
        result = set_condition(result, new, rfc3339(now))
    return result


def desired_taints(node: Doc, *, execute: bool, now: datetime) -> list[Obj]:
    """All taints of a node after this pass: foreign ones as they are, ours by its conditions.

    `execute` says whether a node that is lost may (still) drive its pods away.
    """
    wanted = _by_condition(node)
    if node["spec"].get("unschedulable"):
        wanted.add((UNSCHEDULABLE, "NoSchedule"))
    if execute:
        wanted |= {(key, "NoExecute") for key, _ in wanted if key in LOST}
    result = []
    for taint in node["spec"].get("taints") or ():
        pair = (taint["key"], taint["effect"])
        if not _is_ours(*pair) or pair in wanted:
            result.append(dict(taint))
            wanted.discard(pair)
    added = sorted(wanted)
    return result + [{"key": key, "effect": effect, "timeAdded": rfc3339(now)} for key, effect in added]


def executes(node: Doc) -> bool:
    """Whether we already drive the pods of this node away."""
    taints = node["spec"].get("taints") or ()
    return any(taint["key"] in LOST and taint["effect"] == "NoExecute" for taint in taints)


def _by_condition(node: Doc) -> set[tuple[str, str]]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    keys = (BY_CONDITION.get((c.get("type", ""), c.get("status", ""))) for c in conditions)
    return {(key, "NoSchedule") for key in keys if key}


def _is_ours(key: str, effect: str) -> bool:
    return (effect == "NoSchedule" and key in MANAGED) or (effect == "NoExecute" and key in LOST)


@attrs.define
class Zone:
    """How many nodes of a zone are ready and how many are not, and the budget for new NoExecute taints there."""

    ready: int = 0
    lost: int = 0
    tokens: float = 1.0
    filled: float = 0.0

    @property
    def is_down(self) -> bool:
        return self.lost > 0 and self.ready == 0

    @property
    def rate(self) -> float:
        """Nodes per second; a zone that is wholly down is treated as a healthy one, for the others are not."""
        nodes = self.ready + self.lost
        if self.lost > 2 and not self.is_down and self.lost / nodes >= UNHEALTHY_SHARE:
            return SECONDARY_RATE if nodes > LARGE_ZONE else 0.0
        return EVICTION_RATE

    def take(self, now: float) -> bool:
        """Uses up one taint's worth of the budget, if there is that much; `now` in monotonic seconds."""
        rate = self.rate
        self.tokens = min(1.0, self.tokens + (now - self.filled) * rate)
        self.filled = now
        if rate <= 0 or self.tokens < 1 - 1e-9:
            return False
        self.tokens -= 1
        return True


def all_down(zones: Iterable[Zone]) -> bool:
    """Whether no zone has a ready node: then it is rather we who are cut off, and nobody is evicted."""
    inhabited = [zone for zone in zones if zone.ready or zone.lost]
    return bool(inhabited) and all(zone.is_down for zone in inhabited)
