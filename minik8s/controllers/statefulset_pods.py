"""Identity in a StatefulSet: a pod's name, labels and claims follow from its ordinal alone.

Pure. Upstream: `pkg/controller/statefulset/stateful_set_utils.go`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from minik8s.controllers.history import REVISION_HASH, template_of
from minik8s.controllers.podcontrol import pod_from_template
from minik8s.machinery.meta import (
    Doc,
    Obj,
    controller_reference,
    labels_of,
    name_of,
    namespace_of,
    owner_references,
    uid_of,
)

POD_NAME = "statefulset.kubernetes.io/pod-name"
POD_INDEX = "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")


def start_ordinal(sts: Doc) -> int:
    return int((sts["spec"].get("ordinals") or {}).get("start") or 0)


def replicas_of(sts: Doc) -> int:
    replicas = sts["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def pod_name(sts: Doc, ordinal: int) -> str:
    return f"{name_of(sts)}-{ordinal}"


def ordinal_of(sts: Doc, pod: Doc) -> int | None:
    """The pod's ordinal by its name; None for a name that no pod of the set can have."""
    match = _NAME.fullmatch(name_of(pod))
    return int(match[2]) if match and match[1] == name_of(sts) else None


def in_range(sts: Doc, ordinal: int) -> bool:
    """Whether the set shall have a pod of that ordinal."""
    return 0 <= ordinal - start_ordinal(sts) < replicas_of(sts)


def revision_name(pod: Doc) -> str:
    """The ControllerRevision that the pod was made from."""
    return labels_of(pod).get(REVISION_HASH, "")


def new_pod(sts: Doc, revision: Doc, ordinal: int) -> Obj:
    """The pod of that ordinal as the revision's template has it."""
    pod = pod_from_template(template_of(revision), sts, f"{name_of(sts)}-")
    labels = {**pod["metadata"].get("labels", {}), REVISION_HASH: name_of(revision)}
    pod["metadata"] |= {"name": pod_name(sts, ordinal), "labels": labels}
    return with_labels({**pod, "spec": _with_place(sts, pod["spec"], ordinal)}, ordinal)


def with_labels(pod: Doc, ordinal: int) -> Obj:
    """The pod with the labels that tell its name and ordinal."""
    labels = {**labels_of(pod), POD_NAME: name_of(pod), POD_INDEX: str(ordinal)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


def is_labelled(pod: Doc, ordinal: int) -> bool:
    labels = labels_of(pod)
    return (labels.get(POD_NAME), labels.get(POD_INDEX)) == (name_of(pod), str(ordinal))


def _with_place(sts: Doc, spec: Doc, ordinal: int) -> Obj:
    """The pod spec with the host name and volumes that the ordinal gives it."""
    placed = {**spec, "hostname": pod_name(sts, ordinal)}
    if service := sts["spec"].get("serviceName"):
        placed["subdomain"] = service
    if templates := claim_names(sts, ordinal):
        others = [volume for volume in spec.get("volumes") or () if volume["name"] not in templates]
        mine = [{"name": t, "persistentVolumeClaim": {"claimName": claim}} for t, claim in templates.items()]
        placed["volumes"] = [*mine, *others]
    return placed


def claim_names(sts: Doc, ordinal: int) -> Mapping[str, str]:
    """The claim of each claim template, for one ordinal."""
    names = [name_of(claim) for claim in sts["spec"].get("volumeClaimTemplates") or ()]
    return {name: f"{name}-{pod_name(sts, ordinal)}" for name in names}


def new_claims(sts: Doc, ordinal: int) -> list[Obj]:
    """The claims of the pod of that ordinal."""
    return [_claim(sts, template, ordinal) for template in sts["spec"].get("volumeClaimTemplates") or ()]


def _claim(sts: Doc, template: Doc, ordinal: int) -> Obj:
    given = template["metadata"]
    selected = (sts["spec"].get("selector") or {}).get("matchLabels") or {}
    metadata: Obj = {
        "name": f"{name_of(template)}-{pod_name(sts, ordinal)}",
        "namespace": namespace_of(sts),
        "labels": {**(given.get("labels") or {}), **selected},
    }
    if given.get("annotations"):
        metadata["annotations"] = dict(given["annotations"])
    if _deletes(sts, "whenDeleted"):
        metadata["ownerReferences"] = [controller_reference(sts)]
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"]}


def claim_owners(sts: Doc, pod: Doc, ordinal: int, claim: Doc) -> list[Doc]:
    """The owner references that the retention policy asks for: the set, a pod that is one too many, or neither."""
    others = [ref for ref in owner_references(claim) if not _is(ref, sts) and not _is(ref, pod)]
    if _deletes(sts, "whenScaled") and not in_range(sts, ordinal):
        return [*others, controller_reference(pod)]
    if _deletes(sts, "whenDeleted"):
        return [*others, controller_reference(sts)]
    return others


def is_stale(sts: Doc, ordinal: int, claim: Doc) -> bool:
    """Whether the claim is on its way out with a former pod of that name: a new pod has to wait for a new claim."""
    if not _deletes(sts, "whenScaled"):
        return False
    name = pod_name(sts, ordinal)
    return any(ref["kind"] == "Pod" and ref["name"] == name for ref in owner_references(claim))


def _deletes(sts: Doc, when: str) -> bool:
    return (sts["spec"].get("persistentVolumeClaimRetentionPolicy") or {}).get(when) == "Delete"


def _is(reference: Doc, obj: Doc) -> bool:
    return bool(reference["uid"] == uid_of(obj))
