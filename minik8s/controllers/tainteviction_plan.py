"""Which pods leave a tainted node, and when. Pure. Upstream: `pkg/controller/tainteviction`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from minik8s.api.scheduling import tolerates
from minik8s.machinery.meta import Doc, Obj, parse_time

Taint: TypeAlias = tuple[str, str, str]
"""(key, value, effect)."""


def no_execute(node: Doc) -> list[Obj]:
    return [taint for taint in node["spec"].get("taints") or () if taint.get("effect") == "NoExecute"]


def identity(taint: Doc) -> Taint:
    return taint["key"], taint.get("value", ""), taint["effect"]


def eviction_time(pod: Doc, taints: Sequence[Doc], seen: Mapping[Taint, datetime]) -> datetime | None:
    """When the pod must leave a node with these NoExecute taints; None when it tolerates them for ever.

    `seen` says since when each taint is known; a pod that came later counts from its own start.
    """
    tolerations = pod["spec"].get("tolerations") or ()
    created = parse_time(pod["metadata"]["creationTimestamp"])
    times: list[datetime] = []
    for taint in taints:
        since = max(seen[identity(taint)], created)
        toleration = next((t for t in tolerations if tolerates(t, taint)), None)
        if toleration is None:
            return since
        seconds = toleration.get("tolerationSeconds")
        if seconds is not None:
            times.append(since + timedelta(seconds=max(0, seconds)))
    return min(times, default=None)
