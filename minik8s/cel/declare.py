"""Declarations of functions in CEL's own notation: `string.(int, int) -> string`, type variables in capitals.

A library module is a table of name -> overloads; the checker picks those that the static types allow, the evaluator
calls the one that fits the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import attrs

from .types import DYN, SIMPLE, CelType, list_of, map_of, opaque, optional_of, type_type
from .values import type_name

_WORD = re.compile(r"[\w.]+|[(),]")


@attrs.frozen(eq=False)
class Overload:
    """One form of a function.

    `cost` gives what a call with these values costs beyond its arguments' sizes; `deep` says that it looks at all parts
    of its arguments.
    """

    params: tuple[CelType, ...]
    result: CelType
    member: bool
    call: Callable[..., Any]
    cost: Callable[..., int] | None = None
    deep: bool = False

    names: tuple[tuple[int, str], ...] = attrs.field(init=False)
    """(index, type's name) of the parameters that not every value fits."""

    @names.default
    def _names(self) -> tuple[tuple[int, str], ...]:
        return tuple((i, p.name) for i, p in enumerate(self.params) if p.kind not in ("dyn", "var"))

    def fits(self, values: Sequence[Any]) -> bool:
        """Whether the values at run time are of these types (outermost level)."""
        for index, name in self.names:  # noqa: SIM110  (an `all` of a generator costs twice as much)
            if type_name(values[index]) != name:
                return False
        return True


def overload(
    signature: str, call: Callable[..., Any], cost: Callable[..., int] | None = None, deep: bool = False
) -> Overload:
    """`string.(int) -> string` for a method, `(int, A) -> A` for a function."""
    left, _, result = signature.partition("->")
    head, _, rest = left.strip().partition("(") if left.strip().startswith("(") else left.strip().partition(".(")
    names = _split(rest.rpartition(")")[0])
    params = [parse_type(name) for name in ([head] if head else []) + names]
    return Overload(tuple(params), parse_type(result.strip()), bool(head), call, cost, deep)


def _split(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()] if text.strip() else []


@cache
def parse_type(text: str) -> CelType:
    """The type that a notation stands for."""
    head, bracket, rest = text.partition("(")
    if not bracket:
        if len(text) == 1 and text.isupper():
            return CelType("var", text)
        return SIMPLE.get(text) or opaque(text)
    params = [parse_type(part) for part in _split(rest[:-1])]
    match head:
        case "list":
            return list_of(params[0])
        case "map":
            return map_of(params[0], params[1])
        case "optional":
            return optional_of(params[0])
        case "type":
            return type_type(params[0])
    return DYN


Table = dict[str, tuple[Overload, ...]]


def table(entries: Iterable[tuple[Any, ...]]) -> Table:
    """(name, signature, implementation[, cost[, deep]]) rows as name -> overloads."""
    found: dict[str, tuple[Overload, ...]] = {}
    for name, *rest in entries:
        found[name] = (*found.get(name, ()), overload(*rest))
    return found


def merge(*tables: Table) -> Table:
    """One table of several; overloads of one name add up."""
    found: Table = {}
    for each in tables:
        for name, overloads in each.items():
            found[name] = (*found.get(name, ()), *overloads)
    return found
