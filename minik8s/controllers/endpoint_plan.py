"""What the Endpoints object of a Service should say: the older API's view, which many clients still read.

Addresses are grouped so that each subset's addresses all offer each of its ports. Upstream:
`pkg/controller/endpoint/endpoints_controller.go` and `pkg/api/v1/endpoints/util.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any

from minik8s.api.pods import is_pod_ready
from minik8s.controllers import service_endpoints as common
from minik8s.machinery.meta import Doc, Obj, annotations_of, labels_of, name_of, namespace_of

MANAGED_BY_LABEL = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY_ANNOTATION = "endpoints.kubernetes.io/over-capacity"
MAX_ADDRESSES = 1000
"""Upstream's maxCapacity."""

_Port = tuple[tuple[str, Any], ...]
"""A port as a value that can be compared and hashed."""


def plan_endpoints(
    service: Doc, pods: Iterable[Doc], current: Doc | None, *, trigger_time: str = "", capacity: int = MAX_ADDRESSES
) -> Obj | None:
    """The Endpoints to write, None when `current` says the same already (whatever its trigger time)."""
    subsets, truncated = truncate(subsets_of(service, pods), capacity)
    labels = _labels(service)
    if (
        current is not None
        and (current.get("subsets") or []) == subsets
        and labels_of(current) == labels
        and (annotations_of(current).get(OVER_CAPACITY_ANNOTATION) == "truncated") == truncated
    ):
        return None
    managed = (common.LAST_CHANGE_ANNOTATION, OVER_CAPACITY_ANNOTATION)
    annotations = {k: v for k, v in annotations_of(current or {"metadata": {}}).items() if k not in managed}
    if trigger_time:
        annotations[common.LAST_CHANGE_ANNOTATION] = trigger_time
    if truncated:
        annotations[OVER_CAPACITY_ANNOTATION] = "truncated"
    base = (
        current["metadata"] if current is not None else {"name": name_of(service), "namespace": namespace_of(service)}
    )
    metadata = {**base, "labels": labels, "annotations": annotations}
    if not annotations:
        del metadata["annotations"]
    result: Obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata}
    return result | {"subsets": subsets} if subsets else result


def subsets_of(service: Doc, pods: Iterable[Doc]) -> list[Obj]:
    """The subsets for the pods that the selector matches: addresses and ports in a stable order."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    family = common.families_of(service)[0]
    addresses: dict[tuple[str, str], tuple[Obj, bool]] = {}
    ports: dict[_Port | None, set[tuple[str, str]]] = {}
    for pod in pods:
        ip = next((a for a in common.addresses_of(pod) if common.family_of(a) == family), None)
        if ip is None or not common.belongs(pod, include_terminating=publish):
            continue
        address = _address(service, pod, ip)
        key = ip, address["targetRef"]["uid"]
        addresses[key] = address, publish or is_pod_ready(pod)
        for port in _ports(service, pod):
            ports.setdefault(port, set()).add(key)
    by_addresses: dict[frozenset[tuple[str, str]], list[_Port]] = {}
    for port, keys in ports.items():
        by_addresses.setdefault(frozenset(keys), []).extend([port] if port is not None else [])
    subsets = [
        _subset([addresses[key] for key in sorted(keys)], sorted(group, key=_sort_key))
        for keys, group in by_addresses.items()
    ]
    return sorted(subsets, key=lambda s: [_sort_key(tuple(port.items())) for port in s.get("ports", ())])


def truncate(subsets: Sequence[Obj], capacity: int) -> tuple[list[Obj], bool]:
    """At most `capacity` addresses, ready ones first and in proportion to the subsets' sizes; whether any were cut."""
    ready = sum(len(s.get("addresses", ())) for s in subsets)
    unready = sum(len(s.get("notReadyAddresses", ())) for s in subsets)
    if ready + unready <= capacity:
        return list(subsets), False
    field = "addresses" if ready > capacity else "notReadyAddresses"
    room, total = (capacity, ready) if ready > capacity else (capacity - ready, unready)
    result, left = [], room
    for subset in subsets:
        entries = subset.get(field, [])
        share = min(left, ceil(len(entries) / total * room))
        left -= share
        cut = {**subset, field: entries[:share]}
        if field == "addresses":
            cut.pop("notReadyAddresses", None)
        result.append({key: value for key, value in cut.items() if value})
    return result, True


def _address(service: Doc, pod: Doc, ip: str) -> Obj:
    result: Obj = {"ip": ip, "targetRef": common.target_of(pod)}
    if hostname := common.hostname_of(service, pod):
        result["hostname"] = hostname
    if node_name := pod["spec"].get("nodeName"):
        result["nodeName"] = node_name
    return result


def _ports(service: Doc, pod: Doc) -> list[_Port | None]:
    """The ports of a pod; [None] (addresses without ports) for a headless Service that has none."""
    if not service["spec"].get("ports"):
        return [None] if common.is_headless(service) else []
    # an unnamed port has no name here, where the EndpointSlice's is ""
    return [tuple((k, v) for k, v in port.items() if v != "") for port in common.ports_of(service, pod)]


def _subset(addresses: Iterable[tuple[Obj, bool]], ports: Iterable[_Port]) -> Obj:
    result: Obj = {"addresses": [], "notReadyAddresses": [], "ports": [dict(port) for port in ports]}
    for address, ready in addresses:
        result["addresses" if ready else "notReadyAddresses"].append(address)
    return {key: value for key, value in result.items() if value}


def _sort_key(port: _Port) -> tuple[Any, ...]:
    fields = dict(port)
    return fields.get("name", ""), fields["port"], fields["protocol"]


def _labels(service: Doc) -> dict[str, str]:
    """Labels other than the Service's are not kept; nor is the headless mark when it is none (any more)."""
    result = {key: value for key, value in labels_of(service).items() if key != common.HEADLESS_LABEL}
    if common.is_headless(service):
        result[common.HEADLESS_LABEL] = ""
    result[MANAGED_BY_LABEL] = MANAGER
    return result
