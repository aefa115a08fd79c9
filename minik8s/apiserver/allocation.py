"""ClusterIPs and node ports: what a Service gets, never twice and never for ever.

The allocator's memory is derived from the stored Services, so nothing can leak: `transaction` claims what a
write needs, and gives it back if the write does not happen. Upstream: pkg/registry/core/service/{ipallocator,
portallocator}; like there, static choices are spared the upper band that automatic ones are drawn from.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from random import Random
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import SERVICES
from minik8s.machinery.errors import InternalError, Invalid
from minik8s.machinery.field import FieldErrors, StatusCause, invalid
from minik8s.machinery.meta import Doc, Obj, name_of

RESERVED_NODE_PORTS = 86
"""Size of the lower band that automatic node ports avoid while the upper one has room."""
_DRAWS = 32
"""Random draws before a free address is searched for in order."""

Claim = tuple[str, str | int]
"""("ip", address) or ("port/<protocol>", number)."""


class ServiceAllocator:
    """Claims on addresses of `cidr` and ports of `ports` (inclusive)."""

    def __init__(self, cidr: str, ports: tuple[int, int], rng: Random) -> None:
        self.network = IPv4Network(cidr)
        self.ports = ports
        self._rng = rng
        self._claims: set[Claim] = set()
        offset = min(max(16, self.network.num_addresses // 16), 256)
        self._first_dynamic = offset if offset < self.network.num_addresses - 2 else 2

    @property
    def api_server_address(self) -> str:
        """The first address: the `kubernetes` Service."""
        return str(self.network[1])

    @contextmanager
    def transaction(self, resource: Resource[Any], obj: Obj, old: Doc | None, *, dry_run: bool) -> Iterator[Obj]:
        """The object with its addresses and ports filled in, claimed if the block succeeds.

        Raises Invalid for a choice that is out of range or taken.
        """
        if resource is not SERVICES:
            yield obj
            return
        before = _claims_of(old) if old else set()
        filled, wanted = self._fill(obj, before)
        added = wanted - before
        self._claims |= added
        try:
            yield filled
        except BaseException:
            self._claims -= added
            raise
        if dry_run:
            self._claims -= added
        else:
            self._claims -= before - wanted

    def release(self, resource: Resource[Any], obj: Doc) -> None:
        """Gives back what a removed Service held."""
        if resource is SERVICES:
            self._claims -= _claims_of(obj)

    def _fill(self, obj: Obj, held: set[Claim]) -> tuple[Obj, set[Claim]]:
        spec: Obj = dict(obj["spec"])
        wanted: set[Claim] = set()
        self._fill_address(obj, spec, held, wanted)
        if spec.get("type") in ("NodePort", "LoadBalancer"):
            self._fill_ports(obj, spec, held, wanted)
        return {**obj, "spec": spec}, wanted

    def _fill_address(self, obj: Obj, spec: Obj, held: set[Claim], wanted: set[Claim]) -> None:
        address = spec.get("clusterIP", "")
        if spec.get("type") == "ExternalName" or address == "None":
            return
        if not address:
            address = self._free_address()
        elif ("ip", address) not in held:
            self._check_address(obj, address)
        wanted.add(("ip", address))
        spec["clusterIP"], spec["clusterIPs"] = address, [address]

    def _check_address(self, obj: Obj, address: str) -> None:
        problem = ""
        if IPv4Address(address) not in self.network:
            problem = f"the provided IP ({address}) is not in the valid range. The range of valid IPs is {self.network}"
        elif ("ip", address) in self._claims:
            problem = "provided IP is already allocated"
        if problem:
            detail = f"failed to allocate IP {address}: {problem}"
            raise _refused(obj, [invalid("spec.clusterIPs", [address], detail)])

    def _free_address(self) -> str:
        size = self.network.num_addresses
        for _ in range(_DRAWS):
            address = str(self.network[self._rng.randrange(self._first_dynamic, size - 1)])
            if ("ip", address) not in self._claims:
                return address
        order = (*range(self._first_dynamic, size - 1), *range(1, self._first_dynamic))
        for index in order:
            if ("ip", address := str(self.network[index])) not in self._claims:
                return address
        raise InternalError("failed to allocate a serviceIP: range is full")

    def _fill_ports(self, obj: Obj, spec: Obj, held: set[Claim], wanted: set[Claim]) -> None:
        errors: FieldErrors = []
        ports: list[Obj] = []
        numbers: dict[int, int] = {}
        for index, port in enumerate(spec.get("ports") or ()):
            protocol, number = port.get("protocol", "TCP"), port.get("nodePort", 0)
            if not number and spec.get("allocateLoadBalancerNodePorts", True):
                shared = numbers.get(port["port"], 0)
                number = shared if shared and self._port_free(protocol, shared) else self._free_port(protocol, wanted)
            elif number and (f"port/{protocol}", number) not in held:
                errors += self._port_errors(f"spec.ports[{index}].nodePort", protocol, number)
            if number:
                numbers[port["port"]] = number
                wanted.add((f"port/{protocol}", number))
                port = {**port, "nodePort": number}
            ports.append(port)
        if errors:
            raise _refused(obj, errors)
        spec["ports"] = ports

    def _port_errors(self, path: str, protocol: str, number: int) -> FieldErrors:
        first, last = self.ports
        if not first <= number <= last:
            detail = f"provided port is not in the valid range. The range of valid ports is {first}-{last}"
            return [invalid(path, number, detail)]
        if not self._port_free(protocol, number):
            return [invalid(path, number, "provided port is already allocated")]
        return []

    def _port_free(self, protocol: str, number: int) -> bool:
        return (f"port/{protocol}", number) not in self._claims

    def _free_port(self, protocol: str, wanted: set[Claim]) -> int:
        first, last = self.ports
        dynamic = first + RESERVED_NODE_PORTS if last - first > 2 * RESERVED_NODE_PORTS else first
        taken = self._claims | wanted
        for _ in range(_DRAWS):
            number = self._rng.randint(dynamic, last)
            if (f"port/{protocol}", number) not in taken:
                return number
        for number in (*range(dynamic, last + 1), *range(first, dynamic)):
            if (f"port/{protocol}", number) not in taken:
                return number
        raise InternalError("failed to allocate a nodePort: range is full")


def _claims_of(service: Doc) -> set[Claim]:
    spec = service["spec"]
    claims: set[Claim] = {("ip", ip) for ip in spec.get("clusterIPs") or () if ip != "None"}
    for port in spec.get("ports") or ():
        if number := port.get("nodePort"):
            claims.add((f"port/{port.get('protocol', 'TCP')}", number))
    return claims


def _refused(obj: Doc, causes: list[StatusCause]) -> Invalid:
    return Invalid.object("Service", "", name_of(obj), causes)
