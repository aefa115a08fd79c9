"""The default profile: upstream's plugins in upstream's order with upstream's weights (default_plugins.go)."""

from __future__ import annotations

from collections.abc import Iterable

from minik8s.client.client import Client
from minik8s.scheduler.framework import Plugin
from minik8s.scheduler.plugins.defaultbinder import DefaultBinder
from minik8s.scheduler.plugins.defaultpreemption import DefaultPreemption
from minik8s.scheduler.plugins.imagelocality import ImageLocality
from minik8s.scheduler.plugins.interpodaffinity import InterPodAffinity
from minik8s.scheduler.plugins.nodeaffinity import NodeAffinity
from minik8s.scheduler.plugins.nodename import NodeName
from minik8s.scheduler.plugins.nodeports import NodePorts
from minik8s.scheduler.plugins.noderesources import BalancedAllocation, Fit
from minik8s.scheduler.plugins.nodeunschedulable import NodeUnschedulable
from minik8s.scheduler.plugins.podtopologyspread import PodTopologySpread
from minik8s.scheduler.plugins.prioritysort import PrioritySort
from minik8s.scheduler.plugins.schedulinggates import SchedulingGates
from minik8s.scheduler.plugins.tainttoleration import TaintToleration
from minik8s.scheduler.plugins.volumebinding import VolumeBinding
from minik8s.scheduler.plugins.volumerestrictions import VolumeRestrictions
from minik8s.scheduler.profile import DEFAULT_SCHEDULER, Profile, Weighted
from minik8s.scheduler.volumes import Volumes


def default_profile(
    client: Client, volumes: Volumes, name: str = DEFAULT_SCHEDULER, *, more: Iterable[Plugin | Weighted] = ()
) -> Profile:
    """The profile `default-scheduler`; `client` is what binds, `volumes` what knows of claims.

    `more` are plugins of somebody else's: they come after the default ones and, where they bind, before the binder.
    Raises ValueError for one without a name, or with a name that is taken.
    """
    weighted = [plugin if isinstance(plugin, Weighted) else Weighted(plugin) for plugin in more]
    plugins = [*default_plugins(volumes), *weighted, Weighted(DefaultBinder(client))]
    names = [getattr(entry.plugin, "name", "") for entry in plugins]
    for name_ in names:
        if not name_ or names.count(name_) > 1:
            raise ValueError(f"every scheduler plugin needs a name of its own; {name_!r} is not")
    return Profile(name, plugins)


def default_plugins(volumes: Volumes | None = None) -> list[Weighted]:
    """Everything of the default profile but the binder; without `volumes` nobody asks after claims."""
    about_claims = []
    if volumes is not None:
        about_claims = [Weighted(VolumeRestrictions(volumes)), Weighted(VolumeBinding(volumes))]
    return [
        Weighted(SchedulingGates()),
        Weighted(PrioritySort()),
        Weighted(NodeUnschedulable()),
        Weighted(NodeName()),
        Weighted(TaintToleration(), 3),
        Weighted(NodeAffinity(), 2),
        Weighted(NodePorts()),
        Weighted(Fit()),
        *about_claims,
        Weighted(PodTopologySpread(), 2),
        Weighted(InterPodAffinity(), 2),
        Weighted(DefaultPreemption()),
        Weighted(BalancedAllocation()),
        Weighted(ImageLocality()),
    ]
