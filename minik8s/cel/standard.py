"""The standard library: operators as the checker sees them, conversions, sizes, strings, times.

Upstream: cel-go `common/stdlib/stdlib.go`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from . import operators
from .declare import Overload, overload, table
from .errors import EvaluationError
from .library.regex import matches, search_cost
from .timelib import (
    DURATION_PARTS,
    TIMESTAMP_PARTS,
    checked_timestamp,
    format_duration,
    format_timestamp,
    parse_duration,
    parse_timestamp,
)
from .values import MAX_INT, MAX_UINT, MIN_INT, SECOND, Duration, Timestamp, TypeValue, UInt, type_name

_ORDERED = ("bool", "int", "uint", "double", "string", "bytes", "google.protobuf.Timestamp", "google.protobuf.Duration")
_NUMBERS = ("int", "uint", "double")
_TIME, _SPAN = "google.protobuf.Timestamp", "google.protobuf.Duration"


def _operators() -> dict[str, tuple[Overload, ...]]:
    same = {
        "_+_": (*_NUMBERS, "string", "bytes", "list(A)", _SPAN),
        "_-_": (*_NUMBERS, _SPAN),
        "_*_": _NUMBERS,
        "_/_": _NUMBERS,
        "_%_": ("int", "uint"),
    }
    rows: dict[str, list[str]] = {name: [f"({t}, {t}) -> {t}" for t in types] for name, types in same.items()}
    rows["_+_"] += [f"({_TIME}, {_SPAN}) -> {_TIME}", f"({_SPAN}, {_TIME}) -> {_TIME}"]
    rows["_-_"] += [f"({_TIME}, {_SPAN}) -> {_TIME}", f"({_TIME}, {_TIME}) -> {_SPAN}"]
    crossed = [(a, b) for a in _NUMBERS for b in _NUMBERS if a != b]
    for name in ("_<_", "_<=_", "_>_", "_>=_"):
        rows[name] = [f"({a}, {b}) -> bool" for a, b in [*((t, t) for t in _ORDERED), *crossed]]
    for name in ("_==_", "_!=_"):
        rows[name] = ["(A, A) -> bool"]
    rows["@in"] = ["(A, list(A)) -> bool", "(A, map(A, B)) -> bool"]
    indexed = ["(list(A), int) -> {}", "(map(A, B), A) -> {}"]
    optional = ["(optional(list(A)), int) -> {}", "(optional(map(A, B)), A) -> {}"]
    rows["_[_]"] = [row.format("AB"[i]) for i, row in enumerate(indexed)] + [
        row.format(f"optional({'AB'[i]})") for i, row in enumerate(optional)
    ]
    rows["_[?_]"] = [row.format(f"optional({'AB'[i % 2]})") for i, row in enumerate(indexed + optional)]
    found = {name: tuple(overload(row, operators.BINARY[name]) for row in each) for name, each in rows.items()}
    found["-_"] = tuple(overload(f"({t}) -> {t}", operators.negate) for t in ("int", "double", _SPAN))
    found["!_"] = (overload("(bool) -> bool", operators.invert),)
    return found


def _range_error(kind: str) -> EvaluationError:
    return EvaluationError("integer overflow" if kind == "int" else "unsigned integer overflow")


def _to_int(value: Any) -> int:
    if isinstance(value, float):
        if not -(2.0**63) < value < 2.0**63:
            raise _range_error("int")
        return int(value)
    if isinstance(value, str):
        return _parse_int(value, "int", MIN_INT, MAX_INT)
    if isinstance(value, Timestamp):
        return value.nanos // SECOND
    if isinstance(value, Duration):
        return value.nanos
    if not MIN_INT <= value <= MAX_INT:
        raise _range_error("int")
    return int(value)


def _to_uint(value: Any) -> UInt:
    if isinstance(value, float):
        if not -1 < value < 2.0**64:
            raise _range_error("uint")
        return UInt(int(value))
    if isinstance(value, str):
        return UInt(_parse_int(value, "uint", 0, MAX_UINT))
    if not 0 <= value <= MAX_UINT:
        raise _range_error("uint")
    return UInt(value)


def _parse_int(text: str, kind: str, low: int, high: int) -> int:
    function = "strconv.ParseInt" if kind == "int" else "strconv.ParseUint"
    digits = text[1:] if text[:1] in ("-", "+") and kind == "int" else text
    if not (digits.isascii() and digits.isdigit()):
        raise EvaluationError(f'{function}: parsing "{text}": invalid syntax')
    value = int(digits[:40])
    value = -value if text.startswith("-") else value
    if len(digits.lstrip("0")) > 20 or not low <= value <= high:
        raise EvaluationError(f'{function}: parsing "{text}": value out of range')
    return value


def _to_double(value: Any) -> float:
    if not isinstance(value, str):
        return float(value)
    try:
        if "_" in value or value != value.strip():
            raise ValueError(value)
        return float(value)
    except ValueError:
        raise EvaluationError(f'strconv.ParseFloat: parsing "{value}": invalid syntax') from None


def format_double(value: float) -> str:
    """A double as Go's `%g`: as few digits as identify it, an exponent below -4 and from 6 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    number = Decimal(repr(value)).normalize()
    power = number.adjusted() if number else 0
    if -4 <= power < 6:
        return f"{number:f}"
    digits = "".join(map(str, number.as_tuple().digits))
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{'-' if value < 0 else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02d}"


def to_string(value: Any) -> str:
    """`string(x)`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_double(value)
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise EvaluationError("invalid UTF-8 in bytes, cannot convert to string") from None
    if isinstance(value, Timestamp):
        return format_timestamp(value)
    if isinstance(value, Duration):
        return format_duration(value)
    return str(int(value)) if isinstance(value, int) else str(value)


_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in _BOOLS:
        return _BOOLS[value]
    raise EvaluationError(f'strconv.ParseBool: parsing "{value}": invalid syntax')


def _to_bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


def _same(value: Any) -> Any:
    return value


def _type(value: Any) -> TypeValue:
    return TypeValue(type_name(value))


def _timestamp(value: Any) -> Timestamp:
    return checked_timestamp(value * SECOND) if isinstance(value, int) else parse_timestamp(value)


FUNCTIONS = {
    **_operators(),
    **table(
        [
            *(("size", f"({t}) -> int", len) for t in ("string", "bytes", "list(A)", "map(A, B)")),
            *(("size", f"{t}.() -> int", len) for t in ("string", "bytes", "list(A)", "map(A, B)")),
            ("contains", "string.(string) -> bool", lambda s, part: part in s),
            ("startsWith", "string.(string) -> bool", str.startswith),
            ("endsWith", "string.(string) -> bool", str.endswith),
            ("matches", "string.(string) -> bool", matches, search_cost),
            ("matches", "(string, string) -> bool", matches, search_cost),
            *(("int", f"({t}) -> int", _to_int) for t in ("int", "uint", "double", "string", _TIME, _SPAN)),
            *(("uint", f"({t}) -> uint", _to_uint) for t in ("uint", "int", "double", "string")),
            *(("double", f"({t}) -> double", _to_double) for t in ("double", "int", "uint", "string")),
            *(("bool", f"({t}) -> bool", _to_bool) for t in ("bool", "string")),
            *(("bytes", f"({t}) -> bytes", _to_bytes) for t in ("bytes", "string")),
            *(("string", f"({t}) -> string", to_string) for t in _ORDERED),
            ("timestamp", "(string) -> google.protobuf.Timestamp", _timestamp),
            ("timestamp", "(int) -> google.protobuf.Timestamp", _timestamp),
            ("timestamp", "(google.protobuf.Timestamp) -> google.protobuf.Timestamp", _same),
            ("duration", "(string) -> google.protobuf.Duration", parse_duration),
            ("duration", "(int) -> google.protobuf.Duration", Duration),
            ("duration", "(google.protobuf.Duration) -> google.protobuf.Duration", _same),
            ("dyn", "(A) -> dyn", _same),
            ("type", "(A) -> type(A)", _type),
            *((name, f"{_TIME}.() -> int", call) for name, call in TIMESTAMP_PARTS.items()),
            *((name, f"{_TIME}.(string) -> int", call) for name, call in TIMESTAMP_PARTS.items()),
            *((name, f"{_SPAN}.() -> int", call) for name, call in DURATION_PARTS.items()),
        ]
    ),
}
