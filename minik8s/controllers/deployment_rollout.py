"""How many replicas each ReplicaSet of a Deployment shall have: rolling update, recreation, proportional scaling.

Pure arithmetic on (name, size) pairs. Upstream: `rolling.go`, `recreate.go`, `sync.go` (scale) and
`deployment_util.go`. Sizes are those of `spec.replicas`; what is available is what the ReplicaSets report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from minik8s.controllers.replicaset_plan import desired
from minik8s.machinery.intorstring import resolve
from minik8s.machinery.meta import Doc, annotations_of, name_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAX = "deployment.kubernetes.io/max-replicas"

Sizes = Mapping[str, int]
"""ReplicaSet name -> the replicas it shall have; sets that are not named stay as they are."""


@attrs.frozen
class Limits:
    """A Deployment's size and how far a rollout may deviate from it, resolved to numbers."""

    replicas: int
    max_surge: int
    max_unavailable: int

    @classmethod
    def of(cls, deployment: Doc) -> Limits:
        """Percentages: surge rounds up, unavailable down; both zero would never move, so one may be unavailable."""
        replicas = desired(deployment)
        if not is_rolling(deployment):
            return cls(replicas, 0, 0)
        rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
        surge = resolve(rolling.get("maxSurge", "25%"), replicas, round_up=True)
        unavailable = resolve(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
        if not surge and not unavailable:
            unavailable = 1
        return cls(replicas, surge, min(unavailable, replicas))

    @property
    def most(self) -> int:
        """How many replicas there may be at once; 0 for a Deployment scaled to nothing."""
        return self.replicas + self.max_surge if self.replicas else 0

    @property
    def fewest_available(self) -> int:
        return self.replicas - self.max_unavailable


def is_rolling(deployment: Doc) -> bool:
    return ((deployment["spec"].get("strategy") or {}).get("type") or "RollingUpdate") == "RollingUpdate"


def size(rs: Doc) -> int:
    """spec.replicas of a ReplicaSet."""
    return desired(rs)


def available(rs: Doc) -> int:
    return int((rs.get("status") or {}).get("availableReplicas") or 0)


def total(sets: Iterable[Doc]) -> int:
    """The sum of spec.replicas."""
    return sum(map(size, sets))


def active(sets: Iterable[Doc]) -> list[Doc]:
    """Those that shall have replicas."""
    return [rs for rs in sets if size(rs) > 0]


def by_age(sets: Iterable[Doc]) -> list[Doc]:
    """Oldest first, by name within a second."""
    return sorted(sets, key=lambda rs: (rs["metadata"].get("creationTimestamp", ""), name_of(rs)))


def size_of_new(limits: Limits, rolling: bool, sets: Sequence[Doc], current: int) -> int:
    """What the new ReplicaSet shall have, given all sets (the new one with `current` among them)."""
    if not rolling:
        return limits.replicas
    if current > limits.replicas:
        return limits.replicas
    room = limits.replicas + limits.max_surge - total(sets)
    return current + max(0, min(room, limits.replicas - current))


def roll(limits: Limits, new: Doc, old: Sequence[Doc]) -> Sizes:
    """One step of a rolling update: the new set grows (or shrinks to its size), or else old ones shrink."""
    target = size_of_new(limits, True, [*old, new], size(new))
    if target != size(new):
        return {name_of(new): target}
    return shrink_old(limits, new, old)


def shrink_old(limits: Limits, new: Doc, old: Sequence[Doc]) -> Sizes:
    """Old sets lose first what is unhealthy, then as much as availability allows; the oldest first.

    Nothing, while one reports more available pods than it shall have: it has just been made smaller, and what it says
    is of before (upstream: cleanupUnhealthyReplicas refuses).
    """
    old = by_age(active(old))
    there = min(available(new), size(new))
    room = total(old) + there - limits.fewest_available
    if not old or room <= 0 or any(available(rs) > size(rs) for rs in old):
        return {}
    sizes = {name_of(rs): size(rs) for rs in old}
    for rs in old:
        removed = min(room, size(rs) - available(rs))
        sizes[name_of(rs)] -= removed
        room -= removed
    spare = sum(map(available, old)) + there - limits.fewest_available
    for rs in old:
        removed = max(0, min(spare, sizes[name_of(rs)]))
        sizes[name_of(rs)] -= removed
        spare -= removed
    return {name_of(rs): sizes[name_of(rs)] for rs in old if sizes[name_of(rs)] != size(rs)}


def rescale(limits: Limits, rolling: bool, new: Doc | None, old: Sequence[Doc], status: Doc) -> Sizes:
    """What a change of the Deployment's own size does, also in the middle of a rollout or while paused."""
    everyone = [*old, new] if new is not None else list(old)
    living = active(everyone)
    if len(living) <= 1:
        only = living[0] if living else new or (by_age(old)[-1] if old else None)
        return {} if only is None else {name_of(only): limits.replicas}
    if new is not None and is_saturated(limits, new):
        return {name_of(rs): 0 for rs in active(old)}
    return proportional(limits, living, status) if rolling else {}


def is_saturated(limits: Limits, new: Doc) -> bool:
    """Whether the new set has everything that is wanted, and all of it available."""
    announced = annotations_of(new).get(DESIRED)
    return size(new) == limits.replicas == available(new) and announced == str(limits.replicas)


def proportional(limits: Limits, living: Sequence[Doc], status: Doc) -> Sizes:
    """Shares out the difference by size, which spreads the risk; what rounding leaves goes to the largest."""
    to_add = limits.most - total(living)
    ordered = by_age(living)
    if to_add > 0:
        ordered.reverse()
    ordered.sort(key=size, reverse=True)
    sizes: dict[str, int] = {}
    added = 0
    for rs in ordered:
        share = _share(rs, limits, status, to_add - added) if to_add else 0
        sizes[name_of(rs)] = size(rs) + share
        added += share
    largest = name_of(ordered[0])
    sizes[largest] = max(0, sizes[largest] + to_add - added)
    return sizes


def _share(rs: Doc, limits: Limits, status: Doc, left: int) -> int:
    """A set's part of the difference: it keeps its fraction of the whole, within what is left to share out."""
    if not left:
        return 0
    if not limits.replicas:
        fraction = -size(rs)
    else:
        before = _positive(annotations_of(rs).get(MAX)) or int(status.get("replicas") or 0)
        if not before:
            return 0
        fraction = round_half_away(size(rs) * limits.most / before) - size(rs)
    return min(fraction, left) if left > 0 else max(fraction, left)


def round_half_away(value: float) -> int:
    """integer.RoundToInt32."""
    return int(value - 0.5) if value < 0 else int(value + 0.5)


def _positive(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() else 0
