"""Sums over topology domains, kept current: how many pods that a selector means stand in each zone, on each host.

Spreading and pod affinity ask such questions for every pod; counting anew costs a look at every pod of the cluster
each time. Instead the cache writes down which pods came and went, and a tally that is asked again applies what has
happened since it was asked last. What moves whole domains (nodes, their labels) makes it count anew; that is rare.
Upstream counts anew for each pod (PreFilter), in parallel.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import Protocol, Self, TypeAlias

from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.podindex import PodIndex

Topology: TypeAlias = tuple[str, str]
"""(label key, label value): one domain."""
Contribution: TypeAlias = Iterable[tuple[str, int]]
"""What one pod adds to the domain of its node: a topology key, and by how much."""
Meant: TypeAlias = tuple[Collection[str] | None, LabelSelector]
"""Pods of these namespaces (None: any) with labels that the selector matches."""
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
    def nodes_with_affinity(self) -> Mapping[str, NodeInfo]: ...
    @property
    def pods(self) -> PodIndex: ...
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
    then any domain may have changed. `meant` are (namespaces, selector) of the pods that contribute, None for those
    with (anti-)affinity terms.
    """

    __slots__ = ("_layout", "_meant", "_position", "_weigh", "counts", "keys", "version")

    def __init__(self, weigh: Callable[[PodInfo], Contribution], meant: Sequence[Meant] | None) -> None:
        self.counts: dict[Topology, int] = {}
        self.keys: dict[str, int] = {}
        self.version = 0
        self._weigh = weigh
        self._meant = meant
        self._layout: Hashable = None
        self._position = 0

    def __bool__(self) -> bool:
        return bool(self.counts)

    def sync(self, world: Counted) -> Self:
        """Takes in what has happened since."""
        log, layout = world.term_log if self._meant is None else world.pod_log, self._layout_of(world)
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
        self._count(world)

    def _count(self, world: Counted) -> None:
        if self._meant is None:
            for node in list(world.nodes_with_affinity.values()):
                for pod in node.with_affinity.values():
                    self.apply(1, pod, node)
            return
        counted: set[str] = set()
        for namespaces, selector in self._meant:
            for pod, node in world.pods.candidates(namespaces, selector):
                if pod.uid not in counted:
                    counted.add(pod.uid)
                    self.apply(1, pod, node)


class Domains:
    """What a topology key makes of the nodes that `admits` lets count. `size` is how many domains there are.

    `version` changes whenever they may be others than before.
    """

    def __init__(self, key: str, admits: Callable[[NodeInfo], bool], *, by_taints: bool = False) -> None:
        self.key = key
        self.version = 0
        self.size = 0
        self.admitted: frozenset[str] = frozenset()
        self._admits = admits
        self._by_taints = by_taints
        self._layout: Hashable = None

    def sync(self, world: Counted) -> Self:
        layout = (world.layout, world.taints) if self._by_taints else world.layout
        if layout != self._layout:
            self._layout = layout
            self.version += 1
            admitted = [node for node in world.nodes if self.key in node.labels and self._admits(node)]
            self.admitted = frozenset([node.name for node in admitted])
            self.size = len({node.labels[self.key] for node in admitted})
        return self


class SpreadTally(Tally):
    """Counts over domains that exist even when they are empty. `fewest` is the smallest count of any of them."""

    __slots__ = ("_histogram", "domains")

    def __init__(self, domains: Domains, weigh: Callable[[PodInfo], Contribution], meant: Sequence[Meant]) -> None:
        super().__init__(weigh, meant)
        self.domains = domains
        self._histogram: dict[int, int] = {}

    @property
    def fewest(self) -> int:
        return min(self._histogram, default=0)

    def apply(self, sign: int, pod: PodInfo, node: NodeInfo) -> None:
        if node.name in self.domains.admitted:
            super().apply(sign, pod, node)

    def _copy_to(self, twin: Self) -> None:
        super()._copy_to(twin)
        twin.domains, twin._histogram = self.domains, dict(self._histogram)

    def _add(self, domain: Topology, weight: int) -> None:
        before = self.counts.get(domain, 0)
        super()._add(domain, weight)
        histogram = self._histogram
        histogram[before + weight] = histogram.get(before + weight, 0) + 1
        if histogram[before] == 1:
            del histogram[before]
        else:
            histogram[before] -= 1

    def _layout_of(self, world: Counted) -> Hashable:
        return self.domains.sync(world).version

    def _count(self, world: Counted) -> None:
        self._histogram = {0: self.domains.size} if self.domains.size else {}
        super()._count(world)
