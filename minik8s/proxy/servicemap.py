"""What to listen on, and who answers there: Services and EndpointSlices turned into a map of frontends.

Pure, and per Service: the change of one EndpointSlice recomputes one Service's frontends and nothing else. The rules
are those of upstream's `pkg/proxy/serviceport.go` and `topology.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal, NamedTuple, TypeAlias

import attrs

from minik8s.machinery.meta import Doc, labels_of, name_of, namespace_of

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
DEFAULT_AFFINITY_SECONDS = 10800

Kind: TypeAlias = Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalIP", "HealthCheck", "HostPort"]
Network: TypeAlias = IPv4Network | IPv6Network
Nodes: TypeAlias = Collection[str] | None
"""Names of nodes; None: every node."""


class Frontend(NamedTuple):
    """An address that clients connect to; `inside`: in the pods' own network, where the machine has it as well."""

    protocol: str
    address: str
    port: int
    inside: bool = False

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}/{self.protocol}"


class Endpoint(NamedTuple):
    """An address that answers; its identity is what rotation and affinity go by."""

    address: str
    port: int


class Place(NamedTuple):
    """Where a client is. `zone` is "" where its node has none."""

    node: str
    zone: str


@attrs.frozen
class Candidate:
    """An endpoint of a Service whose clients' place matters: where it is, and whom it is meant for (its hints)."""

    endpoint: Endpoint
    node: str
    ready: bool
    for_nodes: frozenset[str]
    for_zones: frozenset[str]


@attrs.frozen
class ServicePort:
    """What stands behind a frontend: a port of a Service, or of a pod that has one of the host's (`HostPort`).

    `endpoints` are those that take new connections now, in a stable order. `affinity` is the time in seconds for
    which a client sticks to its endpoint, None without affinity. `sources`: who may connect, everybody when empty.
    `candidates` are there when clients of different nodes get different endpoints, of which `endpoints` are all.
    """

    namespace: str
    service: str
    name: str
    port: int
    kind: Kind
    endpoints: tuple[Endpoint, ...] = ()
    affinity: int | None = None
    sources: tuple[Network, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    local: bool = False

    @property
    def owner(self) -> str:
        """Whose port it is, for people."""
        return f"{'Pod' if self.kind == 'HostPort' else 'Service'} {self.namespace}/{self.service}"


ServiceMap: TypeAlias = dict[Frontend, ServicePort]


@attrs.frozen
class Changes:
    """The way from one map to the next."""

    closed: tuple[Frontend, ...]
    opened: tuple[Frontend, ...]
    updated: tuple[Frontend, ...]


def diff(old: Mapping[Frontend, ServicePort], new: Mapping[Frontend, ServicePort]) -> Changes:
    """`updated` are the frontends of both maps whose ServicePort differs."""
    return Changes(
        closed=tuple(key for key in old if key not in new),
        opened=tuple(key for key in new if key not in old),
        updated=tuple(key for key in new if key in old and new[key] != old[key]),
    )


def frontends_of(service: Doc, slices: Iterable[Doc], *, nodes: Nodes, node_ports: Mapping[str, Nodes]) -> ServiceMap:
    """The frontends of one Service; nothing for headless and ExternalName Services and those of another proxy.

    `nodes` are this machine's, for the Local traffic policies; `node_ports` the addresses where node ports are opened,
    each with the nodes that it is an address of.
    """
    result: ServiceMap = {}
    if not is_proxied(service):
        return result
    spec = service["spec"]
    slices = sorted(slices, key=name_of)
    for port in spec.get("ports") or ():
        for frontend, kind in _addresses(service, port, node_ports):
            here = node_ports[frontend.address] if kind == "NodePort" else nodes
            result[frontend] = ServicePort(
                namespace=namespace_of(service),
                service=name_of(service),
                name=port.get("name", ""),
                port=port["port"],
                kind=kind,
                endpoints=_endpoints(slices, port, frontend, here if is_local(spec, kind) else None),
                affinity=_affinity(spec),
                sources=_sources(spec) if kind == "LoadBalancer" else (),
                candidates=_candidates(slices, port, frontend, is_local(spec, kind)) if kind == "ClusterIP" else (),
                local=is_local(spec, kind),
            )
    if (number := spec.get("healthCheckNodePort")) and spec.get("externalTrafficPolicy") == "Local":
        for address, here in node_ports.items():
            local = _local_addresses(slices, here)
            result[Frontend("TCP", address, number)] = ServicePort(
                namespace_of(service), name_of(service), "health check", number, "HealthCheck", local
            )
    return result


def is_proxied(service: Doc) -> bool:
    """Whether the proxy has anything to do with this Service (upstream's `ShouldSkipService`)."""
    spec = service["spec"]
    headless = spec.get("clusterIP", "") in ("", "None")
    return not headless and spec.get("type") != "ExternalName" and PROXY_NAME_LABEL not in labels_of(service)


def is_local(spec: Doc, kind: Kind) -> bool:
    """Whether only endpoints of this machine's nodes may answer at frontends of this kind."""
    policy = "internalTrafficPolicy" if kind == "ClusterIP" else "externalTrafficPolicy"
    return spec.get(policy) == "Local"


def _addresses(service: Doc, port: Doc, node_ports: Iterable[str]) -> Iterable[tuple[Frontend, Kind]]:
    spec, protocol, number = service["spec"], port.get("protocol", "TCP"), port["port"]
    for address in spec.get("clusterIPs") or (spec["clusterIP"],):
        yield Frontend(protocol, address, number), "ClusterIP"
    for address in spec.get("externalIPs") or ():
        yield Frontend(protocol, address, number), "ExternalIP"
    if node_port := port.get("nodePort"):
        for address in node_ports:
            yield Frontend(protocol, address, node_port), "NodePort"
    for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ():
        if (address := ingress.get("ip")) and ingress.get("ipMode", "VIP") == "VIP":
            yield Frontend(protocol, address, number), "LoadBalancer"


def endpoints_for(port: ServicePort, place: Place) -> tuple[Endpoint, ...]:
    """The endpoints for clients in one place (upstream's `CategorizeEndpoints` and `topologyModeFromHints`).

    Hints count when every ready endpoint has them and one is meant for that place; nodes go before zones.
    """
    found: Iterable[Candidate] = port.candidates
    ready = [candidate for candidate in found if candidate.ready]
    if port.local:
        found = [candidate for candidate in found if candidate.node == place.node]
    elif ready and all(c.for_nodes for c in ready) and any(place.node in c.for_nodes for c in ready):
        found = [candidate for candidate in ready if place.node in candidate.for_nodes]
    elif ready and all(c.for_zones for c in ready) and any(place.zone in c.for_zones for c in ready):
        found = [candidate for candidate in ready if place.zone in candidate.for_zones]
    return _taking(found)


def _taking(found: Iterable[Candidate]) -> tuple[Endpoint, ...]:
    """The ready ones, or those that serve while they end when none is ready."""
    ready: dict[Endpoint, None] = {}
    leaving: dict[Endpoint, None] = {}
    for candidate in found:
        (ready if candidate.ready else leaving)[candidate.endpoint] = None
    return tuple(ready or leaving)


def _endpoints(slices: Iterable[Doc], port: Doc, frontend: Frontend, nodes: Nodes) -> tuple[Endpoint, ...]:
    """Those that take connections of clients of which nothing is known."""
    found = _usable(slices, port, frontend)
    return _taking(candidate for candidate in found if nodes is None or candidate.node in nodes)


def _candidates(slices: Iterable[Doc], port: Doc, frontend: Frontend, local: bool) -> tuple[Candidate, ...]:
    """Nothing where all clients are alike."""
    found = tuple(_usable(slices, port, frontend))
    return found if local or any(c.for_nodes or c.for_zones for c in found) else ()


def _usable(slices: Iterable[Doc], port: Doc, frontend: Frontend) -> Iterator[Candidate]:
    """The endpoints of a Service's port that are ready, or serve while they end."""
    family = "IPv6" if ":" in frontend.address else "IPv4"
    for slice_ in slices:
        if slice_.get("addressType") != family or (number := _port_in(slice_, port)) is None:
            continue
        for entry in slice_.get("endpoints") or ():
            if (state := _state(entry)) is not None:
                hints = entry.get("hints") or {}
                yield Candidate(
                    Endpoint(entry["addresses"][0], number),  # consumers may use any; upstream uses the first
                    entry.get("nodeName") or "",
                    state == "ready",
                    frozenset(hint["name"] for hint in hints.get("forNodes") or ()),
                    frozenset(hint["name"] for hint in hints.get("forZones") or ()),
                )


def _local_addresses(slices: Iterable[Doc], nodes: Nodes) -> tuple[Endpoint, ...]:
    """Each address of this machine's nodes that is ready, whatever its ports: what load balancers are told to go by."""
    return tuple(
        dict.fromkeys(
            Endpoint(entry["addresses"][0], 0)
            for slice_ in slices
            for entry in slice_.get("endpoints") or ()
            if (nodes is None or entry.get("nodeName") in nodes) and _state(entry) == "ready"
        )
    )


def _state(entry: Doc) -> Literal["ready", "leaving"] | None:
    """An absent `ready` or `serving` means true (discovery/v1 EndpointConditions).

    A terminating endpoint is not ready, except for Services that publish addresses whatever their state.
    """
    conditions = entry.get("conditions") or {}
    if conditions.get("ready", True):
        return "ready"
    return "leaving" if conditions.get("terminating", False) and conditions.get("serving", True) else None


def _port_in(slice_: Doc, port: Doc) -> int | None:
    """The number of the Service's port in a slice: they are matched by name and protocol."""
    for candidate in slice_.get("ports") or ():
        same_name = (candidate.get("name") or "") == port.get("name", "")
        if same_name and candidate.get("protocol", "TCP") == port.get("protocol", "TCP"):
            return candidate.get("port")
    return None


def _affinity(spec: Doc) -> int | None:
    if spec.get("sessionAffinity") != "ClientIP":
        return None
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return config.get("timeoutSeconds") or DEFAULT_AFFINITY_SECONDS


def _sources(spec: Doc) -> tuple[Network, ...]:
    return tuple(ip_network(text.strip(), strict=False) for text in spec.get("loadBalancerSourceRanges") or ())
