"""Storage classes, CSI objects, volume attachments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import NOT_NEGATIVE, named, one_of, unchanged, unique
from minik8s.api.validation.persistentvolume import validate_persistent_volume
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.api.validation.volumesources import validate_csi_driver
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, duplicate, forbidden, invalid, not_supported, required, too_long
from minik8s.machinery.meta import Doc, Obj, name_of
from minik8s.machinery.quantity import parse_quantity

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
            for text in names.qualified_name(obj["provisioner"].lower()):
                yield invalid("provisioner", obj["provisioner"], text)
        yield from _parameters(obj.get("parameters") or {})
        yield from one_of(obj.get("reclaimPolicy"), "reclaimPolicy", ("Delete", "Retain"))
        yield from one_of(obj.get("volumeBindingMode"), "volumeBindingMode", ("Immediate", "WaitForFirstConsumer"))
        for index, term in enumerate(obj.get("allowedTopologies") or ()):
            yield from _topology(term, f"allowedTopologies[{index}]")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        if obj.get("parameters") != old.get("parameters"):
            yield forbidden("parameters", "updates to parameters are forbidden.")
        if obj.get("provisioner") != old.get("provisioner"):
            yield forbidden("provisioner", "updates to provisioner are forbidden.")
        if obj.get("reclaimPolicy") != old.get("reclaimPolicy"):
            yield forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden.")
        yield from unchanged(obj.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


_MAX_PARAMETERS, _MAX_PARAMETER_SIZE = 512, 256 * 1024


def _parameters(parameters: Mapping[str, str], *, needed: bool = False) -> Causes:
    if len(parameters) > _MAX_PARAMETERS:
        yield too_long("parameters", _MAX_PARAMETERS)
        return
    if needed and not parameters:
        yield required("parameters", "must contain at least one key/value pair")
    if "" in parameters:
        yield invalid("parameters", "", "field can not be empty.")
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _MAX_PARAMETER_SIZE:
        yield too_long("parameters", _MAX_PARAMETER_SIZE)


def _topology(term: Mapping[str, Any], path: str) -> Causes:
    seen = set()
    for index, expression in enumerate(term.get("matchLabelExpressions") or ()):
        place, key, values = (
            f"{path}.matchLabelExpressions[{index}]",
            expression.get("key", ""),
            expression.get("values"),
        )
        if not values:
            yield required(f"{place}.values")
        yield from unique((f"{place}.values[{number}]", value) for number, value in enumerate(values or ()))
        yield from named(key, f"{place}.key", names.qualified_name)
        if key in seen:
            yield duplicate(f"{place}.key", key)
        seen.add(key)


_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_LIFECYCLES = ("Ephemeral", "Persistent")
_SHORTEST_TOKEN, _LONGEST_TOKEN, _SHORTEST_UPDATE = 600, 1 << 32, 10


class CSIDriverStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/csidriver/strategy.go."""

    returns_deleted = True
    requires_version = True

    def default(self, obj: Obj) -> None:
        for field, value in _CSI_DRIVER.items():
            obj["spec"].setdefault(field, value)
        set_default(obj["spec"], "volumeLifecycleModes", ["Persistent"])

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from validate_csi_driver(name_of(obj), "name")
        yield from one_of(spec.get("fsGroupPolicy"), "spec.fsGroupPolicy", _GROUP_POLICIES)
        seen = set()
        for index, request in enumerate(spec.get("tokenRequests") or ()):
            path, audience = f"spec.tokenRequests[{index}]", request.get("audience", "")
            if audience in seen:
                yield duplicate(f"{path}.audience", audience)
            seen.add(audience)
            yield from _token_age(request.get("expirationSeconds"), f"{path}.expirationSeconds")
        for mode in spec.get("volumeLifecycleModes") or ():
            if mode not in _LIFECYCLES:
                yield not_supported("spec.volumeLifecycleModes", mode, _LIFECYCLES)
        period = spec.get("nodeAllocatableUpdatePeriodSeconds")
        if period is not None and period < _SHORTEST_UPDATE:
            detail = f"must be greater than or equal to {_SHORTEST_UPDATE} seconds"
            yield invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, detail)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        yield from unchanged(new.get("attachRequired"), before.get("attachRequired"), "spec.attachedRequired")
        field = "volumeLifecycleModes"
        yield from unchanged(new.get(field), before.get(field), f"spec.{field}")


def _token_age(seconds: int | None, path: str) -> Causes:
    if seconds is not None and seconds < _SHORTEST_TOKEN:
        yield invalid(path, seconds, "may not specify a duration less than 10 minutes")
    if seconds is not None and seconds > _LONGEST_TOKEN:
        yield invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")


class CSINodeStrategy(KindStrategy):
    """A node may well have no drivers. Upstream: pkg/registry/storage/csinode/strategy.go."""

    returns_deleted = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        seen = set()
        for index, driver in enumerate(obj["spec"].get("drivers") or ()):
            path, name = f"spec.drivers[{index}]", driver.get("name", "")
            yield from validate_csi_driver(name, f"{path}.name")
            node = driver.get("nodeID", "")
            if not node:
                yield required(f"{path}.nodeID")
            elif len(node.encode()) > _MAX_NODE_ID:
                yield invalid(f"{path}.nodeID", node, f"must be {_MAX_NODE_ID} characters or less")
            count = (driver.get("allocatable") or {}).get("count")
            if count is not None and count < 0:
                yield invalid(f"{path}.allocatable.count", count, NOT_NEGATIVE)
            if name in seen:
                yield duplicate(f"{path}.name", name)
            seen.add(name)
            yield from _topology_keys(driver.get("topologyKeys") or (), f"{path}.topologyKeys")


_MAX_NODE_ID = 192


def _topology_keys(keys: Sequence[str], path: str) -> Causes:
    seen = set()
    for key in keys:
        if not key:
            yield required(path)
            continue
        if key in seen:
            yield duplicate(path, key)
        seen.add(key)
        yield from named(key, path, names.qualified_name)


class CSIStorageCapacityStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/csistoragecapacity/strategy.go."""

    requires_version = True

    def check(self, obj: Doc) -> Causes:
        yield from named(obj.get("storageClassName", ""), "storageClassName", names.dns1123_subdomain)
        for field in ("capacity", "maximumVolumeSize"):
            if (amount := obj.get(field)) is not None and parse_quantity(amount).nanos < 0:
                yield invalid(field, amount, NOT_NEGATIVE)
        if (topology := obj.get("nodeTopology")) is not None:
            yield from validate_label_selector(topology, "nodeTopology")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        for field in ("nodeTopology", "storageClassName"):
            yield from unchanged(obj.get(field), old.get(field), field)


class VolumeAttachmentStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/volumeattachment/strategy.go."""

    returns_deleted = True
    status_keeps_metadata = True
    requires_version = True

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from validate_csi_driver(spec.get("attacher", ""), "spec.attacher")
        yield from _attached(spec.get("source") or {}, "spec.source")
        yield from named(spec.get("nodeName", ""), "spec.nodeName", names.dns1123_subdomain)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        return unchanged(obj["spec"], old["spec"], "spec")

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        status, errors = obj.get("status") or {}, []
        for field in ("attachError", "detachError"):
            if len((status.get(field) or {}).get("message", "").encode()) > _MAX_ERROR:
                errors.append(too_long(f"status.{field}.message", _MAX_ERROR))
        return errors


_MAX_ERROR = 1024


def _attached(source: Mapping[str, Any], path: str) -> Causes:
    inline, volume = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and volume is None:
        yield required(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif inline is not None and volume is not None:
        yield forbidden(path, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
    elif inline is not None:
        yield from validate_persistent_volume(inline, f"{path}.inlineVolumeSpec")
    elif not volume:
        yield required(f"{path}.persistentVolumeName", "must specify non empty persistentVolumeName")
    else:
        yield from named(volume, f"{path}.persistentVolumeName", names.dns1123_subdomain)


class VolumeAttributesClassStrategy(KindStrategy):
    """Upstream: pkg/registry/storage/volumeattributesclass/strategy.go."""

    returns_deleted = True

    def check(self, obj: Doc) -> Causes:
        yield from validate_csi_driver(obj.get("driverName", ""), "driverName")
        yield from _parameters(obj.get("parameters") or {}, needed=True)

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
