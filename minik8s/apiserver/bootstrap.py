"""What exists before anybody asks: the system namespaces, the priority classes, the `kubernetes` Service.

Written through the server's own dispatch, so that these objects are like all others.
"""

from __future__ import annotations

import json
from typing import Any

from minik8s.api.request import MERGE_PATCH, ApiRequest
from minik8s.api.resource import Resource
from minik8s.api.resources import CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, PRIORITY_CLASSES, SERVICES
from minik8s.apiserver.authorization.bootstrap import create_roles
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.flowcontrol.maintaining import create_flow_control
from minik8s.apiserver.ipaddresses import create_default_cidr
from minik8s.apiserver.requestheader import EXTRA_PREFIX, FRONT_PROXY, GROUP_HEADERS, UID_HEADERS, USER_HEADERS
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Obj, rfc3339

SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_PRIORITIES = {
    "system-cluster-critical": (
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    "system-node-critical": (
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
}
_AGENT = "kube-apiserver"


async def bootstrap(ctx: ServerContext, *, rbac: bool = False) -> None:
    """Creates the objects every cluster has; those that exist are left alone. With `rbac` also the default roles."""
    for name in SYSTEM_NAMESPACES:
        await _create(ctx, NAMESPACES, {"metadata": {"name": name}})
    for name, (value, description) in _PRIORITIES.items():
        await _create(ctx, PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value, "description": description})
    if rbac:
        await create_roles(ctx.store, rfc3339(ctx.clock.now()), ctx.rng)
    await create_flow_control(ctx.store, rfc3339(ctx.clock.now()), ctx.rng)
    await ctx.apis.follow()
    await create_default_cidr(ctx)
    await _create(ctx, SERVICES, _kubernetes_service(ctx.services.api_server_address))


async def publish_authentication(ctx: ServerContext, client_ca: str, front_proxy_ca: str) -> None:
    """Tells servers that serve a part of the API whose certificates are users', and whose is this server's own.

    What an origin has said of its own, of which this cluster is a fork, is replaced.
    """
    metadata = {"name": "extension-apiserver-authentication", "namespace": "kube-system"}
    headers = {"username": USER_HEADERS, "group": GROUP_HEADERS, "uid": UID_HEADERS}
    data = {
        "client-ca-file": client_ca,
        "requestheader-client-ca-file": front_proxy_ca,
        "requestheader-allowed-names": json.dumps([FRONT_PROXY]),
        "requestheader-extra-headers-prefix": json.dumps([EXTRA_PREFIX]),
        **{f"requestheader-{what}-headers": json.dumps([name]) for what, name in headers.items()},
    }
    name, namespace = metadata["name"], metadata["namespace"]
    if ctx.world.get(CONFIG_MAPS, name, namespace) is None:
        await _create(ctx, CONFIG_MAPS, {"metadata": metadata, "data": data})
    else:
        change = ApiRequest(
            "patch", CONFIG_MAPS, namespace, name, body={"data": data}, content_type=MERGE_PATCH, user_agent=_AGENT
        )
        await dispatch(ctx, change)


async def publish_address(ctx: ServerContext, host: str, port: int) -> None:
    """Tells the world where the `kubernetes` Service leads."""
    ctx.address = (host, port)
    labels = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    endpoints: Obj = {
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "subsets": [{"addresses": [{"ip": host}], "ports": ports}],
    }
    slice_: Obj = {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
        "ports": ports,
    }
    await _create(ctx, ENDPOINTS, endpoints)
    await _create(ctx, ENDPOINT_SLICES, slice_)


def _kubernetes_service(address: str) -> Obj:
    return {
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    }


async def _create(ctx: ServerContext, resource: Resource[Any], obj: Obj) -> None:
    namespace = obj["metadata"].get("namespace", "")
    request = ApiRequest("create", resource, namespace, body=obj, user_agent=_AGENT)
    try:
        await dispatch(ctx, request)
    except AlreadyExists:
        return
