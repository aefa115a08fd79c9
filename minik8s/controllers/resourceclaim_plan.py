"""ResourceClaims of pods, decided without I/O: which are made from templates, who still holds one, and when it goes.

Rules and names are upstream's (`pkg/controller/resourceclaim`, `k8s.io/dynamic-resource-allocation/resourceclaim`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from minik8s.api.pods import is_terminal
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    controller_of,
    controller_reference,
    is_terminating,
    name_of,
    namespace_of,
    uid_of,
)

POD_CLAIM_ANNOTATION = "resource.kubernetes.io/pod-claim-name"
FINALIZER = "resource.kubernetes.io/delete-protection"
MAX_CONSUMERS = 256
MAX_BASE = 57
"""The longest generateName that still has room for its random end in a name of 63 characters."""


class NotMadeYet(LookupError):
    """The claim of a template does not stand in the pod's status."""


def references(pod: Doc) -> list[Any]:
    return list(pod["spec"].get("resourceClaims") or ())


def claim_name(pod: Doc, reference: Doc) -> str | None:
    """The name of the claim that an entry of spec.resourceClaims means; None if none is needed. Raises NotMadeYet."""
    if name := reference.get("resourceClaimName"):
        return str(name)
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status["name"] == reference["name"]:
            return status.get("resourceClaimName") or None
    raise NotMadeYet(reference["name"])


def claim_names(pod: Doc) -> Iterator[str]:
    """The names of the claims that the pod uses and that are known."""
    for reference in references(pod):
        try:
            name = claim_name(pod, reference)
        except NotMadeYet:
            continue
        if name:
            yield name


def by_claim(pod: Doc) -> tuple[str, ...]:
    """An index of pods: `namespace/claim`."""
    return tuple(f"{namespace_of(pod)}/{name}" for name in claim_names(pod))


def is_made_for(pod: Doc, claim: Doc) -> bool:
    """Whether a claim belongs to the pod."""
    owner = controller_of(claim)
    return owner is not None and owner.get("uid") == uid_of(pod)


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
    status = claim.get("status") or {}
    holders = status.get("reservedFor") or ()
    if not pod["spec"].get("nodeName") or not status.get("allocation") or is_done(pod):
        return False
    return len(holders) < MAX_CONSUMERS and all(holder.get("uid") != uid_of(pod) for holder in holders)


def reserved(pod: Doc, claim: Doc) -> Obj:
    """The claim's status with the pod among its holders."""
    status = claim.get("status") or {}
    holder = {"resource": "pods", "name": name_of(pod), "uid": uid_of(pod)}
    return {**status, "reservedFor": [*(status.get("reservedFor") or ()), holder]}


def released(claim: Doc, holders: list[Any]) -> Obj:
    """The claim's status with these holders only; who was the last takes the allocation along."""
    status = {**(claim.get("status") or {}), "reservedFor": holders}
    if not holders:
        del status["reservedFor"]
        if FINALIZER in (claim["metadata"].get("finalizers") or ()):
            status.pop("allocation", None)
    return status


def may_let_go(claim: Doc) -> bool:
    """Whether the finalizer has served its purpose."""
    held = FINALIZER in (claim["metadata"].get("finalizers") or ())
    return held and not (claim.get("status") or {}).get("allocation")
