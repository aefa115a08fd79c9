"""Values against the schemas of custom resources: texts, ratcheting, and bounds on what validation may cost."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.schema.constraints import check_lists, check_values
from minik8s.schema.defaulting import fill_defaults
from minik8s.schema.structural import root_type

INT = {"type": "integer"}
STRING = {"type": "string"}


def texts(value: Any, schema: Any, *old: Any) -> list[str]:
    """The errors about a value, as they are shown."""
    return [f"{cause.field}: {cause.message}" for cause in check_values(value, schema, *old, path="a")]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (INT, 1, []),
        (INT, 1.0, []),
        (INT, 1.5, ['a: Invalid value: "number": a in body must be of type integer: "number"']),
        (INT, True, ['a: Invalid value: "boolean": a in body must be of type integer: "boolean"']),
        ({"type": "number"}, 1, []),
        (STRING, None, ['a: Invalid value: "null": a in body must be of type string: "null"']),
        ({**STRING, "nullable": True}, None, []),
        ({"type": "object"}, [], ['a: Invalid value: "array": a in body must be of type object: "array"']),
        ({"x-kubernetes-int-or-string": True}, "1", []),
        (
            {"x-kubernetes-int-or-string": True},
            1.5,
            ['a: Invalid value: "number": a in body must be of type integer,string: "number"'],
        ),
        ({**STRING, "maxLength": 2}, "äöü", ["a: Too long: may not be more than 2 bytes"]),
        ({**STRING, "minLength": 2}, "ä", ['a: Invalid value: "ä": a in body should be at least 2 chars long']),
        ({**STRING, "pattern": "^x+$"}, "y", ["a: Invalid value: \"y\": a in body should match '^x+$'"]),
        ({**STRING, "format": "ipv4"}, "1.2.3", ['a: Invalid value: "1.2.3": a in body must be of type ipv4: "1.2.3"']),
        ({**STRING, "format": "date-time"}, "2020-01-01T00:00:00Z", []),
        ({**STRING, "format": "no-such-format"}, "x", []),
        ({**INT, "minimum": 2}, 1, ["a: Invalid value: 1: a in body should be greater than or equal to 2"]),
        (
            {**INT, "minimum": 2, "exclusiveMinimum": True},
            2,
            ["a: Invalid value: 2: a in body should be greater than 2"],
        ),
        ({**INT, "maximum": 2}, 3, ["a: Invalid value: 3: a in body should be less than or equal to 2"]),
        ({**INT, "maximum": 2, "exclusiveMaximum": True}, 2, ["a: Invalid value: 2: a in body should be less than 2"]),
        ({**INT, "multipleOf": 3}, 4, ["a: Invalid value: 4: a in body should be a multiple of 3"]),
        ({"type": "number", "multipleOf": 0.5}, 1.5, []),
        ({**STRING, "enum": ["x"]}, "y", ['a: Unsupported value: "y": supported values: "x"']),
        ({**INT, "enum": [1, 2]}, 3, ['a: Unsupported value: 3: supported values: "1", "2"']),
        (
            {"type": "array", "items": INT},
            ["x"],
            ['a[0]: Invalid value: "string": a[0] in body must be of type integer: "string"'],
        ),
        ({"type": "array", "minItems": 1}, [], ["a: Invalid value: 0: a in body should have at least 1 items"]),
        ({"type": "array", "maxItems": 1}, [1, 2], ["a: Too many: 2: must have at most 1 item"]),
        ({"type": "object", "maxProperties": 1}, {"x": 1, "y": 2}, ["a: Too many: 2: must have at most 1 item"]),
        (
            {"type": "object", "minProperties": 1},
            {},
            ["a: Invalid value: 0: a in body should have at least 1 properties"],
        ),
        ({"type": "object", "required": ["x"]}, {}, ["a.x: Required value"]),
        ({"type": "object", "required": ["x"], "properties": {"x": {**INT, "default": 1}}}, {}, []),
        (
            {"type": "object", "additionalProperties": INT},
            {"x": "y"},
            ['a.x: Invalid value: "string": a.x in body must be of type integer: "string"'],
        ),
        ({"not": {"type": "string"}}, "x", ['<nil>: Invalid value: "": "a" must not validate the schema (not)']),
        (
            {"anyOf": [{"minimum": 3}, {"maximum": 1}]},
            2,
            [
                '<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)',
                "a: Invalid value: 2: a in body should be greater than or equal to 3",
            ],
        ),
        (
            {"oneOf": [{"minimum": 1}, {"maximum": 3}]},
            2,
            ['<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
        ),
        (
            {"allOf": [{"minimum": 3}, {"maximum": 9}]},
            2,
            [
                "a: Invalid value: 2: a in body should be greater than or equal to 3",
                '<nil>: Invalid value: "": "a" must validate all the schemas (allOf)',
            ],
        ),
    ],
)
def test_errors_are_those_of_upstream(schema: Any, value: Any, expected: list[str]) -> None:
    """Word for word."""
    assert texts(value, schema) == expected


def test_an_unchanged_value_is_not_held_to_a_new_rule() -> None:
    """Members of objects and, by their keys, elements of lists are told apart; other lists only as a whole."""
    small = {**INT, "maximum": 1}
    both = {"type": "object", "properties": {"x": small, "y": small}}
    assert texts({"x": 5, "y": 1}, both, {"x": 5, "y": 0}) == []
    assert len(texts({"x": 5, "y": 6}, both, {"x": 5, "y": 0})) == 1
    item = {"type": "object", "properties": {"k": STRING, "v": small}}
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    old = [{"k": "a", "v": 5}]
    assert texts([{"k": "b", "v": 1}, *old], keyed, old) == []
    assert len(texts([{"k": "b", "v": 1}, *old], {"type": "array", "items": item}, old)) == 1


def test_sets_and_maps_have_nothing_twice() -> None:
    """Keys with defaults count with their defaults."""
    ports = {"type": "object", "properties": {"p": INT, "t": {**STRING, "default": "TCP"}}}
    keyed = {"type": "array", "items": ports, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["p", "t"]}
    schema = {"type": "object", "properties": {
        "set": {"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, "ports": keyed,
    }}  # fmt: skip
    found = check_lists({"set": ["a", "b", "a"], "ports": [{"p": 1}, {"p": 1, "t": "TCP"}, {"p": 2}]}, schema)
    assert [f"{c.field}: {c.message}" for c in found] == [
        'set[2]: Duplicate value: "a"',
        'ports[1]: Duplicate value: {"p":1,"t":"TCP"}',
    ]


def test_defaults_have_defaults() -> None:
    """What was filled in is filled in itself, in lists and maps as well, and a second time changes nothing."""
    inner = {"type": "object", "properties": {"x": {**INT, "default": 1}}}
    type = root_type(
        {
            "type": "object",
            "properties": {
                "o": {**inner, "default": {}},
                "l": {"type": "array", "items": inner},
                "m": {"type": "object", "additionalProperties": inner},
                "n": {**INT, "nullable": True, "default": 2},
            },
        },
        "e.io/v1.X",
    )
    doc = {"l": [{}, {"x": 3}], "m": {"a": {}}, "n": None}
    fill_defaults(doc, type)
    expected = {"o": {"x": 1}, "l": [{"x": 1}, {"x": 3}], "m": {"a": {"x": 1}}, "n": None}
    assert doc == expected
    fill_defaults(doc, type)
    assert doc == expected


def test_validation_ends() -> None:
    """A large document against a hostile schema is refused instead of keeping everybody waiting."""
    branches = [{"minimum": n} for n in range(5000)]
    schema = {"type": "array", "items": {"type": "integer", "anyOf": branches, "oneOf": branches}}
    assert "takes more than" in texts(list(range(-1000, 0)), schema)[0]
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    nested: Any = INT
    for _ in range(5000):
        nested = {"type": "array", "items": nested}
    assert "nested too deeply" in texts(deep, nested)[0]
