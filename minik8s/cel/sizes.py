"""How large the values of a schema can be: what estimates of costs begin with. Pure.

A bound that the schema states counts; without one a value is as large as a whole request could be, and a list has as
many items as fit into one, each as small as it can be. Upstream: k8s.io/apiserver `pkg/cel/common/schemas.go` and
`pkg/cel/limits.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from .types import escape

MAX_REQUEST: Final = 3 * 1024 * 1024
_LONGEST: Final = MAX_REQUEST - 2
"""A string that is all of a request, but for its quotation marks."""
_RUNE: Final = 4
"""Bytes of a character, at most: maxLength counts characters."""
_FORMATS: Final = {"duration": (32, 3), "date": (12, 12), "date-time": (32, 21)}
"""Formats of bounded length: (at most, at least with quotation marks)."""
Schema = Mapping[str, Any]


@attrs.frozen(eq=False)
class Sized:
    """A node of a schema: how many elements its values have at most, and how many bytes of JSON they are at least.

    `fields` are by CEL's names; `key` and `item` are of maps and lists.
    """

    elements: int
    smallest: int
    fields: Mapping[str, Sized] = attrs.field(factory=dict)
    item: Sized | None = None
    key: Sized | None = None

    @property
    def times(self) -> int:
        """How often such a value can be in one request."""
        return MAX_REQUEST // (self.smallest + 1)

    def at(self, path: tuple[str, ...]) -> Sized | None:
        """What is at the end of a path: names of fields, "@items", "@keys" and "@values"."""
        node: Sized | None = self
        for step in path:
            if node is None:
                return None
            if step in ("@items", "@values"):
                node = node.item
            elif step == "@keys":
                node = node.key
            else:
                node = node.fields.get(step)
        return node


_TEXT: Final = Sized(_LONGEST, 2)
_KEY: Final = Sized(0, 2)
"""The key of a map, of which nobody says how long it may be: upstream takes it for nothing."""


def sized(schema: Schema, *, root: bool = False) -> Sized | None:
    """None for what no expression can see. `root` is for a resource's own schema: its metadata goes without saying."""
    if schema.get("x-kubernetes-int-or-string"):
        return Sized(_string_elements(schema), 1)
    kind = _KINDS.get(schema.get("type") or "")
    if kind is None:
        return None
    found = kind(schema)
    if found is None or not (root or schema.get("x-kubernetes-embedded-resource")):
        return found
    metadata = Sized(0, 2, {"name": _TEXT, "generateName": _TEXT})
    return attrs.evolve(found, fields={**found.fields, "kind": _TEXT, "apiVersion": _TEXT, "metadata": metadata})


def _array(schema: Schema) -> Sized | None:
    item = sized(schema.get("items") or {})
    if item is None:
        return None
    return Sized(_bound(schema, "maxItems", (MAX_REQUEST - 2) // (item.smallest + 1)), 2, item=item)


def _object(schema: Schema) -> Sized | None:
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        item = sized(additional)
        if item is None:
            return None
        pair = item.smallest + 6  # a key of no more than its quotation marks, two characters, colon and comma
        return Sized(_bound(schema, "maxProperties", (MAX_REQUEST - 2) // pair), 2, item=item, key=_KEY)
    fields, smallest, needed = {}, 2, schema.get("required") or ()
    for name, below in (schema.get("properties") or {}).items():
        field = sized(below)
        if field is None:
            continue
        if escaped := escape(name):
            fields[escaped] = field
        if name in needed and below.get("default") is None:
            smallest += len(name.encode()) + field.smallest + 4
    return Sized(0, smallest, fields)


def _string(schema: Schema) -> Sized:
    text_format = schema.get("format") or ""
    if text_format in _FORMATS:
        return Sized(*_FORMATS[text_format])
    if text_format == "byte":
        return Sized(_bound(schema, "maxLength", _LONGEST), 2)
    if "maxLength" not in schema and (enum := schema.get("enum")):
        return Sized(max((len(value.encode()) for value in enum if isinstance(value, str)), default=0), 2)
    return Sized(_string_elements(schema), 2)


def _string_elements(schema: Schema) -> int:
    length = schema.get("maxLength")
    return _LONGEST if length is None else max(0, length) * _RUNE


def _bound(schema: Schema, name: str, otherwise: int) -> int:
    value = schema.get(name)
    return otherwise if value is None else max(0, int(value))


_KINDS: Final[Mapping[str, Callable[[Schema], Sized | None]]] = {
    "array": _array,
    "object": _object,
    "string": _string,
    "boolean": lambda schema: Sized(0, 4),
    "number": lambda schema: Sized(0, 1),
    "integer": lambda schema: Sized(0, 1),
}
