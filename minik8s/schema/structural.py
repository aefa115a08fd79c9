"""From the schema of a CustomResourceDefinition to the type graph that everything else walks.

A structural schema says for every field what it is, so it becomes `Type` and `Field` nodes like those of the type
table: pruning, unknown-field warnings, field ownership and server-side apply see no difference between built-in kinds
and custom ones. Each node keeps the schema that it was made from, for what only a schema says: defaults of any shape,
`nullable`, value validation. Upstream: apiextensions-apiserver `pkg/apiserver/schema`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from minik8s.machinery.meta import Doc
from minik8s.schema.table import Field, Kind, Type, struct

PRESERVE: Final = "x-kubernetes-preserve-unknown-fields"
EMBEDDED: Final = "x-kubernetes-embedded-resource"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
LIST_TYPE: Final = "x-kubernetes-list-type"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
MAP_TYPE: Final = "x-kubernetes-map-type"
RULES: Final = "x-kubernetes-validations"
TYPE_META: Final = ("apiVersion", "kind")

_KINDS: Final[Mapping[str, Kind]] = {
    "string": "string", "integer": "int64", "number": "double", "boolean": "bool", "array": "list", "object": "struct",
}  # fmt: skip
NOTHING: Final[Doc] = {}
"""The schema of a place about which nothing is said: whatever stands there is pruned."""


@cache
def object_meta() -> Type:
    return struct("meta/v1", "ObjectMeta")


def root_type(schema: Doc, name: str) -> Type:
    """The type of a custom resource's documents; `name` is `<group/version>.<Kind>`."""
    fields = _fields(schema, name)
    fields.pop("apiVersion", None)
    fields.pop("kind", None)
    fields = {"metadata": _field("metadata", object_meta(), NOTHING, required=False), **fields}
    fields["metadata"] = _field("metadata", object_meta(), NOTHING, required=False)
    return _struct(schema, name, fields)


def type_of(schema: Doc, name: str) -> Type:
    """The node of one schema; `name` is only for people."""
    if schema.get(INT_OR_STRING):
        return Type("intorstring", "IntOrString", schema=schema)
    preserves = bool(schema.get(PRESERVE))
    kind = _KINDS.get(schema.get("type") or "")
    if kind is None:
        return Type("any" if preserves else "object", "JSON", schema=schema, preserves=preserves)
    if kind == "list":
        items = type_of(schema.get("items") or NOTHING, f"{name}[]")
        return Type("list", "list", items, schema=schema, preserves=preserves)
    if kind == "struct":
        return _object(schema, name)
    enum = tuple(value for value in schema.get("enum") or () if isinstance(value, str))
    return Type(kind, kind, enum=enum if kind == "string" else (), schema=schema, preserves=preserves)


def nodes(schema: Doc) -> Iterator[Doc]:
    """A schema and all schemas within it, those of allOf, anyOf, oneOf and not among them."""
    yield schema
    for name in ("properties", "patternProperties", "definitions"):
        for below in (schema.get(name) or NOTHING).values():
            yield from nodes(below)
    for name in ("items", "additionalProperties", "not", "allOf", "anyOf", "oneOf"):
        value = schema.get(name)
        for below in value if isinstance(value, list) else [value]:
            if isinstance(below, dict):
                yield from nodes(below)


def _object(schema: Doc, name: str) -> Type:
    additional = schema.get("additionalProperties")
    if additional is not None and not schema.get(EMBEDDED):
        item = type_of(additional if isinstance(additional, dict) else NOTHING, f"{name}{{}}")
        atomic, preserves = schema.get(MAP_TYPE) == "atomic", bool(schema.get(PRESERVE))
        return Type("map", "map", item, schema=schema, atomic=atomic, preserves=preserves)
    fields = _fields(schema, name)
    if schema.get(EMBEDDED):
        for key in TYPE_META:
            fields.setdefault(key, _field(key, Type("string", "string", schema=NOTHING), NOTHING, required=False))
        fields["metadata"] = _field("metadata", object_meta(), NOTHING, required=False)
    return _struct(schema, name, fields)


def _struct(schema: Doc, name: str, fields: dict[str, Field]) -> Type:
    atomic, preserves = schema.get(MAP_TYPE) == "atomic", bool(schema.get(PRESERVE))
    return Type("struct", name, atomic=atomic, preserves=preserves, schema=schema, fields=fields, layout=())


def _fields(schema: Doc, name: str) -> dict[str, Field]:
    required = schema.get("required") or ()
    properties: Mapping[str, Doc] = schema.get("properties") or {}
    return {
        key: _field(key, type_of(below, f"{name}.{key}"), below, required=key in required)
        for key, below in properties.items()
    }


def _field(name: str, type: Type, schema: Doc, *, required: bool) -> Field:
    is_list = type.kind == "list"
    return Field(
        name=name,
        number=0,
        type=type,
        pointer=True,
        required=required,
        always=False,
        omit_zero=True,
        strategies=frozenset(),
        merge_key="",
        list_type=(schema.get(LIST_TYPE) or "atomic") if is_list else "",
        list_keys=tuple(schema.get(LIST_KEYS) or ()) if is_list else (),
        atomic_map=type.atomic,
        default=schema.get("default"),
    )
