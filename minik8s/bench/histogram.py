"""Latencies in constant memory: a histogram whose buckets are as fine as the value is small.

Buckets are log-linear: up to 256 steps of the resolution each value has its own, above that every doubling is cut
into 128, so that a bucket is never wider than 1/128 of what lies in it, and a century in steps of 100 ns needs some
6,500 of them. Only those that hold something exist. HdrHistogram is the model; its Python port compiles C to do a
dictionary's work.

Percentiles are nearest-rank: the p-th is the smallest recorded value that at least p percent of all values do not
exceed. What is answered is the upper end of that value's bucket, at most the maximum: never less than the true rank's
value, and never more than 1/128 above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

_LINEAR_BITS: Final = 8
_SHIFT: Final = _LINEAR_BITS - 1  # bits that a value keeps: 2**7 buckets a doubling
RESOLUTION: Final = 1e-7
"""Seconds; a call in process takes tens of microseconds."""


@attrs.define(slots=True)
class Histogram:
    """Recorded values that are not negative, in the unit of the caller; `resolution` is the finest step."""

    resolution: float = RESOLUTION
    counts: dict[int, int] = attrs.field(factory=dict)
    count: int = 0
    total: float = 0.0
    low: float = math.inf
    high: float = 0.0

    def record(self, value: float) -> None:
        """Adds a value; one below zero (a clock that was set back) counts as zero."""
        value = max(value, 0.0)
        ticks = int(value / self.resolution)
        shift = max(0, ticks.bit_length() - _LINEAR_BITS)
        bucket = (shift << _SHIFT) + (ticks >> shift)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)

    def percentile(self, percent: float) -> float:
        """The nearest-rank percentile; 0 when nothing was recorded. Raises ValueError outside of (0, 100]."""
        if not 0 < percent <= 100:
            raise ValueError(f"a percentile is more than 0 and at most 100, not {percent:g}")
        rank, seen = math.ceil(self.count * percent / 100), 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            if seen >= rank:
                return min(self._upper(bucket), self.high)
        return 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def curve(self) -> Iterator[tuple[float, float]]:
        """(value, share of all values that do not exceed it) by bucket, rising."""
        seen = 0
        for bucket, count in sorted(self.counts.items()):
            seen += count
            yield min(self._upper(bucket), self.high), seen / self.count

    def merge(self, other: Histogram) -> None:
        """Adds what another of the same resolution has recorded."""
        if other.resolution != self.resolution:
            raise ValueError("histograms of different resolutions cannot be merged")
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.count += other.count
        self.total += other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)

    def since(self, earlier: Histogram) -> Histogram:
        """What was recorded after a copy was taken; minimum and maximum are then known to a bucket only."""
        if not earlier.count:
            return attrs.evolve(self, counts=dict(self.counts))
        counts = {b: n - earlier.counts.get(b, 0) for b, n in self.counts.items() if n > earlier.counts.get(b, 0)}
        new = Histogram(self.resolution, counts, self.count - earlier.count, self.total - earlier.total)
        if counts:
            new.low, new.high = self._lower(min(counts)), min(self._upper(max(counts)), self.high)
        return new

    def document(self) -> dict[str, Any]:
        """As JSON: [bucket, count] pairs beside what is exact."""
        return {
            "resolution": self.resolution,
            "count": self.count,
            "sum": self.total,
            "min": self.low if self.count else 0.0,
            "max": self.high,
            "buckets": [[bucket, count] for bucket, count in sorted(self.counts.items())],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Histogram:
        """The histogram that `document` was made of. Raises KeyError, TypeError or ValueError."""
        counts = {int(bucket): int(count) for bucket, count in document["buckets"]}
        low = float(document["min"]) if document["count"] else math.inf
        return cls(document["resolution"], counts, document["count"], document["sum"], low, document["max"])

    def _lower(self, bucket: int) -> float:
        shift = max(0, (bucket >> _SHIFT) - 1)
        return ((bucket - (shift << _SHIFT)) << shift) * self.resolution

    def _upper(self, bucket: int) -> float:
        shift = max(0, (bucket >> _SHIFT) - 1)
        return ((bucket - (shift << _SHIFT) + 1) << shift) * self.resolution
