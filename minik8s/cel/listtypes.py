"""`==`, `!=`, `+` where a schema gives lists a type: sets and maps do not care for order.

Documents that differ at first sight are compared again along their static type, lists of type "set" as sets and
lists of type "map" by their keys; `+` is the union, in which the right side wins for a key.
Upstream: k8s.io/apiserver `pkg/cel/common/values.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any

from . import operators
from .syntax import Call
from .types import CelType, escape
from .values import equal, no_such_overload

_MAX_DEPTH = 60


def operator(node: Call) -> Callable[[Any, Any], Any] | None:
    """What a call of `==`, `!=` or `+` does because of the types of its operands; None when nothing special."""
    if node.name not in ("_==_", "_!=_", "_+_"):
        return None
    type_ = node.args[0].type if node.args[0].type.kind != "dyn" else node.args[1].type
    if node.name == "_+_":
        return partial(_union, type_) if type_.list_type else None
    if not _special(type_):
        return None
    if node.name == "_==_":
        return partial(typed_equal, type_)
    return lambda a, b: not typed_equal(type_, a, b)


@lru_cache(maxsize=2048)
def _special(type_: CelType) -> bool:
    """Whether a list type can stand in the type: objects are not searched, since they may be large or endless."""
    return type_.kind == "object" or bool(type_.list_type) or any(map(_special, type_.params))


def typed_equal(type_: CelType, one: Any, other: Any, depth: int = 0) -> bool:
    """CEL's equality, with list types as the schema has them."""
    if equal(one, other):
        return True
    if depth > _MAX_DEPTH or not _special(type_):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and _equal_lists(type_, one, other, depth)
    if not isinstance(one, dict) or not isinstance(other, dict) or one.keys() != other.keys():
        return False
    for key, value in one.items():
        inner = type_.params[1] if type_.kind == "map" else _field(type_, key)
        if not (equal(value, other[key]) if inner is None else typed_equal(inner, value, other[key], depth + 1)):
            return False
    return True


def _field(type_: CelType, key: str) -> CelType | None:
    field = type_.fields(escape(key)) if type_.fields is not None else None
    return field.type if field is not None else None


def _equal_lists(type_: CelType, one: list[Any], other: list[Any], depth: int) -> bool:
    item = type_.params[0]
    if type_.list_type == "set":
        return {frozen(value) for value in one} == {frozen(value) for value in other}
    if type_.list_type == "map":
        found = {_key(type_, value): value for value in other}
        return all(
            (key := _key(type_, value)) in found and typed_equal(item, value, found[key], depth + 1) for value in one
        )
    return all(typed_equal(item, a, b, depth + 1) for a, b in zip(one, other, strict=True))


def _key(type_: CelType, value: Any) -> Hashable:
    return tuple(frozen(value.get(key)) for key in type_.keys) if isinstance(value, dict) else frozen(value)


def frozen(value: Any) -> Hashable:
    """A hashable stand-in that is equal exactly when the values are."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, list):
        return ("list", *map(frozen, value))
    if isinstance(value, dict):
        return ("map", frozenset((key, frozen(item)) for key, item in value.items()))
    return value


def _union(type_: CelType, one: Any, other: Any) -> list[Any]:
    if not isinstance(one, list) or not isinstance(other, list):
        raise no_such_overload()
    if type_.list_type not in ("set", "map"):
        return operators.add(one, other)
    keys = partial(_key, type_) if type_.list_type == "map" else frozen
    made = {keys(value): value for value in one}
    made.update((keys(value), value) for value in other)
    return list(made.values())
