"""From-to numbers for estimates: sizes of values, costs of expressions. What does not fit into 64 bits is as much as
fits.

Upstream: `SizeEstimate` and `CostEstimate` of cel-go `checker/cost.go`; there they differ in name only.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

MOST: Final = 2**64 - 1


@attrs.frozen
class Range:
    """At least `least`, at most `most`."""

    least: int
    most: int

    def __add__(self, other: Range) -> Range:
        return Range(min(self.least + other.least, MOST), min(self.most + other.most, MOST))

    def times(self, other: Range) -> Range:
        return Range(min(self.least * other.least, MOST), min(self.most * other.most, MOST))

    def scaled(self, factor: float) -> Range:
        """Each end times a factor, rounded up."""
        return Range(_scaled(self.least, factor), _scaled(self.most, factor))

    def union(self, other: Range) -> Range:
        """Whatever is in one of both."""
        return Range(min(self.least, other.least), max(self.most, other.most))


def _scaled(value: int, factor: float) -> int:
    return min(math.ceil(float(value) * factor), MOST)


def exactly(value: int) -> Range:
    return Range(value, value)


NOTHING: Final = exactly(0)
ONE: Final = exactly(1)
UNKNOWN: Final = Range(0, MOST)
EMPTY: Final = Range(MOST, 0)
"""In union with others it is those others."""
