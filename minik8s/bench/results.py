"""What a measurement found, as values and as JSON.

Every result says whose time it is in: "virtual" is the simulated cluster's, the same on every run with one seed;
"real" is the machine's. A report keeps the two apart, so that what has to be identical on a rerun can be compared
byte by byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from minik8s.bench.histogram import Histogram

Time = Literal["virtual", "real"]
PERCENTILES: Final = (50, 90, 99)
MOST_POINTS: Final = 600


class Timeline:
    """What happened when, in at most 600 intervals: they grow to twice their length whenever there would be more."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._sums: dict[int, float] = {}

    def add(self, seconds: float, amount: float = 1.0) -> None:
        """Notes an amount at so many seconds after the beginning."""
        slot = int(max(0.0, seconds) / self.interval)
        while slot >= MOST_POINTS:
            self.interval *= 2
            merged: dict[int, float] = {}
            for old, value in self._sums.items():
                merged[old // 2] = merged.get(old // 2, 0.0) + value
            self._sums, slot = merged, slot // 2
        self._sums[slot] = self._sums.get(slot, 0.0) + amount

    def rates(self) -> list[tuple[float, float]]:
        """(seconds, amount a second) of every interval up to the last in which something happened."""
        last = max(self._sums, default=-1)
        return [(slot * self.interval, self._sums.get(slot, 0.0) / self.interval) for slot in range(last + 1)]


@attrs.frozen
class Series:
    """One thing's figures: a distribution, a single value, or values over time. `labels` say which thing."""

    labels: Mapping[str, str]
    unit: str
    histogram: Histogram | None = None
    value: float | None = None
    points: Sequence[tuple[float, float]] | None = None

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"labels": dict(self.labels), "unit": self.unit}
        if self.histogram is not None:
            h = self.histogram
            found |= {"count": h.count, "mean": h.mean, "min": h.low if h.count else 0.0, "max": h.high}
            found |= {f"p{percent}": h.percentile(percent) for percent in PERCENTILES}
            found["histogram"] = h.document()
        if self.value is not None:
            found["value"] = self.value
        if self.points is not None:
            found["points"] = [list(point) for point in self.points]
        return found


@attrs.frozen
class Result:
    """What a measurement has to say about one aspect, `what`. `note` says what one should know of it."""

    identifier: str
    method: str
    what: str
    time: Time
    series: Sequence[Series] = ()
    note: str = ""

    def document(self) -> dict[str, Any]:
        head = {"identifier": self.identifier, "method": self.method, "what": self.what, "time": self.time}
        note = {"note": self.note} if self.note else {}
        return {**head, **note, "series": [series.document() for series in self.series]}


@attrs.frozen
class Verdict:
    """Whether an objective was kept: `measured` against `limit`, which is a least one for rates."""

    objective: str
    subject: str
    limit: float
    measured: float
    unit: str
    time: Time
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def document(self) -> dict[str, Any]:
        return {**attrs.asdict(self), "kept": self.kept}
