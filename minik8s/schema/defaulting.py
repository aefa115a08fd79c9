"""Filling in the defaults of a custom resource's schema.

A default stands for an absent field, and for null where null is no value; what was filled in may have defaults of its
own. It runs on every write and, for objects that were written under an older schema, on every read, so branches
without a default below them are not entered. Upstream: apiextensions-apiserver `pkg/apiserver/schema/defaulting`.
"""

from __future__ import annotations

from typing import Any

from minik8s.machinery.meta import copy_document
from minik8s.schema.table import Type

_KEY = "defaults below"


def fill_defaults(value: Any, type: Type) -> None:
    """Changes `value` in place; idempotent."""
    if not has_defaults(type):
        return
    if type.kind == "struct" and isinstance(value, dict):
        for name, field in type.fields.items():
            default = (field.type.schema or {}).get("default")
            if default is not None and (name not in value or _is_nothing(value[name], field.type)):
                value[name] = copy_document(default)
        for name, field in type.fields.items():
            if name in value:
                fill_defaults(value[name], field.type)
    elif type.kind == "map" and isinstance(value, dict) and type.item is not None:
        for name in value:
            value[name] = _element(value[name], type.item)
    elif type.kind == "list" and isinstance(value, list) and type.item is not None:
        value[:] = [_element(item, type.item) for item in value]


def _element(value: Any, type: Type) -> Any:
    if _is_nothing(value, type) and (default := (type.schema or {}).get("default")) is not None:
        value = copy_document(default)
    fill_defaults(value, type)
    return value


def _is_nothing(value: Any, type: Type) -> bool:
    return value is None and not (type.schema or {}).get("nullable")


def has_defaults(type: Type) -> bool:
    """Whether there is a default anywhere below the node."""
    known: bool | None = type.compiled.get(_KEY)
    if known is None:
        if type.schema is None:
            known = False
        elif type.kind == "struct":
            known = any("default" in (f.type.schema or {}) or has_defaults(f.type) for f in type.fields.values())
        else:
            known = type.item is not None and ("default" in (type.item.schema or {}) or has_defaults(type.item))
        type.compiled[_KEY] = known
    return known
