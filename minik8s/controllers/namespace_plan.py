"""What a terminating namespace still holds, said as conditions and as the time to look again.

Pure: what was found in, decisions out. Texts and numbers are those of upstream's namespaced resources deleter
(`pkg/controller/namespace/deletion`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from minik8s.api.pods import is_terminal
from minik8s.api.resource import Resource
from minik8s.api.resources import PODS, STORED_AS
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj, parse_time, rfc3339, set_condition

FINALIZER = "kubernetes"
FINALIZER_SECONDS = 15.0
"""How long somebody else's finalizer is expected to take; upstream finalizerEstimateSeconds."""
STALE_SECONDS = 60.0
"""The longest time between two looks while an API does not answer."""
FIRST_LOOK = 0.1
"""Seconds until the first look again; doubled each time up to upstream's estimate."""

_OK = {
    "NamespaceDeletionDiscoveryFailure": ("ResourcesDiscovered", "All resources successfully discovered"),
    "NamespaceDeletionGroupVersionParsingFailure": (
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    "NamespaceDeletionContentFailure": (
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
    "NamespaceContentRemaining": ("ContentRemoved", "All content successfully removed"),
    "NamespaceFinalizersRemaining": ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
}


@attrs.frozen
class Findings:
    """What is left of one resource after its collection was deleted; or why it could not be."""

    resource: Resource[Any]
    items: Sequence[Doc] = ()
    error: str = ""


def deletable(resources: Iterable[Resource[Any]]) -> list[Resource[Any]]:
    """Namespaced resources that can be listed and deleted, each stored kind once, pods first.

    Pods go first because what they use should outlive them (upstream OrderedNamespaceDeletion).
    """
    chosen: dict[tuple[str, str], Resource[Any]] = {}
    for resource in resources:
        wanted = resource.namespaced and {"list", "delete"} <= set(resource.verbs)
        if wanted and resource not in STORED_AS:
            chosen.setdefault((resource.group, resource.plural), resource)
    return sorted(chosen.values(), key=lambda resource: resource is not PODS)


def is_empty(findings: Iterable[Findings]) -> bool:
    return not any(found.items or found.error for found in findings)


def judge(resource: Resource[Any], items: Sequence[Doc], deleted_at: datetime, now: datetime) -> Findings:
    """Something that nobody is known to be busy with should not be left."""
    found = Findings(resource, items)
    if items and not _estimate(found, deleted_at, now):
        where = items[0]["metadata"].get("namespace", "")
        gvr = f"{resource.group}/{resource.version}, Resource={resource.plural}"
        return attrs.evolve(found, error=f"unexpected items still remain in namespace: {where} for gvr: {gvr}")
    return found


def failed(resource: Resource[Any], error: ApiError) -> Findings:
    return Findings(resource, error=error.message)


def look_again(
    findings: Iterable[Findings], deleted_at: datetime, now: datetime, looks: int, *, stale: bool = False
) -> float:
    """Seconds until the next look: soon at first, later every half of the time that the content is expected to take.

    `stale`: it is an API that is waited for, which may take for ever.
    """
    estimate = max((_estimate(found, deleted_at, now) for found in findings), default=0.0)
    longest = STALE_SECONDS if stale else estimate / 2 + 1
    return min(longest, FIRST_LOOK * 2 ** min(looks, 16))


def conditions(
    old: Iterable[Doc] | None, findings: Sequence[Findings], now: datetime, stale: Sequence[str] = ()
) -> list[Obj]:
    """The namespace's conditions after this pass; `stale` are group versions of which nobody knows what they hold."""
    problems = {
        "NamespaceDeletionDiscoveryFailure": _undiscovered(stale),
        "NamespaceDeletionContentFailure": _failures(findings),
        "NamespaceContentRemaining": _remaining(findings),
        "NamespaceFinalizersRemaining": _finalizers(findings),
    }
    result = [dict(condition) for condition in old or ()]
    for type_, (reason, message) in _OK.items():
        status = "False"
        if problem := problems.get(type_):
            status, (reason, message) = "True", problem
        new = {"type": type_, "status": status, "reason": reason, "message": message}
        result = set_condition(result, new, rfc3339(now))
    return result


def _estimate(found: Findings, deleted_at: datetime, now: datetime) -> float:
    """Seconds that finalizers, or pods' grace periods, are expected to need."""
    if any(item["metadata"].get("finalizers") for item in found.items):
        return FINALIZER_SECONDS
    if found.resource is not PODS:
        return 0.0
    live = [pod for pod in found.items if not is_terminal(pod)]
    grace = max((float(pod["spec"].get("terminationGracePeriodSeconds") or 0) for pod in live), default=0.0)
    for pod in live:
        if when := pod["metadata"].get("deletionTimestamp"):
            grace = max(grace, (parse_time(when) - now).total_seconds())
    return grace if (now - deleted_at).total_seconds() < grace else 0.0


def _undiscovered(stale: Sequence[str]) -> tuple[str, str] | None:
    if not stale:
        return None
    why = ", ".join(f"{version}: stale GroupVersion discovery: {version}" for version in sorted(stale))
    text = f"unable to retrieve the complete list of server APIs: {why}"
    return "DiscoveryFailed", f"Discovery failed for some groups, {len(stale)} failing: {text}"


def _failures(findings: Sequence[Findings]) -> tuple[str, str] | None:
    errors = sorted(found.error for found in findings if found.error)
    if not errors:
        return None
    text = f"Failed to delete all resource types, {len(errors)} remaining: {', '.join(errors)}"
    return "ContentDeletionFailed", text


def _remaining(findings: Sequence[Findings]) -> tuple[str, str] | None:
    counts = sorted(
        f"{found.resource.plural}.{found.resource.group} has {len(found.items)} resource instances"
        for found in findings
        if found.items
    )
    return ("SomeResourcesRemain", "Some resources are remaining: " + ", ".join(counts)) if counts else None


def _finalizers(findings: Sequence[Findings]) -> tuple[str, str] | None:
    counts: Counter[str] = Counter()
    for found in findings:
        for item in found.items:
            counts.update(item["metadata"].get("finalizers") or ())
    if not counts:
        return None
    shown = sorted(f"{finalizer} in {count} resource instances" for finalizer, count in counts.items())
    text = "Some content in the namespace has finalizers remaining: " + ", ".join(shown)
    return "SomeFinalizersRemain", text
