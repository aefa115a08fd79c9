"""Whether a node takes a pod that was bound to it.

The kubelet checks again what the scheduler has checked, because a pod may be bound by anybody (upstream:
pkg/kubelet/lifecycle/predicate.go): node affinity, NoExecute taints, free host ports, room for its requests. A pod
that does not fit is Failed at once with the reason found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import attrs

from minik8s.api.scheduling import RequiredNodeAffinity, untolerated
from minik8s.kubelet.restart import is_sidecar
from minik8s.machinery.meta import Doc, labels_of, name_of
from minik8s.machinery.quantity import Quantity, parse_quantity

Amounts = Mapping[str, int]
"""Resource name -> amount, cpu in thousandths, everything else in its unit."""
HostPort = tuple[str, str, int]
"""Protocol, host address, port."""

AFFINITY_MESSAGE = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
TAINT_MESSAGE = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
PORTS_MESSAGE = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"


@attrs.frozen
class Rejection:
    """`reason` and `message` of the pod's status; the message goes on after "Pod was rejected: "."""

    reason: str
    message: str


@attrs.frozen
class Claim:
    """What a pod takes from its node."""

    requests: Amounts
    host_ports: frozenset[HostPort]


def claim_of(pod: Doc) -> Claim:
    return Claim(pod_requests(pod["spec"]), host_ports(pod["spec"]))


def admit(pod: Doc, claim: Claim, others: Iterable[Claim], node: Doc) -> Rejection | None:
    """None when the pod may run; `others` are the claims of the node's active pods."""
    others, spec = list(others), pod["spec"]
    if not RequiredNodeAffinity.of(spec).matches(name_of(node), labels_of(node)):
        return Rejection("NodeAffinity", AFFINITY_MESSAGE)
    if untolerated(node["spec"].get("taints") or (), spec.get("tolerations") or (), ("NoExecute",)):
        return Rejection("TaintToleration", TAINT_MESSAGE)
    if any(_collide(port, taken) for port in claim.host_ports for other in others for taken in other.host_ports):
        return Rejection("NodePorts", PORTS_MESSAGE)
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    for name, requested in {"pods": 1, **claim.requests}.items():
        capacity = amount(name, parse_quantity(allocatable.get(name) or 0))
        used = len(others) if name == "pods" else sum(other.requests.get(name, 0) for other in others)
        if requested and used + requested > capacity:
            numbers = f"requested: {requested}, used: {used}, capacity: {capacity}"
            return Rejection(f"OutOf{name}", f"Node didn't have enough resource: {name}, {numbers}")
    return None


def pod_requests(spec: Doc) -> Amounts:
    """The pod's effective requests: the larger of app containers and any moment of initialisation, and overhead.

    Upstream: k8s.io/component-helpers/resource.PodRequests.
    """
    none: Amounts = {}
    apps = reduce(_plus, (_requests(c) for c in spec["containers"]), none)
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        if is_sidecar(container):
            sidecars = _plus(sidecars, _requests(container))
            peak = _most(peak, sidecars)
        else:
            peak = _most(peak, _plus(sidecars, _requests(container)))
    total = {**_most(_plus(apps, sidecars), peak), **_requests(spec)}
    return _plus(total, _amounts(spec.get("overhead") or {}))


def host_ports(spec: Doc) -> frozenset[HostPort]:
    containers = [*(spec.get("initContainers") or ()), *spec["containers"]]
    return frozenset(
        (port.get("protocol") or "TCP", port.get("hostIP") or "0.0.0.0", port["hostPort"])
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def amount(resource: str, quantity: Quantity) -> int:
    return quantity.milli() if resource == "cpu" else quantity.value()


def _collide(one: HostPort, other: HostPort) -> bool:
    same_port = one[0] == other[0] and one[2] == other[2]
    return same_port and (one[1] == other[1] or "0.0.0.0" in (one[1], other[1]))


def _requests(holder: Doc) -> Amounts:
    return _amounts((holder.get("resources") or {}).get("requests") or {})


def _amounts(quantities: Mapping[str, str]) -> Amounts:
    return {name: amount(name, parse_quantity(quantity)) for name, quantity in quantities.items()}


def _plus(one: Amounts, other: Amounts) -> Amounts:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _most(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}
