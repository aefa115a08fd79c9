"""The in-tree plugins by name: which are on by default, in which order and with which weights, and how each is made.

Upstream: `framework/plugins/registry.go` and `apis/config/v1/default_plugins.go`; what plugins can be told
(pluginConfig) is `apis/config/types_pluginargs.go`, with the same defaults and limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import attrs

from minik8s.client.client import Client
from minik8s.machinery.meta import Doc
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.claims import Claims
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.fields import ConfigurationError, duration, fields, number, sequence, text, truth
from minik8s.scheduler.framework import Plugin
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaultbinder import DefaultBinder
from minik8s.scheduler.plugins.defaultpreemption import MIN_CANDIDATES, MIN_CANDIDATES_PERCENT, DefaultPreemption
from minik8s.scheduler.plugins.dynamicresources import BINDING_SECONDS, FILTER_SECONDS, DynamicResources
from minik8s.scheduler.plugins.imagelocality import ImageLocality
from minik8s.scheduler.plugins.interpodaffinity import HARD_AFFINITY_WEIGHT, InterPodAffinity
from minik8s.scheduler.plugins.nodeaffinity import NodeAffinity
from minik8s.scheduler.plugins.nodename import NodeName
from minik8s.scheduler.plugins.nodeports import NodePorts
from minik8s.scheduler.plugins.noderesources import (
    EVEN,
    BalancedAllocation,
    Fit,
    Weights,
    least_allocated,
    most_allocated,
    requested_to_capacity,
)
from minik8s.scheduler.plugins.nodeunschedulable import NodeUnschedulable
from minik8s.scheduler.plugins.nodevolumelimits import NodeVolumeLimits
from minik8s.scheduler.plugins.podtopologyspread import PodTopologySpread
from minik8s.scheduler.plugins.prioritysort import PrioritySort
from minik8s.scheduler.plugins.schedulinggates import SchedulingGates
from minik8s.scheduler.plugins.tainttoleration import TaintToleration
from minik8s.scheduler.plugins.volumebinding import VolumeBinding
from minik8s.scheduler.plugins.volumerestrictions import VolumeRestrictions
from minik8s.scheduler.plugins.volumezone import VolumeZone
from minik8s.scheduler.profile import Weighted
from minik8s.scheduler.volumes import BIND_SECONDS, Volumes

DEFAULTS: tuple[tuple[str, int], ...] = (
    ("SchedulingGates", 0),
    ("PrioritySort", 0),
    ("NodeUnschedulable", 0),
    ("NodeName", 0),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 0),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 0),
    ("NodeVolumeLimits", 0),
    ("VolumeBinding", 0),
    ("VolumeZone", 0),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    ("DynamicResources", 2),
    ("DefaultPreemption", 0),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 0),
)
"""Name and weight; 0 is the weight 1 that nobody has asked for."""
REMOVED = frozenset(("AzureDiskLimits", "CinderLimits", "EBSLimits", "GCEPDLimits"))
"""Plugins of earlier versions, whose volumes have become CSI volumes, which NodeVolumeLimits counts. Upstream's
validation knows their names to refuse them with a text of their own (invalidPluginsByVersion)."""


@attrs.frozen
class Tools:
    """What plugins read besides pods and nodes, and what binds. Plugins that need what is absent are left out."""

    client: Client | None = None
    volumes: Volumes | None = None
    selector_of: Callable[[PodInfo], LabelSelector | None] | None = None
    budgets: Callable[[], Iterable[Doc]] = tuple
    devices: Inventory | None = None
    claims: Claims | None = None


def default_plugins(tools: Tools = Tools()) -> list[Weighted]:
    """Everything of the default profile for which there are tools."""
    made = [(make(name, {}, tools), weight) for name, weight in DEFAULTS]
    return [Weighted(plugin, weight or 1) for plugin, weight in made if plugin is not None]


def is_known(name: str) -> bool:
    return name in _MAKERS


def make(name: str, args: Doc, tools: Tools, path: str = "") -> Plugin | None:
    """A plugin made by its arguments; None for one that has no tools. Raises ConfigurationError."""
    return _MAKERS[name](args, tools, path or name)


def _plain(cls: Callable[[], Plugin]) -> Callable[[Doc, Tools, str], Plugin]:
    def maker(args: Doc, tools: Tools, path: str) -> Plugin:
        _known(args, path)
        return cls()

    return maker


def _of_volumes(cls: Callable[[Volumes], Plugin]) -> Callable[[Doc, Tools, str], Plugin | None]:
    def maker(args: Doc, tools: Tools, path: str) -> Plugin | None:
        _known(args, path)
        return None if tools.volumes is None else cls(tools.volumes)

    return maker


def _known(args: Doc, path: str, *names: str) -> Doc:
    return fields(args, path, {"apiVersion", "kind", *names})


def _volume_binding(args: Doc, tools: Tools, path: str) -> Plugin | None:
    args = _known(args, path, "bindTimeoutSeconds", "shape")
    if args.get("shape"):
        raise ConfigurationError(f"{path}.shape: scoring by storage capacity is not supported")
    seconds = number(args, "bindTimeoutSeconds", path, int(BIND_SECONDS))
    return None if tools.volumes is None else VolumeBinding(tools.volumes, seconds)


def _devices(args: Doc, tools: Tools, path: str) -> Plugin | None:
    args = _known(args, path, "filterTimeout", "bindingTimeout")
    seconds = duration(args, "filterTimeout", path, FILTER_SECONDS)
    binding = duration(args, "bindingTimeout", path, BINDING_SECONDS)
    if seconds < 0:
        raise ConfigurationError(f"{path}.filterTimeout: must be zero or positive")
    if binding < 1:
        raise ConfigurationError(f"{path}.bindingTimeout: must be at least 1 second")
    return None if tools.devices is None else DynamicResources(tools.devices, tools.claims, seconds, binding)


def _binder(args: Doc, tools: Tools, path: str) -> Plugin | None:
    _known(args, path)
    return None if tools.client is None else DefaultBinder(tools.client)


def _preemption(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "minCandidateNodesPercentage", "minCandidateNodesAbsolute")
    percentage = number(args, "minCandidateNodesPercentage", path, MIN_CANDIDATES_PERCENT, most=100)
    absolute = number(args, "minCandidateNodesAbsolute", path, MIN_CANDIDATES)
    if not percentage and not absolute:
        raise ConfigurationError(f"{path}: minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be 0")
    return DefaultPreemption(tools.budgets, percentage, absolute)


def _inter_pod_affinity(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods")
    weight = number(args, "hardPodAffinityWeight", path, HARD_AFFINITY_WEIGHT, most=100)
    return InterPodAffinity(weight, ignore_preferred=truth(args, "ignorePreferredTermsOfExistingPods", path))


def _node_affinity(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "addedAffinity")
    added = args.get("addedAffinity") or {}
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"}
    return NodeAffinity(fields(added, f"{path}.addedAffinity", wanted))


def _weights(listed: object, path: str) -> Weights:
    """Resources with weights of 1 to 100; a weight that is not said is 1."""
    found = []
    for i, entry in enumerate(sequence(listed, path)):
        here = f"{path}[{i}]"
        one = fields(entry, here, {"name", "weight"})
        if not (name := text(one, "name", here)):
            raise ConfigurationError(f"{here}.name: required")
        found.append((name, number(one, "weight", here, 1, least=1, most=100)))
    return tuple(found) or EVEN


def _balanced(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "resources")
    weights = _weights(args.get("resources"), f"{path}.resources")
    for i, (_, weight) in enumerate(weights):
        if weight != 1:
            raise ConfigurationError(f"{path}.resources[{i}].weight: must be 1")
    return BalancedAllocation(weights)


def _fit(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "ignoredResources", "ignoredResourceGroups", "scoringStrategy")
    ignored = [*sequence(args.get("ignoredResources"), f"{path}.ignoredResources")]
    ignored += sequence(args.get("ignoredResourceGroups"), f"{path}.ignoredResourceGroups")
    path = f"{path}.scoringStrategy"
    told = fields(args.get("scoringStrategy") or {}, path, {"type", "resources", "requestedToCapacityRatio"})
    weights, kind = _weights(told.get("resources"), f"{path}.resources"), text(told, "type", path) or "LeastAllocated"
    class_for = _no_class if tools.devices is None else tools.devices.class_for
    fit = partial(Fit, resources=weights, ignored=frozenset(ignored), class_for=class_for)
    match kind:
        case "LeastAllocated":
            return fit(least_allocated)
        case "MostAllocated":
            return fit(most_allocated)
        case "RequestedToCapacityRatio":
            ratio = fields(told.get("requestedToCapacityRatio") or {}, f"{path}.requestedToCapacityRatio", {"shape"})
            shape = _shape(ratio.get("shape"), f"{path}.requestedToCapacityRatio.shape")
            return fit(requested_to_capacity(shape), rounded=True)
    known = "LeastAllocated, MostAllocated or RequestedToCapacityRatio"
    raise ConfigurationError(f"{path}.type: must be {known}, not {kind!r}")


def _no_class(resource: str) -> Doc | None:
    return None


def _shape(listed: object, path: str) -> list[tuple[int, int]]:
    """Points of ascending utilization 0 … 100 with scores 0 … 10."""
    points: list[tuple[int, int]] = []
    for i, entry in enumerate(sequence(listed, path)):
        here = f"{path}[{i}]"
        one = fields(entry, here, {"utilization", "score"})
        point = (number(one, "utilization", here, 0, most=100), number(one, "score", here, 0, most=10))
        if points and point[0] <= points[-1][0]:
            raise ConfigurationError(f"{here}.utilization: must be more than that of the point before")
        points.append(point)
    if not points:
        raise ConfigurationError(f"{path}: at least one point is required")
    return points


def _spread(args: Doc, tools: Tools, path: str) -> Plugin:
    args = _known(args, path, "defaultConstraints", "defaultingType")
    kind = text(args, "defaultingType", path) or "System"
    listed = sequence(args.get("defaultConstraints"), f"{path}.defaultConstraints")
    if kind not in ("System", "List"):
        raise ConfigurationError(f"{path}.defaultingType: must be System or List, not {kind!r}")
    if kind == "System" and listed:
        raise ConfigurationError(f"{path}.defaultConstraints: must be empty when defaultingType is System")
    for i, constraint in enumerate(listed):
        here = f"{path}.defaultConstraints[{i}]"
        known = {"maxSkew", "topologyKey", "whenUnsatisfiable", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy"}
        one = fields(constraint, here, {*known, "matchLabelKeys", "labelSelector"})
        if one.get("labelSelector"):
            raise ConfigurationError(
                f"{here}.labelSelector: must not be set, it is that of the pod's Services and owner"
            )
        number(one, "maxSkew", here, 0, least=1)
        if not text(one, "topologyKey", here) or one.get("whenUnsatisfiable") not in (
            "DoNotSchedule",
            "ScheduleAnyway",
        ):
            raise ConfigurationError(f"{here}: topologyKey, and DoNotSchedule or ScheduleAnyway, are required")
    return PodTopologySpread(tools.selector_of, None if kind == "System" else listed)


_MAKERS: Mapping[str, Callable[[Doc, Tools, str], Any]] = {
    "SchedulingGates": _plain(SchedulingGates),
    "PrioritySort": _plain(PrioritySort),
    "NodeUnschedulable": _plain(NodeUnschedulable),
    "NodeName": _plain(NodeName),
    "TaintToleration": _plain(TaintToleration),
    "NodeAffinity": _node_affinity,
    "NodePorts": _plain(NodePorts),
    "NodeResourcesFit": _fit,
    "VolumeRestrictions": _of_volumes(VolumeRestrictions),
    "NodeVolumeLimits": _of_volumes(NodeVolumeLimits),
    "VolumeBinding": _volume_binding,
    "VolumeZone": _of_volumes(VolumeZone),
    "PodTopologySpread": _spread,
    "InterPodAffinity": _inter_pod_affinity,
    "DynamicResources": _devices,
    "DefaultPreemption": _preemption,
    "NodeResourcesBalancedAllocation": _balanced,
    "ImageLocality": _plain(ImageLocality),
    "DefaultBinder": _binder,
}
