"""Columns of a table: their definitions, in a compact notation, and the function that computes a row.

The notation is `Name:s/name, Ready:s, IP:s+`: the column's name, its type's first letter, an optional format, and
`+` for a column that only `-o wide` shows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import attrs

from minik8s.machinery.meta import Doc, Obj

Cells = Callable[[Doc, datetime], list[Any]]
"""Computes an object's cells, one for each column, at a time."""
Conditions = Callable[[Doc], list[Obj]]

_TYPES = {"s": "string", "i": "integer", "b": "boolean", "d": "date", "n": "number"}
_DESCRIPTIONS = {
    "Name": "Name must be unique within a namespace. It is required when creating most resources.",
    "Age": "How long ago the object was created.",
    "Created At": "When the object was created.",
}


@attrs.frozen
class Column:
    """One column; `priority` 0 is always shown, 1 with `-o wide` only."""

    name: str
    type: str
    format: str = ""
    description: str = ""
    priority: int = 0

    def to_dict(self) -> Obj:
        """The TableColumnDefinition (meta/v1)."""
        return attrs.asdict(self)


def _no_conditions(obj: Doc) -> list[Obj]:
    return []


@attrs.frozen
class Columns:
    """The columns of a kind, the function that fills them, and the one that gives a row its conditions."""

    definitions: tuple[Column, ...]
    cells: Cells
    conditions: Conditions = _no_conditions


def columns(notation: str, cells: Cells, conditions: Conditions = _no_conditions) -> Columns:
    """Columns from the compact notation."""
    return Columns(tuple(_column(text.strip()) for text in notation.split(",")), cells, conditions)


def _column(text: str) -> Column:
    name, _, type_ = text.rpartition(":")
    letter, _, format_ = type_.removesuffix("+").partition("/")
    return Column(name, _TYPES[letter], format_, _DESCRIPTIONS.get(name, ""), int(type_.endswith("+")))
