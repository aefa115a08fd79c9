"""Columns of EndpointSlice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import UNSET, age, clipped
from minik8s.machinery.meta import Doc, name_of


def _port(port: Doc) -> str:
    if port.get("port") is not None:
        return str(port["port"])
    return str(port.get("name", "*"))


def _endpoint_slice(obj: Doc, now: datetime) -> list[Any]:
    addresses = [a for endpoint in obj.get("endpoints") or () for a in endpoint.get("addresses") or ()]
    ports = [_port(port) for port in obj.get("ports") or ()]
    return [name_of(obj), obj.get("addressType", ""), clipped(ports, empty=UNSET), clipped(addresses, empty=UNSET),
            age(obj, now)]  # fmt: skip


COLUMNS = {
    ("discovery.k8s.io", "EndpointSlice"): columns(
        "Name:s/name, AddressType:s, Ports:s, Endpoints:s, Age:s", _endpoint_slice
    ),
}
