"""What becomes of an object, given what its owners turned out to be. Pure.

Upstream: `attemptToDeleteItem` and `classifyReferences` in `pkg/controller/garbagecollector/garbagecollector.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

import attrs

from minik8s.controllers.gc_graph import FOREGROUND, ORPHAN
from minik8s.machinery.meta import Doc, Obj, is_terminating, owner_references

OwnerState: TypeAlias = Literal["solid", "dangling", "waiting"]
"""There; not there; there, but being deleted and waiting for its dependents."""


@attrs.frozen
class Verdict:
    """`policy` deletes the object, `release` removes references to these owner uids; neither leaves it alone.

    `unblock` says to let go of its owners first: it waits for dependents of its own that wait for theirs.
    """

    policy: str = ""
    release: frozenset[str] = frozenset()
    unblock: bool = False


def state_of_owner(owner: Doc | None, uid: str) -> OwnerState:
    """`owner` is what the server has under the referred name; another uid there is another object."""
    if owner is None or owner["metadata"].get("uid") != uid:
        return "dangling"
    if is_terminating(owner) and FOREGROUND in (owner["metadata"].get("finalizers") or ()):
        return "waiting"
    return "solid"


def judge(obj: Doc, owners: Mapping[str, OwnerState], dependents: Collection[bool]) -> Verdict:
    """`owners` by uid; `dependents` says of each dependent whether it waits for its own dependents."""
    if not owners:
        return Verdict()
    states = set(owners.values())
    if "solid" in states:
        return Verdict(release=frozenset(uid for uid, state in owners.items() if state != "solid"))
    if "waiting" in states and dependents:
        return Verdict("Foreground", unblock=any(dependents))
    finalizers = obj["metadata"].get("finalizers") or ()
    if ORPHAN in finalizers:
        return Verdict("Orphan")
    return Verdict("Foreground" if FOREGROUND in finalizers else "Background")


def without_owners(obj: Doc, uids: Collection[str]) -> Obj | None:
    """A merge patch that removes references to these owners; None when there is none."""
    references = owner_references(obj)
    left = [dict(reference) for reference in references if reference["uid"] not in uids]
    return None if len(left) == len(references) else _metadata_patch(obj, ownerReferences=left or None)


def without_blocks(obj: Doc) -> Obj | None:
    """A merge patch after which no owner's deletion waits for this object."""
    references = owner_references(obj)
    if not any(reference.get("blockOwnerDeletion") for reference in references):
        return None
    return _metadata_patch(
        obj, ownerReferences=[{**reference, "blockOwnerDeletion": False} for reference in references]
    )


def without_finalizer(obj: Doc, finalizer: str) -> Obj | None:
    """A merge patch that removes a finalizer; None when it is not there."""
    finalizers = obj["metadata"].get("finalizers") or ()
    if finalizer not in finalizers:
        return None
    return _metadata_patch(obj, finalizers=[f for f in finalizers if f != finalizer])


def _metadata_patch(obj: Doc, **fields: object) -> Obj:
    """Applies only to exactly this version of the object."""
    meta = obj["metadata"]
    return {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], **fields}}
