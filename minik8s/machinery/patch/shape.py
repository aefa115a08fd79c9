"""What patches need to know of a kind's type: the part of `schema.table.Type` they walk.

A protocol rather than the class itself, so that machinery and schema stay independent of each other and a custom
resource can bring type nodes of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class ShapeField(Protocol):
    """A field of a struct: its type, and how lists and maps in it merge (see `schema.table.Field`)."""

    @property
    def type(self) -> Shape: ...
    @property
    def strategies(self) -> frozenset[str]: ...
    @property
    def merge_key(self) -> str: ...
    @property
    def list_type(self) -> str: ...
    @property
    def list_keys(self) -> tuple[str, ...]: ...
    @property
    def atomic_map(self) -> bool: ...
    @property
    def default(self) -> Any: ...


class Shape(Protocol):
    """A node of a type graph (see `schema.table.Type`)."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def item(self) -> Shape | None: ...
    @property
    def fields(self) -> Mapping[str, ShapeField]: ...
