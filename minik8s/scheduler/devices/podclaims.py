"""A pod's ResourceClaims: whether they can be used at all, what they ask for, and how well that has been met."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from minik8s.api.resourceclaims import NotMadeYet, allocation_of, claim_name, is_made_for, references
from minik8s.machinery.meta import Doc, is_terminating, name_of, namespace_of

_MAX_CHOICES = 8
"""How many alternatives a request can have; FirstAvailableDeviceRequestMaxSize."""


class Unusable(Exception):
    """A claim of a pod is not there, not its own, or on its way out; the text is upstream's."""


def pod_claims(pod: Doc, find: Callable[[str, str], Doc | None]) -> list[Doc]:
    """All that a pod uses, by namespace and name. Raises Unusable."""
    namespace, found = namespace_of(pod), []
    for reference in references(pod):
        try:
            name = claim_name(pod, reference)
        except NotMadeYet as error:
            raise Unusable(str(error)) from None
        if not name:
            continue
        claim = find(namespace, name)
        if claim is None:
            raise Unusable(f'could not find v1.ResourceClaim "{namespace}/{name}"')
        if is_terminating(claim):
            raise Unusable(f'resourceclaim "{name}" is being deleted')
        if not reference.get("resourceClaimName") and not is_made_for(pod, claim):
            where, who = f"{namespace}/{name}", f"{namespace}/{name_of(pod)}"
            raise Unusable(f"ResourceClaim {where} was not created for pod {who} (pod is not owner)")
        found.append(claim)
    return found


def requests_of(claim: Doc) -> Sequence[Doc]:
    """The entries of spec.devices.requests."""
    return ((claim.get("spec") or {}).get("devices") or {}).get("requests") or ()


def asked_classes(claim: Doc) -> Iterator[tuple[str, str]]:
    """(request, class) of all that a claim asks for."""
    for request in requests_of(claim):
        if request.get("exactly") is not None:
            yield request["name"], request["exactly"].get("deviceClassName", "")
        for choice in request.get("firstAvailable") or ():
            yield f"{request['name']}/{choice['name']}", choice.get("deviceClassName", "")


def has_choices(claim: Doc) -> bool:
    """Whether some request would do with several things, the first of them best."""
    return any(request.get("firstAvailable") for request in requests_of(claim))


def points(claim: Doc, new: Iterable[str]) -> int:
    """The more, the earlier the alternatives that the claim has, or would get with `new` requests met."""
    had = (allocation_of(claim) or {}).get("devices") or {}
    got: Collection[str] = {*(result["request"] for result in had.get("results") or ()), *new}
    return sum(
        _MAX_CHOICES - index
        for request in requests_of(claim)
        for index, choice in enumerate(request.get("firstAvailable") or ())
        if f"{request['name']}/{choice['name']}" in got
    )
