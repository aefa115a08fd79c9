"""Sums over topology domains, kept current: how many pods that a selector means stand in each zone, on each host.

Spreading and pod affinity ask such questions for every pod; counting anew costs a look at every pod of the cluster
each time. Instead the cache writes down which pods came and went, and a tally that is asked again applies what has
happened since it was asked last. What moves whole domains (nodes, their labels) makes it count anew; that is rare.
Upstream counts anew for each pod (PreFilter), in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Protocol, Self, TypeAlias

from minik8s.scheduler.info import NodeInfo, PodInfo

Topology: TypeAlias = tuple[str, str]
"""(label key, label value): one domain."""
Contribution: TypeAlias = Iterable[tuple[str, int]]
"""What one pod adds to the domain of its node: a topology key, and by how much."""
LONGEST_LOG = 20_000
"""Changes that are remembered; who was asked longer ago counts anew."""


class PodLog:
    """Which pods came to a node (1) and left it (-1), in order; old entries are forgotten."""

    def __init__(self) -> None:
        self._start = 0
        self._entries: list[tuple[int, PodInfo, NodeInfo]] = []

    @property
    def end(self) -> int:
        """The position behind the last entry."""
        return self._start + len(self._entries)

    def add(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        self._entries.append((sign, pod, node))
        if len(self._entries) > LONGEST_LOG:
            half = LONGEST_LOG // 2
            del self._entries[:half]
            self._start += half

    def since(self, position: int) -> Sequence[tuple[int, PodInfo, NodeInfo]] | None:
        """The entries from that position on, None when some of them are forgotten."""
        return self._entries[position - self._start :] if position >= self._start else None


class Counted(Protocol):
    """What a tally counts over: the cache. `layout` moves with nodes and their labels, `taints` with taints."""

    @property
    def nodes(self) -> Sequence[NodeInfo]: ...
    @property
    def layout(self) -> int: ...
    @property
    def taints(self) -> int: ...
    @property
    def pod_log(self) -> PodLog: ...
    @property
    def term_log(self) -> PodLog:
        """As `pod_log`, only of pods with (anti-)affinity terms."""
        ...


class Tally:
    """Domain -> sum of what the pods in it contribute; domains with nothing are absent.

    `keys` says how many domains each topology key has here. `version` changes whenever the tally was counted anew:
    then any domain may have changed.
    """

    __slots__ = ("_layout", "_position", "_weigh", "counts", "keys", "of_terms", "version")

    def __init__(self, weigh: Callable[[PodInfo], Contribution], *, of_terms: bool = False) -> None:
        self.counts: dict[Topology, int] = {}
        self.keys: dict[str, int] = {}
        self.of_terms = of_terms
        self.version = 0
        self._weigh = weigh
        self._layout: Hashable = None
        self._position = 0

    def __bool__(self) -> bool:
        return bool(self.counts)

    def sync(self, world: Counted) -> Self:
        """Takes in what has happened since."""
        log, layout = world.term_log if self.of_terms else world.pod_log, self._layout_of(world)
        if self._layout != layout or (changes := log.since(self._position)) is None:
            self._recount(world)
            self._layout = layout
        else:
            for sign, pod, node in changes:
                self.apply(sign, pod, node)
        self._position = log.end
        return self

    def apply(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        """One pod comes (1) or goes (-1)."""
        if node.node is None:
            return
        for key, weight in self._weigh(pod):
            value = node.labels.get(key)
            if value is not None:
                self._add((key, value), sign * weight)

    def clone(self) -> Self:
        """One to try things out on."""
        twin: Self = object.__new__(type(self))
        self._copy_to(twin)
        return twin

    def _copy_to(self, twin: Self) -> None:
        for slot in Tally.__slots__:
            setattr(twin, slot, getattr(self, slot))
        twin.counts, twin.keys = dict(self.counts), dict(self.keys)

    def _add(self, domain: Topology, weight: int) -> None:
        before = self.counts.get(domain, 0)
        if before + weight:
            self.counts[domain] = before + weight
            if not before:
                self.keys[domain[0]] = self.keys.get(domain[0], 0) + 1
        elif before:
            del self.counts[domain]
            self.keys[domain[0]] -= 1
            if not self.keys[domain[0]]:
                del self.keys[domain[0]]

    def at(self, node: NodeInfo) -> int:
        """The sum over the domains that a node is in."""
        labels, total = node.labels, 0
        for key in self.keys:
            value = labels.get(key)
            if value is not None:
                total += self.counts.get((key, value), 0)
        return total

    def _layout_of(self, world: Counted) -> Hashable:
        return world.layout

    def _recount(self, world: Counted) -> None:
        self.version += 1
        self.counts, self.keys = {}, {}
        for node in world.nodes:
            for pod in (node.with_affinity if self.of_terms else node.pods).values():
                self.apply(1, pod, node)


class SpreadTally(Tally):
    """Counts over the nodes that `admits` lets count, by one topology key; their domains exist even when empty.

    `fewest` is the smallest count of any domain.
    """

    __slots__ = ("_admits", "_admitted", "_by_taints", "_domains", "key")

    def __init__(
        self,
        key: str,
        weigh: Callable[[PodInfo], Contribution],
        admits: Callable[[NodeInfo], bool],
        *,
        by_taints: bool = False,
    ) -> None:
        super().__init__(weigh)
        self.key = key
        self._admits = admits
        self._by_taints = by_taints
        self._admitted: set[str] = set()
        self._domains: dict[int, int] = {}

    @property
    def fewest(self) -> int:
        return min(self._domains, default=0)

    def apply(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        if node.name in self._admitted:
            super().apply(sign, pod, node)

    def _copy_to(self, twin: Self) -> None:
        super()._copy_to(twin)
        for slot in SpreadTally.__slots__:
            setattr(twin, slot, getattr(self, slot))
        twin._domains = dict(self._domains)

    def _add(self, domain: Topology, weight: int) -> None:
        before = self.counts[domain]
        self.counts[domain] = before + weight
        self._domains[before + weight] = self._domains.get(before + weight, 0) + 1
        if self._domains[before] == 1:
            del self._domains[before]
        else:
            self._domains[before] -= 1

    def _layout_of(self, world: Counted) -> Hashable:
        return (world.layout, world.taints) if self._by_taints else world.layout

    def _recount(self, world: Counted) -> None:
        self.version += 1
        admitted = [node for node in world.nodes if self.key in node.labels and self._admits(node)]
        self._admitted = {node.name for node in admitted}
        self.counts = {(self.key, node.labels[self.key]): 0 for node in admitted}
        self._domains = {0: len(self.counts)} if self.counts else {}
        for node in admitted:
            for pod in node.pods.values():
                self.apply(1, pod, node)
