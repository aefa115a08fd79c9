"""From v3's schemas to v2's: what swagger cannot say, and what old kubectls must not be told."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.schema.swagger import custom_schema, definition

REF = {"$ref": "#/components/schemas/a.B"}
TEXT = {"type": "string"}
PRESERVE = "x-kubernetes-preserve-unknown-fields"


@pytest.mark.parametrize(
    ("v3", "v2"),
    [
        (REF, {"$ref": "#/definitions/a.B"}),
        ({"allOf": [REF], "default": {}, "description": "d"}, {"$ref": "#/definitions/a.B", "description": "d"}),
        ({"oneOf": [TEXT, {"type": "number"}], "description": "d"}, {"type": "string", "description": "d"}),
        (
            {"format": "int-or-string", "oneOf": [{"type": "integer"}, TEXT]},
            {"format": "int-or-string", "type": "string"},
        ),
        ({"type": "array", "items": {**TEXT, "default": ""}}, {"type": "array", "items": TEXT}),
        ({"additionalProperties": {"allOf": [REF]}}, {"additionalProperties": {"$ref": "#/definitions/a.B"}}),
        ({"properties": {"default": {**TEXT, "default": "x"}}}, {"properties": {"default": TEXT}}),
        ({"additionalProperties": True}, {"additionalProperties": True}),
    ],
)
def test_definitions(v3: dict[str, Any], v2: dict[str, Any]) -> None:
    """References move and stand alone, defaults go, scalars of two types are strings; fields keep their names."""
    assert definition(v3) == v2


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string", "oneOf": [TEXT], "anyOf": [TEXT], "allOf": [TEXT], "not": TEXT}, TEXT),
        ({"type": "object", "nullable": True, "properties": {"a": TEXT}, "description": "d"}, {"description": "d"}),
        ({"type": "string", "nullable": True, "enum": ["a"]}, {"enum": ["a"]}),
        ({"type": "object", PRESERVE: True, "properties": {"a": TEXT}}, {PRESERVE: True}),
        ({"type": "object", PRESERVE: False}, {"type": "object"}),
        ({"type": "array", "items": TEXT, "nullable": True}, {}),
        ({"type": "array", PRESERVE: True, "items": TEXT}, {PRESERVE: True}),
        ({"x-kubernetes-int-or-string": True}, {"x-kubernetes-int-or-string": True}),
        (
            {"type": "object", "required": ["a", "b"], "properties": {"a": {**TEXT, "nullable": True}, "b": TEXT}},
            {"type": "object", "required": ["b"], "properties": {"a": {}, "b": TEXT}},
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": {**TEXT, "nullable": True}},
            {"type": "object", "additionalProperties": {}},
        ),
        (
            {"type": "array", "items": {"type": "array", "items": {**TEXT, "nullable": True}}},
            {"type": "array", "items": {"type": "array", "items": {}}},
        ),
        (
            {"type": "integer", "minimum": 1, "example": 2, "title": "t"},
            {"type": "integer", "minimum": 1, "title": "t"},
        ),
    ],
)
def test_custom_schemas(schema: dict[str, Any], shown: dict[str, Any]) -> None:
    """What upstream's builder takes from a custom kind's schema, at any depth."""
    before = repr(schema)
    assert custom_schema(schema) == shown
    assert repr(schema) == before


def test_embedded_objects() -> None:
    """They have what every object has, unless they may have anything."""
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": TEXT}}
    found = definition(custom_schema(embedded))
    assert list(found["properties"]) == ["spec", "apiVersion", "kind", "metadata"]
    assert found["properties"]["metadata"]["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    assert found["required"] == ["kind", "apiVersion"]
    assert "properties" not in custom_schema({**embedded, PRESERVE: True})
