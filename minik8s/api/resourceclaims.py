"""How pods and ResourceClaims know each other, for the controller that makes claims and the scheduler that fills them.

Upstream: `k8s.io/dynamic-resource-allocation/resourceclaim`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from minik8s.api.validation.resources import is_extended
from minik8s.machinery.meta import Doc, annotations_of, controller_of, name_of, namespace_of, uid_of

FINALIZER = "resource.kubernetes.io/delete-protection"
"""Held by a claim while it is allocated."""
MAX_CONSUMERS = 256
"""How many may share a claim; ResourceClaimReservedForMaxSize."""
IMPLICIT = "deviceclass.resource.kubernetes.io/"
"""Before a DeviceClass's name, the extended resource that always stands for it (ResourceDeviceClassPrefix)."""
EXTENDED_RESOURCE_ANNOTATION = "resource.kubernetes.io/extended-resource-claim"
"""On the claim that the scheduler makes for a pod's extended resources."""


class NotMadeYet(LookupError):
    """The claim of a template does not stand in the pod's status; the text is upstream's."""


def references(pod: Doc) -> Sequence[Any]:
    """The entries of spec.resourceClaims."""
    return pod["spec"].get("resourceClaims") or ()


def claim_name(pod: Doc, reference: Doc) -> str | None:
    """The name of the claim that an entry of spec.resourceClaims means; None if none is needed. Raises NotMadeYet."""
    if name := reference.get("resourceClaimName"):
        return str(name)
    for status in (pod.get("status") or {}).get("resourceClaimStatuses") or ():
        if status["name"] == reference["name"]:
            return status.get("resourceClaimName") or None
    raise NotMadeYet(f'pod "{namespace_of(pod)}/{name_of(pod)}": ResourceClaim not created yet')


def uses_claims(pod: Doc) -> bool:
    """Whether the pod has anything to do with claims."""
    return bool(references(pod)) or _extended(pod) is not None


def _extended(pod: Doc) -> str | None:
    """The claim that was made for the pod's extended resources."""
    return ((pod.get("status") or {}).get("extendedResourceClaimStatus") or {}).get("resourceClaimName")


def claim_names(pod: Doc) -> Iterator[str]:
    """The names of the claims that the pod uses and that are known."""
    if name := _extended(pod):
        yield name
    for reference in references(pod):
        try:
            name = claim_name(pod, reference)
        except NotMadeYet:
            continue
        if name:
            yield name


def is_made_for(pod: Doc, claim: Doc) -> bool:
    """Whether a claim belongs to the pod."""
    owner = controller_of(claim)
    return owner is not None and owner.get("uid") == uid_of(pod)


def is_for_extended_resources(claim: Doc) -> bool:
    """Whether the scheduler has made it, for what a pod asks for as extended resources."""
    return annotations_of(claim).get(EXTENDED_RESOURCE_ANNOTATION) == "true"


def may_be_devices(resource: str) -> bool:
    """Whether a resource of that name can stand for devices (IsDRAExtendedResourceName)."""
    return is_extended(resource) or resource.startswith(IMPLICIT)


def allocation_of(claim: Doc) -> Any:
    """What the claim has been given, None while it waits."""
    return (claim.get("status") or {}).get("allocation")


def holders_of(claim: Doc) -> Sequence[Any]:
    """Who may use the claim."""
    return (claim.get("status") or {}).get("reservedFor") or ()


def is_reserved_for(pod: Doc, claim: Doc) -> bool:
    """Whether the pod may use the claim."""
    return any(holder.get("uid") == uid_of(pod) for holder in holders_of(claim))


def can_be_reserved(claim: Doc) -> bool:
    """Whether there is room for a further holder."""
    return len(holders_of(claim)) < MAX_CONSUMERS


def holder(pod: Doc) -> dict[str, str]:
    """The entry of a pod in status.reservedFor."""
    return {"resource": "pods", "name": name_of(pod), "uid": uid_of(pod)}
