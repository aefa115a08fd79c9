"""ResourceClaims of pods, decided without I/O: which are made from templates, who still holds one, and when it goes.

Rules and names are upstream's (`pkg/controller/resourceclaim`, `k8s.io/dynamic-resource-allocation/resourceclaim`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minik8s.api.pods import is_terminal
from minik8s.api.resourceclaims import (
    FINALIZER,
    NotMadeYet,
    allocation_of,
    can_be_reserved,
    claim_name,
    claim_names,
    holder,
    holders_of,
    is_made_for,
    is_reserved_for,
)
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_reference,
    is_terminating,
    name_of,
    namespace_of,
)

POD_CLAIM_ANNOTATION = "resource.kubernetes.io/pod-claim-name"
MAX_BASE = 57
"""The longest generateName that still has room for its random end in a name of 63 characters."""


def by_claim(pod: Doc) -> tuple[str, ...]:
    """An index of pods: `namespace/claim`."""
    return tuple(f"{namespace_of(pod)}/{name}" for name in claim_names(pod))


def is_done(pod: Doc) -> bool:
    """Whether it is certain that no container of the pod runs or ever will."""
    return is_terminal(pod) or (is_terminating(pod) and not pod["spec"].get("nodeName"))


def wants_claim(pod: Doc, reference: Doc, claims: Mapping[str, Doc]) -> bool:
    """Whether the claim of a template has to be made, or written into the pod's status; `claims` by name."""
    if not reference.get("resourceClaimTemplateName"):
        return False
    try:
        name = claim_name(pod, reference)
    except NotMadeYet:
        return True
    return name is not None and (name not in claims or not is_made_for(pod, claims[name]))


def claim_from(pod: Doc, reference: Doc, template: Doc) -> Obj:
    """The claim that a template makes for a pod."""
    given = template["spec"].get("metadata") or {}
    base = f"{name_of(pod)}-{reference['name']}-"
    if len(base) > MAX_BASE:  # both parts stay recognizable
        short = [text[: len(text) * MAX_BASE // len(base)] for text in (name_of(pod), reference["name"])]
        base = "-".join(short)
    metadata: Obj = {
        "generateName": base,
        "namespace": namespace_of(pod),
        "annotations": {**(given.get("annotations") or {}), POD_CLAIM_ANNOTATION: reference["name"]},
        "ownerReferences": [controller_reference(pod)],
    }
    if given.get("labels"):
        metadata["labels"] = given["labels"]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": metadata,
        "spec": template["spec"].get("spec") or {},
    }


def is_claim_of(claim: Doc, reference: Doc) -> bool:
    """Whether a pod's claim was made for this entry."""
    return annotations_of(claim).get(POD_CLAIM_ANNOTATION) == reference["name"]


def needs_reservation(pod: Doc, claim: Doc) -> bool:
    """Whether a pod that somebody bound by hand has to be entered into an allocated claim."""
    if not pod["spec"].get("nodeName") or not allocation_of(claim) or is_done(pod):
        return False
    return can_be_reserved(claim) and not is_reserved_for(pod, claim)


def reserved(pod: Doc, claim: Doc) -> Obj:
    """The claim's status with the pod among its holders."""
    return {**(claim.get("status") or {}), "reservedFor": [*holders_of(claim), holder(pod)]}


def released(claim: Doc, holders: list[Any]) -> Obj:
    """The claim's status with these holders only; who was the last takes the allocation along."""
    status = {**(claim.get("status") or {}), "reservedFor": holders}
    if not holders:
        del status["reservedFor"]
        if FINALIZER in (claim["metadata"].get("finalizers") or ()):
            status.pop("allocation", None)
            status.pop("devices", None)  # what drivers say of what was allocated
    return status


def may_let_go(claim: Doc) -> bool:
    """Whether the finalizer has served its purpose."""
    held = FINALIZER in (claim["metadata"].get("finalizers") or ())
    return held and not allocation_of(claim)
