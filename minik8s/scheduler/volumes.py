"""Claims and volumes as the scheduler sees them, and what it does about them when it binds a pod.

Deciding reads the caches, with what has been decided but not yet been seen on top (`assume`), so that two pods never
get one volume. Acting writes claimRefs and selected nodes and waits until every claim is bound, which may take as long
as a provisioner takes. Upstream: `framework/plugins/volumebinding` (binder.go, assume_cache.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import anyio
import attrs

from minik8s.api.resources import CSI_NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES
from minik8s.api.volumes import BOUND_BY_CONTROLLER, SELECTED_NODE, ClaimKey, claim_reference, is_bound
from minik8s.client.client import Client
from minik8s.client.informer import Informer, Informers
from minik8s.clock import Clock
from minik8s.machinery.meta import Doc, annotations_of, evolve, name_of, namespace_of

BIND_SECONDS = 600.0
"""How long binding may take; VolumeBindingArgs.bindTimeoutSeconds."""


class BindingFailed(Exception):
    """The claims of a pod could not be bound; the pod is scheduled again."""


@attrs.frozen
class VolumePlan:
    """What has to be done before a pod can be bound to a node: claims that get a volume, claims to provision for."""

    bindings: tuple[tuple[Doc, Doc], ...] = ()
    provisions: tuple[Doc, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.bindings or self.provisions)


class Volumes:
    """The caches. `assumed` are volumes that were promised to a claim, until the cache shows it."""

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self.claims: Informer[Any] = informers(PERSISTENT_VOLUME_CLAIMS)
        self.volumes: Informer[Any] = informers(PERSISTENT_VOLUMES)
        self.classes: Informer[Any] = informers(STORAGE_CLASSES)
        self.csi_nodes: Informer[Any] = informers(CSI_NODES)
        self._assumed: dict[str, ClaimKey] = {}
        self._changed = anyio.Event()

    @property
    def _informers(self) -> tuple[Informer[Any], ...]:
        return self.claims, self.volumes, self.classes, self.csi_nodes

    def claim(self, key: ClaimKey) -> Doc | None:
        return self.claims.lister.get(key[1], key[0])

    def volume(self, name: str) -> Doc | None:
        return self.volumes.lister.get(name)

    def storage_class(self, name: str) -> Doc | None:
        return self.classes.lister.get(name) if name else None

    def limits(self, node: str) -> dict[str, int]:
        """How many volumes of each CSI driver the node can attach, as far as that is said."""
        drivers = ((self.csi_nodes.lister.get(node) or {}).get("spec") or {}).get("drivers") or ()
        counts = {driver["name"]: (driver.get("allocatable") or {}).get("count") for driver in drivers}
        return {name: count for name, count in counts.items() if count is not None}

    def free_for(self, claim: Doc) -> list[Doc]:
        """The volumes that no other claim has been promised."""
        key = (namespace_of(claim), name_of(claim))
        return [volume for volume in self.volumes.lister.all() if self._assumed.get(name_of(volume), key) == key]

    def assume(self, plan: VolumePlan) -> None:
        for claim, volume in plan.bindings:
            self._assumed[name_of(volume)] = (namespace_of(claim), name_of(claim))

    def forget(self, plan: VolumePlan) -> None:
        for _, volume in plan.bindings:
            self._assumed.pop(name_of(volume), None)

    async def synced(self) -> None:
        for informer in self._informers:
            await informer.synced()

    def watch(self, changed: Callable[[Doc], None]) -> list[Callable[[], None]]:
        """Has `changed` called with each of these objects that comes or changes; returns the removals."""

        def handler(old: Any, new: Any) -> None:
            self._changed.set()
            if new is not None:
                changed(new)

        return [informer.add_handler(handler) for informer in self._informers]

    async def bind(self, plan: VolumePlan, node: str, seconds: float = BIND_SECONDS) -> None:
        """Carries the plan out and waits for its end, no longer than `seconds`.

        Raises BindingFailed, ApiError or OSError.
        """
        for claim, volume in plan.bindings:
            await self._reserve(claim, volume)
        for claim in plan.provisions:
            annotations = {**annotations_of(claim), SELECTED_NODE: node}
            changed = evolve(claim, "metadata", "annotations", value=annotations)
            await self._client.update(PERSISTENT_VOLUME_CLAIMS, changed)
        keys = [(namespace_of(c), name_of(c)) for c in (*(c for c, _ in plan.bindings), *plan.provisions)]
        try:
            with anyio.fail_after(seconds):
                await self._until_bound(keys, {(namespace_of(c), name_of(c)) for c in plan.provisions})
        except TimeoutError:
            raise BindingFailed("binding volumes: context deadline exceeded") from None

    async def _reserve(self, claim: Doc, volume: Doc) -> None:
        """Writes the claim into the volume; the binder does the rest."""
        if (volume["spec"].get("claimRef") or {}).get("uid"):
            return
        reserved = evolve(volume, "spec", "claimRef", value=claim_reference(claim))
        if not volume["spec"].get("claimRef"):
            annotations = {**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"}
            reserved = evolve(reserved, "metadata", "annotations", value=annotations)
        await self._client.update(PERSISTENT_VOLUMES, reserved)

    async def _until_bound(self, keys: Iterable[ClaimKey], provisioned: set[ClaimKey]) -> None:
        waiting = set(keys)
        seen_selected: set[ClaimKey] = set()
        while True:
            self._changed = anyio.Event() if self._changed.is_set() else self._changed
            for key in list(waiting):
                claim = self.claim(key)
                if claim is None:
                    raise BindingFailed(f'could not find v1.PersistentVolumeClaim "{key[0]}/{key[1]}"')
                if is_bound(claim):
                    waiting.discard(key)
                elif SELECTED_NODE in annotations_of(claim):
                    seen_selected.add(key)
                elif key in provisioned and key in seen_selected:
                    raise BindingFailed(f'provisioning failed for PVC "{key[1]}"')
            if not waiting:
                return
            await self._changed.wait()
