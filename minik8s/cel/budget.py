"""What an evaluation pays, so that it ends: the budget is the first item of its frame.

Values made by an expression may share parts (`[a, a]` of `[b, b]` of ...), so that a few steps make a value of
astronomical size. Whatever walks through a value therefore pays for each step, or has `deep_size` pay first.
"""

from __future__ import annotations

from typing import Any

from .errors import BudgetError
from .values import Optional, equal

SCALARS = frozenset({int, float, bool, type(None)})
CONTAINER = 8
"""What a string, list or map costs when it is compared, beside its size; about a microsecond."""
CALL = 10
"""What a call of a library's function costs, beside the sizes of its arguments."""


class Budget:
    """What several evaluations may cost together, such as all rules of one custom resource."""

    def __init__(self, units: int) -> None:
        self.left = units


def spend(frame: list[Any], cost: int) -> None:
    """Takes from the budget; raises BudgetError when it is spent."""
    frame[0] -= cost
    if frame[0] < 0:
        raise BudgetError


def size_of(value: Any) -> int:
    """What it costs to walk over a value once: a tenth of a string's length, the length of a list or map."""
    if isinstance(value, (str, bytes)):
        return len(value) // 10
    return len(value) if isinstance(value, (list, dict)) else 0


def deep_size(limit: int, *values: Any) -> int:
    """What it costs to walk through values with all their parts; raises BudgetError beyond the limit."""
    total = 0
    stack = list(values)
    while stack:
        value = stack.pop()
        if type(value) in SCALARS:
            continue
        total += 1 + size_of(value)
        if total > limit:
            raise BudgetError
        if isinstance(value, list):
            stack.extend(value)
        elif isinstance(value, dict):
            stack.extend(dict.values(value))
        elif isinstance(value, Optional):
            stack.append(value.value)
    return total


def paid_equal(frame: list[Any], one: Any, other: Any) -> bool:
    """CEL's equality, paying as it goes."""
    if one is other:
        return True
    if type(one) in SCALARS:
        return equal(one, other)
    spend(frame, CONTAINER + size_of(one))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and _equal_items(frame, one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return False
        return _equal_items(frame, [one[key] for key in one], [other[key] for key in one])
    if isinstance(one, Optional) and isinstance(other, Optional):
        if not one.present or not other.present:
            return one.present == other.present
        return paid_equal(frame, one.value, other.value)
    return equal(one, other)


def _equal_items(frame: list[Any], one: list[Any], other: list[Any]) -> bool:
    for a, b in zip(one, other, strict=True):
        if type(a) is type(b) and type(a) in SCALARS:
            if a != b:
                return False
        elif not paid_equal(frame, a, b):
            return False
    return True
