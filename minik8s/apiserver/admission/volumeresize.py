"""PersistentVolumeClaimResize: a claim grows only where its class says that volumes can."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from minik8s.api.resources import STORAGE_CLASSES
from minik8s.api.validation.claims import storage_request
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.quantity import parse_quantity

_FIXED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


class PersistentVolumeClaimResize(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/storage/persistentvolume/resize."""

    name: ClassVar[str] = "PersistentVolumeClaimResize"
    resources: ClassVar[Collection[str]] = ("persistentvolumeclaims",)

    def validate(self, attributes: Attributes, world: World) -> None:
        new, old = attributes.object, attributes.old
        if new is None or old is None or not attributes.concerns("UPDATE", "persistentvolumeclaims"):
            return
        wanted, had = storage_request(new["spec"]), storage_request(old["spec"])
        if not wanted or not had or parse_quantity(wanted) <= parse_quantity(had):
            return
        if (old.get("status") or {}).get("phase") != "Bound":
            raise attributes.forbidden("only bound persistent volume claims can be expanded")
        name = new["spec"].get("storageClassName")
        chosen = world.get(STORAGE_CLASSES, name) if name else None
        if chosen is None or not chosen.get("allowVolumeExpansion"):
            raise attributes.forbidden(_FIXED)
