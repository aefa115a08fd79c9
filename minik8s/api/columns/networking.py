"""Columns of the networking group."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.meta import Doc, name_of


def _ingress(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    return [
        name_of(obj), spec.get("ingressClassName") or NONE, render.clipped(hosts, empty="*"),
        render.load_balancer(dig(obj, "status", "loadBalancer")), "80, 443" if spec.get("tls") else "80",
        age(obj, now),
    ]  # fmt: skip


def _ingress_class(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    parameters = NONE
    if target := spec.get("parameters"):
        group = f".{target['apiGroup']}" if target.get("apiGroup") else ""
        parameters = f"{target.get('kind', '')}{group}/{target.get('name', '')}"
    name = render.name_marked_default(obj, "ingressclass.kubernetes.io/is-default-class")
    return [name, spec.get("controller", ""), parameters, age(obj, now)]


def _network_policy(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), render.selector(dig(obj, "spec", "podSelector", default={})), age(obj, now)]


def _ip_address(obj: Doc, now: datetime) -> list[Any]:
    parent = dig(obj, "spec", "parentRef", default={})
    resource = ".".join(filter(None, [parent.get("resource"), parent.get("group")]))
    return [name_of(obj), "/".join(filter(None, [resource, parent.get("namespace"), parent.get("name")]))]


def _service_cidr(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), ",".join(dig(obj, "spec", "cidrs", default=())), age(obj, now)]


_GROUP = "networking.k8s.io"

COLUMNS = {
    (_GROUP, "Ingress"): columns("Name:s/name, Class:s, Hosts:s, Address:s, Ports:s, Age:s", _ingress),
    (_GROUP, "IngressClass"): columns("Name:s/name, Controller:s, Parameters:s, Age:s", _ingress_class),
    (_GROUP, "NetworkPolicy"): columns("Name:s/name, Pod-Selector:s, Age:s", _network_policy),
    (_GROUP, "IPAddress"): columns("Name:s/name, ParentRef:s", _ip_address),
    (_GROUP, "ServiceCIDR"): columns("Name:s/name, CIDRs:s, Age:s", _service_cidr),
}
