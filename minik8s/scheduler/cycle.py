"""One scheduling decision: filter, score, choose.

As upstream does it, not every node of a large cluster is looked at (`nodes_to_find`), and the next pod begins where
the last one stopped. What makes it cheap is reuse: pods with the same signature get the same verdict on the same node,
so their class keeps its feasible nodes in a heap, and the next pod of the class re-examines only nodes that changed
since. Upstream's counterpart is opportunistic batching (KEP-5598). A class is kept only when every plugin with an
opinion is `local` and no score needs normalising; other pods get a decision from scratch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from itertools import chain
from random import Random
from typing import Any

import attrs
import orjson

from minik8s.api.volumes import claims_of
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.diagnosis import Diagnosis, diagnose
from minik8s.scheduler.framework import Code, CycleState, FilterPlugin, ScoreExtensions, Signature, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import NodeLimit, Profile, run_filters, run_scores

MIN_NODES_TO_FIND = 100
MIN_PERCENTAGE = 5
"""minFeasibleNodesToFind and minFeasibleNodesPercentageToFind of upstream's schedule_one.go."""
KEPT_CLASSES = 256
FRESH_NODES = 4
"""How many unseen nodes each further pod of a class looks at, so that in the end the class knows them all."""
_SIGNED = (
    "affinity", "nodeName", "nodeSelector", "overhead", "preemptionPolicy", "priority", "resources", "tolerations",
    "topologySpreadConstraints",
)  # fmt: skip


@attrs.frozen
class Decision:
    """Where the pod shall run; `score` is what its node got, `evaluated` how many nodes were looked at for it."""

    node: str
    score: int
    evaluated: int
    state: CycleState


@attrs.frozen
class Refusal:
    """No node fits. `statuses` holds the verdicts by node."""

    diagnosis: Diagnosis
    statuses: dict[str, Status]


def nodes_to_find(nodes: int, percentage: int = 0) -> int:
    """How many feasible nodes are enough; `percentage` 0 means 50 % falling to 5 % as the cluster grows."""
    if nodes < MIN_NODES_TO_FIND:
        return nodes
    percentage = percentage or max(MIN_PERCENTAGE, 50 - nodes // 125)
    return nodes if percentage >= 100 else max(MIN_NODES_TO_FIND, nodes * percentage // 100)


def signature(pod: PodInfo, with_labels: bool) -> Signature:
    """Equal for pods that no plugin can tell apart; labels matter once other pods' terms look at them."""
    spec = pod.spec
    containers = [
        [c.get("image"), c.get("resources"), c.get("ports"), c.get("restartPolicy")]
        for c in chain(spec.get("containers") or (), spec.get("initContainers") or ())
    ]
    parts: list[Any] = [[spec.get(field) for field in _SIGNED], containers, len(spec.get("containers") or ())]
    if spec.get("volumes") and (claims := sorted(claims_of(pod.doc))):
        parts.append(claims)
    if with_labels or pod.terms or spec.get("topologySpreadConstraints"):
        parts += [pod.namespace, pod.labels]
    return orjson.dumps(parts)


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
        key = signature(pod, bool(cache.nodes_with_affinity))
        nominated = cache.is_nominated(pod.uid)
        kept = None if nominated else self._classes.get(key)
        if kept is not None and kept.epoch == cache.epoch:
            self._classes.move_to_end(key)
            kept.refresh(pod)
            kept.look(pod, FRESH_NODES, 1)
            return kept.best(pod)
        return self._from_scratch(pod, key, keep=not nominated)

    def _from_scratch(self, pod: PodInfo, key: Signature, *, keep: bool) -> Decision | Refusal:
        cache, state = self._cache, CycleState()
        self._classes.pop(key, None)
        limit = self.profile.run_pre_filters(state, pod, cache)
        if isinstance(limit, Status):
            refused = Diagnosis(len(cache.nodes), rejection=limit.message, plugins=frozenset((limit.plugin,)))
            refused = attrs.evolve(refused, unresolvable=refused.nodes if limit.code is Code.UNRESOLVABLE else 0)
            return Refusal(refused, {node.name: limit for node in cache.nodes})
        fresh = PodClass(self.profile, cache, self._rng, state, limit, self._nodes(limit))
        enough = nodes_to_find(len(cache.nodes) if limit.names is None else len(limit.names), self._percentage)
        evaluated = fresh.find(pod, enough)
        self._next = (self._next + evaluated) % len(cache.nodes)
        if keep and fresh.reusable:
            self._classes[key] = fresh
            if len(self._classes) > KEPT_CLASSES:
                self._classes.popitem(last=False)
        return fresh.best(pod)

    def _nodes(self, limit: NodeLimit) -> Iterator[NodeInfo]:
        """The nodes in question, beginning where the last search ended."""
        nodes = self._cache.nodes
        if limit.names is not None:
            return iter([node for name in sorted(limit.names) if (node := self._cache.node(name)) is not None])
        start = self._next % len(nodes)
        return chain(nodes[start:], nodes[:start])


class PodClass:
    """The verdicts on the nodes looked at so far, for pods of one signature.

    `heap` has an entry for every feasible node, best first, ties in random order; entries whose node has changed
    since are stale and dropped when they come up. `rejected` has the others' statuses.
    """

    def __init__(
        self,
        profile: Profile,
        cache: Cache,
        rng: Random,
        state: CycleState,
        limit: NodeLimit,
        nodes: Iterator[NodeInfo],
    ) -> None:
        self.epoch = cache.epoch
        self.state = state
        self.rejected: dict[str, Status] = {}
        self.reusable = False
        self._profile = profile
        self._cache = cache
        self._rng = rng
        self._limit = limit
        self._unseen = nodes
        self._generation = cache.generation
        self._filters: list[FilterPlugin] = profile.active_filters(state)
        self._scores: list[tuple[Any, int]] = []
        self._seen: dict[str, int] = {}
        self._heap: list[tuple[int, float, int, NodeInfo]] = []
        self._diagnosis: Diagnosis | None = None

    def find(self, pod: PodInfo, enough: int) -> int:
        """Filters until enough nodes are feasible, then scores those; returns how many nodes were looked at."""
        feasible = []
        for node in self._unseen:
            if self._passes(pod, node):
                feasible.append(node)
                if len(feasible) >= enough:
                    break
        self._profile.run_pre_scores(self.state, pod, self._cache, feasible)
        self._scores = self._profile.active_scores(self.state)
        plugins = [*self._filters, *(plugin for plugin, _ in self._scores)]
        self.reusable = all(_is_local(p) for p in plugins) and not any(
            isinstance(p, ScoreExtensions) for p, _ in self._scores
        )
        totals = run_scores(self._scores, self.state, pod, feasible)
        self._heap = [(-totals[n.name], self._rng.random(), n.generation, n) for n in feasible]
        heapify(self._heap)
        return len(self._seen)

    def refresh(self, pod: PodInfo) -> None:
        """Looks again at the nodes that changed since the last time, as far as they had been looked at."""
        changed = [n for n in self._cache.changed_since(self._generation) if n.name in self._seen]
        self._generation = self._cache.generation
        for node in changed:
            self._examine(pod, node)

    def look(self, pod: PodInfo, at_most: int, enough: int) -> None:
        """Looks at some nodes not seen yet; goes on beyond `at_most` while nothing at all is feasible."""
        for node in self._unseen:
            self._examine(pod, node)
            at_most -= 1
            if at_most <= 0 and len(self._heap) >= enough:
                return

    def best(self, pod: PodInfo) -> Decision | Refusal:
        """The feasible node with the most points."""
        heap = self._heap
        while heap:
            score, _, generation, node = heap[0]
            if self._seen[node.name] == generation and node.name not in self.rejected:
                return Decision(node.name, -score, len(self._seen), self.state)
            heappop(heap)
        self.look(pod, 1, 1)
        if heap:
            return self.best(pod)
        return Refusal(self._diagnose(), self.rejected)

    def _passes(self, pod: PodInfo, node: NodeInfo) -> bool:
        self._seen[node.name] = node.generation
        status = run_filters(self._filters, self.state, pod, node)
        if status is None and node.nominated and (others := node.with_nominated(pod)) is not None:
            status = run_filters(self._filters, self.state, pod, others)
        if status is None:
            if self.rejected.pop(node.name, None) is not None:
                self._diagnosis = None
            return True
        if self.rejected.get(node.name) is not status:
            self.rejected[node.name] = status
            self._diagnosis = None
        return False

    def _examine(self, pod: PodInfo, node: NodeInfo) -> None:
        if self._passes(pod, node):
            total = sum(weight * plugin.score(self.state, pod, node) for plugin, weight in self._scores)
            heappush(self._heap, (-total, self._rng.random(), node.generation, node))

    def _diagnose(self) -> Diagnosis:
        """Built once for as long as the verdicts stand: thousands of equal pods may wait for the same reason."""
        if self._diagnosis is None:
            statuses: dict[str, Status] = dict(self.rejected)
            if self._limit.names is not None:
                statuses |= _absent(self._cache.nodes, self._seen, self._limit.plugins)
            self._diagnosis = diagnose(len(self._cache.nodes), statuses, self._limit.plugins)
        return self._diagnosis


def _absent(nodes: Iterable[NodeInfo], seen: dict[str, int], plugins: tuple[str, ...]) -> dict[str, Status]:
    """The verdict on nodes that a PreFilter plugin has excluded."""
    status = Status(Code.UNRESOLVABLE, (f"node(s) didn't satisfy plugin(s) [{' '.join(plugins)}]",))
    return {node.name: status for node in nodes if node.name not in seen}


def _is_local(plugin: Any) -> bool:
    return bool(plugin.local)
