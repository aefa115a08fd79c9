"""Columns of custom resources and the JSONPaths they are written in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.columns import custom_columns
from minik8s.api.columns.jsonpath import compile_path

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
DOC: dict[str, Any] = {
    "metadata": {"name": "x", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"a.b/c": "v"}},
    "spec": {"n": 3, "f": 2.7, "b": True, "s": "text", "l": [1, 2], "items": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]},
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.n", [3]),
        (".spec.none", []),
        (".spec.l[0]", [1]),
        (".spec.l[-1]", [2]),
        (".spec.l[5]", []),
        (".spec.l[*]", [1, 2]),
        (".spec.items[*].v", [1, 2]),
        (r".metadata.labels.a\.b/c", ["v"]),
        (".metadata.labels['a.b/c']", ["v"]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type == 'Other')].status", ["False"]),
        (".spec.items[?(@.v>1)].k", ["b"]),
        (".spec.items[?(@.v>'x')].k", []),
        (".spec.items[?(@.v)].k", ["a", "b"]),
    ],
)
def test_paths(path: str, found: list[Any]) -> None:
    """A path gives all values it leads to."""
    assert compile_path(path)(DOC) == found


@pytest.mark.parametrize("path", ["spec", ".spec[", ".spec[?(x)]", ".a[1:2]"])
def test_bad_paths(path: str) -> None:
    """What is no simple path is a ValueError."""
    with pytest.raises(ValueError, match="unsupported JSONPath"):
        compile_path(path)


@pytest.mark.parametrize(
    ("type_", "path", "cell"),
    [
        ("integer", ".spec.n", 3), ("integer", ".spec.f", 2), ("integer", ".spec.s", None),
        ("integer", ".spec.b", None), ("number", ".spec.n", 3.0), ("boolean", ".spec.b", True),
        ("boolean", ".spec.n", None), ("string", ".spec.s", "text"), ("string", ".spec.n", "3"),
        ("string", ".spec.l", "[1,2]"), ("string", ".spec.none", None),
        ("date", ".metadata.creationTimestamp", "60m"), ("date", ".spec.s", "<invalid>"), ("date", ".spec.n", None),
    ],
)  # fmt: skip
def test_cells(type_: str, path: str, cell: Any) -> None:
    """A value becomes a cell of the column's type, or null."""
    columns = custom_columns([{"name": "C", "type": type_, "jsonPath": path, "priority": 1}])
    assert columns.cells(DOC, NOW) == ["x", cell]
    assert [(c.name, c.type, c.priority) for c in columns.definitions] == [("Name", "string", 0), ("C", type_, 1)]


def test_default_columns() -> None:
    """Without printer columns there are name and age."""
    columns = custom_columns(None)
    assert [c.name for c in columns.definitions] == ["Name", "Age"]
    assert columns.cells(DOC, NOW) == ["x", "60m"]
