"""The metadata that the server itself sets and keeps: identity, time of birth, generation, deletion marks.

Pure functions on a document that nobody has stored yet. Upstream: registry/rest `BeforeCreate`, `BeforeUpdate`,
`BeforeDelete`.
"""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.machinery.meta import Doc, Obj

_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_NOT_SPEC = frozenset({"kind", "apiVersion", "metadata", "status"})
FOREGROUND_FINALIZER = "foregroundDeletion"
ORPHAN_FINALIZER = "orphan"


def begin_create(obj: Obj, namespace: str) -> None:
    """Makes a creator's document a new object: whatever it claimed about its identity is taken away."""
    metadata = obj["metadata"]
    for name in (*_SERVER_OWNED, "selfLink", "resourceVersion"):
        metadata.pop(name, None)
    if namespace:
        metadata["namespace"] = namespace
    else:
        metadata.pop("namespace", None)


def identify(obj: Obj, *, uid: str, now: str, has_generation: bool) -> None:
    """Gives a new object the identity that it keeps."""
    metadata = obj["metadata"]
    metadata["uid"] = uid
    if has_generation:
        metadata["generation"] = 1
    metadata["creationTimestamp"] = now


def begin_update(obj: Obj, old: Doc) -> None:
    """Puts back what an update cannot change."""
    metadata, kept = obj["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    for name in (*_SERVER_OWNED, "namespace", "generateName"):
        if name in kept:
            metadata[name] = kept[name]
        elif name != "generateName":
            metadata.pop(name, None)
    metadata["resourceVersion"] = kept["resourceVersion"]


def dedup_owners(obj: Obj) -> list[str]:
    """Keeps one of each owner reference; the uids of those that were there again."""
    owners = obj["metadata"].get("ownerReferences") or ()
    if len(owners) < 2:
        return []
    distinct: list[Obj] = []
    again = []
    for owner in owners:
        if owner in distinct:
            again.append(owner.get("uid", ""))
        else:
            distinct.append(owner)
    if again:
        obj["metadata"]["ownerReferences"] = distinct
    return again


def spec_changed(obj: Doc, old: Doc, *, with_status: bool = False) -> bool:
    """Whether anything but metadata and status differs; `with_status`, for kinds whose status is a field like any."""
    keys = {*obj, *old} - _NOT_SPEC
    if with_status:
        keys.add("status")
    return any(obj.get(key) != old.get(key) for key in keys)


def bump_generation(obj: Obj) -> None:
    obj["metadata"]["generation"] = obj["metadata"].get("generation", 0) + 1


def mark_deleted(obj: Doc, *, when: str, grace: int, finalizers: list[str]) -> Obj:
    """The object with deletion begun; its generation grows if it has one."""
    metadata = {**obj["metadata"], "deletionTimestamp": when, "deletionGracePeriodSeconds": grace}
    if metadata.get("generation"):
        metadata["generation"] += 1
    return {**obj, "metadata": _with_finalizers(metadata, finalizers)}


def deletion_finalizers(obj: Doc, propagation: str) -> list[str]:
    """The finalizers that a deletion with this policy leaves on the object."""
    current: list[str] = list(obj["metadata"].get("finalizers") or ())
    wanted = {"Foreground": FOREGROUND_FINALIZER, "Orphan": ORPHAN_FINALIZER}.get(propagation)
    if propagation:
        current = [f for f in current if f not in (FOREGROUND_FINALIZER, ORPHAN_FINALIZER)]
    return [*current, wanted] if wanted else current


def is_finished(obj: Doc) -> bool:
    """Whether a deletion that has begun has nothing left to wait for."""
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or (obj["kind"] == "Namespace" and obj["spec"].get("finalizers")):
        return False
    return not metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds")


def _with_finalizers(metadata: Mapping[str, object], finalizers: list[str]) -> Obj:
    changed = {**metadata, "finalizers": finalizers}
    if not finalizers:
        del changed["finalizers"]
    return changed
