"""Timestamps and durations: their texts (RFC 3339, Go's `1h30m`) and the functions that take them apart.

Upstream: cel-go `common/types/timestamp.go` and `duration.go`; Go `time.ParseDuration`.
"""

from __future__ import annotations

import datetime
import re
import zoneinfo
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from minik8s.schema import scalars

from .errors import EvaluationError
from .values import MAX_INT, MAX_TIME, MIN_INT, MIN_TIME, SECOND, Duration, Timestamp

_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001  all texts are turned into UTC first
_OFFSET = re.compile(r"([+-]?)(\d\d):(\d\d)", re.ASCII)


@lru_cache(maxsize=1024)
def parse_timestamp(text: str) -> Timestamp:
    """An RFC 3339 time; raises EvaluationError."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise EvaluationError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')
    fraction, sign, hours, minutes = match.groups()[6:]
    try:
        moment = datetime.datetime(*(int(part) for part in match.groups()[:6]))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError:
        raise EvaluationError(f'parsing time "{text}": day out of range') from None
    since = moment - _EPOCH
    nanos = (since.days * 86400 + since.seconds) * SECOND + int(((fraction or "") + "0" * 9)[:9])
    if sign:
        offset = (int(hours) * 60 + int(minutes)) * 60 * SECOND
        nanos += offset if sign == "-" else -offset
    return checked_timestamp(nanos)


def parse_date(text: str) -> Timestamp:
    """A full date (`format: date`), which is midnight in UTC, or a whole timestamp."""
    return parse_timestamp(text + "T00:00:00Z" if _DATE.fullmatch(text) else text)


def checked_timestamp(nanos: int) -> Timestamp:
    """Raises EvaluationError outside the years 1 to 9999."""
    if not MIN_TIME <= nanos <= MAX_TIME:
        raise EvaluationError("timestamp overflow")
    return Timestamp(nanos)


def checked_duration(nanos: int) -> Duration:
    """Raises EvaluationError where Go's 64 bits end."""
    if not MIN_INT <= nanos <= MAX_INT:
        raise EvaluationError("integer overflow")
    return Duration(nanos)


def parse_duration(text: str) -> Duration:
    """Go's notation, such as `1h30m` or `-1.5s`; raises EvaluationError."""
    try:
        return checked_duration(scalars.parse_duration(text))
    except (scalars.DecodeError, ValueError):
        raise EvaluationError(f'time: invalid duration "{text}"') from None


def format_timestamp(value: Timestamp) -> str:
    """RFC 3339 in UTC, with as many digits of the fraction as are needed."""
    seconds, nanos = divmod(value.nanos, SECOND)
    moment = _EPOCH + datetime.timedelta(seconds=seconds)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{moment.isoformat(timespec='seconds')}{fraction}Z"


def format_duration(value: Duration) -> str:
    """Seconds, as `string(duration)` has them: `5400s`, `0.25s`."""
    sign = "-" if value.nanos < 0 else ""
    seconds, nanos = divmod(abs(value.nanos), SECOND)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{sign}{seconds}{fraction}s"


@lru_cache(maxsize=256)
def _zone(name: str) -> datetime.tzinfo:
    if match := _OFFSET.fullmatch(name):
        offset = datetime.timedelta(hours=int(match[2]), minutes=int(match[3]))
        if offset < datetime.timedelta(hours=24):
            return datetime.timezone(-offset if match[1] == "-" else offset)
    try:
        return zoneinfo.ZoneInfo(name) if name not in ("", "UTC") else datetime.UTC
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise EvaluationError(f"unknown time zone {name}") from None


def _part(get: Callable[[datetime.datetime], int]) -> Callable[..., int]:
    def part(value: Timestamp, zone: str = "") -> int:
        return get(value.moment(_zone(zone) if zone else datetime.UTC))

    return part


TIMESTAMP_PARTS: dict[str, Callable[..., Any]] = {
    "getFullYear": _part(lambda t: t.year),
    "getMonth": _part(lambda t: t.month - 1),
    "getDayOfYear": _part(lambda t: t.timetuple().tm_yday - 1),
    "getDayOfMonth": _part(lambda t: t.day - 1),
    "getDate": _part(lambda t: t.day),
    "getDayOfWeek": _part(lambda t: t.isoweekday() % 7),
    "getHours": _part(lambda t: t.hour),
    "getMinutes": _part(lambda t: t.minute),
    "getSeconds": _part(lambda t: t.second),
    "getMilliseconds": _part(lambda t: t.microsecond // 1000),
}


def _whole(nanos: int, unit: int) -> int:
    return abs(nanos) // unit * (-1 if nanos < 0 else 1)


DURATION_PARTS: dict[str, Callable[[Duration], int]] = {
    "getHours": lambda d: _whole(d.nanos, 3600 * SECOND),
    "getMinutes": lambda d: _whole(d.nanos, 60 * SECOND),
    "getSeconds": lambda d: _whole(d.nanos, SECOND),
    "getMilliseconds": lambda d: _whole(d.nanos, 10**6),
}
