"""Tables as kubectl lays them out."""

from __future__ import annotations

from typing import Any

from minik8s.cli.tables import TablePrinter, joined

COLUMNS = [
    {"name": "Name", "priority": 0},
    {"name": "Status", "priority": 0},
    {"name": "IP", "priority": 1},
]


def table(*rows: list[Any], columns: Any = COLUMNS) -> dict[str, Any]:
    metadata = {"namespace": "shop", "labels": {"b": "2", "a": "1"}}
    return {"columnDefinitions": columns, "rows": [{"cells": row, "object": {"metadata": metadata}} for row in rows]}


def test_columns_are_padded() -> None:
    """A column is as wide as its longest cell and three more, the last one is not padded."""
    lines = TablePrinter().lines(table(["a", "Running", "x"], ["longer-name", "Pending", "y"]))
    assert lines == ["NAME          STATUS", "a             Running", "longer-name   Pending"]


def test_wide_namespaces_and_labels() -> None:
    """Wide adds columns of lower priority; namespace and labels are columns of ours."""
    lines = TablePrinter(wide=True, namespaces=True, labels=True).lines(table(["a", "Running", None]))
    assert [line.split() for line in lines] == [
        ["NAMESPACE", "NAME", "STATUS", "IP", "LABELS"],
        ["shop", "a", "Running", "a=1,b=2"],
    ]


def test_prefix_and_headers() -> None:
    """With a prefix names are KIND/NAME; without headers there are rows only."""
    assert TablePrinter(prefix="pod", headers=False).lines(table(["a", "b", "c"])) == ["pod/a   b"]


def test_a_watch_keeps_its_columns() -> None:
    """Rows that come later stand in the same columns, without headers and without column definitions."""
    printer = TablePrinter()
    printer.lines(table(["a-long-name", "Running", "x"]))
    assert printer.lines(table(["a", "Failed", "x"], columns=None)) == ["a             Failed"]


def test_headers_come_with_the_first_row() -> None:
    """An empty Table shows nothing; headers come with the first rows."""
    printer = TablePrinter()
    assert printer.lines(table()) == []
    assert len(printer.lines(table(["a", "b", "c"]))) == 2


def test_cells_are_one_line() -> None:
    """Only the first line of a cell is shown; booleans are written as JSON writes them."""
    assert TablePrinter(headers=False).lines(table([True, "one\ntwo", ""])) == ["true   one..."]


def test_joined() -> None:
    """Tables of single objects become one."""
    assert len(joined([table(["a", "", ""]), table(["b", "", ""])])["rows"]) == 2
