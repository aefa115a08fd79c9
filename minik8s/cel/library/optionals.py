"""Optional values. Upstream: cel-go `cel/library.go`, OptionalTypes."""

from __future__ import annotations

from typing import Any

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import NONE, Duration, Optional, Timestamp


def _is_zero(value: Any) -> bool:
    if isinstance(value, Timestamp):
        return False
    if isinstance(value, Duration):
        return value.nanos == 0
    return value is None or (isinstance(value, (bool, int, float, str, bytes, list, dict)) and not value)


def _value(optional: Optional) -> Any:
    if optional.present:
        return optional.value
    raise EvaluationError("optional.none() dereference")


def _unwrap(items: list[Any]) -> list[Any]:
    return [item.value for item in items if isinstance(item, Optional) and item.present]


FUNCTIONS = table(
    [
        ("optional.of", "(A) -> optional(A)", lambda value: Optional(True, value)),
        ("optional.none", "() -> optional(A)", lambda: NONE),
        ("optional.ofNonZeroValue", "(A) -> optional(A)", lambda v: NONE if _is_zero(v) else Optional(True, v)),
        ("optional.unwrap", "(list(optional(A))) -> list(A)", _unwrap),
        ("unwrapOpt", "list(optional(A)).() -> list(A)", _unwrap),
        ("hasValue", "optional(A).() -> bool", lambda optional: optional.present),
        ("value", "optional(A).() -> A", _value),
        ("first", "list(A).() -> optional(A)", lambda items: Optional(True, items[0]) if items else NONE),
        ("last", "list(A).() -> optional(A)", lambda items: Optional(True, items[-1]) if items else NONE),
        ("or", "optional(A).(optional(A)) -> optional(A)", lambda one, other: one if one.present else other),
        ("orValue", "optional(A).(A) -> A", lambda one, other: one.value if one.present else other),
    ]
)
