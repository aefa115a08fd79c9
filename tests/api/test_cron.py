"""Cron schedules: what parses, what does not, and when it is due."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from minik8s.api.cron import parse_schedule

START = datetime(2026, 1, 30, 10, 17, 30, tzinfo=UTC)  # a Friday


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("* * * * *", "2026-01-30T10:18"),
        ("*/15 * * * *", "2026-01-30T10:30"),
        ("0 9 * * *", "2026-01-31T09:00"),
        ("0 0 1 * *", "2026-02-01T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 12 * * mon-wed", "2026-02-02T12:00"),
        ("0 12 * jun ?", "2026-06-01T12:00"),
        ("5,10 10-11 * * 0", "2026-02-01T10:05"),
        ("0 0 13 * 5", "2026-02-06T00:00"),  # the 13th or a Friday: either will do
        ("0 0 1,2 * */2", "2026-01-31T00:00"),  # a step is no star: the 1st, the 2nd or every other weekday
        ("0 0 */31 * mon", "2026-02-01T00:00"),
        ("0 0 */1 * mon", "2026-02-02T00:00"),
        ("0 0 *-3 * mon", "2026-02-02T00:00"),
        ("@daily", "2026-01-31T00:00"),
        ("@yearly", "2027-01-01T00:00"),
    ],
)
def test_next(schedule: str, due: str) -> None:
    """The next time is the first whole minute after now that matches."""
    found = parse_schedule(schedule).next(START)
    assert found is not None
    assert found.isoformat()[:16] == due


def test_every() -> None:
    """An interval counts from now, in whole seconds."""
    assert parse_schedule("@every 1h30m").next(START) == datetime(2026, 1, 30, 11, 47, 30, tzinfo=UTC)


def test_never() -> None:
    """A day that does not exist never comes, and that is found out in finite time."""
    assert parse_schedule("0 0 30 2 *").next(START) is None


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ("", "empty spec string"),
        ("x", "expected exactly 5 fields, found 1: [x]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("a * * * *", 'failed to parse int from a: strconv.Atoi: parsing "a": invalid syntax'),
        ("@foo", "unrecognized descriptor: @foo"),
    ],
)
def test_mistakes(schedule: str, text: str) -> None:
    """What does not parse is refused in the words of upstream's parser."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        parse_schedule(schedule)
