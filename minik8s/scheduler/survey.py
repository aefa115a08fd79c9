"""All nodes that would do for a pod, for others than plugins to have a say before one is chosen.

`podclass` never makes such a list for pods that look alike; here each pod is decided by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from minik8s.scheduler.cache import Cache
from minik8s.scheduler.framework import CycleState, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.podclass import Refusal, refusal
from minik8s.scheduler.profile import NodeLimit, Profile, run_scores


@attrs.define(eq=False)
class Survey:
    """The feasible `nodes` so far, and why others are not; not `whole` when there is only the one room was made on."""

    pod: PodInfo
    state: CycleState
    limit: NodeLimit
    nodes: list[NodeInfo] = attrs.field(factory=list)
    statuses: dict[str, Status] = attrs.field(factory=dict)
    whole: bool = True

    @property
    def evaluated(self) -> int:
        return len(self.nodes) + len(self.statuses)

    def look(self, profile: Profile, nodes: Iterable[NodeInfo], enough: int) -> None:
        """Filters until enough nodes are feasible."""
        for node in nodes:
            status = profile.fits(self.state, self.pod, node)
            if status is not None:
                self.statuses[node.name] = status
                continue
            self.nodes.append(node)
            if len(self.nodes) >= enough:
                return

    def keep(self, names: Iterable[str], statuses: dict[str, Status]) -> None:
        """Others have refused some of the nodes."""
        kept = set(names)
        self.nodes = [node for node in self.nodes if node.name in kept]
        self.statuses |= statuses

    def scores(self, profile: Profile, cache: Cache) -> dict[str, int]:
        """What the plugins think of the nodes."""
        profile.run_pre_scores(self.state, self.pod, cache, self.nodes)
        return run_scores(profile.active_scores(self.state), self.state, self.pod, self.nodes)

    def refusal(self, cache: Cache, by: str = "") -> Refusal:
        """No node is left; `by` is who else than plugins has refused some."""
        seen = {*self.statuses, *(node.name for node in self.nodes)}
        found = refusal(cache.nodes, dict(self.statuses), seen, self.limit, self.state)
        plugins = found.diagnosis.plugins | ({by} if by else frozenset())
        return attrs.evolve(found, diagnosis=attrs.evolve(found.diagnosis, plugins=plugins))
