"""Values at run time: JSON as it is, and small classes for what JSON has not (uint, timestamps, durations, optionals).

An int is a CEL int, a float a double; both are checked against CEL's ranges where they are made. `equal` is CEL's
equality, which unlike Python's holds `true` and `1` apart. Upstream: cel-go `common/types`.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from .errors import EvaluationError

MAX_INT = 2**63 - 1
MIN_INT = -(2**63)
MAX_UINT = 2**64 - 1
SECOND = 10**9
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MIN_TIME = -62135596800 * SECOND
MAX_TIME = 253402300800 * SECOND - 1


class UInt(int):
    """A CEL uint."""

    __slots__ = ()


@attrs.frozen(order=True)
class Duration:
    """A span of time in nanoseconds."""

    nanos: int


@attrs.frozen(order=True)
class Timestamp:
    """A point of time in nanoseconds since 1970."""

    nanos: int

    def moment(self, zone: datetime.tzinfo) -> datetime.datetime:
        """To the microsecond, in a zone; raises EvaluationError where the calendar ends."""
        try:
            return (_EPOCH + datetime.timedelta(microseconds=self.nanos // 1000)).astimezone(zone)
        except OverflowError:
            raise EvaluationError("timestamp overflow") from None


class Optional:
    """`optional.of(x)` or `optional.none()`."""

    __slots__ = ("present", "value")

    def __init__(self, present: bool, value: Any = None) -> None:
        self.present = present
        self.value = value


NONE = Optional(False)


@attrs.frozen
class TypeValue:
    """What `type(x)` yields."""

    name: str


class Opaque:
    """Base of what only functions look into; `cel_name` is the type's name, equality is the subclass's own."""

    cel_name = "opaque"
    __slots__ = ()


class Made(dict[str, Any]):
    """An object that `Object.spec{...}` constructed; remembers the name of its type."""

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.name = name


class Lazy(dict[str, Any]):
    """A map whose values are computed when first read: what `variables.x` of a policy needs.

    Filled with functions; a function's result replaces it, an EvaluationError is remembered and raised again.
    """

    def define(self, key: str, compute: Callable[[], Any]) -> None:
        """Says how a value is computed, should it be read."""
        self[key] = compute

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if callable(value):
            try:
                value = value()
            except EvaluationError as error:
                value = error
            self[key] = value
        if isinstance(value, EvaluationError):
            raise value
        return value


class Defaults(dict[str, Any]):
    """A map that has a value for every key: what `device.attributes["any.domain"]` of a device selector needs.

    `in` and `has` still tell which keys were given.
    """

    def __init__(self, items: Mapping[str, Any], default: Any) -> None:
        super().__init__(items)
        self._default = default

    def __missing__(self, key: object) -> Any:
        return self._default


_NAMES: dict[type, str] = {
    bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", list: "list", dict: "map",
    type(None): "null_type", Duration: "google.protobuf.Duration", Timestamp: "google.protobuf.Timestamp",
    TypeValue: "type", Optional: "optional_type", Lazy: "map", Defaults: "map",
}  # fmt: skip


def type_name(value: Any) -> str:
    """The name of a value's type, as `type(x)` and messages have it."""
    if name := _NAMES.get(type(value)):
        return name
    if isinstance(value, Made):
        return value.name
    for base in (dict, list, str, bool, int, float):  # subclasses: frozen documents
        if isinstance(value, base):
            return _NAMES[base]
    return getattr(value, "cel_name", type(value).__name__)


def equal(one: Any, other: Any) -> bool:
    """CEL's `==`: numbers by value across types, containers element by element, other types never equal."""
    if one != other and not isinstance(one, Optional):
        return False  # Python's equality is the more generous one
    if isinstance(one, bool) or isinstance(other, bool):
        return isinstance(one, bool) and isinstance(other, bool)
    if isinstance(one, list):
        return isinstance(other, list) and all(equal(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict):
        return isinstance(other, dict) and all(equal(value, other[key]) for key, value in one.items())
    if isinstance(one, Optional):
        if not isinstance(other, Optional) or one.present != other.present:
            return False
        return not one.present or equal(one.value, other.value)
    return True


def to_json(value: Any, depth: int = 0) -> Any:
    """A value as JSON: what a program returns. Containers without special values are returned as they are.

    The caller has paid for the walk (`budget.deep_size`).
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, UInt):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if depth > 100:
        raise EvaluationError("the result is nested too deeply")
    if isinstance(value, list):
        return _changed(value, [to_json(item, depth + 1) for item in value])
    if isinstance(value, dict):
        made = {
            key if isinstance(key, str) else format_key(key): to_json(item, depth + 1) for key, item in value.items()
        }
        return _changed(value, made)
    return _special_to_json(value, depth)


def _changed(old: Any, new: Any) -> Any:
    """`old` unless the copy differs from it, so that documents are handed on without a copy."""
    parts = zip(old, new, strict=True) if isinstance(old, list) else ((v, new.get(k)) for k, v in old.items())
    same = type(old) not in (Made, Lazy) and all(a is b for a, b in parts)
    return old if same else new


def _special_to_json(value: Any, depth: int) -> Any:
    from .timelib import format_duration, format_timestamp  # which builds on this module

    if isinstance(value, Timestamp):
        return format_timestamp(value)
    if isinstance(value, Duration):
        return format_duration(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, Optional):
        return to_json(value.value, depth + 1) if value.present else None
    if isinstance(value, TypeValue):
        return value.name
    return str(value)


def format_key(key: Any) -> str:
    """A map's key as a JSON member name."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def no_such_overload(name: str = "", *values: Any) -> EvaluationError:
    """The error of a function that has no form for these values."""
    if not name:
        return EvaluationError("no such overload")
    return EvaluationError(f"no such overload: {name}({', '.join(map(type_name, values))})")


Function = Callable[..., Any]
