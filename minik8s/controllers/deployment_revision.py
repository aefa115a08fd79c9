"""Which ReplicaSet is the Deployment's current one, how new ones are made, and how revisions are numbered.

Pure. Upstream: `deployment_util.go` and `sync.go` (getNewReplicaSet, cleanupDeployment).
"""

from __future__ import annotations

from collections.abc import Sequence

from minik8s.controllers.deployment_rollout import DESIRED, MAX, Limits, by_age, size
from minik8s.controllers.revision import HASH_LABEL, template_hash, template_identity
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_reference,
    evolve,
    is_terminating,
    name_of,
    namespace_of,
)

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
_NOT_COPIED = frozenset(
    (
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAX,
        "deprecated.deployment.rollback.to",
    )
)
MAX_HISTORY_LENGTH = 2000
NO_LIMIT = 2**31 - 1


def find_new(deployment: Doc, sets: Sequence[Doc]) -> Doc | None:
    """The set made from the present template; the oldest should there be several."""
    wanted = template_identity(deployment["spec"]["template"])
    return next((rs for rs in by_age(sets) if template_identity(rs["spec"]["template"]) == wanted), None)


def revision_number(obj: Doc) -> int:
    """The annotation `deployment.kubernetes.io/revision`; 0 when there is none."""
    text = annotations_of(obj).get(REVISION, "")
    return int(text) if text.isdigit() else 0


def next_revision(old: Sequence[Doc]) -> int:
    """One more than the highest revision of the old sets."""
    return max(map(revision_number, old), default=0) + 1


def new_replica_set(deployment: Doc, old: Sequence[Doc], replicas: int, limits: Limits) -> Obj:
    """The set to create for the present template, beside the old ones."""
    spec, template = deployment["spec"], deployment["spec"]["template"]
    digest = template_hash(template, (deployment.get("status") or {}).get("collisionCount"))
    labels = {**((template.get("metadata") or {}).get("labels") or {}), HASH_LABEL: digest}
    selector = spec["selector"]
    rs_spec: Obj = {
        "replicas": replicas,
        "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: digest}},
        "template": evolve(template, "metadata", "labels", value=labels),
    }
    if seconds := spec.get("minReadySeconds"):
        rs_spec["minReadySeconds"] = seconds
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{digest}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {
                **_copied(deployment),
                REVISION: str(next_revision(old)),
                **size_annotations(limits),
            },
            "ownerReferences": [controller_reference(deployment)],
        },
        "spec": rs_spec,
    }


def adopt_as_new(deployment: Doc, rs: Doc, old: Sequence[Doc]) -> Doc:
    """The existing set as the present one must look: annotations, revision (the former to its history), readiness."""
    annotations = {**annotations_of(rs), **_copied(deployment)}
    before, number = revision_number(rs), next_revision(old)
    if before < number:
        annotations[REVISION] = str(number)
        if before:
            annotations[HISTORY] = _append(annotations.get(HISTORY, ""), str(before))
    result = rs if annotations == annotations_of(rs) else evolve(rs, "metadata", "annotations", value=annotations)
    seconds = deployment["spec"].get("minReadySeconds") or 0
    if (rs["spec"].get("minReadySeconds") or 0) != seconds:
        result = evolve(result, "spec", "minReadySeconds", value=seconds or None)
    return result


def resized(rs: Doc, replicas: int, limits: Limits) -> Doc:
    """The set with another size, and the annotations that say of which whole it is a part."""
    annotations = {**annotations_of(rs), **size_annotations(limits)}
    result = rs if annotations == annotations_of(rs) else evolve(rs, "metadata", "annotations", value=annotations)
    return result if size(rs) == replicas else evolve(result, "spec", "replicas", value=replicas)


def size_annotations(limits: Limits) -> dict[str, str]:
    return {DESIRED: str(limits.replicas), MAX: str(limits.replicas + limits.max_surge)}


def outdated(deployment: Doc, old: Sequence[Doc]) -> list[Doc]:
    """Empty old sets beyond revisionHistoryLimit, the oldest revisions; those not quite empty are passed over."""
    limit = deployment["spec"].get("revisionHistoryLimit")
    if limit is None or limit == NO_LIMIT:
        return []
    alive = sorted((rs for rs in old if not is_terminating(rs)), key=revision_number)
    return [rs for rs in alive[: max(0, len(alive) - limit)] if _is_empty(rs)]


def _is_empty(rs: Doc) -> bool:
    status = rs.get("status") or {}
    observed = status.get("observedGeneration", 0) >= rs["metadata"].get("generation", 0)
    return observed and not size(rs) and not status.get("replicas")


def _copied(deployment: Doc) -> dict[str, str]:
    return {key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED}


def _append(history: str, revision: str) -> str:
    """The history with one more revision; the oldest are dropped once it is too long."""
    parts = [*history.split(","), revision] if history else [revision]
    while len(",".join(parts)) > MAX_HISTORY_LENGTH and len(parts) > 1:
        parts.pop(0)
    return ",".join(parts)
