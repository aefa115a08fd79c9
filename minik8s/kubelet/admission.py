"""Whether a node takes a pod that was bound to it.

The kubelet checks again what the scheduler has checked, because a pod may be bound by anybody (upstream:
pkg/kubelet/lifecycle/predicate.go): node affinity, NoExecute taints, free host ports, room for its requests. A pod
that does not fit is Failed at once with the reason found here. Extended resources that the node does not have at all
are no reason: a scheduler may leave them to its extenders, or to allocated devices (removeMissingExtendedResources).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import attrs

from minik8s.api.pods import HostPort, host_ports, in_units, pod_requests, ports_collide, quantities
from minik8s.api.resourceclaims import may_be_devices
from minik8s.api.scheduling import RequiredNodeAffinity, untolerated
from minik8s.api.staticpods import is_static
from minik8s.api.sysctls import SAFE_SYSCTLS, namespace_of_sysctl, with_dots
from minik8s.machinery.meta import Doc, labels_of, name_of

AFFINITY_MESSAGE = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
TAINT_MESSAGE = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
PORTS_MESSAGE = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"


CRITICAL_PRIORITY = 2_000_000_000
"""From here on pods are neither evicted nor turned away (upstream: scheduling.SystemCriticalPriority)."""


def is_critical(pod: Doc) -> bool:
    """Whether a pod is one that the node cannot do without; static ones always are."""
    return is_static(pod) or int(pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


@attrs.frozen
class Rejection:
    """`reason` and `message` of the pod's status; the message goes on after "Pod was rejected: "."""

    reason: str
    message: str


@attrs.frozen
class Claim:
    """What a pod takes from its node: resources (cpu in thousandths, all else in whole units) and host ports."""

    requests: Mapping[str, int]
    host_ports: Collection[HostPort]


def claim_of(pod: Doc) -> Claim:
    return Claim(in_units(pod_requests(pod)), host_ports(pod["spec"]))


def admit(pod: Doc, claim: Claim, others: Iterable[Claim], node: Doc) -> Rejection | None:
    """None when the pod may run; `others` are the claims of the node's active pods."""
    if rejection := _forbidden_sysctl(pod["spec"]):
        return rejection
    others, spec = list(others), pod["spec"]
    if not RequiredNodeAffinity.of(spec).matches(name_of(node), labels_of(node)):
        return Rejection("NodeAffinity", AFFINITY_MESSAGE)
    if untolerated(node["spec"].get("taints") or (), spec.get("tolerations") or (), ("NoExecute",)):
        return Rejection("TaintToleration", TAINT_MESSAGE)
    if any(ports_collide(port, taken) for port in claim.host_ports for other in others for taken in other.host_ports):
        return Rejection("NodePorts", PORTS_MESSAGE)
    allocatable = in_units(quantities((node.get("status") or {}).get("allocatable")))
    for name, requested in {"pods": 1, **claim.requests}.items():
        if not allocatable.get(name) and may_be_devices(name):
            continue
        capacity = allocatable.get(name, 0)
        used = len(others) if name == "pods" else sum(other.requests.get(name, 0) for other in others)
        if requested and used + requested > capacity:
            numbers = f"requested: {requested}, used: {used}, capacity: {capacity}"
            return Rejection(f"OutOf{name}", f"Node didn't have enough resource: {name}, {numbers}")
    return None


def _forbidden_sysctl(spec: Doc) -> Rejection | None:
    """The first kernel parameter that is not the pod's alone (upstream: pkg/kubelet/sysctl/allowlist.go)."""
    shared = {"net": bool(spec.get("hostNetwork")), "ipc": bool(spec.get("hostIPC"))}
    for entry in (spec.get("securityContext") or {}).get("sysctls") or ():
        name = with_dots(entry["name"])
        if name not in SAFE_SYSCTLS:
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        kind = namespace_of_sysctl(name)
        if kind and shared[kind]:
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host {kind} enabled')
    return None
