"""One scheduling decision: filter, score, choose.

As upstream does it, not every node of a large cluster is looked at (`nodes_to_find`), and the next pod begins where
the last one stopped. What makes it cheap is reuse, see `podclass`: pods with the same signature share their verdicts.
Upstream's counterpart is opportunistic batching (KEP-5598).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from itertools import chain
from random import Random
from typing import Any

import attrs
import orjson

from minik8s.api.volumes import claims_of
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Code, CycleState, Signature, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.podclass import Decision, PodClass, Refusal
from minik8s.scheduler.profile import NodeLimit, Profile
from minik8s.scheduler.survey import Survey

__all__ = ["Decision", "Refusal", "Scheduling", "nodes_to_find", "signature"]

MIN_NODES_TO_FIND = 100
MIN_PERCENTAGE = 5
"""minFeasibleNodesToFind and minFeasibleNodesPercentageToFind of upstream's schedule_one.go."""
KEPT_CLASSES = 256
_SIGNED = (
    "affinity", "nodeName", "nodeSelector", "overhead", "preemptionPolicy", "priority", "resources", "tolerations",
    "topologySpreadConstraints",
)  # fmt: skip


def nodes_to_find(nodes: int, percentage: int = 0) -> int:
    """How many feasible nodes are enough; `percentage` 0 means 50 % falling to 5 % as the cluster grows."""
    if nodes < MIN_NODES_TO_FIND:
        return nodes
    percentage = percentage or max(MIN_PERCENTAGE, 50 - nodes // 125)
    return nodes if percentage >= 100 else max(MIN_NODES_TO_FIND, nodes * percentage // 100)


def signature(pod: PodInfo, seen: Mapping[str, int], *more: Any) -> Signature:
    """Equal for pods that no plugin can tell apart; of labels only those in `seen` matter, which terms look at, and
    those that the pod's own constraints look at."""
    spec = pod.spec
    containers = [
        [c.get("image"), c.get("resources"), c.get("ports"), c.get("restartPolicy")]
        for c in chain(spec.get("containers") or (), spec.get("initContainers") or ())
    ]
    parts: list[Any] = [[spec.get(field) for field in _SIGNED], containers, len(spec.get("containers") or ()), more]
    if spec.get("volumes") and (claims := sorted(claims_of(pod.doc))):
        parts.append(claims)
    keys = pod.own_labels
    if seen or keys or pod.terms:
        parts += [pod.namespace, {k: v for k, v in pod.labels.items() if k in seen or k in keys}]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)


class Scheduling:
    """Makes decisions against one cache under one profile. Never changes the cache."""

    def __init__(self, profile: Profile, cache: Cache, rng: Random, percentage: int = 0) -> None:
        self.profile = profile
        self._cache = cache
        self._rng = rng
        self._percentage = percentage
        self._classes: OrderedDict[Signature, PodClass] = OrderedDict()
        self._next = 0

    def decide(self, pod: PodInfo) -> Decision | Refusal:
        """The best node for the pod, or why there is none."""
        cache = self._cache
        if not cache.nodes:
            return Refusal(Diagnosis(0), {})
        if (node := self._nominated_node(pod)) is not None and (decision := self._try(pod, node)):
            return decision
        key = self._sign(pod)
        kept = self._classes.get(key)
        if kept is not None and kept.epoch == cache.epoch and kept.refresh(pod):
            self._classes.move_to_end(key)
            if (found := kept.decide(pod)) is not None:
                return found
        return self._from_scratch(pod, key, keep=not cache.is_nominated(pod.uid))

    def survey(self, pod: PodInfo, *, nominated: bool) -> Survey | Refusal:
        """The nodes that are feasible for the pod; if wanted the one alone that room was made on, when it is."""
        cache, state = self._cache, CycleState()
        if not cache.nodes:
            return Refusal(Diagnosis(0), {})
        limit = self.profile.run_pre_filters(state, pod, cache)
        if isinstance(limit, Status):
            return self._rejected(limit, state)
        found = Survey(pod, state, limit)
        node = self._nominated_node(pod) if nominated else None
        if node is not None and (limit.names is None or node.name in limit.names):
            found.look(self.profile, [node], 1)
            if found.nodes:
                found.whole = False
                return found
        found.look(self.profile, self._nodes(limit), self._enough(limit))
        self._next = (self._next + found.evaluated) % len(cache.nodes)
        return found if found.nodes else found.refusal(cache)

    def choose(self, survey: Survey, scores: Mapping[str, int]) -> Decision | None:
        """The node with the most points of those that still are feasible: others have been asked meanwhile."""
        ranked = sorted(survey.nodes, key=lambda node: (-scores.get(node.name, 0), self._rng.random()))
        for node in ranked:
            known = self._cache.node(node.name)
            if known is not None and (decision := self._try(survey.pod, known)) is not None:
                return attrs.evolve(decision, score=scores.get(node.name, 0), evaluated=survey.evaluated)
        return None

    def _sign(self, pod: PodInfo) -> Signature:
        cache = self._cache
        signed = [plugin.sign(pod) for plugin in self.profile.signs]
        return signature(pod, cache.term_labels, bool(cache.nodes_with_affinity), *signed)

    def _nominated_node(self, pod: PodInfo) -> NodeInfo | None:
        """The one that room was made on; it is tried before any other (evaluateNominatedNode)."""
        return self._cache.node((pod.doc.get("status") or {}).get("nominatedNodeName") or "")

    def _try(self, pod: PodInfo, node: NodeInfo) -> Decision | None:
        """That node, if it is feasible."""
        state = CycleState()
        limit = self.profile.run_pre_filters(state, pod, self._cache)
        if isinstance(limit, Status) or (limit.names is not None and node.name not in limit.names):
            return None
        return None if self.profile.fits(state, pod, node) else Decision(node.name, 0, 1, state)

    def _from_scratch(self, pod: PodInfo, key: Signature, *, keep: bool) -> Decision | Refusal:
        cache, state = self._cache, CycleState()
        self._classes.pop(key, None)
        limit = self.profile.run_pre_filters(state, pod, cache)
        if isinstance(limit, Status):
            return self._rejected(limit, state)
        fresh = PodClass(self.profile, cache, self._rng, state, limit, self._nodes(limit))
        evaluated = fresh.find(pod, self._enough(limit))
        self._next = (self._next + evaluated) % len(cache.nodes)
        if keep and fresh.reusable:
            self._classes[key] = fresh
            if len(self._classes) > KEPT_CLASSES:
                self._classes.popitem(last=False)
        return fresh.best(pod)

    def _rejected(self, status: Status, state: CycleState) -> Refusal:
        """A plugin refused the pod as a whole."""
        nodes = self._cache.nodes
        refused = Diagnosis(len(nodes), rejection=status.message, plugins=frozenset((status.plugin,)))
        refused = attrs.evolve(refused, unresolvable=refused.nodes if status.code is Code.UNRESOLVABLE else 0)
        return Refusal(refused, {node.name: status for node in nodes}, state)

    def _enough(self, limit: NodeLimit) -> int:
        """How many feasible nodes are."""
        return nodes_to_find(len(self._cache.nodes if limit.names is None else limit.names), self._percentage)

    def _nodes(self, limit: NodeLimit) -> Iterator[NodeInfo]:
        """The nodes in question, beginning where the last search ended."""
        if limit.names is not None:
            return iter([node for name in sorted(limit.names) if (node := self._cache.node(name)) is not None])
        nodes = self._cache.interleaved()
        start = self._next % len(nodes)
        return chain(nodes[start:], nodes[:start])
