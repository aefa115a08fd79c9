"""A profile: the plugins of one scheduler, sorted by extension point, and how their verdicts combine.

Upstream: `pkg/scheduler/framework/runtime`. Filters run in order and the first rejection decides; scores are
normalised per plugin, weighted and added.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Generic, Protocol

import attrs

from minik8s.machinery.meta import Doc
from minik8s.scheduler.framework import (
    BindPlugin,
    Code,
    CycleState,
    DomainPlugin,
    EnqueueExtensions,
    Event,
    FilterPlugin,
    PermitPlugin,
    Plugin,
    PostBindPlugin,
    PostFilterPlugin,
    PreBindPlugin,
    PreEnqueuePlugin,
    PreFilterExtensions,
    PreFilterPlugin,
    PreScorePlugin,
    QueueSortPlugin,
    ReservePlugin,
    ScoreExtensions,
    ScorePlugin,
    SignPlugin,
    Snapshot,
    Status,
)
from minik8s.scheduler.info import NodeInfo, PodInfo

DEFAULT_SCHEDULER = "default-scheduler"


def implements(plugin: Plugin, point: type) -> bool:
    """Whether a plugin has an extension point, as isinstance would say, which takes 20 us to say it."""
    return all(hasattr(plugin, member) for member in _members(point))


@cache
def _members(point: type) -> tuple[str, ...]:
    """What a protocol asks for."""
    bases = [base for base in point.__mro__ if base not in (object, Protocol, Generic)]
    names = {name for base in bases for name in (*vars(base), *vars(base).get("__annotations__", ()))}
    return tuple(sorted(name for name in names if not name.startswith("_")))


@attrs.frozen
class Weighted:
    """A plugin in a profile; `weight` multiplies its scores."""

    plugin: Plugin
    weight: int = 1


class Profile:
    """The plugins of the scheduler called `name` (a pod's spec.schedulerName). Needs exactly one QueueSort plugin.

    `points` says for each extension point which plugins are asked there, in order; without it all are that can be.
    """

    def __init__(
        self, name: str, plugins: Iterable[Weighted], points: Mapping[type, Sequence[Weighted]] | None = None
    ) -> None:
        self.name = name
        plugins = list(plugins)
        self.plugins: list[Plugin] = [weighted.plugin for weighted in plugins]
        self.failures: set[tuple[str, str, str]] = set()
        """Plugin, point and exception of what has been logged."""
        self._points = points or {}
        self.queue_sort: QueueSortPlugin
        (self.queue_sort,) = self._providing(QueueSortPlugin)
        self.pre_enqueue: list[PreEnqueuePlugin] = self._providing(PreEnqueuePlugin)
        self.pre_filters: list[PreFilterPlugin] = self._providing(PreFilterPlugin)
        self.filters: list[FilterPlugin] = self._providing(FilterPlugin)
        self.post_filters: list[PostFilterPlugin] = self._providing(PostFilterPlugin)
        self.pre_scores: list[PreScorePlugin] = self._providing(PreScorePlugin)
        scoring = self._points.get(ScorePlugin, [w for w in plugins if implements(w.plugin, ScorePlugin)])
        self.scores: list[tuple[Any, int]] = [(w.plugin, w.weight) for w in scoring]
        self.reserves: list[ReservePlugin] = self._providing(ReservePlugin)
        self.permits: list[PermitPlugin] = self._providing(PermitPlugin)
        self.pre_binds: list[PreBindPlugin] = self._providing(PreBindPlugin)
        self.binds: list[BindPlugin] = self._providing(BindPlugin)
        self.post_binds: list[PostBindPlugin] = self._providing(PostBindPlugin)
        self.extensions: list[PreFilterExtensions] = self._providing(PreFilterExtensions)
        self.domains: list[DomainPlugin] = self._providing(DomainPlugin)
        self.signs: list[SignPlugin] = self._providing(SignPlugin)
        self._enqueue: dict[str, EnqueueExtensions] = {_name(p): p for p in self._providing(EnqueueExtensions)}

    def _providing(self, point: type) -> list[Any]:
        if point in self._points:
            return [weighted.plugin for weighted in self._points[point]]
        return [p for p in self.plugins if implements(p, point)]

    def gate(self, pod: PodInfo) -> Status | None:
        """Why the pod may not even enter the queue, None when it may."""
        for plugin in self.pre_enqueue:
            if status := plugin.pre_enqueue(pod):
                return status
        return None

    def run_pre_filters(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> NodeLimit | Status:
        """Prepares the filters; a rejection of the pod as a whole, or the limit to certain nodes."""
        names: frozenset[str] | None = None
        limiting: list[str] = []
        for plugin in self.pre_filters:
            result = plugin.pre_filter(state, pod, snapshot)
            if isinstance(result, Status):
                if result.code is not Code.SKIP:
                    return result
                state.skip_filter.add(_name(plugin))
            elif result is not None:
                names = result if names is None else names & result
                limiting.append(_name(plugin))
        return NodeLimit(names, tuple(limiting))

    def with_pods(self, state: CycleState, pod: PodInfo, others: Iterable[PodInfo], node: NodeInfo) -> CycleState:
        """The state as it would be if those pods were on the node already."""
        state = state.clone()
        for other in others:
            self.add_pod(state, pod, other, node)
        return state

    def add_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        for plugin in self.extensions:
            plugin.add_pod(state, pod, other, node)

    def remove_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        for plugin in self.extensions:
            plugin.remove_pod(state, pod, other, node)

    def fits(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        """The first rejection of the node, with and without the pods for which room is being made there."""
        filters = self.active_filters(state)
        if node.nominated and (others := node.nominated_before(pod)):
            crowded = self.with_pods(state, pod, others, node)
            if status := run_filters(filters, crowded, pod, node.with_pods(others)):
                return status
        return run_filters(filters, state, pod, node)

    def active_filters(self, state: CycleState) -> list[FilterPlugin]:
        return [p for p in self.filters if _name(p) not in state.skip_filter]

    def run_pre_scores(self, state: CycleState, pod: PodInfo, snapshot: Snapshot, nodes: Sequence[NodeInfo]) -> None:
        for plugin in self.pre_scores:
            status = plugin.pre_score(state, pod, snapshot, nodes)
            if status is not None and status.code is Code.SKIP:
                state.skip_score.add(_name(plugin))

    def active_scores(self, state: CycleState) -> list[tuple[Any, int]]:
        return [(p, weight) for p, weight in self.scores if _name(p) not in state.skip_score]

    def concerns(self, rejected_by: Iterable[str], event: Event) -> bool:
        """Whether such an event can change the mind of one of those plugins at all."""
        plugins = [self._enqueue.get(name) for name in rejected_by]
        return any(plugin is None or event & plugin.events for plugin in plugins)

    def listens(self, gates: Iterable[str], event: Event) -> bool:
        """Whether such an event can make one of those plugins let a pod in."""
        plugins = [self._enqueue.get(name) for name in gates]
        return any(plugin is not None and event & plugin.events for plugin in plugins)

    def wakes(self, rejected_by: Iterable[str], pod: PodInfo, event: Event, subject: NodeInfo | PodInfo | Doc) -> bool:
        """Whether an event is worth another attempt for a pod that those plugins have rejected."""
        for name in rejected_by:
            plugin = self._enqueue.get(name)
            if plugin is None or (event & plugin.events and plugin.hint(pod, event, subject)):
                return True
        return False


@attrs.frozen
class NodeLimit:
    """The only nodes worth looking at (None: all), and the plugins that said so."""

    names: frozenset[str] | None
    plugins: tuple[str, ...]


def run_filters(filters: Sequence[FilterPlugin], state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
    """The first rejection, or None when the node passes all."""
    for plugin in filters:
        status = plugin.filter(state, pod, node)
        if status is not None:
            return status
    return None


def run_scores(
    scores: Sequence[tuple[Any, int]], state: CycleState, pod: PodInfo, nodes: Sequence[NodeInfo]
) -> dict[str, int]:
    """Node name -> weighted sum of the normalised scores."""
    total = {node.name: 0 for node in nodes}
    for plugin, weight in scores:
        points = {node.name: plugin.score(state, pod, node) for node in nodes}
        if implements(plugin, ScoreExtensions):
            plugin.normalize(state, pod, points)
        for name, number in points.items():
            total[name] += weight * number
    return total


def _name(plugin: Any) -> str:
    return str(plugin.name)
