"""Storage classes, CSI objects, volume attachments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import named, one_of, required_name, unchanged
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import duplicate, forbidden, invalid, required
from minik8s.machinery.meta import Doc, Obj

_CSI_DRIVER: Mapping[str, Any] = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


class StorageClassStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/storageclass/strategy.go."""

    returns_deleted = True

    def default(self, obj: Obj) -> None:
        set_default(obj, "reclaimPolicy", "Delete")
        set_default(obj, "volumeBindingMode", "Immediate")

    def check(self, obj: Doc) -> Causes:
        if not obj.get("provisioner"):
            yield required("provisioner")
        else:
            yield from named(obj["provisioner"].lower(), "provisioner", names.qualified_name)
        if "" in (obj.get("parameters") or {}):
            yield invalid("parameters", "", "field can not be empty.")
        yield from one_of(obj.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
        yield from one_of(obj.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if obj.get("parameters") != old.get("parameters"):
            yield forbidden("parameters", "updates to parameters are forbidden.")
        if obj.get("provisioner") != old.get("provisioner"):
            yield forbidden("provisioner", "updates to provisioner are forbidden.")
        if obj.get("reclaimPolicy") != old.get("reclaimPolicy"):
            yield forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden.")
        yield from unchanged(obj.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


class CSIDriverStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/csidriver/strategy.go."""

    returns_deleted = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        for field, value in _CSI_DRIVER.items():
            obj["spec"].setdefault(field, value)
        set_default(obj["spec"], "volumeLifecycleModes", ["Persistent"])

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        for field in ("attachRequired", "volumeLifecycleModes"):
            yield from unchanged(new.get(field), before.get(field), f"spec.{field}")


class CSINodeStrategy(KindStrategy):
    """A node may well have no drivers. Upstream: pkg/registry/storage/csinode/strategy.go."""

    returns_deleted = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        seen = set()
        for index, driver in enumerate(obj["spec"].get("drivers") or ()):
            path, name = f"spec.drivers[{index}]", driver.get("name", "")
            yield from required_name(name, f"{path}.name", names.dns1123_subdomain)
            if name in seen:
                yield duplicate(f"{path}.name", name)
            seen.add(name)
            if not driver.get("nodeID"):
                yield required(f"{path}.nodeID")


class CSIStorageCapacityStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/csistoragecapacity/strategy.go."""

    requires_version = True

    def check(self, obj: Doc) -> Causes:
        yield from required_name(obj.get("storageClassName"), "storageClassName", names.dns1123_subdomain)
        if (topology := obj.get("nodeTopology")) is not None:
            yield from validate_label_selector(topology, "nodeTopology")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        for field in ("nodeTopology", "storageClassName"):
            yield from unchanged(obj.get(field), old.get(field), field)


class VolumeAttachmentStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/volumeattachment/strategy.go."""

    returns_deleted = True
    requires_version = True

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"], old["spec"], "spec")


class VolumeAttributesClassStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/volumeattributesclass/strategy.go."""

    returns_deleted = True

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if obj.get("driverName") != old.get("driverName"):
            yield forbidden("driverName", "updates to driverName are forbidden.")
        if obj.get("parameters") != old.get("parameters"):
            yield forbidden("parameters", "updates to parameters are forbidden.")


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "csidrivers": CSIDriverStrategy,
    "csinodes": CSINodeStrategy,
    "csistoragecapacities": CSIStorageCapacityStrategy,
    "storageclasses": StorageClassStrategy,
    "volumeattachments": VolumeAttachmentStrategy,
    "volumeattributesclasses": VolumeAttributesClassStrategy,
}
