"""PersistentVolume and PersistentVolumeClaim."""

from __future__ import annotations

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.claims import VOLUME_MODES, storage_request, validate_access_modes, validate_claim_spec
from minik8s.api.validation.common import IMMUTABLE, named, one_of
from minik8s.api.validation.scheduling import validate_node_selector
from minik8s.machinery import names
from minik8s.machinery.field import forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.quantity import parse_quantity

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_CLAIM_IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
_VOLUME_SETTINGS = frozenset(
    {
        "accessModes",
        "capacity",
        "claimRef",
        "mountOptions",
        "nodeAffinity",
        "persistentVolumeReclaimPolicy",
        "storageClassName",
        "volumeAttributesClassName",
        "volumeMode",
    }
)
"""Fields of a PersistentVolume's spec that are not a source."""


class PersistentVolumeClaimStrategy(KindStrategy):
    """Upstream: pkg/registry/core/persistentvolumeclaim/strategy.go."""

    returns_deleted = True
    status_keeps_metadata = False

    def default(self, obj: Obj) -> None:
        obj["spec"].setdefault("volumeMode", "Filesystem")

    def initial_status(self, obj: Obj) -> Obj:
        return {"phase": "Pending"}

    def check(self, obj: Doc) -> Causes:
        return validate_claim_spec(obj["spec"], "spec")

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        bound = (old.get("status") or {}).get("phase") == "Bound"
        if not _same_claim(new, before, bound):
            yield forbidden("spec", _CLAIM_IMMUTABLE)
        if new.get("volumeMode") != before.get("volumeMode"):
            yield invalid("spec.volumeMode", new.get("volumeMode"), IMMUTABLE)
        wanted, had = storage_request(new), storage_request(before)
        reached = ((old.get("status") or {}).get("capacity") or {}).get("storage")
        shrinks = wanted and had and parse_quantity(wanted) < parse_quantity(had)
        if wanted and shrinks and (reached is None or parse_quantity(wanted) <= parse_quantity(reached)):
            yield forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")


def _same_claim(new: Doc, before: Doc, bound: bool) -> bool:
    free = {"volumeAttributesClassName"}
    if bound:
        free.add("resources")
    for once in ("volumeName", "storageClassName"):
        if not before.get(once) and before.get(once) != "":
            free.add(once)
    return all(new.get(key) == before.get(key) for key in {*new, *before} - free)


class PersistentVolumeStrategy(KindStrategy):
    """Upstream: pkg/registry/core/persistentvolume/strategy.go."""

    returns_deleted = True
    status_keeps_metadata = False

    def default(self, obj: Obj) -> None:
        spec = obj["spec"]
        set_default(spec, "persistentVolumeReclaimPolicy", "Retain")
        spec.setdefault("volumeMode", "Filesystem")
        if host_path := spec.get("hostPath"):
            host_path.setdefault("type", "")

    def initial_status(self, obj: Obj) -> Obj:
        return {"phase": "Pending", "lastPhaseTransitionTime": obj["metadata"].get("creationTimestamp")}

    def check(self, obj: Doc) -> Causes:
        spec = obj["spec"]
        if not spec.get("accessModes"):
            yield required("spec.accessModes")
        yield from validate_access_modes(spec.get("accessModes") or (), "spec.accessModes")
        capacity = spec.get("capacity") or {}
        if not capacity:
            yield required("spec.capacity")
        elif set(capacity) != {"storage"}:
            yield not_supported("spec.capacity", capacity, ("storage",))
        for name, amount in capacity.items():
            if parse_quantity(amount).nanos <= 0:
                yield invalid(f"spec.capacity[{name}]", amount, "must be greater than zero")
        policy = spec.get("persistentVolumeReclaimPolicy")
        yield from one_of(policy, "spec.persistentVolumeReclaimPolicy", RECLAIM_POLICIES, optional=True)
        yield from _volume_source(spec)
        if name := spec.get("storageClassName"):
            yield from named(name, "spec.storageClassName", names.dns1123_subdomain)
        yield from one_of(spec.get("volumeMode"), "spec.volumeMode", VOLUME_MODES, optional=True)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        new, before = obj["spec"], old["spec"]
        if _source(new) != _source(before):
            yield forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
        if new.get("volumeMode") != before.get("volumeMode"):
            yield invalid("spec.volumeMode", new.get("volumeMode"), IMMUTABLE)
        if before.get("nodeAffinity") and new.get("nodeAffinity") != before["nodeAffinity"]:
            yield invalid("spec.nodeAffinity", new.get("nodeAffinity"), IMMUTABLE)


def _source(spec: Doc) -> Obj:
    return {key: value for key, value in spec.items() if key not in _VOLUME_SETTINGS}


def _volume_source(spec: Doc) -> Causes:
    sources = _source(spec)
    if not sources:
        yield required("spec", "must specify a volume type")
    for extra in list(sources)[1:]:
        yield forbidden(f"spec.{extra}", "may not specify more than 1 volume type")
    required_node = (spec.get("nodeAffinity") or {}).get("required")
    if required_node is not None:
        yield from validate_node_selector(required_node, "spec.nodeAffinity.required")
    if "local" in sources:
        if not sources["local"].get("path"):
            yield required("spec.local.path")
        if required_node is None:
            yield required("spec.nodeAffinity", "Local volume requires node affinity")
    if "hostPath" in sources and not sources["hostPath"].get("path"):
        yield required("spec.hostPath.path")
    if "nfs" in sources:
        for key in ("server", "path"):
            if not sources["nfs"].get(key):
                yield required(f"spec.nfs.{key}")
    if "csi" in sources:
        for key in ("driver", "volumeHandle"):
            if not sources["csi"].get(key):
                yield required(f"spec.csi.{key}")
