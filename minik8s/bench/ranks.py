"""Comparing two small groups of runs without believing in a distribution: ratios, with a confidence that they can bear.

The estimate is Hodges and Lehmann's, the median of all ratios of one run of B to one of A; its interval is the one
that belongs to the exact Mann-Whitney (Wilcoxon rank sum) test: from the k-th smallest to the k-th largest ratio.
Runs are the units, because values within a run depend on each other. Few runs bear little confidence: 3 against 3
reach 90 % at most, and what was reached is always stated. A bootstrap would print a narrow interval from two runs,
and mean nothing by it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache

import attrs

CONFIDENCE = 0.95


@attrs.frozen
class Ratio:
    """B to A. `confidence` is what the interval from `low` to `high` really has; 0 where there are too few runs."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def differs(self) -> bool:
        """Whether 1 lies outside of an interval of (nearly) the wanted confidence."""
        return self.confidence >= 0.9 and not self.low <= 1 <= self.high


@cache
def arrangements(u: int, m: int, n: int) -> int:
    """In how many orders of m and n values the Mann-Whitney statistic is exactly u."""
    if u < 0 or m < 0 or n < 0:
        return 0
    if not m or not n:
        return int(u == 0)
    return arrangements(u - n, m - 1, n) + arrangements(u, m, n - 1)


def at_most(u: int, m: int, n: int) -> float:
    """The probability that the statistic is u or less when both groups are of one distribution."""
    return sum(arrangements(value, m, n) for value in range(u + 1)) / math.comb(m + n, n)


def interval_rank(m: int, n: int, confidence: float = CONFIDENCE) -> tuple[int, float]:
    """(k, reached): ratios k to m*n+1-k make an interval of the reached confidence, the wanted one where possible."""
    k, limit = 1, (1 - confidence) / 2
    while 2 * (k + 1) <= m * n and at_most(k, m, n) <= limit:
        k += 1
    return k, 1 - 2 * at_most(k - 1, m, n)


def ratio(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Ratio | None:
    """Of B's values to A's; None where a value is 0 on one side only, or there is none at all."""
    if not a or not b:
        return None
    k, reached = interval_rank(len(a), len(b), confidence)
    if len(a) < 2 or len(b) < 2:
        reached = 0.0
    if not any(a) and not any(b):
        return Ratio(1.0, 1.0, 1.0, reached)
    if min(a) <= 0 or min(b) <= 0:
        return None
    ratios = sorted(second / first for first in a for second in b)
    return Ratio(statistics.median(ratios), ratios[k - 1], ratios[-k], reached)
