"""When operations start."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from minik8s.bench.tuning import (
    Bucket,
    GlobalQpsLoad,
    Load,
    ParallelismLimitedLoad,
    QpsLoad,
    RandomizedLoad,
    RandomizedTimeLimitedLoad,
    SteppedLoad,
    TimeLimitedLoad,
)


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (QpsLoad(4), [0, 0.25, 0.5, 0.75]),
        (SteppedLoad(2, 10), [0, 0, 10, 10]),
        (TimeLimitedLoad(8), [0, 2, 4, 6]),
        (ParallelismLimitedLoad(3), [0, 0, 0, 0]),
        (GlobalQpsLoad(2, 2), [0, 0, 0.5, 1]),
    ],
)
def test_starts(load: Load, expected: list[float]) -> None:
    """Each load starts its operations when its definition says."""
    assert list(load.starts(4, Random(1))) == expected


@pytest.mark.parametrize("load", [RandomizedLoad(100), RandomizedTimeLimitedLoad(10)])
def test_random_loads(load: Load) -> None:
    """Random loads keep their average, never go back, and are the same for one seed."""
    starts = list(load.starts(1000, Random(5)))
    assert starts == list(load.starts(1000, Random(5)))
    assert all(one <= other for one, other in pairwise(starts))
    assert 9 < starts[-1] < 11
    assert not list(load.starts(0, Random(5)))


def test_bucket() -> None:
    """A shared bucket lets its burst through at once, then its rate, and fills up while nobody asks."""
    bucket = Bucket(GlobalQpsLoad(10, 3))
    assert [round(bucket.reserve(0.0), 6) for _ in range(5)] == [0, 0, 0, 0.1, 0.2]
    assert [round(bucket.reserve(100.0), 6) for _ in range(4)] == [100, 100, 100, 100.1]
