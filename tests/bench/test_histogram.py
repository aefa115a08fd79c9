"""Percentiles: the stated definition, held against sorted lists and against the statistics module."""

from __future__ import annotations

import math
import statistics

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.bench.histogram import RESOLUTION, Histogram
from minik8s.bench.results import MOST_POINTS, Timeline

seconds = st.floats(0, 1e9, allow_nan=False)


def filled(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(seconds, min_size=1), st.sampled_from([1, 50, 90, 99, 99.9, 100]))
def test_nearest_rank(values: list[float], percent: float) -> None:
    """A percentile is at least the value of its rank, and at most one bucket (1/128, or the resolution) above it."""
    exact = sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
    answered = filled(values).percentile(percent)
    assert exact * (1 - 1e-12) <= answered <= exact * (1 + 1 / 128) + 1.001 * RESOLUTION


def test_as_statistics_has_them() -> None:
    """On many values it agrees with `statistics.quantiles` within a bucket."""
    values = [index / 1000 for index in range(1, 10_001)]
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    histogram = filled(values)
    for percent in (1, 10, 50, 90, 99):
        assert histogram.percentile(percent) == pytest.approx(cuts[percent - 1], rel=1 / 64)
    assert histogram.mean == pytest.approx(statistics.fmean(values))


@given(st.lists(seconds), st.lists(seconds))
def test_merge_is_as_recording_all(one: list[float], other: list[float]) -> None:
    """Merging two histograms gives the one of all values, and `since` takes the first away again."""
    both, merged = filled(one + other), filled(one)
    before = attrs.evolve(merged, counts=dict(merged.counts))
    merged.merge(filled(other))
    assert (merged.counts, merged.count, merged.low, merged.high) == (both.counts, both.count, both.low, both.high)
    assert merged.since(before).counts == filled(other).counts


@given(st.lists(seconds))
def test_document(values: list[float]) -> None:
    """What was written as JSON is read as the same."""
    histogram = filled(values)
    assert Histogram.of(histogram.document()) == histogram


def test_memory_is_constant() -> None:
    """All values from 100 ns to a century share some thousands of buckets."""
    histogram = Histogram()
    for step in range(100_000):
        histogram.record(RESOLUTION * 1.0005**step if step < 75_000 else 3e9)
    assert len(histogram.counts) < 7000


def test_edges() -> None:
    """Nothing recorded is 0; a clock that went back counts as 0; percentiles outside of (0, 100] are refused."""
    assert Histogram().percentile(99) == 0.0
    assert list(Histogram().curve()) == []
    assert filled([-1.0]).percentile(50) == 0.0
    for percent in (0, -1, 100.1):
        with pytest.raises(ValueError, match="a percentile is"):
            Histogram().percentile(percent)
    with pytest.raises(ValueError, match="different resolutions"):
        Histogram().merge(Histogram(1.0))


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_timeline(moments: list[float]) -> None:
    """However long it becomes, a timeline keeps the sum and at most 600 intervals."""
    timeline = Timeline(1.0)
    for moment in moments:
        timeline.add(moment)
    rates = timeline.rates()
    assert len(rates) <= MOST_POINTS
    assert sum(rate for _, rate in rates) * timeline.interval == pytest.approx(len(moments))
