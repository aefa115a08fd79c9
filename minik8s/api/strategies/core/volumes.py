"""PersistentVolume and PersistentVolumeClaim."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.claims import storage_request, validate_claim_spec
from minik8s.api.validation.common import IMMUTABLE
from minik8s.api.validation.persistentvolume import validate_persistent_volume, volume_sources
from minik8s.api.validation.podwarnings import claim_warnings, volume_warnings
from minik8s.machinery.field import forbidden, invalid
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.quantity import parse_quantity

_CLAIM_IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)


class PersistentVolumeClaimStrategy(KindStrategy):
    """Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go."""

    returns_deleted = True

    def default(self, obj: Obj) -> None:
        obj["spec"].setdefault("volumeMode", "Filesystem")

    def prepare_create(self, obj: Obj) -> None:
        super().prepare_create(obj)
        agree_on_source(obj["spec"])

    def initial_status(self, obj: Obj) -> Obj:
        return {"phase": "Pending"}

    def check(self, obj: Doc) -> Causes:
        return validate_claim_spec(obj["spec"], "spec")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return claim_warnings(obj)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        bound = (old.get("status") or {}).get("phase") == "Bound"
        if not _same_claim(new, before, bound):
            yield forbidden("spec", _CLAIM_IMMUTABLE)
        if new.get("volumeMode") != before.get("volumeMode"):
            yield invalid("spec.volumeMode", new.get("volumeMode"), IMMUTABLE)
        if before.get("volumeAttributesClassName") and new.get("volumeAttributesClassName") is None:
            yield forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden")
        wanted, had = storage_request(new), storage_request(before)
        reached = ((old.get("status") or {}).get("capacity") or {}).get("storage")
        shrinks = wanted and had and parse_quantity(wanted) < parse_quantity(had)
        if wanted and shrinks and (reached is None or parse_quantity(wanted) <= parse_quantity(reached)):
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


_SNAPSHOTS = "snapshot.storage.k8s.io"


def agree_on_source(spec: Obj) -> None:
    """dataSource and dataSourceRef say the same, and the older one only what it always could say."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source is not None:
        kind = (source.get("apiGroup") or "", source.get("kind"))
        if kind not in (("", "PersistentVolumeClaim"), (_SNAPSHOTS, "VolumeSnapshot")):
            source = None
            del spec["dataSource"]
    if source is not None and reference is None:
        spec["dataSourceRef"] = dict(source)
    elif source is None and reference is not None and not reference.get("namespace"):
        spec["dataSource"] = {key: value for key, value in reference.items() if key != "namespace"}


def _same_claim(new: Doc, before: Doc, bound: bool) -> bool:
    free = {"volumeAttributesClassName"}
    if bound and _limits(new) == _limits(before):
        free.add("resources")
    for once in ("volumeName", "storageClassName"):
        if not before.get(once) and before.get(once) != "":
            free.add(once)
    return all(new.get(key) == before.get(key) for key in {*new, *before} - free)


class PersistentVolumeStrategy(KindStrategy):
    """Upstream: pkg/registry/core/persistentvolume/strategy.go."""

    returns_deleted = True

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        set_default(spec, "persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if host_path := spec.get("hostPath"):
            host_path.setdefault("type", "")

    def initial_status(self, obj: Obj) -> Obj:
        return {"phase": "Pending", "lastPhaseTransitionTime": obj["metadata"].get("creationTimestamp")}

    def date(self, obj: Obj, old: Doc, now: Callable[[], datetime]) -> None:
        """The time of a new phase, unless whoever tells of it says one."""
        new, before, key = obj.get("status") or {}, old.get("status") or {}, "lastPhaseTransitionTime"
        if new.get("phase") != before.get("phase") and new.get(key) == before.get(key):
            obj["status"] = {**new, key: rfc3339(now())}

    def check(self, obj: Doc) -> Causes:
        return validate_persistent_volume(obj["spec"], "spec")

    def warnings(self, obj: Doc, old: Doc | None) -> list[str]:
        return volume_warnings(obj)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        if volume_sources(new) != volume_sources(before):
            yield forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
        if new.get("volumeMode") != before.get("volumeMode"):
            yield invalid("spec.volumeMode", new.get("volumeMode"), IMMUTABLE)
        if before.get("nodeAffinity") and new.get("nodeAffinity") != before["nodeAffinity"]:
            yield invalid("spec.nodeAffinity", new.get("nodeAffinity"), IMMUTABLE)


def _limits(spec: Doc) -> object:
    return (spec.get("resources") or {}).get("limits")
