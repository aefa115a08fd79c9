"""ClusterIPs and node ports: what a Service gets, never twice and never for ever.

The allocator's memory is derived from the stored Services, so nothing can leak: `transaction` claims what a
write needs, and gives it back if the write does not happen. Upstream: pkg/registry/core/service/{ipallocator,
portallocator}; like there, static choices are spared the upper band that automatic ones are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from ipaddress import IPv4Network, ip_address
from random import Random
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from minik8s.machinery.errors import InternalError, Invalid, StatusCause
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, Obj, is_condition_true, is_terminating, name_of

RESERVED_NODE_PORTS = 86
"""Size of the lower band that automatic node ports avoid while the upper one has room."""
HEADLESS = "None"
EXPOSED = ("NodePort", "LoadBalancer")
HEALTH_CHECK_PROTOCOL = "port/TCP"
_DRAWS = 32
"""Random draws before a free address is searched for in order."""

Claim = tuple[str, str | int]
"""("ip", address) or ("port/<protocol>", number)."""


_FOLLOWED = (IP_ADDRESSES, SERVICE_CIDRS)


class ServiceAllocator:
    """Claims on addresses of `cidr` and ports of `ports` (inclusive)."""

    def __init__(self, cidr: str, ports: tuple[int, int], rng: Random) -> None:
        self.network = IPv4Network(cidr)
        self.ports = ports
        self._rng = rng
        self._claims: set[Claim] = set()
        self._more: dict[str, tuple[IPv4Network, ...]] = {}
        """The networks of further ServiceCIDRs that are ready, by name."""

    @property
    def api_server_address(self) -> str:
        """The first address: the `kubernetes` Service."""
        return str(self.network[1])

    def transaction(
        self, resource: Resource[Any], obj: Obj, old: Doc | None, *, dry_run: bool
    ) -> AbstractContextManager[Obj]:
        """The object with its addresses and ports filled in, claimed if the block succeeds.

        Raises Invalid for a choice that is out of range or taken.
        """
        if resource is SERVICES or resource in _FOLLOWED:
            return self._transaction(resource, obj, old, dry_run=dry_run)
        return nullcontext(obj)

    @contextmanager
    def _transaction(self, resource: Resource[Any], obj: Obj, old: Doc | None, *, dry_run: bool) -> Iterator[Obj]:
        if resource is not SERVICES:
            yield obj
            if not dry_run:
                self._follow(resource, obj)
            return
        before = _claims_of(old) if old else set()
        filled = self._filled(obj, old, before, dry_run=dry_run)
        wanted = _claims_of(filled)
        added = wanted - before
        self._claims |= added
        try:
            yield filled
        except BaseException:
            self._claims -= added
            raise
        self._claims -= added if dry_run else before - wanted

    def remember(self, objects: Iterable[Doc]) -> None:
        """Claims what stored Services and IPAddresses hold, and learns of ServiceCIDRs: of a server that begins so."""
        kinds = {kind.kind: kind for kind in (IP_ADDRESSES, SERVICE_CIDRS)}
        for obj in objects:
            if obj["kind"] == SERVICES.kind:
                self._claims |= _claims_of(obj)
            else:
                self._follow(kinds[obj["kind"]], obj)

    def _follow(self, resource: Resource[Any], obj: Doc) -> None:
        if resource is IP_ADDRESSES:
            self._claims.add(("ip", name_of(obj)))
        elif resource is SERVICE_CIDRS:
            networks = tuple(_networks_of(obj)) if is_condition_true(obj, "Ready") and not is_terminating(obj) else ()
            self._more[name_of(obj)] = tuple(network for network in networks if network != self.network)

    @property
    def _networks(self) -> list[IPv4Network]:
        return [self.network, *(network for networks in self._more.values() for network in networks)]

    def release(self, resource: Resource[Any], obj: Doc) -> None:
        """Gives back what a removed Service held."""
        if resource is SERVICES:
            self._claims -= _claims_of(obj)
        elif resource is SERVICE_CIDRS:
            self._more.pop(name_of(obj), None)
        elif resource is IP_ADDRESSES and (obj["spec"].get("parentRef") or {}).get("resource") != "services":
            self._claims.discard(("ip", name_of(obj)))

    def _filled(self, obj: Obj, old: Doc | None, held: set[Claim], *, dry_run: bool) -> Obj:
        spec: Obj = dict(obj["spec"])
        if old:
            _keep(spec, old["spec"])
        self._fill_address(obj, spec, held)
        ports = _Ports(self.ports, self._claims, held, self._rng, check_range=not dry_run)
        ports.fill(spec)
        if ports.errors:
            raise _refused(obj, ports.errors)
        return {**obj, "spec": spec}

    def _fill_address(self, obj: Obj, spec: Obj, held: set[Claim]) -> None:
        if spec.get("type") == "ExternalName":
            spec.pop("clusterIP", None)
            spec.pop("clusterIPs", None)
            return
        address = spec.get("clusterIP", "")
        if not address:
            address = self._free_address()
        elif address != HEADLESS and ("ip", address) not in held:
            self._check_address(obj, address)
        spec["clusterIP"], spec["clusterIPs"] = address, [address]

    def _check_address(self, obj: Obj, address: str) -> None:
        problem = ""
        try:
            in_range = any(ip_address(address) in network for network in self._networks)
        except ValueError:
            raise _refused(obj, [invalid("spec.clusterIPs[0]", address, "must be a valid IP address")]) from None
        if not in_range:
            problem = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self.network}"
        elif ("ip", address) in self._claims:
            problem = "provided IP is already allocated"
        if problem:
            detail = f"failed to allocate IP {address}: {problem}"
            raise _refused(obj, [invalid("spec.clusterIPs", [address], detail)])

    def _free_address(self) -> str:
        for network in self._networks:
            if address := self._free_in(network):
                return address
        raise InternalError("Internal error occurred: failed to allocate a serviceIP: range is full")

    def _free_in(self, network: IPv4Network) -> str:
        """A free address, from the upper band if there is one; "" for none."""
        size = network.num_addresses
        offset = min(max(16, size // 16), 256)
        first = offset if offset < size - 2 else 2
        for _ in range(_DRAWS if first < size - 1 else 0):
            address = str(network[self._rng.randrange(first, size - 1)])
            if ("ip", address) not in self._claims:
                return address
        for index in (*range(first, size - 1), *range(1, first)):
            if index < size and ("ip", address := str(network[index])) not in self._claims:
                return address
        return ""


def _networks_of(cidr: Doc) -> Iterator[IPv4Network]:
    """Those of the one family that there is here."""
    for text in cidr["spec"].get("cidrs") or ():
        if ":" not in text:
            yield IPv4Network(text)


class _Ports:
    """The node ports of one Service on their way to being claimed: those it names first, then those it is given."""

    def __init__(
        self, band: tuple[int, int], claims: set[Claim], held: set[Claim], rng: Random, *, check_range: bool
    ) -> None:
        self._band, self._claims, self._held, self._rng = band, claims, held, rng
        self._check_range = check_range
        self._wanted: set[Claim] = set()
        self.errors: FieldErrors = []

    def fill(self, spec: Obj) -> None:
        """Completes `spec`; what is wrong with it stands in `errors`."""
        exposed = spec.get("type") in EXPOSED
        ports = [dict(port) for port in spec.get("ports") or ()]
        if not exposed:
            for port in ports:
                if _port_claim(port) in self._held:
                    del port["nodePort"]
        for index, port in enumerate(ports):
            if exposed and port.get("nodePort"):
                self._choose(f"spec.ports[{index}].nodePort", *_port_claim(port))
        if exposed and spec.get("allocateLoadBalancerNodePorts", True):
            self._draw(ports)
        if ports:
            spec["ports"] = ports
        self._fill_health_check(spec)

    def _draw(self, ports: list[Obj]) -> None:
        """Gives numbers to the ports without; the same port of two protocols shares one if possible."""
        numbers = {port["port"]: port["nodePort"] for port in ports if port.get("nodePort")}
        for port in ports:
            if not port.get("nodePort"):
                kind = f"port/{port.get('protocol', 'TCP')}"
                shared = numbers.get(port["port"])
                number = shared if shared and self._is_free((kind, shared)) else self._free(kind)
                port["nodePort"] = numbers[port["port"]] = number
                self._wanted.add((kind, number))

    def _fill_health_check(self, spec: Obj) -> None:
        """The port where a load balancer asks whether a node has endpoints, for services that stay on the node."""
        number = spec.get("healthCheckNodePort")
        if spec.get("type") != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
            if number and (HEALTH_CHECK_PROTOCOL, number) in self._held:
                del spec["healthCheckNodePort"]
            return
        if number:
            self._choose("spec.healthCheckNodePort", HEALTH_CHECK_PROTOCOL, number)
        else:
            spec["healthCheckNodePort"] = self._free(HEALTH_CHECK_PROTOCOL)

    def _choose(self, path: str, kind: str, number: int) -> None:
        first, last = self._band
        claim = (kind, number)
        if claim in self._wanted or (claim in self._claims and claim not in self._held):
            self.errors.append(invalid(path, number, "provided port is already allocated"))
        elif self._check_range and claim not in self._held and not first <= number <= last:
            detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
            self.errors.append(invalid(path, number, detail))
        self._wanted.add(claim)

    def _is_free(self, claim: Claim) -> bool:
        return claim not in self._wanted and claim not in self._claims

    def _free(self, kind: str) -> int:
        first, last = self._band
        dynamic = first + RESERVED_NODE_PORTS if last - first > 2 * RESERVED_NODE_PORTS else first
        for _ in range(_DRAWS):
            if self._is_free((kind, number := self._rng.randint(dynamic, last))):
                return number
        for number in (*range(dynamic, last + 1), *range(first, dynamic)):
            if self._is_free((kind, number)):
                return number
        raise InternalError("Internal error occurred: failed to allocate a nodePort: range is full")


def _keep(spec: Obj, old: Doc) -> None:
    """Puts back what an update left out: an address and ports, once given, stay. Upstream: patchAllocatedValues."""
    if not spec.get("clusterIP") and old.get("clusterIP") and spec.get("type") != "ExternalName":
        spec["clusterIP"] = old["clusterIP"]
    numbers = {_endpoint(port): port["nodePort"] for port in old.get("ports") or () if port.get("nodePort")}
    if numbers and spec.get("ports"):
        named = {_port_claim(port) for port in spec["ports"]}
        spec["ports"] = [_with_number(port, numbers.get(_endpoint(port)), named) for port in spec["ports"]]
    if not spec.get("healthCheckNodePort") and old.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = old["healthCheckNodePort"]


def _endpoint(port: Doc) -> tuple[str, int]:
    return port.get("protocol", "TCP"), port["port"]


def _with_number(port: Obj, number: int | None, named: set[tuple[str, int]]) -> Obj:
    """The port with its old number, unless it names one itself or another port names that one."""
    if number is None or port.get("nodePort"):
        return port
    filled = {**port, "nodePort": number}
    return port if _port_claim(filled) in named else filled


def _port_claim(port: Doc) -> tuple[str, int]:
    return f"port/{port.get('protocol', 'TCP')}", port.get("nodePort", 0)


def _claims_of(service: Doc) -> set[Claim]:
    spec = service["spec"]
    claims: set[Claim] = {("ip", ip) for ip in spec.get("clusterIPs") or () if ip != HEADLESS}
    if spec.get("type") in EXPOSED:
        claims |= {_port_claim(port) for port in spec.get("ports") or () if port.get("nodePort")}
    if number := spec.get("healthCheckNodePort"):
        claims.add((HEALTH_CHECK_PROTOCOL, number))
    return claims


def _refused(obj: Doc, causes: list[StatusCause]) -> Invalid:
    return Invalid.object("Service", "", name_of(obj), causes)
