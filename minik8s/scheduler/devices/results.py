"""What is written into a claim: its devices, what drivers are told, and the nodes where they can be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from minik8s.machinery.meta import Doc, Obj, name_of
from minik8s.scheduler.devices.allocator import Pick
from minik8s.scheduler.devices.requests import AllocationError, Request, Wanted


def allocation_result(wanted: Wanted, picks: Sequence[Pick], node: str, new_uid: Callable[[], str]) -> Obj:
    """An AllocationResult; shares of devices get uids. Raises AllocationError."""
    chosen = [_chosen(choice, picks) for choice in wanted.requests]
    devices: Obj = {"results": [_result(pick, new_uid) for pick in picks]}
    config = [_shortened(entry, len(wanted.requests)) for entry in _configuration(wanted, chosen)]
    if config:
        devices["config"] = config
    allocation: Obj = {"devices": devices}
    if (selector := _node_selector(wanted, picks, node)) is not None:
        allocation["nodeSelector"] = selector
    return allocation


def _chosen(choice: Sequence[Request], picks: Sequence[Pick]) -> Request:
    """The alternative that devices were chosen for."""
    return next((one for one in choice if any(pick.request is one for pick in picks)), choice[0])


def _result(pick: Pick, new_uid: Callable[[], str]) -> Obj:
    device, request = pick.device, pick.request
    driver, pool, name = device.id
    result: Obj = {"request": request.full_name, "driver": driver, "pool": pool, "device": name}
    if request.admin:
        result["adminAccess"] = True
    if request.tolerations:
        result["tolerations"] = list(request.tolerations)
    for field in ("bindingConditions", "bindingFailureConditions"):
        if device.doc.get(field):
            result[field] = device.doc[field]
    if device.shared:
        result["shareID"] = new_uid()
    if pick.consumed:
        result["consumedCapacity"] = {key: str(amount) for key, amount in pick.consumed.items()}
    return result


def _configuration(wanted: Wanted, chosen: Sequence[Request]) -> Iterator[Obj]:
    """What the classes say, each once for all its requests, then what the claim says of the requests that it got."""
    by_class: dict[str, list[Request]] = {}
    for request in chosen:
        by_class.setdefault(name_of(request.class_), []).append(request)
    for requests in by_class.values():
        for entry in (requests[0].class_.get("spec") or {}).get("config") or ():
            yield {**entry, "source": "FromClass", "requests": [request.full_name for request in requests]}
    devices = (wanted.doc.get("spec") or {}).get("devices") or {}
    got = {name for request in chosen for name in (request.parent or request.name, request.full_name)}
    for entry in devices.get("config") or ():
        if not entry.get("requests") or not got.isdisjoint(entry["requests"]):
            yield {**entry, "source": "FromClaim"}


def _shortened(entry: Obj, requests: int) -> Obj:
    """No requests means all of them."""
    if len(entry.get("requests") or ()) in (0, requests):
        entry.pop("requests", None)
    return entry


def _node_selector(wanted: Wanted, picks: Sequence[Pick], node: str) -> Doc | None:
    """The nodes from which all devices can be reached, None for any: that one node, if only one device is local."""
    if any(pick.device.nodes.name or pick.device.doc.get("bindsToNode") for pick in picks):
        field = {"key": "metadata.name", "operator": "In", "values": [node]}
        return {"nodeSelectorTerms": [{"matchFields": [field]}]}
    term: dict[str, list[Any]] = {}
    for pick in picks:
        terms = (pick.device.nodes.selector or {}).get("nodeSelectorTerms") or ()
        if len(terms) > 1:
            why = f"unsupported ResourceSlice.NodeSelector with {len(terms)} terms"
            raise AllocationError(f"create NodeSelector for claim {name_of(wanted.doc)}: {why}")
        for kind in ("matchFields", "matchExpressions"):
            for requirement in (terms[0] if terms else {}).get(kind) or ():
                if requirement not in term.setdefault(kind, []):
                    term[kind].append(requirement)
    term = {kind: requirements for kind, requirements in term.items() if requirements}
    return {"nodeSelectorTerms": [term]} if term else None
