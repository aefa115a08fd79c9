"""Which EndpointSlices a Service should have, with as little change as possible to those it has.

Every changed slice is sent to every proxy, so an endpoint stays in its slice, holes are filled before slices are
made, and a slice that would go is reused for one that would come. Upstream: `k8s.io/endpointslice/reconciler.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs

from minik8s.api.nodes import ZONE
from minik8s.api.pods import is_pod_ready
from minik8s.controllers import service_endpoints as common
from minik8s.controllers import topologycache_plan as topology
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_of,
    controller_reference,
    evolve,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
)

MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
MAX_ENDPOINTS = 100
"""--max-endpoints-per-slice of kube-controller-manager."""
DISTRIBUTIONS = frozenset(("PreferClose", "PreferSameZone", "PreferSameNode"))
_RESERVED_LABELS = (common.SERVICE_NAME_LABEL, MANAGED_BY_LABEL, common.HEADLESS_LABEL)

EndpointKey = tuple[str, tuple[str, ...]]
"""(uid of the pod, addresses): what makes an endpoint the same one after a change of its conditions."""


@attrs.define
class SlicePlan:
    """Slices to write: `create` without a name, `update` and `delete` as the full objects.

    `missing_nodes`: pods were left out because their node is not known (yet), so it is worth looking again.
    `zones`: for each address type with hints of topology-mode Auto, how many endpoints are meant for each zone.
    """

    create: list[Obj] = attrs.field(factory=list)
    update: list[Obj] = attrs.field(factory=list)
    delete: list[Doc] = attrs.field(factory=list)
    missing_nodes: bool = False
    events: list[topology.Event] = attrs.field(factory=list)
    zones: dict[str, Mapping[str, int]] = attrs.field(factory=dict)


def is_managed(slice_: Doc) -> bool:
    """Whether a slice is this controller's; others, made by hand or mirrored, are left alone."""
    return labels_of(slice_).get(MANAGED_BY_LABEL) == MANAGER


def plan_slices(
    service: Doc,
    pods: Iterable[Doc],
    existing: Iterable[Doc],
    nodes: Mapping[str, Doc],
    *,
    trigger_time: str = "",
    max_endpoints: int = MAX_ENDPOINTS,
    ratios: topology.Ratios | None = None,
    hinted: bool = False,
) -> SlicePlan:
    """`pods` are those the selector matches, `existing` the managed slices of the Service, `nodes` by name.

    `ratios` are the zones' parts of all CPUs, `hinted` is whether the Service had hints by topology-mode Auto before.
    """
    pods = sorted((pod for pod in pods if common.belongs(pod, include_terminating=True)), key=name_of)
    existing = sorted((s for s in existing if is_managed(s) and not is_terminating(s)), key=name_of)
    mine = [s for s in existing if (controller_of(s) or {}).get("uid") == uid_of(service)]
    families = common.families_of(service)
    plan = SlicePlan(delete=[s for s in existing if s not in mine or s.get("addressType") not in families])
    for family in families:
        slices = [s for s in mine if s.get("addressType") == family]
        part = _Family(service, family, max_endpoints).plan(pods, slices, nodes)
        if topology.is_auto(service):
            _add_hints(part, family, slices, ratios, enabled=hinted or bool(plan.zones))
        plan.create += part.create
        plan.update += part.update
        plan.delete += part.delete
        plan.missing_nodes |= part.missing_nodes
        plan.events += part.events
        plan.zones |= part.zones
    if hinted and families and not topology.is_auto(service):
        plan.events.append(topology.disabled(families[0]))
    if is_terminating(service):
        plan.create.clear()
    plan.create = [_stamped(slice_, trigger_time) for slice_ in plan.create]
    plan.update = [_stamped(slice_, trigger_time) for slice_ in plan.update]
    return plan


def endpoint_for(service: Doc, pod: Doc, node: Doc | None, addresses: Sequence[str]) -> Obj:
    """The discovery/v1 Endpoint of a pod. It is never ready while it terminates, unless that is not to matter."""
    serving, terminating = is_pod_ready(pod), is_terminating(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    result: Obj = {
        "addresses": list(addresses),
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": common.target_of(pod),
    }
    if hostname := common.hostname_of(service, pod):
        result["hostname"] = hostname
    if node_name := pod["spec"].get("nodeName"):
        result["nodeName"] = node_name
    if node is not None and (zone := labels_of(node).get(ZONE)):
        result["zone"] = zone
    if ready and (hints := hints_for(service, result)):
        result["hints"] = hints
    return result


def hints_for(service: Doc, endpoint: Doc) -> Obj:
    """For whom an endpoint is meant by the Service's trafficDistribution; {} for everybody.

    A Service that asks for topology by the older annotation gets those of `topologycache_plan` instead. Upstream:
    `k8s.io/endpointslice/trafficdist`.
    """
    distribution = service["spec"].get("trafficDistribution")
    if distribution not in DISTRIBUTIONS or topology.is_auto(service):
        return {}
    hints: Obj = {}
    if zone := endpoint.get("zone"):
        hints["forZones"] = [{"name": zone}]
    if distribution == "PreferSameNode" and (node := endpoint.get("nodeName")):
        hints["forNodes"] = [{"name": node}]
    return hints


@attrs.define
class _Group:
    """The endpoints that share one set of resolved ports."""

    ports: list[Obj]
    endpoints: dict[EndpointKey, Obj] = attrs.field(factory=dict)


@attrs.frozen
class _Family:
    """The slices of one address type."""

    service: Doc
    family: str
    limit: int

    def plan(self, pods: Iterable[Doc], existing: Sequence[Doc], nodes: Mapping[str, Doc]) -> SlicePlan:
        result = SlicePlan()
        if topology.is_auto(self.service):  # its hints are no reason for a change; they are seen to later
            existing = [topology.without_hints(slice_) for slice_ in existing]
        groups = self._desired(pods, nodes, result)
        for key, group in groups.items():
            slices = [s for s in existing if _port_key(s.get("ports")) == key]
            self._pack(group, slices, result)
        result.delete += [s for s in existing if _port_key(s.get("ports")) not in groups]
        self._keep_one(result, len(existing))
        _reuse(result)
        return result

    def _desired(
        self, pods: Iterable[Doc], nodes: Mapping[str, Doc], result: SlicePlan
    ) -> dict[tuple[Any, ...], _Group]:
        groups: dict[tuple[Any, ...], _Group] = {}
        publish = bool(self.service["spec"].get("publishNotReadyAddresses"))
        for pod in pods:
            addresses = [a for a in common.addresses_of(pod) if common.family_of(a) == self.family]
            node_name = pod["spec"].get("nodeName", "")
            if not addresses:
                continue
            if node_name not in nodes and not publish:
                result.missing_nodes = True  # a pod of a node that is gone must not keep its place
                continue
            ports = common.ports_of(self.service, pod)
            group = groups.setdefault(_port_key(ports), _Group(ports))
            endpoint = endpoint_for(self.service, pod, nodes.get(node_name), addresses)
            group.endpoints[_key(endpoint)] = endpoint
        return groups

    def _pack(self, group: _Group, slices: Sequence[Doc], result: SlicePlan) -> None:
        """Sorts existing slices into kept, changed and emptied, then finds places for who has none."""
        left = dict(group.endpoints)
        unchanged: list[Doc] = []
        changed: list[Obj] = []
        for slice_ in slices:
            before = slice_.get("endpoints") or []
            kept = [left.pop(key) for key in map(_key, before) if key in left]
            if before and not kept:
                result.delete.append(slice_)
            elif kept != before or _labels(self.service) != labels_of(slice_):
                changed.append(self._filled(slice_, kept))
            else:
                unchanged.append(slice_)
        waiting = list(left.values())
        for slice_ in sorted(changed, key=lambda s: -len(s["endpoints"])):
            _fill(slice_["endpoints"], waiting, self.limit)
        while waiting:
            target = self._roomiest_fit(unchanged, len(waiting))
            if target is None:
                slice_ = self._new(group.ports)
                result.create.append(slice_)
            else:
                unchanged.remove(target)
                slice_ = self._filled(target, target.get("endpoints") or [])
                changed.append(slice_)
            _fill(slice_["endpoints"], waiting, self.limit)
        result.update += changed

    def _roomiest_fit(self, unchanged: Iterable[Doc], count: int) -> Doc | None:
        """The fullest slice that still takes all of `count`."""
        fitting = [s for s in unchanged if len(s.get("endpoints") or ()) + count <= self.limit]
        return max(fitting, key=lambda s: len(s.get("endpoints") or ()), default=None)

    def _keep_one(self, result: SlicePlan, existing: int) -> None:
        """A Service without endpoints has one empty slice, so that consumers can tell it from an unknown one."""
        if result.create or existing > len(result.delete):
            return
        empty = next((s for s in result.delete if _is_placeholder(s, self.service)), None)
        if empty is not None:
            result.delete.remove(empty)
        else:
            result.create.append(self._new([]))

    def _filled(self, slice_: Doc, endpoints: Collection[Obj]) -> Obj:
        return evolve(slice_, "metadata", "labels", value=_labels(self.service)) | {"endpoints": [*endpoints]}

    def _new(self, ports: Sequence[Obj]) -> Obj:
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "generateName": f"{name_of(self.service)}-",
                "namespace": namespace_of(self.service),
                "labels": _labels(self.service),
                "ownerReferences": [controller_reference(self.service)],
            },
            "addressType": self.family,
            "ports": list(ports),
            "endpoints": [],
        }


def _add_hints(
    plan: SlicePlan, family: str, existing: Iterable[Doc], ratios: topology.Ratios | None, *, enabled: bool
) -> None:
    touched = {name_of(slice_) for slice_ in (*plan.update, *plan.delete)}
    unchanged = [slice_ for slice_ in existing if name_of(slice_) not in touched]
    hinted = topology.add_hints([*plan.create, *plan.update], unchanged, ratios)
    made = len(plan.create)
    plan.create, plan.update = hinted.slices[:made], hinted.slices[made:] + hinted.updated
    if hinted.zones is None:
        plan.events.append(topology.disabled(family, hinted.why))
        return
    plan.zones[family] = hinted.zones
    if not enabled:
        plan.events.append(topology.enabled(family))


def _reuse(plan: SlicePlan) -> None:
    """Turns pairs of a deletion and a creation into updates: a name that stays is one watch event instead of two."""
    while plan.create and plan.delete:
        new, old = plan.create.pop(), plan.delete.pop(0)
        metadata = {**old["metadata"], "labels": new["metadata"]["labels"]}
        plan.update.append({**old, "metadata": metadata, "ports": new["ports"], "endpoints": new["endpoints"]})


def _fill(endpoints: list[Obj], waiting: list[Obj], limit: int) -> None:
    room = max(0, limit - len(endpoints))
    endpoints += waiting[:room]
    del waiting[:room]


def _is_placeholder(slice_: Doc, service: Doc) -> bool:
    return not slice_.get("ports") and not slice_.get("endpoints") and _labels(service) == labels_of(slice_)


def _labels(service: Doc) -> dict[str, str]:
    """The Service's labels and the controller's own. A slice does not keep labels that are neither."""
    result = {key: value for key, value in labels_of(service).items() if key not in _RESERVED_LABELS}
    if common.is_headless(service):
        result[common.HEADLESS_LABEL] = ""
    result[common.SERVICE_NAME_LABEL] = name_of(service)
    result[MANAGED_BY_LABEL] = MANAGER
    return result


def _stamped(slice_: Obj, trigger_time: str) -> Obj:
    annotations = {k: v for k, v in annotations_of(slice_).items() if k != common.LAST_CHANGE_ANNOTATION}
    if trigger_time:
        annotations[common.LAST_CHANGE_ANNOTATION] = trigger_time
    return evolve(slice_, "metadata", "annotations", value=annotations or None)


def _key(endpoint: Doc) -> EndpointKey:
    return (endpoint.get("targetRef") or {}).get("uid", ""), tuple(endpoint["addresses"])


def _port_key(ports: Iterable[Doc] | None) -> tuple[Any, ...]:
    """The same for the same ports in any order."""
    fields = ("name", "protocol", "port", "appProtocol")
    return tuple(sorted(tuple(str(port.get(field) or "") for field in fields) for port in ports or ()))
