"""JSON values as Go prints them, for messages that quote them.

Upstream's texts come out of `fmt` with the verbs `%v`, `%#v` and `%T`; clients and tests match on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

_TYPES: dict[type, str] = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}

_KINDS: dict[type, str] = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def go_text(value: Any) -> str:
    """`%v`: `map[image:x]`, `[a b]`."""
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{k}:{go_text(value[k])}" for k in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_text, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "<nil>" if value is None else str(value)


def go_type(value: Any) -> str:
    """`%T` of a decoded JSON value: `string`, `map[string]interface {}`."""
    if isinstance(value, Mapping):
        return "map[string]interface {}"
    return "<nil>" if value is None else _TYPES.get(type(value), type(value).__name__)


def go_syntax(value: Any) -> str:
    """`%#v` of structured-merge-diff's box around a value: `&value.valueUnstructured{Value:8080}`."""
    return f"&value.valueUnstructured{{Value:{_literal(value)}}}"


def not_decoded(value: Any, target: str) -> str:
    """What encoding/json says of a JSON value that is none of Go's type `target`."""
    kind = next((name for type, name in _KINDS.items() if isinstance(value, type)), "null")
    return f"json: cannot unmarshal {kind} into Go value of type {target}"


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_literal(k)}:{_literal(value[k])}" for k in sorted(value))
        return f"map[string]interface {{}}{{{inside}}}"
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_literal, value)) + "}"
    if isinstance(value, str):
        return orjson.dumps(value).decode()
    return "interface {}(nil)" if value is None else go_text(value)
