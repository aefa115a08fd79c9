"""The fields that an applied configuration states, and what is wrong with it.

One walk does both: upstream validates a configuration against the schema (structured-merge-diff `typed/validate.go`)
and then turns it into a set of fields (`typed/tofieldset.go`). Paths are only put together where there is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minik8s.machinery.fieldset import SELF, element_text
from minik8s.machinery.meta import Obj
from minik8s.machinery.patch.gotext import go_syntax, go_text, go_type
from minik8s.machinery.patch.typed import UNTYPED, Node, Relation, field_node, is_open, shape_node

Errors = list[tuple[str, str]]
"""Where something is wrong, and what."""

_NUMBERS = frozenset({"int32", "int64", "double"})
_TEXTS = frozenset({"string", "bytes", "duration"})
_LEAF: Obj = {}


def stated_fields(value: Any, node: Node, errors: Errors) -> Obj:
    """The fields that an applied value sets, as the children of its node; `errors` collects what is wrong with it."""
    if value is None:
        return _LEAF
    if node.is_leaf:
        _check_leaf(value, node, errors)
        return _LEAF
    if node.is_list:
        return _list_fields(value, node, errors)
    if not isinstance(value, dict):
        if node.relation is not Relation.UNTYPED:
            errors.append(("", f"expected map, got &{{{go_text(value)}}}"))
        return _LEAF
    fields: Obj = {}
    is_struct = node.relation is Relation.STRUCT
    known = len(errors)
    for key, member in value.items():
        child = node.child(key)
        if child is None:
            errors.append(("", "field not declared in schema"))
            known = _below(errors, known, f".{key}")
            continue
        below = stated_fields(member, child, errors)
        if len(errors) > known:
            known = _below(errors, known, f".{key}")
        is_declared = is_struct and child is not UNTYPED
        if not below:
            if not is_declared or child.is_leaf or _owns_itself(member, child):
                fields["f:" + key] = _LEAF
        else:
            fields["f:" + key] = below if is_declared else {SELF: _LEAF, **below}
    return fields


def _owns_itself(value: Any, node: Node) -> bool:
    """Whether a declared field without fields below it is stated: null, an empty map, and a single value are."""
    return value is None or value == {} or (node.relation is Relation.UNTYPED and not isinstance(value, dict))


def _below(errors: Errors, known: int, where: str) -> int:
    """Notes where the latest errors were found; answers how many there are now."""
    errors[known:] = [(where + path, text) for path, text in errors[known:]]
    return len(errors)


def _list_fields(value: Any, node: Node, errors: Errors) -> Obj:
    if not isinstance(value, list):
        errors.append(("", f"expected list, got &{{{go_text(value)}}}"))
        return _LEAF
    item_node = node.item_node
    fields: Obj = {}
    for index, item in enumerate(value):
        try:
            element = node.element(item)
        except ValueError as error:
            errors.append(("", f"element {index}: {error}"))
            continue
        if element in fields:
            errors.append(("", f"duplicate entries for key {element_text(element)}"))
        known = len(errors)
        below = stated_fields(item, item_node, errors)
        if len(errors) > known:
            _below(errors, known, element_text(element))
        fields[element] = {SELF: _LEAF, **below} if below else _LEAF
    return fields


# what is one value for ownership is checked all the same


def _check_leaf(value: Any, node: Node, errors: Errors) -> None:
    kind = node.shape.kind
    if kind == "string":
        if type(value) is not str:
            errors.append(("", f"expected string, got {go_syntax(value)}"))
    elif kind in ("list", "map", "struct"):
        expected, noun = (list, "list") if kind == "list" else (dict, "map")
        if not isinstance(value, expected):
            errors.append(("", f"expected {noun}, got &{{{go_text(value)}}}"))
            return
        for where, member, child in _members(value, node):
            known = len(errors)
            if child is None:
                errors.append(("", "field not declared in schema"))
            else:
                stated_fields(member, child, errors)
            _below(errors, known, where)
    elif kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            errors.append(("", f"expected numeric (int or float), got {go_type(value)}"))
    elif kind == "bool":
        if not isinstance(value, bool):
            errors.append(("", f"expected boolean, got &{{{go_text(value)}}}"))
    elif kind in _TEXTS:
        if not isinstance(value, str):
            errors.append(("", f"expected string, got {go_syntax(value)}"))
    elif isinstance(value, dict | list):
        errors.append(("", f"expected any scalar, got &{{{go_text(value)}}}"))


def _members(value: Any, node: Node) -> Iterator[tuple[str, Any, Node | None]]:
    """What stands in an atomic value: (path element, member, its node)."""
    shape = node.shape
    if isinstance(value, list):
        item = UNTYPED if shape.item is None else shape_node(shape.item)
        for index, member in enumerate(value):
            yield f"[{index}]", member, item
    elif shape.kind == "map":
        for key, member in value.items():
            yield f".{key}", member, node.item_node
    else:
        for key, member in value.items():
            field = shape.fields.get(key)
            unknown = UNTYPED if is_open(shape) else None
            yield f".{key}", member, unknown if field is None else field_node(field)
