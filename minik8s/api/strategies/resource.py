"""Dynamic resource allocation: DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice.

The scheduler allocates devices by them; drivers are somebody else's. Fields behind gates that are off in 1.36 (list
attributes, mappings to node resources) are dropped, as there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads, set_default
from minik8s.api.validation.common import unchanged, validate_annotations, validate_labels
from minik8s.api.validation.deviceallocation import validate_claim_status
from minik8s.api.validation.devices import MAX_CONFIGS, each, validate_claim, validate_configuration, validate_selectors
from minik8s.api.validation.deviceslices import validate_slice
from minik8s.api.validation.resources import is_extended
from minik8s.machinery.field import FieldErrors, forbidden, invalid
from minik8s.machinery.meta import Doc, Obj

_LIST_ATTRIBUTES = ("ints", "bools", "strings", "versions")
_TEMPLATE_METADATA = frozenset({"labels", "annotations"})


class DeviceClassStrategy(KindStrategy):
    """Upstream: pkg/registry/resource/deviceclass/strategy.go."""

    has_generation = True
    returns_deleted = True

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        yield from validate_selectors(spec.get("selectors") or (), "spec.selectors")
        yield from each(spec.get("config") or (), "spec.config", MAX_CONFIGS, validate_configuration)
        name = spec.get("extendedResourceName")
        if name is not None and not is_extended(name):
            yield invalid("spec.extendedResourceName", name, "must be a valid extended resource name")


class ResourceClaimStrategy(KindStrategy):
    """Upstream: pkg/registry/resource/resourceclaim/strategy.go."""

    returns_deleted = True
    status_keeps_metadata = True

    def default(self, obj: Obj) -> None:
        _default_claim(obj["spec"])

    def check(self, obj: Doc) -> Causes:
        return validate_claim(obj["spec"].get("devices") or {}, "spec.devices")

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(unchanged(obj["spec"], old["spec"], "spec"))

    def validate_status_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(validate_claim_status(obj, old))


class ResourceClaimTemplateStrategy(KindStrategy):
    """Upstream: pkg/registry/resource/resourceclaimtemplate/strategy.go."""

    returns_deleted = True

    def default(self, obj: Obj) -> None:
        _default_claim(obj["spec"]["spec"])

    def check(self, obj: Doc) -> Causes:
        metadata = obj["spec"].get("metadata") or {}
        for field in sorted(metadata.keys() - _TEMPLATE_METADATA):
            yield forbidden(f"spec.metadata.{field}", "cannot be set for template metadata")
        yield from validate_labels(metadata.get("labels"), "spec.metadata.labels")
        yield from validate_annotations(metadata.get("annotations"), "spec.metadata.annotations")
        yield from validate_claim(obj["spec"]["spec"].get("devices") or {}, "spec.spec.devices")

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        return list(unchanged(obj["spec"], old["spec"], "spec"))


class ResourceSliceStrategy(KindStrategy):
    """Upstream: pkg/registry/resource/resourceslice/strategy.go."""

    has_generation = True
    returns_deleted = True
    selectable: ClassVar[Selectable] = {
        "spec.nodeName": reads("spec", "nodeName"),
        "spec.driver": reads("spec", "driver"),
    }

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        _drop_gated(obj["spec"])
        for device in obj["spec"].get("devices") or ():
            for taint in device.get("taints") or ():
                taint.setdefault("timeAdded", obj["metadata"].get("creationTimestamp"))

    def prepare_update(self, obj: Obj, old: Doc) -> None:
        super().prepare_update(obj, old)
        _drop_gated(obj["spec"])

    def check(self, obj: Doc) -> Causes:
        return validate_slice(obj["spec"])

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        yield from unchanged(new["pool"].get("name"), before["pool"].get("name"), "spec.pool.name")
        for field in ("driver", "nodeName"):
            yield from unchanged(new.get(field), before.get(field), f"spec.{field}")


def _drop_gated(spec: Obj) -> None:
    for device in spec.get("devices") or ():
        device.pop("nodeAllocatableResourceMappings", None)
        for attribute in (device.get("attributes") or {}).values():
            for field in _LIST_ATTRIBUTES:
                attribute.pop(field, None)


def _default_claim(spec: Obj) -> None:
    for request in _wanted(spec):
        set_default(request, "allocationMode", "ExactCount")
        if request["allocationMode"] == "ExactCount":
            set_default(request, "count", 1)
        for toleration in request.get("tolerations") or ():
            set_default(toleration, "operator", "Equal")


def _wanted(spec: Obj) -> Iterator[Obj]:
    for request in spec.get("devices", {}).get("requests") or ():
        if request.get("exactly") is not None:
            yield request["exactly"]
        yield from request.get("firstAvailable") or ()


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "deviceclasses": DeviceClassStrategy,
    "resourceclaims": ResourceClaimStrategy,
    "resourceclaimtemplates": ResourceClaimTemplateStrategy,
    "resourceslices": ResourceSliceStrategy,
}
