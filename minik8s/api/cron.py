"""Cron schedules: five fields, names, ranges, steps, `@daily` and `@every`.

The API server refuses what does not parse and the CronJob controller asks for the times, so both must read a schedule
the same way. Grammar, error texts and times: robfig/cron/v3, `ParseStandard`, which upstream uses.

Why not a library: none for Python speaks this dialect. croniter and cronsim have no `@every`, take 7 for Sunday and
`L`, `#` and `W`, which upstream refuses, report mistakes in other words than clients see from an API server, and run
what daylight saving skips an hour later, where upstream leaves it out. Where the dialects agree croniter is the oracle
of the tests.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache

import attrs

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_HORIZON = timedelta(days=5 * 366)
"""A schedule without a time this far ahead (30 February) never comes."""


@attrs.frozen
class Schedule:
    """When something is due. `every` (seconds) stands alone; else the five sets of values."""

    minutes: frozenset[int] = frozenset()
    hours: frozenset[int] = frozenset()
    days: frozenset[int] = frozenset()
    months: frozenset[int] = frozenset()
    weekdays: frozenset[int] = frozenset()
    any_day: bool = True
    """Whether the day of the month or of the week is a star, without a step: then both must match, else one of them."""
    every: int = 0

    def next(self, after: datetime) -> datetime | None:
        """The first time due strictly after `after`, in its time zone; None if there is none in five years."""
        if self.every:
            return after.replace(microsecond=0) + timedelta(seconds=self.every)
        when = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
        limit = after + _HORIZON
        while when < limit:
            if when.month not in self.months:
                when = (when.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
            elif not self._is_day(when):
                when = when.replace(hour=0, minute=0) + timedelta(days=1)
            elif when.hour not in self.hours:
                when = when.replace(minute=0) + timedelta(hours=1)
            elif when.minute not in self.minutes:
                when += timedelta(minutes=1)
            else:
                return when
        return None

    def _is_day(self, when: datetime) -> bool:
        day = when.day in self.days
        weekday = (when.weekday() + 1) % 7 in self.weekdays
        return day and weekday if self.any_day else day or weekday


@lru_cache(maxsize=256)
def parse_schedule(text: str) -> Schedule:
    """Raises ValueError with upstream's text."""
    if not text:
        raise ValueError("empty spec string")
    if text.startswith("@"):
        if text.startswith("@every "):
            return Schedule(every=_seconds(text.removeprefix("@every "), text))
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    minutes, hours, days, months, weekdays = (
        _field(part, low, high, names) for part, (low, high, names) in zip(parts, _FIELDS, strict=True)
    )
    any_day = any(_is_star(item) for part in (parts[2], parts[4]) for item in part.split(","))
    return Schedule(minutes, hours, days, months, weekdays, any_day)


def _is_star(item: str) -> bool:
    """`*`, `?`, `*/1`; a longer step means some days only."""
    span, _, step = item.partition("/")
    return span.partition("-")[0] in ("*", "?") and (not step or int(step) == 1)


def _seconds(text: str, whole: str) -> int:
    found = _DURATION.findall(text)
    if not found or "".join(number + unit for number, unit in found) != text:
        raise ValueError(f'failed to parse duration {whole}: time: invalid duration "{text}"')
    return max(1, int(sum(float(number) * _UNITS[unit] for number, unit in found)))


def _field(text: str, low: int, high: int, names: dict[str, int]) -> frozenset[int]:
    values: set[int] = set()
    for item in text.split(","):
        if item:
            values.update(_range(item, low, high, names))
    return frozenset(values)


def _range(item: str, low: int, high: int, names: dict[str, int]) -> range:
    span, *steps = item.split("/")
    first, *rest = span.split("-")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {item}")
    if first in ("*", "?"):
        start, end = low, high
    elif len(rest) > 1:
        raise ValueError(f"too many hyphens: {item}")
    else:
        start = _number(first, names)
        end = _number(rest[0], names) if rest else high if steps else start
    step = _integer(steps[0]) if steps else 1
    if start < low:
        raise ValueError(f"beginning of range ({start}) below minimum ({low}): {item}")
    if end > high:
        raise ValueError(f"end of range ({end}) above maximum ({high}): {item}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {item}")
    if step == 0:
        raise ValueError(f"step of range should be a positive number: {item}")
    return range(start, end + 1, step)


def _number(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    return known if known is not None else _integer(text)


def _integer(text: str) -> int:
    if not re.fullmatch("[-+]?[0-9]+", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if (number := int(text)) < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
