"""Sets of field paths, in the very form in which managedFields carries them (FieldsV1).

A set is a trie: keys are path elements (`f:` a field or map key, `k:` a list item by its keys, `v:` a set's value),
a leaf is `{}`, and `"."` says that an inner node is a member itself. Working on that form directly means that nothing
is parsed or printed on a write. Sets are never changed in place and share their unchanged parts.
Upstream: structured-merge-diff `fieldpath`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

FieldSet: TypeAlias = Mapping[str, Any]
"""A trie; `{}` is the empty set at the root and a member without children below it."""

SELF = "."


def is_member(node: FieldSet) -> bool:
    """Whether a node below the root is in the set itself."""
    return not node or SELF in node


def make_node(member: bool, children: FieldSet) -> FieldSet | None:
    """A node below the root, None when nothing is left of it."""
    if not children:
        return {} if member else None
    return {SELF: {}, **children} if member else children


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    """All members of both."""
    if not left or not right:
        return left or right
    result = dict(left)
    for key, node in right.items():
        mine = result.get(key)
        result[key] = node if mine is None else _union_nodes(mine, node)
    return result


def _union_nodes(left: FieldSet, right: FieldSet) -> FieldSet:
    if left == right:
        return left
    if not left or not right:
        return {SELF: {}, **(left or right)}
    return union(left, right)


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The members of `left` that are not members of `right`; children of a member of `right` stay.

    Without anything in common it is `left` itself.
    """
    if left.keys().isdisjoint(right):
        return left
    result: dict[str, Any] = {}
    for key, node in left.items():
        if key == SELF:
            continue
        other = right.get(key)
        rest = node if other is None else _difference_nodes(node, other)
        if rest is not None:
            result[key] = rest
    return result


def _difference_nodes(node: FieldSet, other: FieldSet) -> FieldSet | None:
    if not node or not other:
        below = {key: child for key, child in node.items() if key != SELF}
        return make_node(is_member(node) and not is_member(other), below)
    if node.keys().isdisjoint(other):
        return node
    return make_node(is_member(node) and not is_member(other), difference(node, other))


class Remembered:
    """A function of two sets that remembers its results by which sets they were made of.

    Objects from one template share their sets (`patch.typed`), so that what one of them costs the next has for nothing.
    The sets are kept with the result, as their ids must not come to mean others.
    """

    def __init__(self, function: Callable[[FieldSet, FieldSet], FieldSet], size: int = 1024) -> None:
        self._function, self._size = function, size
        self._known: dict[tuple[int, int], tuple[FieldSet, FieldSet, FieldSet]] = {}

    def __call__(self, left: FieldSet, right: FieldSet) -> FieldSet:
        known = self._known.get((id(left), id(right)))
        if known is None:
            if len(self._known) >= self._size:
                self._known.clear()
            known = self._known[id(left), id(right)] = (left, right, self._function(left, right))
        return known[2]


def intersection(left: FieldSet, right: FieldSet) -> FieldSet:
    """The members of both."""
    result: dict[str, Any] = {}
    for key, node in left.items():
        other = right.get(key)
        if key == SELF or other is None:
            continue
        both = make_node(is_member(node) and is_member(other), intersection(node, other))
        if both is not None:
            result[key] = both
    return result


def paths(fields: FieldSet, prefix: str = "") -> Iterator[str]:
    """The members as texts (`.spec.containers[name="c1"].image`) in upstream's order: at each level the members
    first, then what lies below the nodes."""
    elements = sorted((key for key in fields if key != SELF), key=_place)
    for key in elements:
        if is_member(fields[key]):
            yield prefix + element_text(key)
    for key in elements:
        yield from paths(fields[key], prefix + element_text(key))


_KINDS = {"f": 0, "k": 1, "v": 2, "i": 3}


def _place(element: str) -> tuple[Any, ...]:
    """Where an element stands among others: fields by name, items by keys, values and indexes as what they are."""
    kind, _, text = element.partition(":")
    if kind == "f":
        return 0, text
    value = orjson.loads(text)
    if isinstance(value, dict):
        return 1, [(name, *_comparable(value[name])) for name in sorted(value)]
    return _KINDS[kind], *_comparable(value)


def _comparable(value: Any) -> tuple[int, Any]:
    """Values of different types do not compare in Python; numbers stand before strings, these before booleans."""
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (3, 0)


def element_text(element: str) -> str:
    """One path element as error messages show it."""
    kind, _, value = element.partition(":")
    if kind == "f":
        return f".{value}"
    if kind == "k":
        keys = orjson.loads(value)
        return "[" + ",".join(f"{k}={orjson.dumps(keys[k]).decode()}" for k in sorted(keys)) + "]"
    return f"[={value}]" if kind == "v" else f"[{value}]"


def is_valid(fields: Any) -> bool:
    """Whether a client's `fieldsV1` is a trie of path elements at all."""
    if not isinstance(fields, dict):
        return False
    return all((key == SELF or _is_element(key)) and is_valid(node) for key, node in fields.items())


def _is_element(key: str) -> bool:
    kind, colon, value = key.partition(":")
    if not colon or kind not in ("f", "k", "v", "i"):
        return False
    if kind == "f":
        return True
    try:
        decoded = orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return isinstance(decoded, dict) and bool(decoded) if kind == "k" else not isinstance(decoded, dict | list)
