"""Claims and volumes outlive their use: the protection controllers take away the finalizer that admission adds.

Without them a deleted claim would stay for ever, and its namespace with it. Upstream: `pkg/controller/volume/
pvcprotection` and `pvprotection`. A claim is used by every pod that has been scheduled, whatever its phase (a kubelet
starts no pod whose claim is going); a volume is used while it is bound.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from minik8s.api.volumes import claims_of
from minik8s.controllers.runtime import Reconciler, Watch, mapped
from minik8s.machinery.meta import Doc, evolve, is_terminating, name_of, namespace_of


class _ProtectionController(Reconciler[Any]):
    """Holds the finalizer of an object while it is not going, or is used."""

    finalizer: ClassVar[str]

    async def reconcile(self, obj: Any) -> None:
        finalizers = obj["metadata"].get("finalizers") or []
        held = self.finalizer in finalizers
        if not is_terminating(obj) and not held:
            await self._write(obj, [*finalizers, self.finalizer])
        elif is_terminating(obj) and held and not await self.is_used(obj):
            await self._write(obj, [name for name in finalizers if name != self.finalizer])

    async def is_used(self, obj: Doc) -> bool:
        """Whether somebody would miss the object."""
        raise NotImplementedError

    async def _write(self, obj: Doc, finalizers: list[str]) -> None:
        await self.client.update(self.resource, evolve(obj, "metadata", "finalizers", value=finalizers))


class PVCProtectionController(_ProtectionController):
    name: ClassVar[str] = "persistentvolumeclaim-protection"
    component: ClassVar[str] = "persistentvolumeclaim-protection-controller"
    account: ClassVar[str] = "pvc-protection-controller"
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUME_CLAIMS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUME_CLAIMS,)
    finalizer: ClassVar[str] = "kubernetes.io/pvc-protection"
    watches: ClassVar[tuple[Watch, ...]] = (mapped(PODS, lambda _, pod: claims_of(pod)),)

    async def is_used(self, obj: Doc) -> bool:
        """Asks the server: the cache may not have seen the pod that was scheduled a moment ago."""
        key = (namespace_of(obj), name_of(obj))
        pods = await self.client.list(PODS, namespace=namespace_of(obj))
        return any(pod["spec"].get("nodeName") and key in claims_of(pod) for pod in pods.items)


class PVProtectionController(_ProtectionController):
    name: ClassVar[str] = "persistentvolume-protection"
    component: ClassVar[str] = "persistentvolume-protection-controller"
    account: ClassVar[str] = "pv-protection-controller"
    resource: ClassVar[Resource[Any]] = PERSISTENT_VOLUMES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PERSISTENT_VOLUMES,)
    finalizer: ClassVar[str] = "kubernetes.io/pv-protection"

    async def is_used(self, obj: Doc) -> bool:
        return bool((obj.get("status") or {}).get("phase") == "Bound")
