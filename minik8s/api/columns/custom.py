"""Columns of custom resources: those of the definition's additionalPrinterColumns, or name and age.

Upstream: apiextensions-apiserver `pkg/registry/customresource/tableconvertor`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson

from minik8s.api.columns.definition import Column, Columns
from minik8s.api.columns.jsonpath import compile_path
from minik8s.api.columns.render import since
from minik8s.machinery.meta import Doc, name_of

_NAME = Column("Name", "string", "name", "Name must be unique within a namespace.")
_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def custom_columns(printer_columns: Sequence[Doc] | None) -> Columns:
    """The columns of a custom resource; raises ValueError for a jsonPath that is none."""
    declared = list(printer_columns or [_AGE])
    definitions = [_NAME] + [
        Column(c["name"], c["type"], c.get("format", ""), c.get("description", ""), c.get("priority", 0))
        for c in declared
    ]
    readers: list[tuple[str, Callable[[Any], list[Any]]]] = [(c["type"], compile_path(c["jsonPath"])) for c in declared]

    def cells(obj: Doc, now: datetime) -> list[Any]:
        return [name_of(obj)] + [_cell(find(obj), type_, now) for type_, find in readers]

    return Columns(tuple(definitions), cells)


def _cell(found: list[Any], type_: str, now: datetime) -> Any:
    """The first value as a cell of the column's type, None when it is of another one."""
    value = found[0] if found else None
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    match type_:
        case "integer":
            return None if number is None else int(number)
        case "number":
            return None if number is None else float(number)
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return since(value, now) if isinstance(value, str) else None
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
