"""Showing the tables that a server makes: columns laid out as kubectl lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from minik8s.machinery.meta import Doc

PADDING, MIN_WIDTH = 3, 6
"""kubectl's `GetNewTabWriter`."""


@attrs.define
class TablePrinter:
    """Turns Tables into lines; it remembers widths, so that the rows of a watch stay in their columns.

    `wide` shows columns of lower priority, `namespaces` adds one, `prefix` (`deployment.apps`) goes before the names,
    `labels` adds them as a column.
    """

    wide: bool = False
    namespaces: bool = False
    labels: bool = False
    headers: bool = True
    prefix: str = ""
    _columns: list[Doc] = attrs.field(factory=list)
    _widths: list[int] = attrs.field(factory=list)

    def lines(self, table: Doc) -> list[str]:
        """The lines of a Table, with headers if these are its first rows."""
        rows = table.get("rows") or []
        cells = [self._row(row, table) for row in rows]
        if self.headers and cells:
            cells.insert(0, self._header())
            self.headers = False
        return self._layout(cells)

    def _row(self, row: Doc, table: Doc) -> list[str]:
        self._columns = list(table.get("columnDefinitions") or self._columns)
        metadata = (row.get("object") or {}).get("metadata") or {}
        shown = [_text(cell) for cell, column in zip(row["cells"], self._columns, strict=False) if self._shows(column)]
        if self.prefix and shown:
            shown[0] = f"{self.prefix}/{shown[0]}"
        if self.namespaces:
            shown.insert(0, metadata.get("namespace", ""))
        if self.labels:
            labels = metadata.get("labels") or {}
            shown.append(",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>")
        return shown

    def _header(self) -> list[str]:
        names = [column["name"].upper() for column in self._columns if self._shows(column)]
        return ["NAMESPACE"] * self.namespaces + names + ["LABELS"] * self.labels

    def _shows(self, column: Doc) -> bool:
        return self.wide or not column.get("priority")

    def _layout(self, cells: Sequence[Sequence[str]]) -> list[str]:
        for row in cells:
            self._widths += [MIN_WIDTH] * (len(row) - len(self._widths))
            for index, cell in enumerate(row[:-1]):
                self._widths[index] = max(self._widths[index], len(cell) + PADDING)
        return [
            "".join(cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False)) + row[-1]
            for row in cells
        ]


def joined(tables: Sequence[Doc]) -> Doc:
    """One Table of the rows of several of the same resource."""
    return {**tables[0], "rows": [row for table in tables for row in table.get("rows") or ()]}


def _text(cell: Any) -> str:
    """A cell as one line; what comes after its first is left out, as kubectl does."""
    text = "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
    first = text.splitlines()[0] if text else ""
    return first if first == text else f"{first}..."
