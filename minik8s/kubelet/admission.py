"""Whether a node takes a pod that was bound to it.

The kubelet checks again what the scheduler has checked, because a pod may be bound by anybody (upstream:
pkg/kubelet/lifecycle/predicate.go): room for its requests, node affinity, free host ports. A pod that does not fit
is Failed at once with the reason found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import attrs

from minik8s.kubelet.restart import is_sidecar
from minik8s.machinery.meta import Doc, labels_of, name_of
from minik8s.machinery.quantity import Quantity, parse_quantity

Amounts = Mapping[str, int]
"""Resource name -> amount, cpu in thousandths, everything else in its unit."""
HostPort = tuple[str, str, int]
"""Protocol, host address, port."""

AFFINITY_MESSAGE = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
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
    others = list(others)
    if not matches_node(pod["spec"], node):
        return Rejection("NodeAffinity", AFFINITY_MESSAGE)
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


def matches_node(spec: Doc, node: Doc) -> bool:
    """Whether nodeSelector and the required node affinity accept the node."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(_term_matches(term, labels, name_of(node)) for term in affinity.get("nodeSelectorTerms") or ())


def amount(resource: str, quantity: Quantity) -> int:
    return quantity.milli() if resource == "cpu" else quantity.value()


def _term_matches(term: Doc, labels: Mapping[str, str], node_name: str) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    named = {"metadata.name": node_name}
    return all(_matches(e, labels) for e in expressions) and all(_matches(f, named) for f in fields)


def _matches(requirement: Doc, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(requirement["key"]), requirement.get("values") or ()
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            return _compares(operator, value, values)
    return False


def _compares(operator: str, value: str | None, values: Iterable[str]) -> bool:
    try:
        left, right = int(value or ""), int(next(iter(values)))
    except (ValueError, StopIteration):
        return False
    return left > right if operator == "Gt" else left < right


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
