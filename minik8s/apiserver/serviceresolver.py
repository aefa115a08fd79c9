"""From a Service to an address that answers: where webhooks that are named by service are called.

Upstream: k8s.io/apiserver `pkg/util/proxy` ResolveEndpoint, behind `--enable-aggregator-routing`: straight to a ready
endpoint. The server reads its own store for that, so it works without a proxy and on machines where a ClusterIP cannot
be bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Protocol

from minik8s.api.resources import ENDPOINT_SLICES, SERVICES
from minik8s.api.services import SERVICE_NAME_LABEL
from minik8s.apiserver.admission.plugin import World
from minik8s.machinery.errors import NotFound, ServiceUnavailable
from minik8s.machinery.meta import Doc, labels_of


class ServiceResolver(Protocol):
    """Where a port of a Service answers."""

    def address(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """(host, port) to connect to. Raises NotFound or ServiceUnavailable."""
        ...


class EndpointResolver:
    """Picks a ready endpoint at random."""

    def __init__(self, world: World, rng: Random) -> None:
        self._world, self._rng = world, rng

    def address(self, namespace: str, name: str, port: int) -> tuple[str, int]:
        """See `ServiceResolver`."""
        service = self._world.get(SERVICES, name, namespace)
        if service is None:
            raise NotFound.object("services", "", name)
        if service["spec"].get("type") == "ExternalName":
            return service["spec"].get("externalName", ""), port
        found = next((p for p in service["spec"].get("ports") or () if p.get("port") == port), None)
        if found is None:
            raise ServiceUnavailable(f'no service port {port} found for service "{name}"')
        choices = list(ready_endpoints(self._world, namespace, name, found.get("name", "")))
        if not choices:
            raise ServiceUnavailable(f'no endpoints available for service "{name}"')
        return choices[self._rng.randrange(len(choices))]


def ready_endpoints(world: World, namespace: str, name: str, port_name: str) -> Iterator[tuple[str, int]]:
    """(address, port) of every ready endpoint of a Service's port."""
    for found in world.list(ENDPOINT_SLICES, namespace):
        if labels_of(found).get(SERVICE_NAME_LABEL) == name:
            yield from ready_in(found, port_name)


def ready_in(endpoint_slice: Doc, port_name: str) -> Iterator[tuple[str, int]]:
    """(address, port) of each ready endpoint of one slice; of several addresses the first, as all clients do."""
    named = (port for port in endpoint_slice.get("ports") or () if (port.get("name") or "") == port_name)
    ports = [port["port"] for port in named if port.get("port")]
    for endpoint in endpoint_slice.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield from ((address, port) for address in endpoint["addresses"][:1] for port in ports)
