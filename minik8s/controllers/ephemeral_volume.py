"""Makes the claims behind generic ephemeral volumes; they belong to their pod and go with it.

Upstream: `pkg/controller/volume/ephemeral`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from minik8s.api.volumes import ephemeral_claim
from minik8s.controllers.runtime import Context, Reconciler, Watch, owned
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import (
    Doc,
    Obj,
    controller_of,
    controller_reference,
    is_terminating,
    name_of,
    namespace_of,
    uid_of,
)


class EphemeralVolumeController(Reconciler[Any]):
    """Pods with generic ephemeral volumes."""

    name: ClassVar[str] = "ephemeral-volume"
    component: ClassVar[str] = "ephemeral_volume"
    account: ClassVar[str] = "ephemeral-volume-controller"
    resource: ClassVar[Resource[Any]] = PODS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (PODS,)
    watches: ClassVar[tuple[Watch, ...]] = (owned(PERSISTENT_VOLUME_CLAIMS),)

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        """Hardly a pod has such a volume."""
        return any("ephemeral" in volume for volume in obj["spec"].get("volumes") or ())

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.claims = self.informers(PERSISTENT_VOLUME_CLAIMS).lister

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        """The others are not worth a place in the queue."""
        if new is not None and self.concerned_with(new):
            self.enqueue(new)

    async def reconcile(self, obj: Doc) -> None:
        if is_terminating(obj):
            return
        for volume in obj["spec"].get("volumes") or ():
            if "ephemeral" in volume:
                await self._ensure(obj, volume)

    async def _ensure(self, pod: Doc, volume: Doc) -> None:
        name, namespace = ephemeral_claim(pod, volume), namespace_of(pod)
        found = self.claims.get(name, namespace)
        if found is None:
            try:
                await self.client.create(PERSISTENT_VOLUME_CLAIMS, claim_for(pod, volume))
                return
            except AlreadyExists:
                found = await self.client.find(PERSISTENT_VOLUME_CLAIMS, name, namespace=namespace)
        owner = controller_of(found) if found is not None else None
        if found is not None and (owner is None or owner["uid"] != uid_of(pod)):
            why = f"PVC {namespace}/{name} was not created for pod {namespace}/{name_of(pod)} (pod is not owner)"
            self.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {why}")


def claim_for(pod: Doc, volume: Doc) -> Obj:
    """The claim of a generic ephemeral volume."""
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    given = template.get("metadata") or {}
    metadata: Obj = {
        "name": ephemeral_claim(pod, volume),
        "namespace": namespace_of(pod),
        "ownerReferences": [controller_reference(pod)],
        **{key: given[key] for key in ("labels", "annotations") if given.get(key)},
    }
    spec = template.get("spec") or {}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
