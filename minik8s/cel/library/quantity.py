"""Quantities: `quantity('1.5G').isGreaterThan(...)`. Upstream: k8s.io/apiserver `pkg/cel/library/quantity.go`.

`mul`, `div` and `divInt`, which upstream's main branch has, are in no released version and therefore unknown here.
"""

from __future__ import annotations

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Opaque
from minik8s.machinery import quantity as machinery


@attrs.frozen
class Quantity(Opaque):
    """A quantity as CEL sees it."""

    amount: machinery.Quantity

    cel_name = "kubernetes.Quantity"

    def __str__(self) -> str:
        return str(self.amount)


def _parse(text: str) -> Quantity:
    try:
        if text != text.strip():
            raise ValueError(machinery.FORMAT_WRONG)
        return Quantity(machinery.parse_quantity(text))
    except ValueError as error:
        raise EvaluationError(str(error)) from None


def _is_quantity(text: str) -> bool:
    try:
        _parse(text)
    except EvaluationError:
        return False
    return True


def _is_integer(quantity: Quantity) -> bool:
    nanos = quantity.amount.nanos
    return nanos % machinery.NANO == 0 and abs(nanos) < machinery.MAX_VALUE * machinery.NANO


def _as_integer(quantity: Quantity) -> int:
    if not _is_integer(quantity):
        raise EvaluationError("cannot convert value to integer")
    return quantity.amount.nanos // machinery.NANO


def _plus(quantity: Quantity, nanos: int) -> Quantity:
    return Quantity(attrs.evolve(quantity.amount, nanos=quantity.amount.nanos + nanos))


def _compare(one: Quantity, other: Quantity) -> int:
    return (one.amount > other.amount) - (one.amount < other.amount)


_Q = Quantity.cel_name
FUNCTIONS = table(
    [
        ("quantity", f"(string) -> {_Q}", _parse),
        ("isQuantity", "(string) -> bool", _is_quantity),
        ("sign", f"{_Q}.() -> int", lambda q: (q.amount.nanos > 0) - (q.amount.nanos < 0)),
        ("isGreaterThan", f"{_Q}.({_Q}) -> bool", lambda a, b: a.amount > b.amount),
        ("isLessThan", f"{_Q}.({_Q}) -> bool", lambda a, b: a.amount < b.amount),
        ("compareTo", f"{_Q}.({_Q}) -> int", _compare),
        ("asApproximateFloat", f"{_Q}.() -> double", lambda q: q.amount.nanos / machinery.NANO),
        ("asInteger", f"{_Q}.() -> int", _as_integer),
        ("isInteger", f"{_Q}.() -> bool", _is_integer),
        ("add", f"{_Q}.({_Q}) -> {_Q}", lambda a, b: _plus(a, b.amount.nanos)),
        ("add", f"{_Q}.(int) -> {_Q}", lambda a, n: _plus(a, n * machinery.NANO)),
        ("sub", f"{_Q}.({_Q}) -> {_Q}", lambda a, b: _plus(a, -b.amount.nanos)),
        ("sub", f"{_Q}.(int) -> {_Q}", lambda a, n: _plus(a, -n * machinery.NANO)),
    ]
)
