"""The past of DaemonSets and StatefulSets: their templates, kept as ControllerRevisions that `kubectl rollout` reads.

A revision's data is a strategic merge patch that puts its template back. The number of a revision grows; a template
that returns gets its old object back under a new number. Pure. Upstream: `pkg/controller/history`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import attrs

from minik8s.controllers.revision import template_hash, template_identity
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_reference,
    evolve,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
)

REVISION_HASH = "controller-revision-hash"


@attrs.frozen
class History:
    """The revisions of a workload: `update` is of its present template, made (`create`) or renumbered (`renumber`)."""

    update: Doc
    create: bool = False
    renumber: bool = False


def revisions_of(revisions: Sequence[Doc]) -> list[Doc]:
    """By number, oldest first."""
    return sorted(revisions, key=lambda rev: (number(rev), rev["metadata"].get("creationTimestamp", ""), name_of(rev)))


def number(revision: Doc) -> int:
    return int(revision.get("revision") or 0)


def plan_history(owner: Doc, revisions: Sequence[Doc]) -> History:
    """Which revision the owner's template is, and whether it has to be made or given the highest number."""
    ordered = revisions_of(revisions)
    wanted = template_identity(owner["spec"]["template"])
    equal = [revision for revision in ordered if identity(revision) == wanted]
    highest = number(ordered[-1]) if ordered else 0
    if not equal:
        return History(new_revision(owner, highest + 1), create=True)
    if number(equal[-1]) == highest:
        return History(equal[-1])
    return History(evolve(equal[-1], "revision", value=highest + 1), renumber=True)


def identity(revision: Doc) -> bytes:
    """Equal for revisions of the same template."""
    return template_identity(template_of(revision))


def template_of(revision: Doc) -> Doc:
    """The pod template that a revision keeps."""
    template: Any = ((revision.get("data") or {}).get("spec") or {}).get("template") or {}
    return {key: value for key, value in template.items() if key != "$patch"}


def new_revision(owner: Doc, revision: int) -> Obj:
    """The ControllerRevision of the owner's present template."""
    template = owner["spec"]["template"]
    digest = template_hash(template, (owner.get("status") or {}).get("collisionCount"))
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{name_of(owner)}-{digest}",
            "namespace": namespace_of(owner),
            "labels": {**((template.get("metadata") or {}).get("labels") or {}), REVISION_HASH: digest},
            "annotations": dict(annotations_of(owner)),
            "ownerReferences": [controller_reference(owner)],
        },
        "data": in_order({"spec": {"template": {**template, "$patch": "replace"}}}),
        "revision": revision,
    }


def in_order(value: Any) -> Any:
    """The value with its keys in the order in which Go writes them: kubectl compares the bytes of revisions."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(item) for item in value] if isinstance(value, list) else value


def hash_of(revision: Doc) -> str:
    """The label that tells its pods apart, where that is not the revision's own name."""
    return labels_of(revision).get(REVISION_HASH, "")


def superfluous(owner: Doc, revisions: Sequence[Doc], live: Collection[str], current: str = "") -> list[Doc]:
    """What revisionHistoryLimit leaves no room for, oldest first; `live` are names that are in use.

    What is in use takes room in the history of a DaemonSet, whose controller names the `current` revision, which does
    not; it takes none in a StatefulSet's.
    """
    limit = owner["spec"].get("revisionHistoryLimit")
    unused = [rev for rev in revisions_of(revisions) if name_of(rev) not in live and not is_terminating(rev)]
    counted = [rev for rev in revisions if name_of(rev) != current] if current else unused
    return unused[: max(0, len(counted) - (10 if limit is None else limit))]
