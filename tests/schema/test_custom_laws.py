"""Laws of custom resources: pruning and defaulting settle, and what was pruned holds nothing unknown."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.machinery.meta import copy_document
from minik8s.machinery.patch.typed import compare, shape_node
from minik8s.schema.constraints import check_lists, check_values
from minik8s.schema.decode import DecodeError, decode
from minik8s.schema.defaulting import fill_defaults
from minik8s.schema.structural import root_type

NAMES = st.sampled_from(["a", "b", "c", "metadata", "kind"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from(["", "a", "b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def more(kind: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A schema with some keywords that go with its type."""
    extras: dict[str, st.SearchStrategy[Any]] = {
        "nullable": st.booleans(),
        "default": JSON.filter(lambda v: v is not None),
    }
    if kind.get("type") == "object":
        extras["x-kubernetes-preserve-unknown-fields"] = st.just(True)
        extras["x-kubernetes-embedded-resource"] = st.booleans()
    return st.fixed_dictionaries({}, optional=extras).map(lambda found: {**kind, **found})


LEAVES = st.sampled_from([
    {"type": "string"}, {"type": "integer", "maximum": 1}, {"type": "boolean"}, {"type": "number"},
    {"x-kubernetes-int-or-string": True}, {"x-kubernetes-preserve-unknown-fields": True}, {"type": "object"},
])  # fmt: skip


def above(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.builds(
        lambda items, kind: {"type": "array", "items": items, **({"x-kubernetes-list-type": kind} if kind else {})},
        inner, st.sampled_from(["", "set", "atomic"]),
    )  # fmt: skip
    maps = inner.map(lambda value: {"type": "object", "additionalProperties": value})
    objects = st.dictionaries(NAMES, inner, max_size=3).map(lambda found: {"type": "object", "properties": found})
    return lists | maps | objects


SCHEMAS = st.recursive(LEAVES.flatmap(more), lambda inner: above(inner).flatmap(more), max_leaves=10)
ROOTS = st.dictionaries(st.sampled_from(["spec", "status", "a"]), SCHEMAS, max_size=3).map(
    lambda found: {"type": "object", "properties": found}
)
DOCUMENTS = st.dictionaries(st.sampled_from(["spec", "status", "a", "zz"]), JSON, max_size=4)


def read(doc: Any, schema: Any) -> dict[str, Any] | None:
    """The pruned and defaulted document, None when it cannot be read at all."""
    type = root_type(schema, "example.com/v1.Foo")
    try:
        obj = decode(doc, type, "Foo").obj
    except DecodeError:
        return None
    fill_defaults(obj, type)
    return obj


@settings(max_examples=300, deadline=None)
@given(ROOTS, DOCUMENTS)
def test_pruning_and_defaulting_settle(schema: Any, doc: Any) -> None:
    """Once pruned there is nothing to prune, once defaulted nothing to default, and the source is left alone."""
    type, before = root_type(schema, "example.com/v1.Foo"), copy_document(doc)
    try:
        pruned = decode(doc, type, "Foo").obj
    except DecodeError:
        return
    assert doc == before
    again = decode(pruned, type, "Foo")
    assert (again.obj, again.unknown) == (pruned, [])
    filled = copy_document(pruned)
    fill_defaults(filled, type)
    twice = copy_document(filled)
    fill_defaults(twice, type)
    assert twice == filled


@settings(max_examples=300, deadline=None)
@given(ROOTS, DOCUMENTS, DOCUMENTS)
def test_validation_never_fails_and_repeats_itself(schema: Any, doc: Any, other: Any) -> None:
    """Whatever the document: errors or none; and a document is valid as an update of itself."""
    obj, old = read(doc, schema), read(other, schema)
    if obj is None or old is None:
        return
    assert check_values(obj, schema) == check_values(obj, schema)
    assert check_values(obj, schema, obj) == []
    assert len(check_values(obj, schema, old)) <= len(check_values(obj, schema))
    check_lists(obj, schema)


@settings(max_examples=200, deadline=None)
@given(ROOTS, DOCUMENTS)
def test_nobody_changes_what_is_equal(schema: Any, doc: Any) -> None:
    """A document compared with itself has no changed fields, by whatever schema."""
    obj = read(doc, schema)
    if obj is not None:
        node = shape_node(root_type(schema, "example.com/v1.Foo"))
        with suppress(ValueError):  # a set or a keyed list that breaks its own rule
            assert compare(obj, copy_document(obj), node) == (None, None)
