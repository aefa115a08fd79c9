"""StorageObjectInUseProtection: volumes and claims outlive their use, by a finalizer that a controller removes."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World

FINALIZERS = {
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "persistentvolumes": "kubernetes.io/pv-protection",
}


class StorageObjectInUseProtection(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection."""

    name: ClassVar[str] = "StorageObjectInUseProtection"
    resources: ClassVar[Collection[str]] = tuple(FINALIZERS)

    def admit(self, attributes: Attributes, world: World) -> None:
        obj = attributes.object
        if obj is None or not attributes.concerns("CREATE", *FINALIZERS):
            return
        finalizer = FINALIZERS[attributes.request.resource.group_resource]
        finalizers = obj["metadata"].get("finalizers") or []
        if finalizer not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, finalizer]
