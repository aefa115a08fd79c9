"""NodeAffinity: nodeSelector and required node affinity are conditions, preferred node affinity gives points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik8s.api.scheduling import NodeSelectorTerm, RequiredNodeAffinity
from minik8s.machinery.meta import Doc
from minik8s.scheduler.framework import (
    SKIP,
    Code,
    CycleState,
    Event,
    PreFilterResult,
    Snapshot,
    Status,
    normalize_by_max,
)
from minik8s.scheduler.info import NodeInfo, PodInfo

_NO_MATCH = Status(Code.UNRESOLVABLE, ("node(s) didn't match Pod's node affinity/selector",), "NodeAffinity")
_NOT_ADDED = Status(Code.UNRESOLVABLE, ("node(s) didn't match scheduler-enforced node affinity",), "NodeAffinity")
_CONFLICT = Status(Code.UNRESOLVABLE, ("pod affinity terms conflict",), "NodeAffinity")
_WISHES = "NodeAffinity/preferred"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


class NodeAffinity:
    """`added` is a nodeAffinity that every pod of the profile has beside its own (NodeAffinityArgs.addedAffinity)."""

    name = "NodeAffinity"
    local = True
    by_value = True
    events = Event.NODE_ADD | Event.NODE_LABEL

    def __init__(self, added: Doc | None = None) -> None:
        self._added = RequiredNodeAffinity.of({"affinity": {"nodeAffinity": added}}) if added else None
        self._added_wishes = _wishes(added or {})

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        """Terms that all name their nodes (daemon set pods) leave only those to look at."""
        affinity = RequiredNodeAffinity.of(pod.spec)
        if not affinity and not self._added:
            return SKIP
        state.data[self.name] = affinity
        if not affinity.terms:
            return None
        names: frozenset[str] = frozenset()
        for term in affinity.terms:
            if term.names is None:
                return None
            names |= term.names
        return names or _CONFLICT

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        affinity: RequiredNodeAffinity = state.data[self.name]
        if self._added and not self._added.matches(node.name, node.labels):
            return _NOT_ADDED
        return None if affinity.matches(node.name, node.labels) else _NO_MATCH

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        wishes = [*_wishes((pod.spec.get("affinity") or {}).get("nodeAffinity") or {}), *self._added_wishes]
        if not wishes:
            return SKIP
        state.data[_WISHES] = wishes
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """The sum of the weights of the preferred terms that the node meets."""
        return sum(weight for weight, term in state.data[_WISHES] if term.matches(node.name, node.labels))

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        normalize_by_max(scores)

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        if not isinstance(subject, NodeInfo):
            return False
        if self._added and not self._added.matches(subject.name, subject.labels):
            return False
        return RequiredNodeAffinity.of(pod.spec).matches(subject.name, subject.labels)


def _wishes(affinity: Doc) -> list[tuple[int, NodeSelectorTerm]]:
    """Weights and terms; a term without conditions means no node."""
    preferred: Sequence[Any] = affinity.get(_PREFERRED) or ()
    return [(wish.get("weight", 0), NodeSelectorTerm.of(wish.get("preference") or {})) for wish in preferred]
