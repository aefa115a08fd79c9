"""Values with a text form of their own: quantities, times, durations, base64.

Each function takes what a client sent and returns the canonical JSON form that is stored, or raises
`DecodeError` with the words of Go's decoder. Upstream: apimachinery `meta/v1/{time,micro_time,duration}.go`,
`api/resource/quantity.go`, `util/intstr`.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from minik8s.machinery.quantity import FORMAT_WRONG, parse_quantity

INT32 = range(-(2**31), 2**31)
INT64 = range(-(2**63), 2**63)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_ZERO_TIME = datetime(1, 1, 1, tzinfo=UTC)


class DecodeError(ValueError):
    """A body that cannot be understood; the message is Go's, without the `X in version … handled as a X: ` prefix."""


def json_word(value: Any) -> str:
    """Go's word for a JSON value in an error: number, string, bool, array, object, null."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "object" if isinstance(value, dict) else "array"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise DecodeError(f"json: cannot unmarshal {json_word(value)} into Go value of type string")


def quantity(value: Any) -> str:
    """A resource.Quantity: a string, or a number that is taken as its text."""
    if isinstance(value, str):
        return _canonical_quantity(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(FORMAT_WRONG)
    return _canonical_quantity(orjson.dumps(value).decode() if isinstance(value, float) else str(value))


@lru_cache(4096)
def _canonical_quantity(text: str) -> str:
    try:
        return str(parse_quantity(text))
    except ValueError as error:
        raise DecodeError(str(error)) from None


def time(value: Any) -> str | None:
    """metav1.Time: RFC 3339 in, UTC seconds out; Go's zero time is no time (None)."""
    return _canonical_time(_text(value))


@lru_cache(4096)
def _canonical_time(text: str) -> str | None:
    """Cached, for the times of an object are read again with each of its writes."""
    when = _parse_time(text)
    return None if when == _ZERO_TIME else when.isoformat(timespec="seconds")[:19] + "Z"


def microtime(value: Any) -> str | None:
    """metav1.MicroTime: RFC 3339 in, UTC with six digits out."""
    when = _parse_time(_text(value))
    return None if when == _ZERO_TIME else when.isoformat(timespec="microseconds")[:26] + "Z"


def _parse_time(text: str) -> datetime:
    if _RFC3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC)
        except (ValueError, OverflowError):
            raise DecodeError(f'parsing time "{text}": day out of range') from None
    raise DecodeError(f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"')


def base64_text(value: str) -> str:
    """Checked base64; line breaks are dropped, as Go's decoder ignores them."""
    try:
        binascii.a2b_base64(value, strict_mode=True)
        return value
    except ValueError:
        bare = value.replace("\n", "").replace("\r", "")
    try:
        binascii.a2b_base64(bare, strict_mode=True)
        return bare
    except ValueError:
        raise DecodeError(f"illegal base64 data at input byte {_bad_base64_offset(value)}") from None


def _bad_base64_offset(value: str) -> int:
    body = re.match(r"[A-Za-z0-9+/\r\n]*", value)
    good = body.end() if body else 0
    return good if good < len(value) and value[good] != "=" else len(value) // 4 * 4


def int_or_string(value: Any) -> int | str:
    """util.IntOrString: an int32 or any string."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value in INT32:
        return value
    number = f" {value}" if json_word(value) == "number" else ""
    raise DecodeError(f"json: cannot unmarshal {json_word(value)}{number} into Go value of type int32")


_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def duration(value: Any) -> str:
    """metav1.Duration: Go's duration syntax, canonical (`90s` becomes `1m30s`)."""
    return format_duration(parse_duration(_text(value)))


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration such as `1h2m3.5s`."""
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if body == "0":
        return 0
    total, position = 0, 0
    while match := _DURATION.match(body, position):
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS[match[2]]
        total += int(whole or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        position = match.end()
    if not position or position != len(body) or total not in INT64:
        raise DecodeError(f'time: invalid duration "{text}"')
    return sign * total


def format_duration(nanoseconds: int) -> str:
    """Go's Duration.String(): `1m0s`, `1.5s`, `20ms`, `0s`."""
    if nanoseconds < 0:
        return "-" + format_duration(-nanoseconds)
    for unit, size, limit in (("ns", 1, 10**3), ("µs", 10**3, 10**6), ("ms", 10**6, 10**9)):
        if 0 < nanoseconds < limit:
            return _decimal(nanoseconds, size) + unit
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest, 10**9) + "s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def _decimal(value: int, size: int) -> str:
    whole, rest = divmod(value, size)
    fraction = str(rest).rjust(len(str(size)) - 1, "0").rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
