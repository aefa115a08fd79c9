"""PodTopologySpread: matching pods are spread evenly over zones, hosts or whatever a label divides nodes into.

DoNotSchedule constraints are conditions, ScheduleAnyway ones give points. Upstream's built-in default constraints for
pods of Services and workloads are left out: they would tie every replica's verdict to all other nodes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from minik8s.api.scheduling import RequiredNodeAffinity, untolerated
from minik8s.machinery.meta import Doc
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.framework import (
    MAX_SCORE,
    SKIP,
    Code,
    CycleState,
    Event,
    PreFilterResult,
    Snapshot,
    Status,
)
from minik8s.scheduler.info import NodeInfo, PodInfo

_NAME = "PodTopologySpread"
_REASON = "node(s) didn't match pod topology spread constraints"
_SKEWED = Status(Code.UNSCHEDULABLE, (_REASON,), _NAME)
_UNLABELLED = Status(Code.UNRESOLVABLE, (f"{_REASON} (missing required label)",), _NAME)
_SOFT = "PodTopologySpread/soft"


@attrs.define(eq=False)
class Constraint:
    """One topologySpreadConstraint; `counts` has the matching pods of each topology value,
    `fewest` the smallest of them (0 while there are fewer than minDomains values)."""

    key: str
    max_skew: int
    min_domains: int
    selector: LabelSelector
    honor_affinity: bool
    honor_taints: bool
    matches_self: bool
    counts: Counter[str] = attrs.field(factory=Counter)
    fewest: int = 0
    weight: float = 0.0

    @classmethod
    def of(cls, doc: Doc, pod: PodInfo) -> Constraint:
        selector = LabelSelector.from_object(doc.get("labelSelector"))
        keys = {k: pod.labels[k] for k in doc.get("matchLabelKeys") or () if k in pod.labels}
        if keys:
            own = LabelSelector.from_map(keys)
            selector = attrs.evolve(selector, requirements=(*selector.requirements, *own.requirements))
        return cls(
            doc.get("topologyKey", ""),
            doc.get("maxSkew", 1),
            doc.get("minDomains") or 1,
            selector,
            (doc.get("nodeAffinityPolicy") or "Honor") == "Honor",
            doc.get("nodeTaintsPolicy") == "Honor",
            selector.matches(pod.labels),
        )

    def includes(self, node: NodeInfo, affinity: RequiredNodeAffinity, tolerations: Sequence[Doc]) -> bool:
        """Whether the node counts at all, by the constraint's inclusion policies."""
        if self.honor_affinity and not affinity.matches(node.name, node.labels):
            return False
        return not self.honor_taints or untolerated(node.taints, tolerations) is None

    def skew(self, value: str) -> int:
        """The skew if the pod came to that topology value."""
        return self.counts[value] + self.matches_self - self.fewest


class PodTopologySpread:
    name = _NAME
    local = False
    events = Event.NODE | Event.POD_ADD | Event.POD_LABEL | Event.POD_DELETE

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        constraints = _constraints(pod, "DoNotSchedule")
        if not constraints:
            return SKIP
        _count(constraints, pod, snapshot.nodes)
        state.data[_NAME] = constraints
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        constraints: list[Constraint] = state.data[_NAME]
        for constraint in constraints:
            value = node.labels.get(constraint.key)
            if value is None:
                return _UNLABELLED
            if constraint.skew(value) > constraint.max_skew:
                return _SKEWED
        return None

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        constraints = _constraints(pod, "ScheduleAnyway")
        if not constraints:
            return SKIP
        _count(constraints, pod, snapshot.nodes)
        eligible = [node for node in nodes if _has_keys(node, constraints)]
        for constraint in constraints:
            values = {node.labels[constraint.key] for node in eligible}
            constraint.weight = math.log(len(values) + 2)
        state.data[_SOFT] = constraints, {node.name for node in eligible}
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Weighted number of matching pods; nodes without the labels are left out of the comparison."""
        constraints, eligible = state.data[_SOFT]
        if node.name not in eligible:
            return 0
        return round(sum(c.counts[node.labels[c.key]] * c.weight + c.max_skew - 1 for c in constraints))

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        """Fewest pods best; nodes without the labels get nothing."""
        eligible: set[str] = state.data[_SOFT][1]
        considered = [score for node, score in scores.items() if node in eligible]
        least, most = min(considered, default=0), max(considered, default=0)
        for node, score in scores.items():
            if node not in eligible:
                scores[node] = 0
            else:
                scores[node] = MAX_SCORE * (most + least - score) // most if most else MAX_SCORE

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """Nodes may open a domain; pods matter when a constraint counts them."""
        if isinstance(subject, NodeInfo):
            return True
        constraints = _constraints(pod, "DoNotSchedule")
        counted = any(c.selector.matches(subject.labels) for c in constraints)
        return subject.namespace == pod.namespace and (counted or event == Event.POD_LABEL)


def _constraints(pod: PodInfo, when: str) -> list[Constraint]:
    docs: Iterable[Any] = pod.spec.get("topologySpreadConstraints") or ()
    return [Constraint.of(d, pod) for d in docs if d.get("whenUnsatisfiable") == when]


def _has_keys(node: NodeInfo, constraints: Sequence[Constraint]) -> bool:
    return all(c.key in node.labels for c in constraints)


def _count(constraints: Sequence[Constraint], pod: PodInfo, nodes: Sequence[NodeInfo]) -> None:
    """Fills in `counts`, with a zero for every value that has no matching pod."""
    affinity, tolerations = RequiredNodeAffinity.of(pod.spec), pod.spec.get("tolerations") or ()
    for node in nodes:
        if not _has_keys(node, constraints):
            continue
        for constraint in constraints:
            if constraint.includes(node, affinity, tolerations):
                constraint.counts[node.labels[constraint.key]] += sum(
                    other.namespace == pod.namespace
                    and not other.terminating
                    and constraint.selector.matches(other.labels)
                    for other in node.pods.values()
                )
    for constraint in constraints:
        if len(constraint.counts) >= constraint.min_domains:
            constraint.fewest = min(constraint.counts.values())
