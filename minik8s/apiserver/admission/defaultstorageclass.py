"""DefaultStorageClass: a claim that names no class gets the one marked as default."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from minik8s.api.resources import STORAGE_CLASSES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.machinery.meta import Doc, annotations_of, name_of

ANNOTATIONS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_OLD_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"


class DefaultStorageClass(AdmissionPlugin):
    """Upstream: plugin/pkg/admission/storage/storageclass/setdefault."""

    name: ClassVar[str] = "DefaultStorageClass"
    resources: ClassVar[Collection[str]] = ("persistentvolumeclaims",)

    def admit(self, attributes: Attributes, world: World) -> None:
        claim = attributes.object
        if claim is None or not attributes.concerns("CREATE", "persistentvolumeclaims"):
            return
        if claim["spec"].get("storageClassName") is not None or _OLD_CLASS_ANNOTATION in annotations_of(claim):
            return
        chosen = newest_default(world.list(STORAGE_CLASSES), *ANNOTATIONS)
        if chosen is not None:
            claim["spec"]["storageClassName"] = name_of(chosen)


def newest_default(classes: Iterable[Doc], *annotations: str) -> Doc | None:
    """The class annotated as default; the newest of several, by name among equals."""
    marked = [c for c in classes if any(annotations_of(c).get(key) == "true" for key in annotations)]
    by_name = sorted(marked, key=name_of)
    return max(by_name, key=lambda c: str(c["metadata"].get("creationTimestamp", "")), default=None)
