"""Schedules against croniter: wherever its dialect and upstream's agree, so do the times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import croniter
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minik8s.api.cron import parse_schedule
from minik8s.controllers.cronjob_schedule import next_time

START = datetime(2026, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def item(low: int, high: int, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """One number, name, range, or range with a step."""
    number = st.integers(low, high)
    plain = number.map(str) | (st.sampled_from(names) if names else number.map(str))
    ends = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    spans = ends.map(lambda pair: f"{pair[0]}-{pair[1]}")
    stepped = st.tuples(spans, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return plain | spans | stepped


def field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    some = st.lists(item(low, high, names), min_size=1, max_size=3).map(",".join)
    return st.just("*") | st.integers(2, high).map(lambda step: f"*/{step}") | some


SCHEDULES = st.tuples(field(0, 59), field(0, 23), field(1, 31), field(1, 12, MONTHS), field(0, 6, DAYS)).map(" ".join)


def times(oracle: Any, count: int) -> list[datetime]:
    """What the oracle says comes next; it gives up on what does not come within years."""
    try:
        return [oracle.get_next(datetime) for _ in range(count)]
    except croniter.CroniterBadDateError:
        return []


def _is_full(days: frozenset[int]) -> bool:
    return days >= set(range(1, 32)) or days == set(range(7))


@settings(max_examples=100)
@given(SCHEDULES, st.integers(0, 800 * 24 * 60))
def test_times(schedule: str, minutes: int) -> None:
    """Three times in a row, from any minute of two years, are what croniter says.

    But not where a list names every day: croniter takes that for a star, upstream only a star.
    """
    after = START + timedelta(minutes=minutes)
    parsed, parts = parse_schedule(schedule), schedule.split()
    assume(all(part == "*" for part, all_ in ((parts[2], parsed.days), (parts[4], parsed.weekdays)) if _is_full(all_)))
    expected = times(croniter.croniter(schedule, after), 3)
    for due in expected:
        if (found := parsed.next(after)) is None:
            assert due - after > timedelta(days=5 * 365), "only what is years away is taken for never"
            return
        assert found == due
        after = due


@pytest.mark.parametrize("schedule", ["30 1 * * *", "*/30 * * * *", "0 */2 * * *", "15 0-3 * * sun"])
@pytest.mark.parametrize("day", ["2026-03-09T00:00", "2026-10-31T12:00", "2026-11-01T00:50"])
def test_repeated_hours(schedule: str, day: str) -> None:
    """When the clocks go back, both serve a repeated time twice."""
    after = datetime.fromisoformat(day).replace(tzinfo=NEW_YORK)
    parsed = parse_schedule(schedule)
    for due in times(croniter.croniter(schedule, after), 12):
        found = next_time(parsed, after.astimezone(UTC), NEW_YORK)
        assert found is not None
        assert found == due.astimezone(UTC)
        after = due


def test_skipped_hours() -> None:
    """When the clocks go forward, what is skipped is left out, as upstream has it, and not run an hour later."""
    after = datetime(2026, 3, 7, 12, tzinfo=NEW_YORK)
    found = next_time(parse_schedule("30 2 * * *"), after.astimezone(UTC), NEW_YORK)
    assert found == datetime(2026, 3, 9, 2, 30, tzinfo=NEW_YORK)
    (late,) = times(croniter.croniter("30 2 * * *", after), 1)
    assert late == datetime(2026, 3, 8, 3, 0, tzinfo=NEW_YORK), "the oracle differs here, on purpose"
