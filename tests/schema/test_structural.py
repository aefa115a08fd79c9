"""Types made from the schemas of custom resources, and what pruning by them leaves of a document."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.machinery.patch.typed import Relation, shape_node
from minik8s.schema.decode import DecodeError, decode
from minik8s.schema.structural import root_type

STRING = {"type": "string"}
EMPTY: dict[str, Any] = {"type": "object"}
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def schema_of(**properties: Any) -> dict[str, Any]:
    """A root schema whose spec has these properties."""
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def pruned(spec: Any, **properties: Any) -> tuple[Any, list[str]]:
    """What is left of a spec, and the paths of what is not."""
    decoded = decode({"metadata": {"name": "x"}, "spec": spec}, root_type(schema_of(**properties), "e.io/v1.X"), "X")
    return decoded.obj["spec"], decoded.unknown


@pytest.mark.parametrize(
    ("schema", "value", "left", "unknown"),
    [
        (STRING, "a", "a", []),
        (STRING, 1, 1, []),
        (STRING, {"b": 1}, {}, ["spec.a.b"]),
        ({"type": "object"}, {"b": 1, "c": {}}, {}, ["spec.a.b", "spec.a.c"]),
        (ANYTHING, {"b": {"c": [1]}}, {"b": {"c": [1]}}, []),
        ({**ANYTHING, "properties": {"b": EMPTY}}, {"b": {"c": 1}, "d": 2}, {"b": {}, "d": 2}, ["spec.a.b.c"]),
        ({"type": "array", "items": {"type": "object"}}, [{"b": 1}, 2], [{}, 2], ["spec.a[0].b"]),
        ({"type": "object", "additionalProperties": STRING}, {"b": "x", "c": 1}, {"b": "x", "c": 1}, []),
        ({**EMPTY, "additionalProperties": True}, {"b": "x", "c": {"d": 1}}, {"b": "x", "c": {}}, ["spec.a.c.d"]),
        ({"x-kubernetes-int-or-string": True}, "50%", "50%", []),
        ({"x-kubernetes-preserve-unknown-fields": True}, [{"b": None}], [{"b": None}], []),
    ],
)  # fmt: skip
def test_what_a_schema_does_not_know_is_dropped_and_named(
    schema: Any, value: Any, left: Any, unknown: list[str]
) -> None:
    """Values are not judged, only fields; with preserve-unknown-fields those stay as well."""
    assert pruned({"a": value}, a=schema) == ({"a": left}, unknown)


@pytest.mark.parametrize(
    ("schema", "left"),
    [(STRING, {}), ({**STRING, "nullable": True}, {"a": None}), ({**STRING, "default": "x"}, {"a": None})],
)
def test_null_stays_where_it_means_something(schema: Any, left: Any) -> None:
    """As a value of a nullable field, and to be replaced by a default."""
    assert pruned({"a": None}, a=schema)[0] == left


def test_embedded_resources_have_metadata() -> None:
    """Kind, version and metadata of an embedded object are known without being declared, and read as metadata."""
    schema = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}}
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "zz": 1, "creationTimestamp": None}, "yy": 1}
    left, unknown = pruned({"a": whole}, a=schema)
    assert left == {"a": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}}
    assert unknown == ["spec.a.metadata.zz", "spec.a.yy"]


def test_metadata_is_always_read_as_metadata() -> None:
    """Whatever the schema says about it."""
    type = root_type(schema_of(), "e.io/v1.X")
    with pytest.raises(DecodeError, match=r"number into Go struct field ObjectMeta\.labels of type string"):
        decode({"metadata": {"labels": {"a": 1}}}, type, "X")


@pytest.mark.parametrize(
    ("schema", "relation"),
    [
        ({"type": "array", "items": STRING}, Relation.LEAF),
        ({"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, Relation.SET),
        ({"type": "object", "additionalProperties": STRING}, Relation.MAP),
        ({"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": STRING}}, Relation.LEAF),
        ({"type": "object", "properties": {"a": STRING}}, Relation.STRUCT),
        ({"x-kubernetes-preserve-unknown-fields": True}, Relation.UNTYPED),
        ({"x-kubernetes-int-or-string": True}, Relation.LEAF),
    ],
)  # fmt: skip
def test_list_and_map_types_are_those_of_the_schema(schema: Any, relation: Relation) -> None:
    """Field ownership and server-side apply see the same nodes as for built-in kinds."""
    spec = shape_node(root_type(schema_of(a=schema), "e.io/v1.X")).child("spec")
    assert spec is not None
    node = spec.child("a")
    assert node is not None
    assert node.relation is relation


def test_keys_of_lists_have_their_defaults() -> None:
    """An element of a map list that leaves out a key with a default has the default's identity."""
    item = {"type": "object", "properties": {"port": {"type": "integer"}, "protocol": {**STRING, "default": "TCP"}}}
    schema = {"type": "array", "items": item, "x-kubernetes-list-type": "map",
              "x-kubernetes-list-map-keys": ["port", "protocol"]}  # fmt: skip
    spec = shape_node(root_type(schema_of(ports=schema), "e.io/v1.X")).child("spec")
    assert spec is not None
    ports = spec.child("ports")
    assert ports is not None
    assert ports.element({"port": 80}) == 'k:{"port":80,"protocol":"TCP"}'
