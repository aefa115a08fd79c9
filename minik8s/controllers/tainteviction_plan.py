"""Which pods leave a tainted node, and when. Pure. Upstream: `pkg/controller/tainteviction`.

A toleration's seconds count from when the controller first sees the pod on the node with the taint, not from the pod's
creation: it may have waited long for its node. Once a time is set it stands, as upstream's does, until nothing limits
the pod's stay any more or a taint comes that it does not tolerate at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from minik8s.api.scheduling import tolerates
from minik8s.machinery.meta import Doc, Obj, find_condition, parse_time

UNTOLERATED = -1.0
"""Among the seconds that a pod stays: none, and whatever was set before does not matter."""


def no_execute(node: Doc) -> list[Obj]:
    return [taint for taint in node["spec"].get("taints") or () if taint.get("effect") == "NoExecute"]


def seconds_tolerated(pod: Doc, taints: Sequence[Doc]) -> float | None:
    """For how long a pod stays on a node with these NoExecute taints; None is for ever."""
    tolerations = pod["spec"].get("tolerations") or ()
    limits: list[float] = []
    for taint in taints:
        toleration = next((t for t in tolerations if tolerates(t, taint)), None)
        if toleration is None:
            return UNTOLERATED
        if (seconds := toleration.get("tolerationSeconds")) is not None:
            limits.append(max(0.0, seconds))
    return min(limits, default=None)


def departure(pod: Doc, taints: Sequence[Doc], scheduled: datetime | None, since: datetime) -> datetime | None:
    """When the pod must leave the node, None when nothing limits its stay.

    `scheduled` is what was said before; `since` is when its stay with these taints began.
    """
    seconds = seconds_tolerated(pod, taints)
    if seconds is None:
        return None
    if seconds == UNTOLERATED:
        return min(scheduled or since, since)
    return scheduled or since + timedelta(seconds=seconds)


def stated_start(pod: Doc, taints: Sequence[Doc], now: datetime) -> datetime:
    """Since when the pod has been there, as the objects themselves say, now where they do not.

    For a controller that took over: else each restart would give all pods their seconds anew (as upstream's does).
    """
    condition = find_condition((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
    bound = condition.get("lastTransitionTime") if condition.get("status") == "True" else None
    stated = [bound, *(taint.get("timeAdded") for taint in taints)]
    if not all(stated):
        return now
    return min(now, max(parse_time(time) for time in stated if time))
