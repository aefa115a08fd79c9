"""Schemas of OpenAPI v2 (swagger 2.0), made from those of v3. Pure.

v2 knows no `nullable` and no `oneOf`, and its readers, kubectl before 1.27 above all, take a schema with properties for
the whole truth. So a custom kind's schema loses more here than the language demands, exactly what upstream's
apiextensions-apiserver (`pkg/controller/openapi/v2`) takes away. Defaults are never published in v2.
"""

from __future__ import annotations

from typing import Any, Final

from minik8s.machinery.meta import Doc, Obj
from minik8s.schema.openapi import OBJECT_META, OBJECT_META_TEXT, TYPE_META, reference
from minik8s.schema.structural import EMBEDDED, PRESERVE

_V3: Final = "#/components/schemas/"
_V2: Final = "#/definitions/"
_EXTENSION: Final = "x-kubernetes-"
_KEPT: Final = frozenset((
    "type", "title", "description", "format", "enum", "required", "pattern", "multipleOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems",
    "minProperties", "maxProperties", "items", "properties", "additionalProperties",
))  # fmt: skip
"""What upstream's structural schemas have and v2 can say; other keys are dropped."""


def definition(schema: Doc) -> Obj:
    """A v3 component in v2: references stand beside what belongs to them, alternatives of scalars are strings."""
    found: Obj = {}
    for key, value in schema.items():
        if key == "$ref":
            found[key] = value.replace(_V3, _V2)
        elif key == "allOf" and len(value) == 1:
            found |= definition(value[0])
        elif key == "properties":
            found[key] = {name: definition(below) for name, below in value.items()}
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            found[key] = definition(value)
        elif key == "oneOf" and {"type": "string"} in value:
            found["type"] = "string"
        elif key not in ("default", "oneOf", "anyOf", "allOf", "not", "nullable"):
            found[key] = value
    return found


def custom_schema(schema: Doc) -> Obj:
    """A schema from a CustomResourceDefinition, still with v3's references, without what v2 must not tell."""
    found: Obj = {key: value for key, value in schema.items() if key in _KEPT or (key.startswith(_EXTENSION) and value)}
    _open_up(found, is_nullable=bool(schema.get("nullable")))
    _relax(found)
    if "properties" in found:
        found["properties"] = {name: custom_schema(below) for name, below in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = custom_schema(found[key])
    if found.get(EMBEDDED) and not found.get(PRESERVE):
        _embed(found)
    return found


def _open_up(found: Obj, *, is_nullable: bool) -> None:
    """kubectl refuses null, and unknown fields, wherever it is told a type, items or properties."""
    if is_nullable:
        found.pop("type", None)
    if is_nullable or found.get(PRESERVE):
        found.pop("items", None)
        found.pop("properties", None)
    if found.get("type") == "array" and "items" not in found:
        del found["type"]
    if found.get("type") == "object" and found.get(PRESERVE):
        del found["type"]


def _relax(found: Obj) -> None:
    """A required field that may be null may seem to be absent."""
    additional: Any = found.get("additionalProperties")
    if isinstance(additional, dict) and additional.get("nullable"):
        found.pop("required", None)
    properties: Doc = found.get("properties") or {}
    required = [name for name in found.pop("required", ()) if not properties.get(name, {}).get("nullable")]
    if required:
        found["required"] = required


def _embed(found: Obj) -> None:
    """A whole object within another: what every object has."""
    metadata = {"allOf": [reference(OBJECT_META)], "description": OBJECT_META_TEXT}
    found["properties"] = {**found.get("properties", {}), **TYPE_META, "metadata": metadata}
    required = found.get("required", [])
    found["required"] = [*required, *(name for name in ("kind", "apiVersion") if name not in required)]
