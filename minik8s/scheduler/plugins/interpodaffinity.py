"""InterPodAffinity: pods that want to be near certain pods or far from them, and pods that others want far away.

A term speaks of a topology (a label that divides nodes); what counts is therefore kept per (label, value). Required
terms are conditions, also those of pods that are already there; preferred ones give points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

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

_NAME = "InterPodAffinity"
_LONELY = Status(Code.UNRESOLVABLE, ("node(s) didn't match pod affinity rules",), _NAME)
_CROWDED = Status(Code.UNSCHEDULABLE, ("node(s) didn't match pod anti-affinity rules",), _NAME)
_UNWELCOME = Status(Code.UNSCHEDULABLE, ("node(s) didn't satisfy existing pods anti-affinity rules",), _NAME)
_POINTS = "InterPodAffinity/points"
HARD_AFFINITY_WEIGHT = 1
"""Points for a node whose pods require the new one near (hardPodAffinityWeight)."""

Topology: TypeAlias = tuple[str, str]
"""(label key, label value): one domain."""


@attrs.define(eq=False)
class Matches:
    """How many matching pods each domain has, for the three kinds of condition."""

    affinity: Counter[Topology] = attrs.field(factory=Counter)
    anti_affinity: Counter[Topology] = attrs.field(factory=Counter)
    existing: Counter[Topology] = attrs.field(factory=Counter)
    self_affine: bool = False


class InterPodAffinity:
    name = _NAME
    local = False
    events = Event.NODE_ADD | Event.NODE_LABEL | Event.POD_ADD | Event.POD_LABEL | Event.POD_DELETE

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        found = Matches(existing=_existing(pod, snapshot))
        if not pod.terms.affinity and not pod.terms.anti_affinity:
            if not found.existing:
                return SKIP
        else:
            _count(found, pod, snapshot)
            found.self_affine = _matches_all(pod.terms.affinity, pod, snapshot)
        state.data[_NAME] = found
        return None

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        found: Matches = state.data[_NAME]
        if pod.terms.affinity and not _near(found, pod, node):
            return _LONELY
        if any(found.anti_affinity[domain] for domain in _domains(pod.terms.anti_affinity, node)):
            return _CROWDED
        if any(node.labels.get(key) == value for key, value in found.existing):
            return _UNWELCOME
        return None

    def pre_score(
        self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]
    ) -> Status | None:
        points = _points(pod, snapshot)
        if not points:
            return SKIP
        state.data[_POINTS] = points
        return None

    def score(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> int:
        points: Counter[Topology] = state.data[_POINTS]
        return sum(number for (key, value), number in points.items() if node.labels.get(key) == value)

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        least, most = min(scores.values(), default=0), max(scores.values(), default=0)
        for node, score in scores.items():
            scores[node] = MAX_SCORE * (score - least) // (most - least) if most > least else 0

    def hint(self, pod: PodInfo, event: Event, subject: NodeInfo | PodInfo) -> bool:
        """Nodes may open a domain. A pod matters when a term means it, or when its own terms may have kept us away."""
        if isinstance(subject, NodeInfo):
            return True
        terms = (*pod.terms.affinity, *pod.terms.anti_affinity)
        return bool(subject.terms) or any(term.selector.matches(subject.labels) for term in terms)


def _domain(term: AffinityTerm, node: NodeInfo) -> Topology | None:
    value = node.labels.get(term.topology_key)
    return None if value is None else (term.topology_key, value)


def _domains(terms: Sequence[AffinityTerm], node: NodeInfo) -> list[Topology]:
    return [domain for term in terms if (domain := _domain(term, node)) is not None]


def _matches_all(terms: Sequence[AffinityTerm], pod: PodInfo, snapshot: Snapshot) -> bool:
    labels = snapshot.namespace_labels(pod.namespace)
    return bool(terms) and all(term.matches(pod, labels) for term in terms)


def _near(found: Matches, pod: PodInfo, node: NodeInfo) -> bool:
    """All affinity terms have a match in the node's domains; the first pod of a group may match itself."""
    domains = _domains(pod.terms.affinity, node)
    if len(domains) < len(pod.terms.affinity):
        return False
    return all(found.affinity[domain] for domain in domains) or (not found.affinity and found.self_affine)


def _existing(pod: PodInfo, snapshot: Snapshot) -> Counter[Topology]:
    """Domains with pods that require `pod` to stay away."""
    labels = snapshot.namespace_labels(pod.namespace)
    return Counter(
        domain
        for node in snapshot.nodes_with_affinity.values()
        for other in node.with_affinity.values()
        for term in other.terms.anti_affinity
        if term.matches(pod, labels) and (domain := _domain(term, node)) is not None
    )


def _count(found: Matches, pod: PodInfo, snapshot: Snapshot) -> None:
    """Domains of the pods that the required terms of `pod` mean."""
    terms = pod.terms
    for node in snapshot.nodes:
        for other in node.pods.values():
            if _matches_all(terms.affinity, other, snapshot):
                found.affinity.update(_domains(terms.affinity, node))
            labels = snapshot.namespace_labels(other.namespace)
            meant = [term for term in terms.anti_affinity if term.matches(other, labels)]
            found.anti_affinity.update(_domains(meant, node))


def _points(pod: PodInfo, snapshot: Snapshot) -> Counter[Topology]:
    """Points of each domain by the wishes of `pod` and of the pods that are there."""
    points: Counter[Topology] = Counter()
    labels = snapshot.namespace_labels(pod.namespace)

    def add(term: AffinityTerm, node: NodeInfo, weight: int) -> None:
        if (domain := _domain(term, node)) is not None:
            points[domain] += weight

    for node in snapshot.nodes if pod.terms.preferred else ():
        for other in node.pods.values():
            theirs = snapshot.namespace_labels(other.namespace)
            for term in pod.terms.preferred:
                if term.matches(other, theirs):
                    add(term, node, term.weight)
    for node in snapshot.nodes_with_affinity.values():
        for other in node.with_affinity.values():
            for term in other.terms.affinity:
                if term.matches(pod, labels):
                    add(term, node, HARD_AFFINITY_WEIGHT)
            for term in other.terms.preferred:
                if term.matches(pod, labels):
                    add(term, node, term.weight)
    return points
