"""PodTopologySpread: matching pods are spread evenly over zones, hosts or whatever a label divides nodes into.

DoNotSchedule constraints are conditions, ScheduleAnyway ones give points. A pod without constraints of its own that
belongs to a Service or a workload gets default ones (`defaults`): upstream's, or those of the configuration. What the
domains hold is kept in tallies, see `scheduler.tally`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import attrs
import orjson

from minik8s.api.nodes import HOSTNAME, ZONE
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
from minik8s.scheduler.tally import Domains, SpreadTally

_NAME = "PodTopologySpread"
_REASON = "node(s) didn't match pod topology spread constraints"
_SKEWED = Status(Code.UNSCHEDULABLE, (_REASON,), _NAME)
_UNLABELLED = Status(Code.UNRESOLVABLE, (f"{_REASON} (missing required label)",), _NAME)
_SOFT = "PodTopologySpread/soft"
_IGNORED = -1
SYSTEM_DEFAULTS: tuple[Doc, ...] = (
    {"topologyKey": HOSTNAME, "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 3},
    {"topologyKey": ZONE, "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 5},
)
"""systemDefaultConstraints of upstream's plugin.go."""


@attrs.define(eq=False)
class Constraint:
    """One topologySpreadConstraint; `tally` has the matching pods of each domain, `unique` is whether every node is
    a domain of its own."""

    key: str
    max_skew: int
    min_domains: int
    selector: LabelSelector
    honor_affinity: bool
    honor_taints: bool
    matches_self: bool
    tally: SpreadTally = attrs.field(init=False)
    version: int = 0
    unique: bool = False
    weight: float = 0.0

    @classmethod
    def of(cls, doc: Doc, pod: PodInfo, selector: LabelSelector | None = None) -> Constraint:
        """`selector` takes the place of the constraint's own, as it does in a default constraint."""
        if selector is None:
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

    def count(self, pod: PodInfo, snapshot: Snapshot, needed: tuple[str, ...]) -> None:
        """Finds the tally. Only nodes with all labels of `needed` count, as far as the policies let them."""
        affinity = RequiredNodeAffinity.of(pod.spec) if self.honor_affinity else None
        tolerations = pod.spec.get("tolerations") or () if self.honor_taints else None
        namespace, selector = pod.namespace, self.selector

        def weigh(other: PodInfo) -> tuple[tuple[str, int], ...]:
            if other.namespace != namespace or other.terminating or not selector.matches(other.labels):
                return ()
            return ((self.key, 1),)

        def admits(node: NodeInfo) -> bool:
            if any(key not in node.labels for key in needed):
                return False
            if affinity and not affinity.matches(node.name, node.labels):
                return False
            return tolerations is None or untolerated(node.taints, tolerations) is None

        where = orjson.dumps([pod.spec.get("nodeSelector"), pod.spec.get("affinity")]) if affinity else None
        despite = None if tolerations is None else orjson.dumps(tolerations)
        place = (self.key, needed, where, despite)
        by_taints = self.honor_taints
        domains = snapshot.domains(place, lambda: Domains(self.key, admits, by_taints=by_taints))
        self.tally = snapshot.tally(
            (_NAME, namespace, selector, *place),
            lambda: SpreadTally(domains, weigh, [((namespace,), selector)]),
            [requirement.key for requirement in selector.requirements],
        )
        self.version, self.unique = self.tally.version, snapshot.is_unique(self.key)

    def held(self, node: NodeInfo) -> int | None:
        """How many matching pods the node's domain has; None for a node without one."""
        value = node.labels.get(self.key)
        return None if value is None else self.tally.counts.get((self.key, value), 0)

    def skew(self, held: int) -> int:
        """The skew if the pod came to a domain that holds so many."""
        fewest = self.tally.fewest if self.tally.domains.size >= self.min_domains else 0
        return held + self.matches_self - fewest

    def standing(self, node: NodeInfo) -> Hashable:
        return self.held(node) if self.unique else node.labels.get(self.key)

    def refresh(self, snapshot: Snapshot) -> bool:
        return self.tally.sync(snapshot).version == self.version


@attrs.define(eq=False)
class _Constraints:
    """What a pod's constraints of one sort say; `whole` is whether nodes without some of the labels are left out."""

    listed: list[Constraint]
    whole: bool = True

    def clone(self) -> _Constraints:
        twins = []
        for constraint in self.listed:
            twin = attrs.evolve(constraint)
            twin.tally = constraint.tally.clone()
            twins.append(twin)
        return _Constraints(twins, self.whole)

    def apply(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        for constraint in self.listed:
            constraint.tally.apply(sign, pod, node)


class PodTopologySpread:
    """`defaults` are the constraints of pods without any, `selector_of` says which pods those shall count (None:
    none); `system` is whether they are upstream's, which do without a zone where a node has none."""

    name = _NAME
    local = False
    by_value = True
    events = Event.NODE | Event.POD_ADD | Event.POD_LABEL | Event.POD_DELETE

    def __init__(
        self,
        selector_of: Callable[[PodInfo], LabelSelector | None] | None = None,
        defaults: Sequence[Doc] | None = None,
    ) -> None:
        self._selector_of = selector_of
        self._system = defaults is None
        self._defaults = SYSTEM_DEFAULTS if defaults is None else defaults

    def sign(self, pod: PodInfo) -> Hashable:
        """Pods without constraints are told apart by whom the default ones would count."""
        if self._selector_of is None or pod.spec.get("topologySpreadConstraints"):
            return None
        selector = self._selector_of(pod)
        return None if selector is None else (pod.namespace, str(selector))

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        constraints = self._constraints(pod, "DoNotSchedule")
        if not constraints:
            return SKIP
        needed = tuple(c.key for c in constraints)
        for constraint in constraints:
            constraint.count(pod, snapshot, needed)
        state.data[_NAME] = _Constraints(constraints)
        return None

    def add_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if hard := state.data.get(_NAME):
            hard.apply(1, other, node)

    def remove_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if hard := state.data.get(_NAME):
            hard.apply(-1, other, node)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        for constraint in state.data[_NAME].listed:
            held = constraint.held(node)
            if held is None:
                return _UNLABELLED
            if constraint.skew(held) > constraint.max_skew:
                return _SKEWED
        return None

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        constraints = self._constraints(pod, "ScheduleAnyway")
        if not constraints:
            return SKIP
        whole = bool(pod.spec.get("topologySpreadConstraints")) or not self._system
        needed = tuple(c.key for c in constraints) if whole else ()
        eligible = [node for node in nodes if all(key in node.labels for key in needed)]
        for constraint in constraints:
            if constraint.key == HOSTNAME:
                constraint.honor_affinity = constraint.honor_taints = False
                size = len(eligible)
            else:
                size = len({node.labels.get(constraint.key, "") for node in eligible})
            constraint.count(pod, snapshot, needed)
            constraint.weight = math.log(size + 2)
        state.data[_SOFT] = _Constraints(constraints, whole)
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        """Weighted number of matching pods; nodes without the labels are left out of the comparison."""
        soft: _Constraints = state.data[_SOFT]
        total = 0.0
        for constraint in soft.listed:
            held = constraint.held(node)
            if held is not None:
                total += held * constraint.weight + constraint.max_skew - 1
            elif soft.whole:
                return _IGNORED
        return int(total + 0.5)

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        """Fewest pods best; nodes without the labels get nothing."""
        considered = [score for score in scores.values() if score != _IGNORED]
        least, most = min(considered, default=0), max(considered, default=0)
        for node, score in scores.items():
            if score == _IGNORED:
                scores[node] = 0
            else:
                scores[node] = MAX_SCORE * (most + least - score) // most if most else MAX_SCORE

    def standing(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Hashable:
        return tuple([c.standing(node) for c in _kept(state)])

    def refresh(self, state: CycleState, snapshot: Snapshot) -> bool:
        return all(c.refresh(snapshot) for c in _kept(state))

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """Nodes matter when they are in a domain; pods when a constraint counts them."""
        constraints = self._constraints(pod, "DoNotSchedule")
        if isinstance(subject, NodeInfo):
            return bool(event & Event.NODE_LABEL) or all(c.key in subject.labels for c in constraints)
        counted = any(c.selector.matches(subject.labels) for c in constraints)
        return subject.namespace == pod.namespace and (counted or bool(event & Event.POD_LABEL))

    def _constraints(self, pod: PodInfo, when: str) -> list[Constraint]:
        own: Iterable[Any] = pod.spec.get("topologySpreadConstraints") or ()
        if own:
            return [Constraint.of(d, pod) for d in own if d.get("whenUnsatisfiable") == when]
        wanted = [d for d in self._defaults if d.get("whenUnsatisfiable") == when]
        if not wanted or self._selector_of is None or (selector := self._selector_of(pod)) is None:
            return []
        return [Constraint.of(d, pod, selector) for d in wanted]


def _kept(state: CycleState) -> list[Constraint]:
    """The constraints of both sorts."""
    hard, soft = state.data.get(_NAME), state.data.get(_SOFT)
    return [*(hard.listed if hard else ()), *(soft.listed if soft else ())]
