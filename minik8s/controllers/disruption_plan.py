"""What a PodDisruptionBudget allows, as a pure function of it, its pods and the size their owners ask for.

A percentage and maxUnavailable are of the pods that should exist, not of those that happen to: so the owners' scale
counts. An evicted pod counts as gone from the moment it is charged, until it goes or two minutes have passed.
Upstream: `pkg/controller/disruption/disruption.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from minik8s.api.disruption import with_allowed
from minik8s.api.pods import is_pod_ready
from minik8s.machinery.intorstring import resolve
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, parse_time

DELETION_TIMEOUT = timedelta(minutes=2)
"""How long an evicted pod may take until its deletion is seen (DeletionTimeout)."""


@attrs.frozen
class Plan:
    """`late` are the pods that were evicted and are still there; `recheck` is in how many seconds one may become so."""

    status: Obj
    late: tuple[Doc, ...] = ()
    recheck: float | None = None


def needs_scales(budget: Doc) -> bool:
    """Whether the owners' scale counts; a minAvailable that is a number asks for nothing but the pods."""
    spec = budget["spec"]
    return spec.get("maxUnavailable") is not None or isinstance(spec.get("minAvailable"), str)


def plan(budget: Doc, pods: Sequence[Doc], scales: Mapping[str, int], now: datetime) -> Plan:
    """`scales` has the wanted replicas of the pods' owners by their uid. Raises ValueError for a bad percentage."""
    disrupted, late, recheck = _disrupted(budget, pods, now)
    healthy = sum(1 for pod in pods if not is_terminating(pod) and name_of(pod) not in disrupted and is_pod_ready(pod))
    expected, desired = expectation(budget["spec"], len(pods), sum(scales.values()))
    allowed = max(0, healthy - desired) if expected > 0 else 0
    status: Obj = {
        "observedGeneration": budget["metadata"].get("generation", 0),
        "disruptionsAllowed": allowed,
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "expectedPods": expected,
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    status["conditions"] = (budget.get("status") or {}).get("conditions")
    return Plan(with_allowed(status, now), late, recheck)


def expectation(spec: Doc, pods: int, scale: int) -> tuple[int, int]:
    """How many pods are expected, and how many of them must be healthy."""
    most, least = spec.get("maxUnavailable"), spec.get("minAvailable")
    if most is not None:
        return scale, max(0, scale - resolve(most, scale, round_up=True))
    if isinstance(least, str):
        return scale, resolve(least, scale, round_up=True)
    return (pods, int(least)) if least is not None else (0, 0)


def _disrupted(budget: Doc, pods: Sequence[Doc], now: datetime) -> tuple[dict[str, str], tuple[Doc, ...], float | None]:
    """The entries to keep, the pods that should have gone, and when the next one is due."""
    entries = (budget.get("status") or {}).get("disruptedPods") or {}
    kept: dict[str, str] = {}
    late: list[Doc] = []
    waits: list[float] = []
    for pod in pods:
        since = entries.get(name_of(pod))
        if since is None or is_terminating(pod):
            continue
        wait = (parse_time(since) + DELETION_TIMEOUT - now).total_seconds()
        if wait < 0:
            late.append(pod)
        else:
            kept[name_of(pod)] = since
            waits.append(wait)
    return kept, tuple(late), min(waits) + 1 if waits else None
