"""The verdicts on nodes, shared by all pods that look alike to every plugin.

A class of pods sorts the nodes that pass its node-by-node filters into *standings*: nodes of one standing are equal to
every plugin that judges by topology domains (the same zone, as many matching pods on the host) or whose scores are
normalised. So a decision asks those plugins once per standing instead of once per node, and within a standing the best
node is the top of a heap. The next pod of the class looks again only at nodes that changed since. A class is kept only
when all its plugins allow that (`Plugin.local`, `DomainPlugin`, `by_value`); other pods are decided from scratch.
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import islice
from random import Random
from typing import Any, TypeAlias

import attrs

from minik8s.scheduler.cache import Cache
from minik8s.scheduler.diagnosis import Diagnosis, diagnose
from minik8s.scheduler.framework import Code, CycleState, DomainPlugin, FilterPlugin, ScoreExtensions, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import NodeLimit, Profile, implements, run_filters, run_scores

FRESH_NODES = 1
"""How many unseen nodes each further pod of a class looks at: one for the node that the last one took."""
BATCH = 64
"""How many it looks at before it asks again whether there is a feasible one."""

Entry: TypeAlias = tuple[int, float, int, NodeInfo]
"""Negative score, a random number for ties, the node's generation, the node."""


@attrs.frozen
class Decision:
    """Where the pod shall run; `score` is what its node got, `evaluated` how many nodes were looked at for it."""

    node: str
    score: int
    evaluated: int
    state: CycleState


@attrs.frozen
class Refusal:
    """No node fits. `statuses` holds the verdicts by node; `state` is that of the pod's PreFilter plugins."""

    diagnosis: Diagnosis
    statuses: dict[str, Status]
    state: CycleState = attrs.field(factory=CycleState)


@attrs.define(eq=False)
class Standing:
    """Nodes that differ only in their local score: the best on top. Entries of nodes that moved on are stale."""

    heap: list[Entry] = attrs.field(factory=list)
    status: Status | None = None


class PodClass:
    """What is known of the nodes looked at so far, for pods of one signature."""

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
        filters = profile.active_filters(state)
        self._domain_filters: list[FilterPlugin] = [p for p in filters if _of_domains(p)]
        self._filters: list[FilterPlugin] = [p for p in filters if not _of_domains(p)]
        self._domains: list[DomainPlugin] = []
        self._local_scores: list[tuple[Any, int]] = []
        self._shared_scores: list[tuple[Any, int]] = []
        self._sorted_by: list[Any] = []
        self._seen: dict[str, int] = {}
        self._where: dict[str, Hashable] = {}
        self._standings: dict[Hashable, Standing] = {}
        self._scored = False
        self._refusal: Refusal | None = None
        self._single: Decision | None = None

    # ------------------------------------------------------------------ the first pod

    def find(self, pod: PodInfo, enough: int) -> int:
        """Filters until enough nodes are feasible, then scores those; returns how many nodes were looked at."""
        self._domains = self._speaking(scoring=False)
        feasible: list[NodeInfo] = []
        passed: list[tuple[NodeInfo, Status | None]] = []
        verdicts: dict[Hashable, Status | None] = {}
        for node in self._unseen:
            if not self._passes(pod, node):
                continue
            key = self._standing(pod, node)
            if key not in verdicts:
                verdicts[key] = self._verdict(pod, node)
            passed.append((node, verdicts[key]))
            if verdicts[key] is None:
                feasible.append(node)
                if len(feasible) >= enough:
                    break
        if feasible:
            self._prepare_scores(pod, feasible)
        else:
            self.reusable = all(_is_local(p) for p in self._filters)
        self._scored = bool(feasible)
        if self.reusable:
            for node, _ in passed:
                self._file(pod, node)
        else:
            self.rejected |= {node.name: status for node, status in passed if status is not None}
            self._choose_once(pod, feasible)
        return len(self._seen)

    def _speaking(self, *, scoring: bool) -> list[DomainPlugin]:
        """The plugins for topology domains that have an opinion on this pod."""
        state = self.state
        return [
            p
            for p in self._profile.domains
            if _name(p) not in state.skip_filter or (scoring and _name(p) not in state.skip_score)
        ]

    def _prepare_scores(self, pod: PodInfo, feasible: list[NodeInfo]) -> None:
        self._profile.run_pre_scores(self.state, pod, self._cache, feasible)
        self._domains = self._speaking(scoring=True)
        scores = self._profile.active_scores(self.state)
        for plugin, weight in scores:
            shared = implements(plugin, DomainPlugin) or implements(plugin, ScoreExtensions)
            (self._shared_scores if shared else self._local_scores).append((plugin, weight))
        self._sorted_by = [p for p, _ in self._shared_scores if not implements(p, DomainPlugin)]
        self.reusable = all(p.local for p in (*self._filters, *(p for p, _ in scores)) if not _of_domains(p)) and all(
            getattr(p, "by_value", False) for p, _ in scores if implements(p, ScoreExtensions)
        )

    def _choose_once(self, pod: PodInfo, feasible: list[NodeInfo]) -> None:
        """For pods whose verdicts cannot be reused: every node by itself."""
        if feasible:
            totals = run_scores([*self._local_scores, *self._shared_scores], self.state, pod, feasible)
            best = max(feasible, key=lambda node: (totals[node.name], self._rng.random()))
            self._single = Decision(best.name, totals[best.name], len(self._seen), self.state)

    # ------------------------------------------------------------------ the next ones

    def refresh(self, pod: PodInfo) -> bool:
        """Looks again at the nodes that changed since the last time, as far as they had been looked at.

        False when that is not enough: then the class has to be given up.
        """
        if not all(plugin.refresh(self.state, self._cache) for plugin in self._profile.domains):
            return False
        changed = [n for n in self._cache.changed_since(self._generation) if n.name in self._seen]
        self._generation = self._cache.generation
        for node in changed:
            self._examine(pod, node)
        return True

    def decide(self, pod: PodInfo) -> Decision | Refusal | None:
        """For another pod of the class, after `refresh`; None when the class has to be given up."""
        self._look(pod, FRESH_NODES)
        if not self._scored and self._is_feasible(pod):
            return None  # scores are prepared for the first feasible nodes, and there were none
        return self.best(pod)

    def _is_feasible(self, pod: PodInfo) -> bool:
        """Whether any node is."""
        tops = [self._top(key, standing) for key, standing in list(self._standings.items())]
        return any(self._verdict(pod, top[3]) is None for top in tops if top is not None)

    def best(self, pod: PodInfo) -> Decision | Refusal:
        """The feasible node with the most points; looks at more nodes while none is feasible."""
        if self._single is not None:
            return self._single
        while True:
            if (decision := self._choose(pod)) is not None:
                return decision
            if not self._look(pod, BATCH):
                return self._refuse()

    def _choose(self, pod: PodInfo) -> Decision | None:
        live: dict[int, Entry] = {}
        for key, standing in list(self._standings.items()):
            entry = self._top(key, standing)
            if entry is None:
                continue
            status = self._verdict(pod, entry[3])
            if status is not standing.status:
                standing.status, self._refusal = status, None
            if status is None:
                live[len(live)] = entry
        if not live:
            return None
        totals = self._totals(pod, live)
        best = max(live, key=lambda i: (totals[i], live[i][1]))
        return Decision(live[best][3].name, totals[best], len(self._seen), self.state)

    def _totals(self, pod: PodInfo, live: dict[int, Entry]) -> dict[int, int]:
        """The standings' scores: that of their best node, and what the plugins say that judge all alike."""
        totals = {i: -entry[0] for i, entry in live.items()}
        for plugin, weight in self._shared_scores:
            points: dict[Any, int] = {i: plugin.score(self.state, pod, entry[3]) for i, entry in live.items()}
            if implements(plugin, ScoreExtensions):
                plugin.normalize(self.state, pod, points)
            for i, number in points.items():
                totals[i] += weight * number
        return totals

    def _top(self, key: Hashable, standing: Standing) -> Entry | None:
        heap = standing.heap
        while heap:
            entry = heap[0]
            name = entry[3].name
            if self._seen[name] == entry[2] and self._where.get(name) == key:
                return entry
            heappop(heap)
        del self._standings[key]
        return None

    def _verdict(self, pod: PodInfo, node: NodeInfo) -> Status | None:
        """What the plugins for topology domains say, also if the pods were there that room is kept for."""
        if not self._domain_filters:
            return None
        status = run_filters(self._domain_filters, self.state, pod, node)
        if status is None and node.nominated and (others := node.nominated_before(pod)):
            crowded = self._profile.with_pods(self.state, pod, others, node)
            status = run_filters(self._domain_filters, crowded, pod, node)
        return status

    def _look(self, pod: PodInfo, at_most: int) -> int:
        """Looks at some nodes not seen yet; how many there were."""
        nodes = list(islice(self._unseen, at_most))
        for node in nodes:
            self._examine(pod, node)
        return len(nodes)

    def _examine(self, pod: PodInfo, node: NodeInfo) -> None:
        if self._passes(pod, node):
            self._file(pod, node)
        elif self._where.pop(node.name, None) is not None:
            self._refusal = None

    def _passes(self, pod: PodInfo, node: NodeInfo) -> bool:
        """Whether the node passes the filters that look at it alone."""
        self._seen[node.name] = node.generation
        status = run_filters(self._filters, self.state, pod, node)
        if status is None and node.nominated and (others := node.nominated_before(pod)):
            status = run_filters(self._filters, self.state, pod, node.with_pods(others))
        if status is None:
            if self.rejected.pop(node.name, None) is not None:
                self._refusal = None
            return True
        if self.rejected.get(node.name) is not status:
            self.rejected[node.name], self._refusal = status, None
        return False

    def _standing(self, pod: PodInfo, node: NodeInfo) -> Hashable:
        """Nodes for which room is kept stand by themselves."""
        if not self._domains and not self._sorted_by:
            return ""
        alone = node.name if self._domains and node.nominated else ""
        state = self.state
        parts = [plugin.standing(state, pod, node) for plugin in self._domains]
        return (alone, *parts, *[plugin.score(state, pod, node) for plugin in self._sorted_by])

    def _file(self, pod: PodInfo, node: NodeInfo) -> None:
        score = 0
        for plugin, weight in self._local_scores:
            score += weight * plugin.score(self.state, pod, node)
        key = self._standing(pod, node)
        if self._where.get(node.name) != key:
            self._where[node.name], self._refusal = key, None
        standing = self._standings.get(key)
        if standing is None:
            standing = self._standings[key] = Standing()
        heappush(standing.heap, (-score, self._rng.random(), node.generation, node))

    def _refuse(self) -> Refusal:
        """Built once for as long as the verdicts stand: thousands of equal pods may wait for the same reason."""
        if self._refusal is None:
            statuses = dict(self.rejected)
            for name, key in self._where.items():
                status = self._standings[key].status
                if status is not None:
                    statuses[name] = status
            self._refusal = refusal(self._cache.nodes, statuses, self._seen, self._limit, self.state)
        return self._refusal


def refusal(
    nodes: Sequence[NodeInfo], statuses: dict[str, Status], seen: Container[str], limit: NodeLimit, state: CycleState
) -> Refusal:
    """No node fits, for these reasons; what was not seen was excluded from the first."""
    if limit.names is not None:
        statuses |= _absent(nodes, seen, limit.plugins)
    return Refusal(diagnose(len(nodes), statuses, limit.plugins), statuses, state)


def _absent(nodes: Iterable[NodeInfo], seen: Container[str], plugins: tuple[str, ...]) -> dict[str, Status]:
    """The verdict on nodes that a PreFilter plugin has excluded."""
    status = Status(Code.UNRESOLVABLE, (f"node(s) didn't satisfy plugin(s) [{' '.join(plugins)}]",))
    return {node.name: status for node in nodes if node.name not in seen}


def _of_domains(plugin: Any) -> bool:
    return implements(plugin, DomainPlugin)


def _is_local(plugin: Any) -> bool:
    return bool(plugin.local)


def _name(plugin: Any) -> str:
    return str(plugin.name)
