"""DefaultPreemption: when a pod fits nowhere, find the node where evicting the least makes room for it.

Upstream: `framework/preemption`. Victims have lower priority; as many as possible are spared again, the most important
first; of several nodes the one whose victims matter least is taken. Disruption budgets are not consulted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from minik8s.scheduler.diagnosis import Diagnosis, diagnose
from minik8s.scheduler.framework import Code, CycleState, Nomination, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import Profile, run_filters

_NAME = "DefaultPreemption"
_NOT_HELPFUL = Status(Code.UNRESOLVABLE, ("Preemption is not helpful for scheduling",), _NAME)
_NO_VICTIMS = Status(Code.UNRESOLVABLE, ("No preemption victims found for incoming pod",), _NAME)
_IN_VAIN = Nomination("", ())
MIN_CANDIDATES = 100
MIN_CANDIDATES_PERCENT = 10
"""minCandidateNodesAbsolute and minCandidateNodesPercentage: enough candidates to choose among."""


class DefaultPreemption:
    name = _NAME
    local = True

    def post_filter(
        self,
        pod: PodInfo,
        snapshot: Snapshot,
        profile: Any,
        diagnosis: Diagnosis,
        statuses: Mapping[str, Status],
    ) -> tuple[Nomination | None, str]:
        if why := _ineligible(pod, snapshot):
            return None, f"preemption: {why}"
        if pod.priority <= snapshot.lowest_priority:  # nobody to evict anywhere: no need to look
            return _IN_VAIN, f"preemption: {_nobody(diagnosis).message}"
        verdicts: dict[str, Status] = {}
        candidates = _candidates(pod, snapshot, profile, statuses, verdicts)
        if candidates:
            return min(candidates, key=_harm).nomination, ""
        for node in snapshot.nodes:
            verdicts.setdefault(node.name, _NOT_HELPFUL)
        return _IN_VAIN, f"preemption: {diagnose(len(snapshot.nodes), verdicts).message}"


@attrs.frozen
class Candidate:
    """A node, and whom to evict from it: the most important victim first."""

    node: str
    victims: tuple[PodInfo, ...]

    @property
    def nomination(self) -> Nomination:
        return Nomination(self.node, tuple(victim.doc for victim in self.victims))


def _ineligible(pod: PodInfo, snapshot: Snapshot) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    nominated = snapshot.node((pod.doc.get("status") or {}).get("nominatedNodeName") or "")
    if nominated and any(p.terminating and p.priority < pod.priority for p in nominated.pods.values()):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def _nobody(diagnosis: Diagnosis) -> Diagnosis:
    """What there is to say when no node has a victim."""
    reasons = {
        _NOT_HELPFUL.message: diagnosis.unresolvable,
        _NO_VICTIMS.message: diagnosis.nodes - diagnosis.unresolvable,
    }
    return Diagnosis(diagnosis.nodes, {reason: count for reason, count in reasons.items() if count})


def _candidates(
    pod: PodInfo, snapshot: Snapshot, profile: Profile, statuses: Mapping[str, Status], verdicts: dict[str, Status]
) -> list[Candidate]:
    enough = max(MIN_CANDIDATES, len(snapshot.nodes) * MIN_CANDIDATES_PERCENT // 100)
    found: list[Candidate] = []
    for node in snapshot.nodes:
        status = statuses.get(node.name)
        if status is None or status.code is not Code.UNSCHEDULABLE:
            continue
        result = _victims(pod, node, snapshot, profile)
        if isinstance(result, Status):
            verdicts[node.name] = result
        else:
            found.append(Candidate(node.name, result))
            if len(found) >= enough:
                break
    return found


def _victims(pod: PodInfo, node: NodeInfo, snapshot: Snapshot, profile: Profile) -> tuple[PodInfo, ...] | Status:
    """The pods that must go from this node, or why their going would not help."""
    lesser = [p for p in node.pods.values() if p.priority < pod.priority]
    if not lesser:
        return _NO_VICTIMS
    gone = {p.uid for p in lesser}
    if status := _try(pod, node, gone, snapshot, profile):
        return status
    victims = []
    for candidate in sorted(lesser, key=_importance):
        gone.discard(candidate.uid)
        if _try(pod, node, gone, snapshot, profile):
            gone.add(candidate.uid)
            victims.append(candidate)
    return tuple(victims)


def _try(pod: PodInfo, node: NodeInfo, gone: set[str], snapshot: Snapshot, profile: Profile) -> Status | None:
    """What the filters would say if those pods were gone."""
    copy = node.without(gone)
    state = CycleState()
    prepared = profile.run_pre_filters(state, pod, _Without(snapshot, copy))
    if isinstance(prepared, Status):
        return prepared
    return run_filters(profile.active_filters(state), state, pod, copy)


def _importance(pod: PodInfo) -> tuple[int, str]:
    """Sorts the most important first: higher priority, then longer running."""
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> str:
    return (pod.doc.get("status") or {}).get("startTime") or "9999"


def _harm(candidate: Candidate) -> tuple[int, int, int, tuple[int, ...]]:
    """Smallest wanted: highest victim priority, sum of priorities, number of victims, then the latest started."""
    priorities = [victim.priority for victim in candidate.victims]
    top = max(priorities, default=-(2**31))
    earliest = min((_started(v) for v in candidate.victims if v.priority == top), default="9999")
    return top, sum(p + 2**31 for p in priorities), len(priorities), tuple(-ord(c) for c in earliest)


class _Without:
    """A snapshot in which one node is replaced."""

    def __init__(self, snapshot: Snapshot, node: NodeInfo) -> None:
        self._base = snapshot
        self._node = node
        self.epoch = snapshot.epoch
        self.has_soft_taints = snapshot.has_soft_taints
        self.lowest_priority = snapshot.lowest_priority
        self.image_nodes = snapshot.image_nodes
        self.namespace_labels = snapshot.namespace_labels

    @property
    def nodes(self) -> Sequence[NodeInfo]:
        return [self._node if node.name == self._node.name else node for node in self._base.nodes]

    @property
    def nodes_with_affinity(self) -> Mapping[str, NodeInfo]:
        base = self._base.nodes_with_affinity
        return {**base, self._node.name: self._node} if self._node.name in base else base

    def node(self, name: str) -> NodeInfo | None:
        return self._node if name == self._node.name else self._base.node(name)
