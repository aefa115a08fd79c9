"""Columns of core's Service and Endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.meta import Doc, name_of


def _external(obj: Doc) -> str:
    spec = obj.get("spec") or {}
    external = spec.get("externalIPs") or []
    match spec.get("type", "ClusterIP"):
        case "ClusterIP" | "NodePort":
            return render.joined(external)
        case "LoadBalancer":
            balancer = render.load_balancer(dig(obj, "status", "loadBalancer"))
            return ",".join(filter(None, [balancer, *external])) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
    return render.UNKNOWN


def _port(port: Doc) -> str:
    number, protocol = port.get("port"), port.get("protocol", "TCP")
    node_port = port.get("nodePort")
    return f"{number}:{node_port}/{protocol}" if node_port else f"{number}/{protocol}"


def _service(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    ips = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [
        name_of(obj), spec.get("type", "ClusterIP"), ips[0] or NONE, _external(obj),
        render.joined(map(_port, spec.get("ports") or ())), age(obj, now), render.labels(spec.get("selector")),
    ]  # fmt: skip


def _addresses(subset: Doc) -> list[str]:
    ips = [address["ip"] for address in subset.get("addresses") or ()]
    ports = [port["port"] for port in subset.get("ports") or ()]
    return [render.host_port(ip, port) for port in ports for ip in ips] if ports else ips


def _endpoints(obj: Doc, now: datetime) -> list[Any]:
    subsets = obj.get("subsets")
    text = render.clipped([a for s in subsets for a in _addresses(s)]) if subsets else NONE
    return [name_of(obj), text, age(obj, now)]


COLUMNS = {
    ("", "Service"): columns(
        "Name:s/name, Type:s, Cluster-IP:s, External-IP:s, Port(s):s, Age:s, Selector:s+", _service
    ),
    ("", "Endpoints"): columns("Name:s/name, Endpoints:s, Age:s", _endpoints),
}
