"""EndpointSlice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy
from minik8s.api.validation.common import in_range, named, no_special_ip, one_of, unchanged, validate_labels
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, invalid, required, too_many
from minik8s.machinery.meta import Doc, Obj

MAX_ENDPOINTS, MAX_ADDRESSES, MAX_PORTS, MAX_TOPOLOGY, MAX_HINTS = 1000, 100, 20_000, 16, 8
_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS = ("SCTP", "TCP", "UDP")


class EndpointSliceStrategy(KindStrategy):
    """Upstream: pkg/registry/discovery/endpointslice/strategy.go."""

    has_generation = True

    def default(self, obj: Obj) -> None:
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")

    def check(self, obj: Doc) -> Causes:
        kind = obj.get("addressType")
        yield from one_of(kind, "addressType", _ADDRESS_TYPES)
        endpoints, ports = obj.get("endpoints") or (), obj.get("ports") or ()
        if len(endpoints) > MAX_ENDPOINTS:
            yield too_many("endpoints", len(endpoints), MAX_ENDPOINTS)
        else:
            for index, endpoint in enumerate(endpoints):
                yield from _endpoint(endpoint, kind, f"endpoints[{index}]")
        if len(ports) > MAX_PORTS:
            yield too_many("ports", len(ports), MAX_PORTS)
        seen = set()
        for index, port in enumerate(ports):
            yield from _port(port, f"ports[{index}]")
            if port.get("name") in seen:
                yield duplicate(f"ports[{index}].name", port.get("name"))
            seen.add(port.get("name"))

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj.get("addressType"), old.get("addressType"), "addressType")


def _endpoint(endpoint: Mapping[str, Any], kind: str | None, path: str) -> Causes:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        yield required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > MAX_ADDRESSES:
        yield too_many(f"{path}.addresses", len(addresses), MAX_ADDRESSES)
    for index, address in enumerate(addresses):
        yield from _address(address, kind, f"{path}.addresses[{index}]")
    if (node := endpoint.get("nodeName")) is not None:
        yield from named(node, f"{path}.nodeName", names.dns1123_subdomain)
    if (hostname := endpoint.get("hostname")) is not None:
        yield from named(hostname, f"{path}.hostname", names.dns1123_label)
    topology = endpoint.get("deprecatedTopology") or {}
    if len(topology) > MAX_TOPOLOGY:
        yield too_many(f"{path}.deprecatedTopology", len(topology), MAX_TOPOLOGY)
    yield from validate_labels(topology, f"{path}.deprecatedTopology")
    for field in ("forZones", "forNodes"):
        yield from _hints((endpoint.get("hints") or {}).get(field) or (), f"{path}.hints.{field}")


def _hints(hints: Sequence[Mapping[str, Any]], path: str) -> Causes:
    """The zones, or nodes, that an endpoint is meant for."""
    if len(hints) > MAX_HINTS:
        yield too_many(path, len(hints), MAX_HINTS)
        return
    seen = set()
    for index, hint in enumerate(hints):
        name, place = hint.get("name", ""), f"{path}[{index}].name"
        if name in seen:
            yield duplicate(place, name)
        seen.add(name)
        yield from named(name, place, names.label_value)


def _address(address: str, kind: str | None, path: str) -> Causes:
    if kind == "FQDN":
        yield from named(address, path, names.dns1123_subdomain)
        return
    yield from no_special_ip(address, path)
    is_six = ":" in address
    if not names.ip(address) and kind in ("IPv4", "IPv6") and is_six != (kind == "IPv6"):
        yield invalid(path, address, f"must be an {kind} address")


def _port(port: Mapping[str, Any], path: str) -> Causes:
    if name := port.get("name"):
        yield from named(name, f"{path}.name", names.dns1123_label)
    yield from one_of(port.get("protocol"), f"{path}.protocol", _PROTOCOLS)
    yield from in_range(port.get("port"), f"{path}.port", 1, 65535)
    if application := port.get("appProtocol"):
        yield from named(application, f"{path}.appProtocol", names.qualified_name)


STRATEGIES: Mapping[str, type[KindStrategy]] = {"endpointslices": EndpointSliceStrategy}
