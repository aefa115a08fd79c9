"""Namespace: its life ends through /finalize, so spec and status belong to the server."""

from __future__ import annotations

from typing import ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, Obj

NAME_LABEL = "kubernetes.io/metadata.name"
FINALIZER = "kubernetes"


class NamespaceStrategy(KindStrategy):
    """Upstream: pkg/registry/core/namespace/strategy.go."""

    returns_deleted = True
    selectable: ClassVar[Selectable] = {"status.phase": reads("status", "phase")}

    def name_errors(self, name: str) -> list[str]:
        return names.dns1123_label(name)

    def default(self, obj: Obj) -> None:
        metadata = obj["metadata"]
        if name := metadata.get("name"):
            metadata["labels"] = {**(metadata.get("labels") or {}), NAME_LABEL: name}

    def initial_status(self, obj: Obj) -> Obj:
        return {"phase": "Active"}

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        finalizers = obj["spec"].get("finalizers") or []
        if FINALIZER not in finalizers:
            obj["spec"] = {**obj["spec"], "finalizers": [*finalizers, FINALIZER]}

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        obj["spec"], obj["status"] = old["spec"], old["status"]

    def check(self, obj: Doc) -> Causes:
        for index, finalizer in enumerate(obj["spec"].get("finalizers") or ()):
            for text in names.qualified_name(finalizer):
                yield invalid(f"spec.finalizers[{index}]", finalizer, text)

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        phase = (obj.get("status") or {}).get("phase")
        terminating = "deletionTimestamp" in obj["metadata"]
        if terminating and phase != "Terminating":
            return [invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")]
        if not terminating and phase != "Active":
            return [invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")]
        return []
