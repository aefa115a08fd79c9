"""pods/proxy, services/proxy, nodes/proxy: which address a request is to be passed on to.

The name may say more than the object's: `[scheme:]name[:port]`. Texts and choices are those of `ResourceLocation` in
pkg/registry/core/{pod,service,node}. A Service's endpoint is chosen from its EndpointSlices, a node's own port is
answered by its kubelet without a connection.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.admitting import admit_connect
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ProxyResponse, ProxyTarget
from minik8s.apiserver.serviceresolver import ready_endpoints
from minik8s.machinery.errors import BadRequest, ServiceUnavailable
from minik8s.machinery.meta import Doc

KUBELET_PORT = 10250


async def proxy(ctx: ServerContext, served: Served, request: ApiRequest) -> ProxyResponse:
    """Any verb: finds the address behind the name."""
    kind, locate = _KINDS[served.resource.plural]
    name = split_name(request.name)
    if name is None:
        raise BadRequest(f'invalid {kind.lower()} request "{request.name}"')
    entry = await find(ctx, served, request.namespace, name.name)
    target = await locate(ctx, entry.value, name, request)
    await admit_connect(ctx, request, f"{kind}ProxyOptions", {"path": f"/{request.path}"} if request.path else {})
    return ProxyResponse(target)


@attrs.frozen
class SchemedName:
    """`[scheme:]name[:port]`, taken apart."""

    scheme: str
    name: str
    port: str


def split_name(text: str) -> SchemedName | None:
    """Two parts are name and port; three are scheme, name and port. None for what is neither."""
    parts = text.split(":")
    if len(parts) > 3:
        return None
    scheme, name, port = parts if len(parts) == 3 else ("", parts[0], parts[1] if len(parts) == 2 else "")
    return SchemedName(scheme, name, port) if name and scheme in ("", "http", "https") else None


async def _pod(ctx: ServerContext, pod: Doc, name: SchemedName, request: ApiRequest) -> ProxyTarget:
    """The pod's address; its first port unless one is named."""
    address = (pod.get("status") or {}).get("podIP")
    if not address:
        raise BadRequest("address not allowed")
    declared = [port for container in pod["spec"]["containers"] for port in container.get("ports") or ()]
    number = _number(name.port)
    if not name.port:
        number = declared[0]["containerPort"] if declared else None
    elif number is None:
        number = next((port["containerPort"] for port in declared if port.get("name") == name.port), None)
        if number is None:
            raise BadRequest(f'no port "{name.port}" found for pod "{name.name}"')
    return _target(ctx, name.scheme, address, number)


async def _service(ctx: ServerContext, service: Doc, name: SchemedName, request: ApiRequest) -> ProxyTarget:
    """A ready endpoint of the port, which a number or a name says; without either it is the port without a name."""
    port_name, number = name.port, _number(name.port)
    if number is not None:
        found = next((port for port in service["spec"].get("ports") or () if port.get("port") == number), None)
        if found is None:
            raise ServiceUnavailable(f'no service port {number} found for service "{name.name}"')
        port_name = found.get("name") or ""
    choices = list(ready_endpoints(ctx.world, request.namespace, name.name, port_name))
    if not choices:
        raise ServiceUnavailable(f'no endpoints available for service "{request.name}"')
    address, port = choices[ctx.rng.randrange(len(choices))]
    return _target(ctx, name.scheme, address, port)


async def _node(ctx: ServerContext, node: Doc, name: SchemedName, request: ApiRequest) -> ProxyTarget:
    """The node's kubelet, or another port of its machine."""
    ports = ((node.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    number = _number(name.port)
    if name.port and number is None:
        raise BadRequest(f'invalid node request "{request.name}"')
    if number in (None, ports.get("Port", KUBELET_PORT)):
        if not ctx.connector.has_node(name.name):
            raise ServiceUnavailable(f'node "{name.name}" does not serve its kubelet\'s port')
        return ProxyTarget(node=name.name)
    addresses = {a["type"]: a["address"] for a in (node.get("status") or {}).get("addresses") or ()}
    address = addresses.get("InternalIP") or addresses.get("ExternalIP") or addresses.get("Hostname")
    if not address:
        raise ServiceUnavailable(f"no preferred addresses found; known addresses: {list(addresses.values())}")
    return _target(ctx, name.scheme, address, number)


_Locate = Callable[[ServerContext, Doc, SchemedName, ApiRequest], Awaitable[ProxyTarget]]
_KINDS: dict[str, tuple[str, _Locate]] = {
    "pods": ("Pod", _pod),
    "services": ("Service", _service),
    "nodes": ("Node", _node),
}


def _target(ctx: ServerContext, scheme: str, host: str, port: Any) -> ProxyTarget:
    number = port or (443 if scheme == "https" else 80)
    dial = partial(ctx.connector.connect, host, number)
    return ProxyTarget(host=host, port=number, tls=scheme == "https", dial=dial)


def _number(text: str) -> int | None:
    valid = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 1 << 16
    return int(text) if valid else None
