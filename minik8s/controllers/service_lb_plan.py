"""What becomes of a Service of type LoadBalancer, without I/O: who wants a balancer, what changes it, its address.

Rules and texts are those of upstream's service controller (`k8s.io/cloud-provider/controllers/service`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any

from minik8s.machinery.meta import Doc, Obj, annotations_of, is_condition_true, is_terminating, labels_of, uid_of

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
DOOMED_TAINT = "ToBeDeletedByClusterAutoscaler"
_DRAWS = 32
"""Random draws before a free address is searched for in order."""

Said = tuple[str, str]
"""Reason and message of an event."""


def wants(service: Doc) -> bool:
    """Whether it is the cluster's own balancer that is asked for: one of a class is somebody else's."""
    return service["spec"].get("type") == "LoadBalancer" and service["spec"].get("loadBalancerClass") is None


def needs_cleanup(service: Doc) -> bool:
    """Whether a balancer of ours outlives its reason. A class that is set later does not make it one."""
    held = FINALIZER in (service["metadata"].get("finalizers") or ())
    return held and (is_terminating(service) or service["spec"].get("type") != "LoadBalancer")


def change(old: Doc, new: Doc) -> tuple[bool, Said | None]:
    """Whether an update is any of the balancer's business, and what there is to say about it."""
    before, after = old["spec"], new["spec"]
    if not wants(old) and not wants(new):
        return False, None
    if wants(old) != wants(new):
        return True, ("Type", f"{before['type']} -> {after['type']}")
    if _differs("loadBalancerSourceRanges", old, new):
        ranges = "[{}] -> [{}]".format(*(" ".join(s.get("loadBalancerSourceRanges") or ()) for s in (before, after)))
        return True, ("LoadBalancerSourceRanges", ranges)
    if any(_differs(field, old, new) for field in ("ports", "sessionAffinity", "sessionAffinityConfig")):
        return True, None
    if _differs("loadBalancerIP", old, new):
        addresses = f"{before.get('loadBalancerIP', '')} -> {after.get('loadBalancerIP', '')}"
        return True, ("LoadbalancerIP", addresses)
    olds, news = before.get("externalIPs") or [], after.get("externalIPs") or []
    if len(olds) != len(news):
        return True, ("ExternalIP", f"Count: {len(olds)} -> {len(news)}")
    for address, other in zip(olds, news, strict=True):
        if address != other:
            return True, ("ExternalIP", f"Added: {other}")
    if annotations_of(old) != annotations_of(new):
        return True, None
    if uid_of(old) != uid_of(new):
        return True, ("UID", f"{uid_of(old)} -> {uid_of(new)}")
    for field, reason in (
        ("externalTrafficPolicy", "ExternalTrafficPolicy"),
        ("healthCheckNodePort", "HealthCheckNodePort"),
    ):
        if _differs(field, old, new):
            return True, (reason, f"{before.get(field, '')} -> {after.get(field, '')}")
    return False, None


def _differs(field: str, old: Doc, new: Doc) -> bool:
    return bool((old["spec"].get(field) or None) != (new["spec"].get(field) or None))


def addresses_of(service: Doc) -> tuple[str, ...]:
    """What its balancer answers at, as an index function has it."""
    entries = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return tuple(entry["ip"] for entry in entries if entry.get("ip"))


def choose(service: Doc, taken: Collection[str], network: IPv4Network, rng: Random) -> str:
    """The balancer's address: the one it has or asks for, if that can be, else a free one at random.

    Random, since several clusters of a machine share the network. Raises LookupError when there is none.
    """
    asked = service["spec"].get("loadBalancerIP") or ""
    if asked:
        if not _within(asked, network):
            raise LookupError(f"requested address {asked} is not in the range {network}")
        if asked in taken:
            raise LookupError(f"requested address {asked} is in use by another Service")
        return str(asked)
    for address in addresses_of(service):
        if address not in taken and _within(address, network):
            return address
    hosts = range(1, max(2, network.num_addresses - 1))
    for number in (*(rng.choice(hosts) for _ in range(_DRAWS)), *hosts):
        if (address := str(network[number])) not in taken:
            return address
    raise LookupError(f"no free address in {network}")


def _within(text: str, network: IPv4Network) -> bool:
    try:
        return IPv4Address(text) in network
    except ValueError:
        return False


def status_of(address: str) -> Obj:
    """status.loadBalancer of a Service whose balancer answers there; "" for none."""
    return {"ingress": [{"ip": address, "ipMode": "VIP"}]} if address else {}


def finalizer_patch(service: Doc, *, held: bool) -> Obj | None:
    """A strategic patch after which the finalizer is held or not; None where that is so."""
    present = FINALIZER in (service["metadata"].get("finalizers") or ())
    if present == held:
        return None
    field: dict[str, Any] = {"finalizers" if held else "$deleteFromPrimitiveList/finalizers": [FINALIZER]}
    return {"metadata": {"uid": uid_of(service), **field}}


def hosts(nodes: Iterable[Doc]) -> frozenset[str]:
    """The names of the nodes that balancers may send traffic to."""
    return frozenset(node["metadata"]["name"] for node in nodes if _is_host(node))


def _is_host(node: Doc) -> bool:
    taints = node["spec"].get("taints") or ()
    excluded = EXCLUDE_LABEL in labels_of(node) or any(taint["key"] == DOOMED_TAINT for taint in taints)
    return not excluded and is_condition_true(node, "Ready")
