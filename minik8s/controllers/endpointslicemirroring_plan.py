"""Which EndpointSlices mirror an Endpoints object that somebody made by hand, decided without I/O.

One slice for each subset's ports and address family, however many addresses that has up to a limit. Upstream:
`pkg/controller/endpointslicemirroring`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Any, TypeAlias

import attrs

from minik8s.api.services import SERVICE_NAME_LABEL
from minik8s.controllers.endpointslice_plan import MANAGED_BY_LABEL
from minik8s.controllers.service_endpoints import LAST_CHANGE_ANNOTATION, family_of
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_reference,
    evolve,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
)

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP_LABEL = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader"
LAST_APPLIED_ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ADDRESSES = 1000
"""--mirroring-max-endpoints-per-subset."""
_UNMIRRORED = (LAST_CHANGE_ANNOTATION, LAST_APPLIED_ANNOTATION)

_Key: TypeAlias = tuple[str, tuple[tuple[str, ...], ...]]
"""Address family and ports: what one slice has in common."""


@attrs.define
class MirrorPlan:
    """Slices to write, `create` without names; how many addresses are no addresses, and how many are not mirrored."""

    create: list[Obj] = attrs.field(factory=list)
    update: list[Obj] = attrs.field(factory=list)
    delete: list[Doc] = attrs.field(factory=list)
    invalid: int = 0
    skipped: int = 0


@attrs.define
class _Group:
    ports: list[Obj]
    endpoints: dict[tuple[str, ...], Obj] = attrs.field(factory=dict)


def should_mirror(endpoints: Doc) -> bool:
    """Whether they may be mirrored at all; it is up to their Service, too."""
    skipped = labels_of(endpoints).get(SKIP_LABEL) == "true"
    return not skipped and LEADER_ANNOTATION not in annotations_of(endpoints)


def is_mirror(slice_: Doc) -> bool:
    """Whether a slice is this controller's."""
    return labels_of(slice_).get(MANAGED_BY_LABEL) == MANAGER


def plan_mirror(endpoints: Doc, existing: Iterable[Doc], limit: int = MAX_ADDRESSES) -> MirrorPlan:
    """`existing` are the mirrors of these Endpoints."""
    plan = MirrorPlan()
    wanted = _wanted(endpoints, plan, limit)
    present: dict[_Key, list[Doc]] = {}
    for slice_ in sorted(existing, key=name_of):
        present.setdefault(_key(slice_.get("addressType", ""), slice_.get("ports") or ()), []).append(slice_)
    for key, group in wanted.items():
        slices, mirror = present.pop(key, []), _slice(endpoints, key[0], group)
        plan.delete += slices[1:]
        if not slices:
            plan.create.append(mirror)
        elif _differs(slices[0], mirror):
            plan.update.append(_into(slices[0], mirror))
    plan.delete += [slice_ for slices in present.values() for slice_ in slices]
    while plan.create and plan.delete:  # a name that stays is one event for the proxies instead of two
        old, new = plan.delete[0], plan.create[-1]
        if old["addressType"] != new["addressType"]:  # which nobody may change
            break
        plan.update.append(_into(plan.delete.pop(0), plan.create.pop()))
    if is_terminating(endpoints):
        plan.create.clear()
    return plan


def _wanted(endpoints: Doc, plan: MirrorPlan, limit: int) -> dict[_Key, _Group]:
    groups: dict[_Key, _Group] = {}
    for subset in endpoints.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        addresses = [(a, True) for a in subset.get("addresses") or ()]
        addresses += [(a, False) for a in subset.get("notReadyAddresses") or ()]
        added = 0
        for address, ready in addresses:
            if added >= limit:
                break
            endpoint = _endpoint(address, ready)
            if endpoint is None:
                plan.invalid += 1
                continue
            family = family_of(endpoint["addresses"][0])
            group = groups.setdefault(_key(family, ports), _Group(ports))
            group.endpoints[(*endpoint["addresses"], (endpoint.get("targetRef") or {}).get("uid", ""))] = endpoint
            added += 1
        plan.skipped += len(addresses) - added
    return groups


def _endpoint(address: Doc, ready: bool) -> Obj | None:
    try:
        parsed = ip_address(address["ip"])
    except ValueError:
        return None
    result: Obj = {"addresses": [str(parsed)], "conditions": {"ready": ready}}
    for field in ("targetRef", "nodeName", "hostname"):
        if address.get(field):
            result[field] = address[field]
    return result


def _port(port: Doc) -> Obj:
    result = {"name": port.get("name", ""), "port": port["port"], "protocol": port.get("protocol", "TCP")}
    return result | ({"appProtocol": port["appProtocol"]} if "appProtocol" in port else {})


def _key(family: str, ports: Iterable[Doc]) -> _Key:
    fields = ("name", "protocol", "port", "appProtocol")
    return family, tuple(sorted(tuple(str(port.get(field) or "") for field in fields) for port in ports))


def _slice(endpoints: Doc, family: str, group: _Group) -> Obj:
    labels = {**labels_of(endpoints), SERVICE_NAME_LABEL: name_of(endpoints), MANAGED_BY_LABEL: MANAGER}
    annotations = {key: value for key, value in annotations_of(endpoints).items() if key not in _UNMIRRORED}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": f"{name_of(endpoints)}-",
            "namespace": namespace_of(endpoints),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [controller_reference(endpoints)],
        },
        "addressType": family,
        "ports": group.ports,
        "endpoints": list(group.endpoints.values()),
    }


def _differs(present: Doc, mirror: Doc) -> bool:
    said = (_by_address(present) != _by_address(mirror), labels_of(present) != labels_of(mirror))
    return any(said) or annotations_of(present) != annotations_of(mirror)


def _by_address(slice_: Doc) -> Mapping[Any, Doc]:
    return {tuple(endpoint["addresses"]): endpoint for endpoint in slice_.get("endpoints") or ()}


def _into(present: Doc, mirror: Obj) -> Obj:
    """The slice that there is, with what the mirror says."""
    metadata = {key: mirror["metadata"][key] for key in ("labels", "annotations", "ownerReferences")}
    changed = evolve(present, "metadata", value={**present["metadata"], **metadata})
    return changed | {"ports": mirror["ports"], "endpoints": mirror["endpoints"]}
