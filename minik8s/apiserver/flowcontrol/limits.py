"""How many seats each priority level has: by its shares, and by what it lends and borrows. Pure.

Upstream: apiserver `pkg/util/flowcontrol/{apf_controller,conc_alloc}.go`, KEP-1040. A level's nominal limit is its part
of the server's; of that it lends others up to its lendable percentage, and beyond it may borrow. What a level has just
now follows what was asked for lately, and is found anew every ten seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from minik8s.machinery.meta import Doc

PERIOD: Final = 10.0
"""Seconds between two adjustments (`borrowingAdjustmentPeriod`)."""
SMOOTHING: Final = 0.977
"""How much of what was asked for in former periods counts (`seatDemandSmoothingCoefficient`)."""
MOST_SEATS: Final = 10
"""What the widest request takes where there is plenty."""
OBJECTS_PER_SEAT: Final = 100
SMALLEST_TARGET: Final = 0.001


@attrs.frozen
class Bounds:
    """A level's limits in seats, and how many of them one request may take."""

    nominal: int
    lowest: int
    highest: int
    widest: int


def bounds(specs: Mapping[str, Doc], total: int) -> dict[str, Bounds]:
    """The limits of priority levels, by their names and specs, that share `total` seats."""
    parts = {name: spec.get("limited") or spec.get("exempt") or {} for name, spec in specs.items()}
    shares = sum(part.get("nominalConcurrencyShares") or 0 for part in parts.values())
    return {name: _bounds(part, total, shares) for name, part in parts.items()}


def _bounds(part: Doc, total: int, shares: int) -> Bounds:
    own = part.get("nominalConcurrencyShares") or 0
    nominal = math.ceil(total * own / shares) if shares else 0
    borrowing = part.get("borrowingLimitPercent")
    lent = _rounded(nominal * (part.get("lendablePercent") or 0) / 100)
    borrowed = total if borrowing is None else _rounded(nominal * borrowing / 100)
    return Bounds(nominal, nominal - lent, nominal + borrowed, _widest(part, nominal))


def _widest(part: Doc, nominal: int) -> int:
    queuing = (part.get("limitResponse") or {}).get("queuing")
    if not queuing:
        return MOST_SEATS
    return max(1, min(math.ceil(nominal * 0.15), nominal // queuing["handSize"], MOST_SEATS))


def _rounded(value: float) -> int:
    """As Go rounds what is not negative: halves go up."""
    return math.floor(value + 0.5)


@attrs.frozen
class Claim:
    """What a level would like to have, and between which bounds it has to be."""

    target: float
    lowest: float
    highest: float


def allocate(total: float, claims: Sequence[Claim]) -> list[float]:
    """Shares out `total`: to each level the same multiple of its target, as far as its bounds allow it."""
    targets = [max(claim.target, SMALLEST_TARGET) for claim in claims]

    def given(factor: float) -> list[float]:
        pairs = zip(targets, claims, strict=True)
        return [min(max(factor * target, claim.lowest), claim.highest) for target, claim in pairs]

    pairs = zip(targets, claims, strict=True)
    factors = sorted({bound / target for target, claim in pairs for bound in (claim.lowest, claim.highest)})
    before = factors[0]
    for factor in factors:  # between two of them what is given grows evenly
        enough = sum(given(factor))
        if enough >= total:
            less = sum(given(before))
            part = (total - less) / (enough - less) if enough > less else 0.0
            return given(before + (factor - before) * max(part, 0.0))
        before = factor
    return given(before)


@attrs.frozen
class Period:
    """What was asked for in one: at most, on average, and how far from it."""

    highest: int = 0
    average: float = 0.0
    deviation: float = 0.0


class Demand:
    """The seats that are asked for at a level, taken or waited for, over time; `last` is the last whole period."""

    def __init__(self, now: float) -> None:
        self.value = 0
        self.smoothed = 0.0
        self.last = Period()
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._at = self._since = now
        self._highest = self.value
        self._sum = self._squares = 0.0

    def note(self, now: float, value: int) -> None:
        """From now on it is `value`."""
        seconds = now - self._at
        self._sum += self.value * seconds
        self._squares += self.value * self.value * seconds
        self._at, self.value = now, value
        self._highest = max(self._highest, value)

    def settle(self, now: float) -> None:
        """Ends a period and begins the next."""
        self.note(now, self.value)
        seconds = now - self._since
        average = self._sum / seconds if seconds > 0 else 0.0
        deviation = math.sqrt(max(0.0, self._squares / seconds - average**2)) if seconds > 0 else 0.0
        self.last = Period(self._highest, average, deviation)
        if seconds > 0:
            kept = SMOOTHING ** max(1.0, seconds / PERIOD)  # several periods at once, if nobody cared for them
            self.smoothed = max(average + deviation, kept * self.smoothed + (1 - kept) * (average + deviation))
        self._begin(now)

    def claim(self, limits: Bounds) -> Claim:
        """What a level gets by this: at least what it has asked for, as far as it is its own."""
        lowest = max(limits.lowest, min(limits.nominal, self.last.highest))
        return Claim(max(lowest, self.smoothed), lowest, limits.highest)


def list_width(objects: int, limit: int, widest: int) -> int:
    """The seats of a list: one for every hundred objects, which is upstream's estimate for objects of a kilobyte."""
    read = min(objects, limit) if limit > 0 else objects
    return max(1, min(math.ceil(read / OBJECTS_PER_SEAT), widest))
