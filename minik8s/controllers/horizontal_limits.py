"""How fast an autoscaler may go: stabilisation, scaling policies, and the bounds of its spec.

Pure. Upstream: `pkg/controller/podautoscaler/horizontal.go` (normalizeDesiredReplicas, with and without behavior).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import attrs

DOWNSCALE_WINDOW = 300
"""--horizontal-pod-autoscaler-downscale-stabilization, seconds."""
SCALE_UP_FACTOR, SCALE_UP_MINIMUM = 2.0, 4.0
"""Without behavior, one step up at most doubles, or reaches four."""

Rules = Mapping[str, Any]


@attrs.frozen
class Recommendation:
    replicas: int
    at: datetime


@attrs.frozen
class ScaleEvent:
    """`change` replicas were added or taken at that time."""

    change: int
    at: datetime


@attrs.define
class Memory:
    """What is remembered of an autoscaler between its passes."""

    recommendations: list[Recommendation] = attrs.field(factory=list)
    ups: list[ScaleEvent] = attrs.field(factory=list)
    downs: list[ScaleEvent] = attrs.field(factory=list)

    def begin(self, current: int, now: datetime) -> None:
        """The size that is found counts as recommended, so that nothing shrinks before the window is over."""
        if not self.recommendations:
            self.recommendations.append(Recommendation(current, now))

    def forget(self, before: datetime) -> None:
        """Drops what no window or period reaches."""
        self.recommendations = [r for r in self.recommendations if r.at >= before]
        self.ups = [e for e in self.ups if e.at >= before]
        self.downs = [e for e in self.downs if e.at >= before]


@attrs.frozen
class Verdict:
    """The number of replicas after all limits, and what the conditions say about it: (reason, message)."""

    replicas: int
    able: tuple[str, str]
    limited: tuple[Literal["True", "False"], str, str]


READY = ("ReadyForNewScale", "recommended size matches current size")
Limit = tuple[Literal["True", "False"], str, str]
"""Status, reason and message of ScalingLimited."""
_WITHIN: Limit = ("False", "DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY: Limit = ("True", "TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW: Limit = ("True", "TooFewReplicas", "the desired replica count is less than the minimum replica count")
_UP_LIMIT: Limit = (
    "True",
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
)
_DOWN_LIMIT: Limit = (
    "True",
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
)


def normalize(spec: Rules, current: int, desired: int, memory: Memory, now: datetime) -> Verdict:
    """What may be done of what is desired; `memory` learns of the recommendation."""
    minimum, maximum = spec.get("minReplicas", 1), spec["maxReplicas"]
    behavior = spec.get("behavior")
    memory.recommendations.append(Recommendation(desired, now))
    if behavior is None:
        since = now - timedelta(seconds=DOWNSCALE_WINDOW)
        stabilized = max(r.replicas for r in memory.recommendations if r.at >= since)
        able = _able(desired, stabilized, rising=False)
        return _bounded(current, stabilized, minimum, maximum, able)
    up, down = behavior.get("scaleUp") or {}, behavior.get("scaleDown") or {}
    stabilized = _stabilize(current, desired, up, down, memory.recommendations, now)
    able = _able(desired, stabilized, rising=desired >= current)
    if stabilized > current:
        return _up(current, stabilized, maximum, up, memory, now, able)
    if stabilized < current:
        return _down(current, stabilized, minimum, down, memory, now, able)
    return Verdict(stabilized, able, _WITHIN)


def _within(recommendations: Sequence[Recommendation], seconds: int, now: datetime) -> list[Recommendation]:
    """Those of a window of `behavior`, whose first moment is not in it; that of the fixed window is (so upstream)."""
    since = now - timedelta(seconds=seconds)
    return [r for r in recommendations if r.at > since]


def _able(desired: int, stabilized: int, *, rising: bool) -> tuple[str, str]:
    if stabilized == desired:
        return READY
    direction, compared, extreme = ("Up", "lower", "lowest") if rising else ("Down", "higher", "highest")
    text = f"recent recommendations were {compared} than current one, applying the {extreme} recent recommendation"
    return f"Scale{direction}Stabilized", text


def _stabilize(
    current: int, desired: int, up: Rules, down: Rules, recommendations: Sequence[Recommendation], now: datetime
) -> int:
    """What is wanted now stays as long as the windows hold anything that speaks against changing it."""
    up_window = up.get("stabilizationWindowSeconds") or 0
    down_window = down.get("stabilizationWindowSeconds")
    down_window = DOWNSCALE_WINDOW if down_window is None else down_window
    lowest = min((r.replicas for r in _within(recommendations, up_window, now)), default=desired)
    highest = max((r.replicas for r in _within(recommendations, down_window, now)), default=desired)
    return min(max(current, lowest), highest)


def _bounded(current: int, desired: int, minimum: int, maximum: int, able: tuple[str, str]) -> Verdict:
    """The limits of an autoscaler without behavior."""
    fastest = int(max(SCALE_UP_FACTOR * current, SCALE_UP_MINIMUM))
    if desired < minimum:
        return Verdict(minimum, able, _TOO_FEW)
    highest, why = (fastest, _UP_LIMIT) if maximum > fastest else (maximum, _TOO_MANY)
    if desired > highest:
        return Verdict(highest, able, why)
    return Verdict(desired, able, _WITHIN)


def _up(
    current: int, desired: int, maximum: int, rules: Rules, memory: Memory, now: datetime, able: tuple[str, str]
) -> Verdict:
    limit = _limit_up(current, rules, memory, now)
    limit = max(limit, current)
    highest, why = (maximum, _TOO_MANY) if maximum <= limit else (limit, _UP_LIMIT)
    if desired > highest:
        return Verdict(highest, able, why)
    return Verdict(desired, able, _WITHIN)


def _down(
    current: int, desired: int, minimum: int, rules: Rules, memory: Memory, now: datetime, able: tuple[str, str]
) -> Verdict:
    limit = min(_limit_down(current, rules, memory, now), current)
    lowest, why = (minimum, _TOO_FEW) if minimum >= limit else (limit, _DOWN_LIMIT)
    if desired < lowest:
        return Verdict(lowest, able, why)
    return Verdict(desired, able, _WITHIN)


def _changed(events: Sequence[ScaleEvent], period: int, now: datetime) -> int:
    """How many replicas were added or taken within the period."""
    since = now - timedelta(seconds=period)
    return sum(event.change for event in events if event.at > since)


def _limit_up(current: int, rules: Rules, memory: Memory, now: datetime) -> int:
    """The most replicas that the policies allow now."""
    if rules.get("selectPolicy") == "Disabled":
        return current
    proposals = []
    for policy in rules.get("policies") or ():
        period = policy["periodSeconds"]
        start = current - _changed(memory.ups, period, now) + _changed(memory.downs, period, now)
        if policy["type"] == "Pods":
            proposals.append(start + policy["value"])
        else:
            proposals.append(math.ceil(start * (100 + policy["value"]) / 100))
    choose = min if rules.get("selectPolicy") == "Min" else max
    return choose(proposals, default=current)


def _limit_down(current: int, rules: Rules, memory: Memory, now: datetime) -> int:
    """The fewest replicas that the policies allow now."""
    if rules.get("selectPolicy") == "Disabled":
        return current
    proposals = []
    for policy in rules.get("policies") or ():
        period = policy["periodSeconds"]
        start = current - _changed(memory.ups, period, now) + _changed(memory.downs, period, now)
        if policy["type"] == "Pods":
            proposals.append(start - policy["value"])
        else:
            proposals.append(int(start * (100 - policy["value"]) / 100))
    choose = max if rules.get("selectPolicy") == "Min" else min
    return choose(proposals, default=current)
