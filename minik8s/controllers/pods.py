"""What controllers ask of the pods they keep: does it count, is it ready, for long enough, and who goes first.

Pure. Upstream: `controller_utils.go` (ActivePodsWithRanks) and `pkg/api/v1/pod/util.go`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cmp_to_key
from typing import Any

import attrs

from minik8s.api.pods import is_pod_ready, is_terminal, phase_of
from minik8s.machinery.meta import Doc, annotations_of, find_condition, is_terminating, parse_time, uid_of

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


def is_active(pod: Doc) -> bool:
    """Counts as a replica: has not ended and is not being deleted."""
    return not is_terminating(pod) and not is_terminal(pod)


def is_stopping(pod: Doc) -> bool:
    """Being deleted, and not ended yet: status.terminatingReplicas counts these."""
    return is_terminating(pod) and not is_terminal(pod)


def ready_since(pod: Doc) -> datetime | None:
    """When the pod became ready, None while it is not."""
    condition = find_condition((pod.get("status") or {}).get("conditions"), "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    return parse_time(condition["lastTransitionTime"]) if condition.get("lastTransitionTime") else _EPOCH


def available_in(pod: Doc, min_ready_seconds: int, now: datetime) -> float | None:
    """Seconds until the pod has been ready for `min_ready_seconds`; 0 when it is available, None when not ready."""
    if not min_ready_seconds:
        return 0.0 if is_pod_ready(pod) else None
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, min_ready_seconds - (now - since).total_seconds())


def deletion_order(pods: Iterable[Doc], related: Iterable[Doc], now: datetime) -> list[Doc]:
    """The pods, whom to delete first first.

    `related` are the active pods of the same owner and its siblings: of two equal pods the one goes whose node has
    more of them, so that what remains is spread.
    """
    crowd = Counter(_node(pod) for pod in related if is_active(pod))

    def compare(left: _Ranked, right: _Ranked) -> int:
        return _compare(left, right, now)

    ranked = [_Ranked.of(pod, crowd[_node(pod)]) for pod in pods]
    return [r.pod for r in sorted(ranked, key=cmp_to_key(compare))]


def newest_first(pods: Iterable[Doc]) -> list[Doc]:
    """The pods of a Job, whom to delete first first: neither cost nor crowding counts (upstream's ActivePods)."""

    def turn(pod: Doc) -> tuple[Any, ...]:
        ready, created = ready_since(pod), pod["metadata"].get("creationTimestamp")
        phase = _PHASE_RANK.get(phase_of(pod), 1)
        ages = [-(when or _EVER).timestamp() for when in (ready, parse_time(created) if created else None)]
        return bool(_node(pod)), phase, ready is not None, ages[0], -_restarts(pod), ages[1]

    return sorted(pods, key=turn)


@attrs.frozen
class _Ranked:
    """A pod with what decides its turn: `rank` sorts first, then times (None: not ready or unknown)."""

    pod: Doc
    rank: tuple[bool, int, bool, int, int]
    ready: datetime | None
    restarts: int
    created: datetime | None

    @classmethod
    def of(cls, pod: Doc, crowd: int) -> _Ranked:
        ready = ready_since(pod)
        created = pod["metadata"].get("creationTimestamp")
        return cls(
            pod,
            (bool(_node(pod)), _PHASE_RANK.get(phase_of(pod), 1), ready is not None, _cost(pod), -crowd),
            ready,
            _restarts(pod),
            parse_time(created) if created else None,
        )


def _compare(left: _Ranked, right: _Ranked, now: datetime) -> int:
    """Negative when `left` goes first; the steps of ActivePodsWithRanks.Less in their order."""
    if left.rank != right.rank:
        return -1 if left.rank < right.rank else 1
    if left.ready and right.ready and left.ready != right.ready:
        return _younger_first(left, right, left.ready, right.ready, now)
    if left.restarts != right.restarts:
        return right.restarts - left.restarts
    if left.created and right.created and left.created != right.created:
        return _younger_first(left, right, left.created, right.created, now)
    return 0


def _younger_first(left: _Ranked, right: _Ranked, since: datetime, other: datetime, now: datetime) -> int:
    """Ages compare by their logarithm, so that a few seconds do not decide among old pods; then the UID does."""
    difference = _magnitude(now - since) - _magnitude(now - other)
    if difference:
        return difference
    return -1 if uid_of(left.pod) < uid_of(right.pod) else 1


def _magnitude(age: timedelta) -> int:
    nanoseconds = age.total_seconds() * 1e9
    return int(math.log2(nanoseconds)) if nanoseconds > 0 else -1


def _cost(pod: Doc) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _restarts(pod: Doc) -> int:
    statuses: Sequence[Doc] = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((s.get("restartCount", 0) for s in statuses), default=0)


def _node(pod: Doc) -> str:
    return str((pod.get("spec") or {}).get("nodeName") or "")


_EPOCH = parse_time("1970-01-01T00:00:00Z")
_EVER = parse_time("9999-01-01T00:00:00Z")
