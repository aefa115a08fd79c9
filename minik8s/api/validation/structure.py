"""What the type table alone says about a valid object: required fields and closed strings.

For kinds without rules of their own, and for parts of kinds that need no more. Numbers, booleans and structs
cannot be told from absence once decoded, so only strings, lists, maps and pointers can be missing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from minik8s.api.validation.common import Causes
from minik8s.machinery.field import not_supported, required
from minik8s.machinery.meta import Doc
from minik8s.schema.table import Field, Type

_SKIPPED = frozenset({"kind", "apiVersion", "metadata", "status"})
_EMPTIABLE = ("string", "list", "map", "bytes")


def validate_structure(obj: Doc, type: Type) -> Causes:
    """Everything of an object but its metadata and status, against its type."""
    for name, field in type.fields.items():
        if name not in _SKIPPED:
            yield from _field(obj, name, name, field)


def validate_part(value: Any, type: Type, path: str) -> Causes:
    """A value inside an object, against its type."""
    match type.kind:
        case "struct":
            for name, field in type.fields.items():
                yield from _field(value, name, f"{path}.{name}", field)
        case "list" if type.item is not None and _is_checked(type.item):
            for index, item in enumerate(value):
                yield from validate_part(item, type.item, f"{path}[{index}]")
        case "map" if type.item is not None and _is_checked(type.item):
            for key, item in value.items():
                yield from validate_part(item, type.item, f"{path}[{key}]")
        case _ if type.enum and value not in type.enum:
            yield not_supported(path, value, sorted(type.enum))


def _field(obj: Doc, name: str, path: str, field: Field) -> Causes:
    value = obj.get(name)
    if value is None or (value == "" and "" not in field.type.enum):
        if field.required and (field.pointer or field.type.kind in _EMPTIABLE):
            yield required(path)
    elif _is_checked(field.type):
        yield from validate_part(value, field.type, path)


@cache
def _is_checked(type: Type) -> bool:
    """Whether anything inside a type can be wrong; guards the walk, and ends it for types that hold themselves."""
    return type.kind in ("struct", "list", "map") or bool(type.enum)
