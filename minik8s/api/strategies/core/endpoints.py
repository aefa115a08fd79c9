"""Endpoints: addresses and ports behind a Service, the older form of EndpointSlice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import in_range, named, no_special_ip, one_of
from minik8s.machinery import names
from minik8s.machinery.field import required
from minik8s.machinery.meta import Doc, Obj

PROTOCOLS = ("SCTP", "TCP", "UDP")
_DEPRECATED = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"


class EndpointsStrategy(KindStrategy):
    """Upstream: pkg/registry/core/endpoint/strategy.go."""

    creates_on_update = True

    def default(self, obj: Obj) -> None:
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                set_default(port, "protocol", "TCP")

    def check(self, obj: Doc) -> Causes:
        for index, subset in enumerate(obj.get("subsets") or ()):
            yield from _subset(subset, f"subsets[{index}]")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return [_DEPRECATED]


def _subset(subset: Mapping[str, Any], path: str) -> Causes:
    if not subset.get("addresses") and not subset.get("notReadyAddresses"):
        yield required(path, "must specify `addresses` or `notReadyAddresses`")
    for field in ("addresses", "notReadyAddresses"):
        for index, address in enumerate(subset.get(field) or ()):
            place = f"{path}.{field}[{index}]"
            yield from no_special_ip(address.get("ip", ""), f"{place}.ip")
            if hostname := address.get("hostname"):
                yield from named(hostname, f"{place}.hostname", names.dns1123_label)
            if node := address.get("nodeName"):
                yield from named(node, f"{place}.nodeName", names.dns1123_subdomain)
    ports = subset.get("ports") or ()
    for index, port in enumerate(ports):
        yield from _port(port, f"{path}.ports[{index}]", name_needed=len(ports) > 1)


def _port(port: Mapping[str, Any], path: str, *, name_needed: bool) -> Causes:
    name = port.get("name", "")
    if name:
        yield from named(name, f"{path}.name", names.dns1123_label)
    elif name_needed:
        yield required(f"{path}.name")
    yield from in_range(port.get("port", 0), f"{path}.port", 1, 65535)
    yield from one_of(port.get("protocol"), f"{path}.protocol", PROTOCOLS)
    if application := port.get("appProtocol"):
        yield from named(application, f"{path}.appProtocol", names.qualified_name)
