"""What everything on one node shares, handed down instead of looked up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.resource import Resource
from minik8s.api.resourceclaims import uses_claims
from minik8s.api.resources import CONFIG_MAPS, SECRETS
from minik8s.client.client import Client
from minik8s.client.events import EventRecorder
from minik8s.clock import Clock
from minik8s.kubelet.devices import prepare
from minik8s.kubelet.dispatch import PodDispatch
from minik8s.kubelet.pod_dns import Resolver
from minik8s.kubelet.runtime.protocol import Runtime
from minik8s.kubelet.status import StatusManager
from minik8s.kubelet.volumes.memory import MemoryFolder
from minik8s.machinery.meta import Doc, namespace_of

if TYPE_CHECKING:
    from minik8s.kubelet.resizes import Resizes


@attrs.frozen(eq=False, kw_only=True)
class NodeContext:
    """The surroundings of a node's pods.

    `cluster_dns` is the address of the cluster's DNS, and `resolver` the node's resolv.conf, for runtimes that can show
    pods a file with it.
    `files` False spares a runtime without processes what only they could read: volumes' files and tokens.
    """

    name: str
    address: str
    client: Client
    clock: Clock
    rng: Random
    recorder: EventRecorder
    runtime: Runtime
    directory: Path
    dispatch: PodDispatch
    statuses: StatusManager
    allocatable: Mapping[str, str]
    memory: MemoryFolder
    resizes: Resizes
    files: bool = True
    cluster_dns: str = ""
    resolver: Callable[[], Resolver] = Resolver

    async def objects(
        self, resource: Resource[Any], namespace: str, names: frozenset[str], *, fresh: bool
    ) -> Mapping[str, Doc | None]:
        """ConfigMaps or Secrets by name; None for one that does not exist.

        `fresh` asks the server, as what is read once must be read right; otherwise the cache will do, since whoever
        reads it hears of changes, but what the cache lacks may just be too new for it.
        """
        informer = self.dispatch.config_map_informer if resource is CONFIG_MAPS else self.dispatch.secret_informer
        found: dict[str, Doc | None] = {}
        for name in sorted(names):
            cached = None if fresh else informer.lister.get(name, namespace)
            found[name] = cached or await self.client.find(resource, name, namespace=namespace)
        return found

    async def config_maps(self, pod: Doc, names: frozenset[str], *, fresh: bool) -> Mapping[str, Doc | None]:
        return await self.objects(CONFIG_MAPS, namespace_of(pod), names, fresh=fresh)

    async def secrets(self, pod: Doc, names: frozenset[str], *, fresh: bool) -> Mapping[str, Doc | None]:
        return await self.objects(SECRETS, namespace_of(pod), names, fresh=fresh)

    def services(self, pod: Doc) -> tuple[Doc, ...]:
        """The services that the pod may be linked to: those of its namespace, and the master service."""
        lister = self.dispatch.service_informer.lister
        master = lister.get("kubernetes", "default")
        return (*lister.by_index("namespace", namespace_of(pod)), *((master,) if master else ()))

    async def prepare_devices(self, pod: Doc, event: Callable[[str, str], None]) -> None:
        """Waits until the pod's claims are prepared; see `devices`."""
        if self.files and uses_claims(pod):
            await prepare(self.client, self.clock, pod, event)
