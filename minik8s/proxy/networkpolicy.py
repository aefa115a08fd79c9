"""Whether NetworkPolicies let one party begin a connection to another. Pure.

A pod that no policy selects for a direction is open in that direction; one that is selected accepts only what some
policy's rule allows, so policies add up and never contradict each other. A connection needs both: the source's egress
and the destination's ingress. Answers to it are part of it. Upstream: the NetworkPolicy reference, and the truth tables
of `test/e2e/network/netpol`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal, TypeAlias

import attrs

from minik8s.machinery.meta import Doc, labels_of, namespace_of, uid_of
from minik8s.machinery.selectors import LabelSelector

Direction: TypeAlias = Literal["Ingress", "Egress"]
Labels: TypeAlias = Mapping[str, str]
_RULES = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


@attrs.frozen
class Party:
    """One end of a connection: its address, and the pod behind it where there is one with a network of its own.

    A pod of the host's network is the host: policies neither select it nor name it, only address blocks do.
    """

    address: str
    pod: Doc | None = None


@attrs.frozen
class Target:
    """What is connected to. `port` is the number at the destination, behind any Service."""

    party: Party
    protocol: str
    port: int


Policies: TypeAlias = Callable[[str], Iterable[Doc]]
"""namespace -> its policies."""
NamespaceLabels: TypeAlias = Callable[[str], Labels | None]
"""namespace -> its labels, None for one that does not exist."""


def is_allowed(source: Party, target: Target, policies: Policies, namespaces: NamespaceLabels) -> bool:
    """Whether a connection may begin."""
    destination = target.party
    if source.pod is not None and destination.pod is not None and uid_of(source.pod) == uid_of(destination.pod):
        return True  # nothing keeps a pod from itself
    if destination.address == _host(source.pod) or source.address == _host(destination.pod):
        return True  # nor from its node, whose kubelet probes it
    return _is_open("Egress", source, destination, target, policies, namespaces) and _is_open(
        "Ingress", destination, source, target, policies, namespaces
    )


def _host(pod: Doc | None) -> str | None:
    return None if pod is None else (pod.get("status") or {}).get("hostIP")


def selecting(pod: Doc, direction: Direction, policies: Iterable[Doc]) -> list[Doc]:
    """The policies of a pod's namespace that isolate it in a direction."""
    return [
        policy
        for policy in policies
        if direction in _types(policy["spec"])
        and LabelSelector.from_object(policy["spec"].get("podSelector") or {}).matches(labels_of(pod))
    ]


def _is_open(
    direction: Direction, subject: Party, peer: Party, target: Target, policies: Policies, namespaces: NamespaceLabels
) -> bool:
    """Whether the policies that select the subject let it deal with the peer."""
    if subject.pod is None:
        return True
    namespace = namespace_of(subject.pod)
    isolating = selecting(subject.pod, direction, policies(namespace))
    if not isolating:
        return True
    rules, peers = _RULES[direction]
    return any(
        _has_port(rule.get("ports") or (), target) and _has_peer(rule.get(peers) or (), peer, namespace, namespaces)
        for policy in isolating
        for rule in policy["spec"].get(rules) or ()
    )


def _types(spec: Doc) -> Iterable[str]:
    """The server has filled them in; objects of other origin get upstream's defaults."""
    return spec.get("policyTypes") or (("Ingress", "Egress") if spec.get("egress") else ("Ingress",))


def _has_port(ports: Iterable[Doc], target: Target) -> bool:
    """No ports are all ports. A name means the port that the destination pod's containers call so."""
    empty = True
    for port in ports:
        empty = False
        if (port.get("protocol") or "TCP") != target.protocol:
            continue
        wanted = port.get("port")
        if wanted is None:
            return True
        if isinstance(wanted, str):
            if target.port in _named_ports(target, wanted):
                return True
        elif wanted <= target.port <= (port.get("endPort") or wanted):
            return True
    return empty


def _named_ports(target: Target, name: str) -> set[int]:
    if target.party.pod is None:
        return set()
    spec = target.party.pod["spec"]
    return {
        port["containerPort"]
        for container in (*(spec.get("initContainers") or ()), *spec["containers"])
        for port in container.get("ports") or ()
        if port.get("name") == name and (port.get("protocol") or "TCP") == target.protocol
    }


def _has_peer(peers: Iterable[Doc], party: Party, namespace: str, namespaces: NamespaceLabels) -> bool:
    """No peers are everybody."""
    empty = True
    for peer in peers:
        empty = False
        if (block := peer.get("ipBlock")) is not None:
            if _in_block(block, party.address):
                return True
        elif party.pod is not None and _is_selected(peer, party.pod, namespace, namespaces):
            return True
    return empty


def _is_selected(peer: Doc, pod: Doc, namespace: str, namespaces: NamespaceLabels) -> bool:
    """Both selectors must match; without one for namespaces it is the policy's own."""
    where = namespace_of(pod)
    if (selector := peer.get("namespaceSelector")) is None:
        if where != namespace:
            return False
    else:
        labels = namespaces(where)
        if labels is None or not LabelSelector.from_object(selector).matches(labels):
            return False
    selector = peer.get("podSelector")
    return selector is None or LabelSelector.from_object(selector).matches(labels_of(pod))


def _in_block(block: Doc, address: str) -> bool:
    parsed = ip_address(address)
    return parsed in _network(block["cidr"]) and not any(parsed in _network(cidr) for cidr in block.get("except") or ())


@lru_cache(maxsize=1024)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr.strip(), strict=False)
