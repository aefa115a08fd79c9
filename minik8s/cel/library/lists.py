"""Lists and sets. Upstream: k8s.io/apiserver `pkg/cel/library/lists.go` and cel-go `ext/sets.go`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from typing import Any

from minik8s.cel import operators
from minik8s.cel.budget import size_of
from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Duration, UInt, equal

_SPAN = "google.protobuf.Duration"
_COMPARABLE = ("int", "uint", "double", "bool", _SPAN, "google.protobuf.Timestamp", "string", "bytes")
_ZEROS = {"int": 0, "uint": UInt(0), "double": 0.0, _SPAN: Duration(0)}


def _is_sorted(items: list[Any]) -> bool:
    return not any(operators.less(after, before) for before, after in pairwise(items))


def _sum(zero: Any) -> Callable[[list[Any]], Any]:
    def total(items: list[Any]) -> Any:
        return reduce(operators.add, items[1:], items[0]) if items else zero

    return total


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    def find(items: list[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        return reduce(lambda best, item: item if better(item, best) else best, items)

    return find


def _index_of(items: list[Any], value: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, value)), -1)


def _last_index_of(items: list[Any], value: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equal(items[index], value)), -1)


def _sets_contain(items: list[Any], wanted: list[Any]) -> bool:
    return all(operators.is_in(value, items) for value in wanted)


def _sets_equivalent(one: list[Any], other: list[Any]) -> bool:
    return _sets_contain(one, other) and _sets_contain(other, one)


def _sets_intersect(one: list[Any], other: list[Any]) -> bool:
    return any(operators.is_in(value, other) for value in one)


def _product(one: list[Any], other: list[Any]) -> int:
    """Each element of one with each of the other; containers count with all that is directly in them."""
    sizes = max(map(size_of, one), default=0) + max(map(size_of, other), default=0)
    return 2 * len(one) * len(other) * (1 + sizes)


FUNCTIONS = table(
    [
        *(("isSorted", f"list({t}).() -> bool", _is_sorted) for t in _COMPARABLE),
        *(("sum", f"list({t}).() -> {t}", _sum(zero)) for t, zero in _ZEROS.items()),
        *(("min", f"list({t}).() -> {t}", _extreme("min", operators.less)) for t in _COMPARABLE),
        *(("max", f"list({t}).() -> {t}", _extreme("max", operators.greater)) for t in _COMPARABLE),
        ("indexOf", "list(A).(A) -> int", _index_of, None, True),
        ("lastIndexOf", "list(A).(A) -> int", _last_index_of, None, True),
        ("sets.contains", "(list(A), list(A)) -> bool", _sets_contain, _product, True),
        ("sets.equivalent", "(list(A), list(A)) -> bool", _sets_equivalent, _product, True),
        ("sets.intersects", "(list(A), list(A)) -> bool", _sets_intersect, _product, True),
    ]
)
