"""One IPAddress object per ClusterIP, and the ServiceCIDR that they come from.

Upstream allocates an address by creating its IPAddress; here the allocator decides, and the objects follow the Services
in the same step, so that whoever looks finds them. They are written straight into the store: no client may refuse them.
"""

from __future__ import annotations

from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from minik8s.apiserver.context import ServerContext
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, rfc3339
from minik8s.machinery.names import new_uid

MANAGED_BY = "ipaddress.kubernetes.io/managed-by"
MANAGER = "ipallocator.k8s.io"
_FAMILY = "ipaddress.kubernetes.io/ip-family"
_CIDR_FINALIZER = "networking.k8s.io/service-cidr-finalizer"
DEFAULT_CIDR = "kubernetes"


def cluster_ips(service: Doc | None) -> set[str]:
    """The addresses that a Service holds."""
    return {ip for ip in ((service or {}).get("spec") or {}).get("clusterIPs") or () if ip != "None"}


async def follow_service(ctx: ServerContext, resource: Resource[Any], old: Doc | None, new: Doc | None) -> None:
    """After a write of a Service: its new addresses get their objects, those it gave up lose them."""
    if resource is not SERVICES:
        return
    before, after = cluster_ips(old), cluster_ips(new)
    for ip in sorted(before - after):
        await ctx.store.delete(_key(ip), expect=None)
    for ip in sorted(after - before):
        if new is not None and await ctx.store.get(_key(ip)) is None:
            await ctx.store.put(_key(ip), _address(ctx, ip, new), expect=0)


def _key(ip: str) -> tuple[str, str, str]:
    return (IP_ADDRESSES.group_resource, "", ip)


def _address(ctx: ServerContext, ip: str, service: Doc) -> Obj:
    parent = {"resource": "services", "namespace": namespace_of(service), "name": name_of(service)}
    return {
        "kind": IP_ADDRESSES.kind,
        "apiVersion": IP_ADDRESSES.api_version,
        "metadata": {
            "name": ip,
            "uid": new_uid(ctx.rng),
            "creationTimestamp": rfc3339(ctx.clock.now()),
            "labels": {_FAMILY: "IPv6" if ":" in ip else "IPv4", MANAGED_BY: MANAGER},
        },
        "spec": {"parentRef": parent},
    }


async def create_default_cidr(ctx: ServerContext) -> None:
    """The ServiceCIDR `kubernetes`, ready from the start."""
    key = (SERVICE_CIDRS.group_resource, "", DEFAULT_CIDR)
    if await ctx.store.get(key) is not None:
        return
    now = rfc3339(ctx.clock.now())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "",
        "message": "Kubernetes Service CIDR is ready",
        "lastTransitionTime": now,
    }
    cidr: Obj = {
        "kind": SERVICE_CIDRS.kind,
        "apiVersion": SERVICE_CIDRS.api_version,
        "metadata": {
            "name": DEFAULT_CIDR,
            "uid": new_uid(ctx.rng),
            "creationTimestamp": now,
            "finalizers": [_CIDR_FINALIZER],
        },
        "spec": {"cidrs": [str(ctx.services.network)]},
        "status": {"conditions": [ready]},
    }
    await ctx.store.put(key, cidr, expect=0)
