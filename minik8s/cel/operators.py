"""What CEL's operators do to values, whatever the checker knew about them.

Upstream: cel-go `common/types` (arithmetic with overflow checks, comparison across number types).
"""

from __future__ import annotations

import math
from typing import Any

from .errors import EvaluationError
from .timelib import checked_duration, checked_timestamp
from .values import (
    MAX_INT,
    MAX_UINT,
    MIN_INT,
    Defaults,
    Duration,
    Optional,
    Timestamp,
    UInt,
    equal,
    no_such_overload,
    type_name,
)

_NUMBERS = frozenset({int, float, UInt})
_ORDERED = frozenset({str, bytes, bool, Timestamp, Duration})


def checked_int(value: int) -> int:
    """Raises EvaluationError where 64 bits end."""
    if MIN_INT <= value <= MAX_INT:
        return value
    raise EvaluationError("integer overflow")


def checked_uint(value: int) -> UInt:
    """Raises EvaluationError where 64 bits without sign end."""
    if 0 <= value <= MAX_UINT:
        return UInt(value)
    raise EvaluationError("unsigned integer overflow")


def add(a: Any, b: Any) -> Any:
    """`a + b` of all types that have it."""
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return checked_int(a + b)
    if kind is other and kind in (str, float, bytes):
        return a + b
    if kind is UInt and other is UInt:
        return checked_uint(int(a) + int(b))
    if isinstance(a, list) and isinstance(b, list):
        return [*a, *b]
    return _add_times(a, b)


def _add_times(a: Any, b: Any) -> Any:
    match a, b:
        case (Timestamp(), Duration()) | (Duration(), Timestamp()):
            return checked_timestamp(a.nanos + b.nanos)
        case (Duration(), Duration()):
            return checked_duration(a.nanos + b.nanos)
    raise no_such_overload()


def subtract(a: Any, b: Any) -> Any:
    """`a - b`."""
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return checked_int(a - b)
    if kind is float and other is float:
        return a - b
    if kind is UInt and other is UInt:
        return checked_uint(int(a) - int(b))
    match a, b:
        case (Timestamp(), Duration()):
            return checked_timestamp(a.nanos - b.nanos)
        case (Timestamp(), Timestamp()) | (Duration(), Duration()):
            return checked_duration(a.nanos - b.nanos)
    raise no_such_overload()


def multiply(a: Any, b: Any) -> Any:
    """`a * b`."""
    kind, other = type(a), type(b)
    if kind is int and other is int:
        return checked_int(a * b)
    if kind is float and other is float:
        return a * b
    if kind is UInt and other is UInt:
        return checked_uint(int(a) * int(b))
    raise no_such_overload()


def divide(a: Any, b: Any) -> Any:
    """`a / b`; whole numbers are cut towards zero."""
    kind, other = type(a), type(b)
    if kind is float and other is float:
        if b == 0:
            return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)
        return a / b
    if kind is not other or kind not in (int, UInt):
        raise no_such_overload()
    if b == 0:
        raise EvaluationError("division by zero")
    quotient = abs(int(a)) // abs(int(b))
    return checked_uint(quotient) if kind is UInt else checked_int(quotient if (a < 0) == (b < 0) else -quotient)


def modulo(a: Any, b: Any) -> Any:
    """`a % b`; the sign is that of `a`."""
    kind = type(a)
    if kind is not type(b) or kind not in (int, UInt):
        raise no_such_overload()
    if b == 0:
        raise EvaluationError("modulus by zero")
    rest = abs(int(a)) % abs(int(b))
    return UInt(rest) if kind is UInt else (-rest if a < 0 else rest)


def negate(a: Any) -> Any:
    """`-a`."""
    if type(a) is int:
        return checked_int(-a)
    if type(a) is float:
        return -a
    if type(a) is Duration:
        return checked_duration(-a.nanos)
    raise no_such_overload()


def invert(a: Any) -> bool:
    """`!a`."""
    if a is True:
        return False
    if a is False:
        return True
    raise no_such_overload()


def comparable(a: Any, b: Any) -> bool:
    """Whether `<` is defined between the two."""
    kind, other = type(a), type(b)
    return (kind is other and kind in _ORDERED) or (kind in _NUMBERS and other in _NUMBERS)


def less(a: Any, b: Any) -> bool:
    """`a < b`."""
    if comparable(a, b):
        return a < b
    raise no_such_overload()


def less_equal(a: Any, b: Any) -> bool:
    """`a <= b`."""
    if comparable(a, b):
        return a <= b
    raise no_such_overload()


def greater(a: Any, b: Any) -> bool:
    """`a > b`."""
    if comparable(a, b):
        return a > b
    raise no_such_overload()


def greater_equal(a: Any, b: Any) -> bool:
    """`a >= b`."""
    if comparable(a, b):
        return a >= b
    raise no_such_overload()


def is_in(a: Any, b: Any) -> bool:
    """`a in b`: an element of a list, a key of a map."""
    if isinstance(b, list):
        return a in b and any(equal(a, item) for item in b)
    if isinstance(b, dict):
        return key_in(a, b)
    raise no_such_overload()


def key_in(key: Any, mapping: dict[Any, Any]) -> bool:
    """Whether a map has a key; `true` is not `1`, as it is to Python."""
    try:
        if key not in mapping:
            return False
    except TypeError:
        return False
    return not isinstance(key, (bool, int, float)) or any(equal(key, each) for each in mapping)


def select(value: Any, field: str) -> Any:
    """`value.field`, with the errors that it can have."""
    if isinstance(value, dict):
        if field in value or isinstance(value, Defaults):
            return value[field]
        raise EvaluationError(f"no such key: {field}")
    if isinstance(value, Optional):
        return optional_index(value, field)
    raise EvaluationError(f"no such key: {field}") if value is None else no_such_overload()


def index(value: Any, key: Any) -> Any:
    """`value[key]`, with the errors that it can have."""
    if isinstance(value, list):
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        if not isinstance(key, int) or isinstance(key, bool):
            raise EvaluationError(f"unsupported index type '{type_name(key)}' in list")
        if 0 <= key < len(value):
            return value[key]
        raise EvaluationError(f"index out of bounds: {int(key)}")
    if isinstance(value, dict):
        if key_in(key, value) or (isinstance(value, Defaults) and isinstance(key, str)):
            return value[key]
        raise EvaluationError(f"no such key: {key_text(key)}")
    if isinstance(value, Optional):
        return optional_index(value, key)
    raise no_such_overload()


def key_text(key: Any) -> str:
    """A key as the message about its absence shows it."""
    return str(key).lower() if isinstance(key, bool) else str(key)


def optional_index(value: Any, key: Any) -> Optional:
    """`value[?key]` and `value.?key`: an optional, empty where the key is not."""
    if isinstance(value, Optional):
        if not value.present:
            return value
        value = value.value
    if isinstance(value, dict):
        return Optional(True, value[key]) if key_in(key, value) else Optional(False)
    if isinstance(value, list):
        if not isinstance(key, int) or isinstance(key, bool):
            raise EvaluationError(f"unsupported index type '{type_name(key)}' in list")
        return Optional(True, value[key]) if 0 <= key < len(value) else Optional(False)
    if value is None:
        return Optional(False)
    raise no_such_overload()


def has(value: Any, field: str) -> bool:
    """`has(value.field)`."""
    if isinstance(value, Optional):
        return value.present and has(value.value, field)
    if isinstance(value, dict):
        return field in value
    raise EvaluationError(f"no such key: {field}") if value is None else no_such_overload()


BINARY = {
    "_+_": add,
    "_-_": subtract,
    "_*_": multiply,
    "_/_": divide,
    "_%_": modulo,
    "_<_": less,
    "_<=_": less_equal,
    "_>_": greater,
    "_>=_": greater_equal,
    "_==_": equal,
    "_!=_": lambda a, b: not equal(a, b),
    "@in": is_in,
    "_[_]": index,
    "_[?_]": optional_index,
}
UNARY = {"-_": negate, "!_": invert}
