"""InterPodAffinity: pods that want to be near certain pods or far from them, and pods that others want far away.

A term speaks of a topology (a label that divides nodes); what counts is therefore kept per (label, value), in tallies
(`scheduler.tally`). Required terms are conditions, also those of pods that are already there; preferred ones give
points. The API server has worked matchLabelKeys and mismatchLabelKeys into the selectors.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import attrs

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
from minik8s.scheduler.info import AffinityTerm, NodeInfo, PodInfo
from minik8s.scheduler.tally import Meant, Tally, Topology

_NAME = "InterPodAffinity"
_LONELY = Status(Code.UNRESOLVABLE, ("node(s) didn't match pod affinity rules",), _NAME)
_CROWDED = Status(Code.UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",), _NAME)
_UNWELCOME = Status(Code.UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",), _NAME)
_POINTS = "InterPodAffinity/points"
HARD_AFFINITY_WEIGHT = 1
"""Points for a node whose pods require the new one near (hardPodAffinityWeight)."""


@attrs.define(eq=False)
class Tallies:
    """Tallies of matching pods; `seen` is what they looked like when verdicts were made to depend on them."""

    listed: dict[str, Tally]
    self_affine: bool = False
    seen: Hashable = None
    unique: tuple[tuple[str, bool], ...] = ()
    """The topology keys, each with whether it makes every node a domain of its own."""

    @classmethod
    def of(
        cls,
        listed: dict[str, Tally],
        snapshot: Snapshot,
        near: Sequence[AffinityTerm] = (),
        *,
        self_affine: bool = False,
    ) -> Tallies:
        """`near` are terms whose topology nodes must have, whether any pod is there or not."""
        keys = sorted({key for tally in listed.values() for key in tally.keys} | {term.topology_key for term in near})
        made = cls(listed, self_affine, unique=tuple((key, snapshot.is_unique(key)) for key in keys))
        made.seen = made._look()
        return made

    def _look(self) -> Hashable:
        return tuple([(tally.version, tuple(tally.keys)) for tally in self.listed.values()])

    def __bool__(self) -> bool:
        return any(self.listed.values())

    def refresh(self, snapshot: Snapshot) -> bool:
        """Whether the verdicts' grounds are still the same: nothing was counted anew, no topology key came or went."""
        for tally in self.listed.values():
            tally.sync(snapshot)
        return self._look() == self.seen

    def clone(self) -> Tallies:
        return Tallies({name: tally.clone() for name, tally in self.listed.items()}, self.self_affine)

    def apply(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        for tally in self.listed.values():
            tally.apply(sign, pod, node)

    def standing(self, node: NodeInfo) -> Iterator[Hashable]:
        """Per topology key the node's value, or what its domain holds where every node is a domain of its own."""
        for key, unique in self.unique:
            value = node.labels.get(key)
            if unique and value is not None:
                yield tuple([tally.counts.get((key, value), 0) for tally in self.listed.values()])
            else:
                yield value


class InterPodAffinity:
    """`hard_weight` and `ignore_preferred` are hardPodAffinityWeight and ignorePreferredTermsOfExistingPods."""

    name = _NAME
    local = False
    by_value = True
    events = Event.NODE_ADD | Event.NODE_LABEL | Event.POD_ADD | Event.POD_LABEL | Event.POD_DELETE

    def __init__(self, hard_weight: int = HARD_AFFINITY_WEIGHT, *, ignore_preferred: bool = False) -> None:
        self._hard_weight = hard_weight
        self._ignore_preferred = ignore_preferred

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        terms = pod.terms
        listed: dict[str, Tally] = {}
        if snapshot.nodes_with_affinity:
            listed["existing"] = _existing(pod, snapshot)
        if terms.affinity:
            listed["affinity"] = _meant_by_all(terms.affinity, snapshot)
        if terms.anti_affinity:
            listed["anti_affinity"] = _meant_by_each(terms.anti_affinity, snapshot)
        self_affine = _matches_all(terms.affinity, pod, snapshot)
        found = state.data[_NAME] = Tallies.of(listed, snapshot, terms.affinity, self_affine=self_affine)
        return None if found or terms.affinity or terms.anti_affinity else SKIP

    def add_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if (found := state.data.get(_NAME)) is not None:
            found.apply(1, other, node)

    def remove_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if (found := state.data.get(_NAME)) is not None:
            found.apply(-1, other, node)

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        found: Tallies = state.data[_NAME]
        if pod.terms.affinity and not _near(found, pod, node):
            return _LONELY
        if pod.terms.anti_affinity and found.listed["anti_affinity"].at(node):
            return _CROWDED
        if (existing := found.listed.get("existing")) and existing.at(node):
            return _UNWELCOME
        return None

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        listed: dict[str, Tally] = {}
        if pod.terms.preferred:
            listed["own"] = _wishes(pod.terms.preferred, snapshot)
        if snapshot.nodes_with_affinity and not (self._ignore_preferred and not pod.terms.preferred):
            listed["others"] = self._others(pod, snapshot)
        points = state.data[_POINTS] = Tallies.of(listed, snapshot)
        return None if points else SKIP

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        return sum([tally.at(node) for tally in state.data[_POINTS].listed.values()])

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        least, most = min(scores.values(), default=0), max(scores.values(), default=0)
        for node, score in scores.items():
            scores[node] = MAX_SCORE * (score - least) // (most - least) if most > least else 0

    def standing(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Hashable:
        return tuple([entry for part in _parts(state) for entry in part.standing(node)])

    def refresh(self, state: CycleState, snapshot: Snapshot) -> bool:
        return all(part.refresh(snapshot) for part in _parts(state))

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """Nodes matter when a term's topology divides them. A pod matters when it comes and is wanted near, goes
        and was wanted far away, or has terms of its own that may have kept this one away."""
        terms = pod.terms
        if isinstance(subject, NodeInfo):
            return bool(event & Event.NODE_LABEL) or all(t.topology_key in subject.labels for t in terms.affinity)
        if event & Event.POD_LABEL:
            return True
        near = event & Event.POD_ADD and any(t.selector.matches(subject.labels) for t in terms.affinity)
        far = event & Event.POD_DELETE and (
            bool(subject.terms.anti_affinity) or any(t.selector.matches(subject.labels) for t in terms.anti_affinity)
        )
        return bool(near or far)

    def _others(self, pod: PodInfo, snapshot: Snapshot) -> Tally:
        """Points by what the pods that are there want of `pod`."""
        namespace, labels = pod.namespace, _seen_labels(pod, snapshot)
        hard, ignore = self._hard_weight, self._ignore_preferred

        def weigh(other: PodInfo) -> Iterator[tuple[str, int]]:
            theirs = snapshot.namespace_labels(namespace)
            for term in other.terms.affinity if hard else ():
                if term.means(namespace, labels, theirs):
                    yield term.topology_key, hard
            for term in other.terms.preferred if not ignore else ():
                if term.means(namespace, labels, theirs):
                    yield term.topology_key, term.weight

        key = (_POINTS, hard, ignore, namespace, tuple(sorted(labels.items())))
        return snapshot.tally(key, lambda: Tally(weigh, None))


def _parts(state: CycleState) -> list[Tallies]:
    return [part for key in (_NAME, _POINTS) if (part := state.data.get(key)) is not None]


def _domains(terms: Sequence[AffinityTerm], node: NodeInfo) -> list[Topology]:
    labels = node.labels
    return [(t.topology_key, labels[t.topology_key]) for t in terms if t.topology_key in labels]


def _matches_all(terms: Sequence[AffinityTerm], pod: PodInfo, snapshot: Snapshot) -> bool:
    labels = snapshot.namespace_labels(pod.namespace)
    return bool(terms) and all(term.matches(pod, labels) for term in terms)


def _near(found: Tallies, pod: PodInfo, node: NodeInfo) -> bool:
    """All affinity terms have a match in the node's domains; the first pod of a group may match itself."""
    domains = _domains(pod.terms.affinity, node)
    if len(domains) < len(pod.terms.affinity):
        return False
    counts = found.listed["affinity"].counts
    return all(domain in counts for domain in domains) or (not counts and found.self_affine)


def _labels(terms: Sequence[AffinityTerm]) -> list[str]:
    """The label keys that terms look at."""
    return [requirement.key for term in terms for requirement in term.selector.requirements]


def _seen_labels(pod: PodInfo, snapshot: Snapshot) -> dict[str, str]:
    """The labels of a pod that any term of the pods that are there looks at."""
    seen = snapshot.term_labels
    return {key: value for key, value in pod.labels.items() if key in seen}


def _existing(pod: PodInfo, snapshot: Snapshot) -> Tally:
    """Domains with pods that require `pod` to stay away."""
    namespace, labels = pod.namespace, _seen_labels(pod, snapshot)

    def weigh(other: PodInfo) -> Iterator[tuple[str, int]]:
        theirs = snapshot.namespace_labels(namespace)
        for term in other.terms.anti_affinity:
            if term.means(namespace, labels, theirs):
                yield term.topology_key, 1

    key = ("existing", namespace, tuple(sorted(labels.items())))
    return snapshot.tally(key, lambda: Tally(weigh, None))


def _meant_by_all(terms: Sequence[AffinityTerm], snapshot: Snapshot) -> Tally:
    """Domains of the pods that all the terms mean."""
    keys = tuple((term.topology_key, 1) for term in terms)

    def weigh(other: PodInfo) -> tuple[tuple[str, int], ...]:
        return keys if _matches_all(terms, other, snapshot) else ()

    key = ("all", *(term.identity for term in terms))
    return snapshot.tally(key, lambda: Tally(weigh, _meant(terms[:1])), _labels(terms))


def _meant_by_each(terms: Sequence[AffinityTerm], snapshot: Snapshot) -> Tally:
    """Domains of the pods that some of the terms mean."""
    return _each("each", terms, snapshot, lambda term: 1)


def _wishes(terms: Sequence[AffinityTerm], snapshot: Snapshot) -> Tally:
    """Points by what a pod wants of those that are there."""
    return _each("wishes", terms, snapshot, lambda term: term.weight)


def _each(what: str, terms: Sequence[AffinityTerm], snapshot: Snapshot, points: Callable[[AffinityTerm], int]) -> Tally:
    def weigh(other: PodInfo) -> Iterator[tuple[str, int]]:
        theirs = snapshot.namespace_labels(other.namespace)
        for term in terms:
            if term.matches(other, theirs):
                yield term.topology_key, points(term)

    key = (what, *(term.identity for term in terms))
    return snapshot.tally(key, lambda: Tally(weigh, _meant(terms)), _labels(terms))


def _meant(terms: Sequence[AffinityTerm]) -> list[Meant]:
    """Where to look for the pods that some of the terms mean."""
    return [(t.namespaces if t.namespace_selector.nothing else None, t.selector) for t in terms]
