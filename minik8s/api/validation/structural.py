"""Whether the schema of a CustomResourceDefinition is structural, and every keyword in it is one that may be used.

A structural schema says the type of every field once, outside of allOf, anyOf, oneOf and not. All errors at once, in
upstream's words: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go` (keywords, list types,
defaults) and `pkg/apiserver/schema/validation.go` (structure).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from minik8s.api.validation.schemarules import rule_errors
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import duplicate, forbidden, invalid, not_supported, required
from minik8s.machinery.meta import Doc
from minik8s.schema.constraints import check_values
from minik8s.schema.decode import DecodeError
from minik8s.schema.patterns import PatternError, compile_pattern
from minik8s.schema.pruning import prune_value
from minik8s.schema.structural import EMBEDDED, INT_OR_STRING, LIST_KEYS, LIST_TYPE, MAP_TYPE, PRESERVE, RULES, type_of

Causes = Iterator[StatusCause]
Place = Literal["root", "field", "item"]
TYPES = ("array", "boolean", "integer", "number", "object", "string")
SCALARS = frozenset({"boolean", "integer", "number", "string"})
MAX_DEPTH = 100
"""Levels of a schema: far beyond what anybody writes, and within what Python can recurse."""
_UNSUPPORTED = ("$ref", "id", "patternProperties", "additionalItems", "definitions", "dependencies")
_EMPTY: Mapping[Place, str] = {
    "root": "must not be empty at the root",
    "field": "must not be empty for specified object fields",
    "item": "must not be empty for specified array items",
}
_COMPOSITES = ("allOf", "anyOf", "oneOf")
_STRUCTURE: Mapping[str, str] = {
    "type": "must be empty to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "nullable": "must be false to be structural",
    PRESERVE: "must be false to be structural",
    EMBEDDED: "must be false to be structural",
    INT_OR_STRING: "must be false to be structural",
    LIST_KEYS: "must be empty to be structural",
    LIST_TYPE: "must be undefined to be structural",
    MAP_TYPE: "must be undefined to be structural",
}
"""What may not be said within allOf, anyOf, oneOf and not, and how that is told."""


def validate_schema(schema: Doc, path: str, *, lenient: bool = False) -> Causes:
    """What is wrong with an `openAPIV3Schema`; `lenient` is the view of one that is stored already."""
    if _depth(schema) > MAX_DEPTH:
        yield invalid(path, "object", f"must not be nested deeper than {MAX_DEPTH} levels")
        return
    found = list(_node(schema, path, "root"))
    yield from found
    if not found:
        yield from _defaults(schema, path)
        yield from rule_errors(schema, path, lenient=lenient)


def _depth(value: Any) -> int:
    """Without recursion, for it is asked whether there may be any."""
    depth, level = 0, [value]
    while level and depth <= MAX_DEPTH * 3:
        depth += 1
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return depth // 2


def _node(schema: Doc, path: str, place: Place) -> Causes:
    yield from _keywords(schema, path)
    yield from _type(schema, path, place)
    yield from _metadata(schema, path, place)
    yield from _list(schema, path)
    yield from _map(schema, path)
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if isinstance(items, dict):
        yield from _node(items, f"{path}.items", "item")
    for name, below in (schema.get("properties") or {}).items():
        yield from _node(below, f"{path}.properties[{name}]", "field")
    if isinstance(additional, dict):
        yield from _node(additional, f"{path}.additionalProperties", "field")
    yield from _branches(schema, schema, path)


def _keywords(schema: Doc, path: str) -> Causes:
    for name in _UNSUPPORTED:
        if name in schema:
            yield forbidden(f"{path}.{name}", f"{name} is not supported")
    if schema.get("uniqueItems"):
        why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{path}.uniqueItems", why)
    if schema.get("additionalProperties") is False:
        yield forbidden(f"{path}.additionalProperties", "additionalProperties cannot be set to false")
    if schema.get("additionalProperties") is not None and schema.get("properties"):
        yield forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{path}.items", "items must be a schema object and not an array")
    if (pattern := schema.get("pattern")) is not None:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            yield invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {error}")
    if schema.get(PRESERVE) is False:
        yield invalid(f"{path}.{PRESERVE}", False, "must be true or undefined")


def _type(schema: Doc, path: str, place: Place) -> Causes:
    kind = schema.get("type") or ""
    int_or_string, preserves, embedded = schema.get(INT_OR_STRING), schema.get(PRESERVE), schema.get(EMBEDDED)
    if kind == "null":
        yield forbidden(f"{path}.type", "type cannot be set to null, use nullable as an alternative")
    elif kind and kind not in TYPES:
        yield not_supported(f"{path}.type", kind, TYPES)
    if int_or_string and kind:
        yield invalid(f"{path}.type", kind, f"must be empty if {INT_OR_STRING} is true")
    for name, value in ((PRESERVE, preserves), (EMBEDDED, embedded)):
        if int_or_string and value:
            yield invalid(f"{path}.{name}", True, f"must be false if {INT_OR_STRING} is true")
    if embedded and kind != "object":
        detail = f"must be object if {EMBEDDED} is true"
        yield invalid(f"{path}.type", kind, detail) if kind else required(f"{path}.type", detail)
    elif not kind and not int_or_string and not preserves:
        yield required(f"{path}.type", _EMPTY[place])
    if place == "root":
        if kind and kind != "object":
            yield invalid(f"{path}.type", kind, "must be object at the root")
        if schema.get("additionalProperties") is not None:
            yield forbidden(f"{path}.additionalProperties", "must not be used at the root")
        if schema.get("nullable"):
            yield forbidden(f"{path}.nullable", "nullable cannot be true at the root")
    if kind == "array" and schema.get("items") is None:
        yield required(f"{path}.items", "must be specified")
    if embedded and schema.get("additionalProperties") is not None:
        yield forbidden(f"{path}.additionalProperties", f"must not be used if {EMBEDDED} is set")
    if embedded and not preserves and not schema.get("properties"):
        detail = f"must not be empty if {EMBEDDED} is true without {PRESERVE}"
        yield required(f"{path}.properties", detail)


def _metadata(schema: Doc, path: str, place: Place) -> Causes:
    """Of what every object has a schema may only narrow the name."""
    if place != "root" and not schema.get(EMBEDDED):
        return
    properties: Mapping[str, Doc] = schema.get("properties") or {}
    for name, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object")):
        if name in properties and (kind := properties[name].get("type") or "") != wanted:
            yield invalid(f"{path}.properties[{name}].type", kind, f"must be {wanted}")
    if "metadata" in properties:
        inner = set(properties["metadata"].get("properties") or ()) - {"name", "generateName"}
        if inner or "additionalProperties" in properties["metadata"]:
            detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            yield forbidden(f"{path}.properties[metadata]", detail)


def _list(schema: Doc, path: str) -> Causes:
    kind, keys, items = schema.get(LIST_TYPE), schema.get(LIST_KEYS) or (), schema.get("items")
    if kind is not None and schema.get("type") != "array":
        detail = f"must be array if {LIST_TYPE} is specified"
        yield invalid(f"{path}.type", schema.get("type") or "", detail)
    if kind not in (None, "atomic", "set", "map"):
        yield not_supported(f"{path}.{LIST_TYPE}", kind, ("atomic", "map", "set"))
    if keys and kind != "map":
        detail = f"must be map if {LIST_KEYS} is non-empty"
        yield invalid(f"{path}.{LIST_TYPE}", kind, detail) if kind else required(f"{path}.{LIST_TYPE}", detail)
    if not isinstance(items, dict):
        return
    if kind == "map":
        yield from _list_keys(schema, items, keys, path)
    elif kind == "set":
        yield from _set_items(items, path)


def _list_keys(schema: Doc, items: Doc, keys: Any, path: str) -> Causes:
    if not keys:
        yield required(f"{path}.{LIST_KEYS}", f"must not be empty if {LIST_TYPE} is map")
    if items.get("type") != "object":
        detail = f"must be object if parent array's {LIST_TYPE} is map"
        yield invalid(f"{path}.items.type", items.get("type") or "", detail)
        return
    properties: Mapping[str, Doc] = items.get("properties") or {}
    seen = set()
    for index, key in enumerate(keys):
        below = f"{path}.items.properties[{key}]"
        if key in seen:
            yield duplicate(f"{path}.{LIST_KEYS}[{index}]", key)
        seen.add(key)
        if key not in properties:
            detail = "entries must all be names of item properties"
            yield invalid(f"{path}.{LIST_KEYS}[{index}]", key, detail)
            continue
        own = properties[key]
        if own.get("type") not in SCALARS:
            detail = f"must be a scalar type if parent array's {LIST_TYPE} is map"
            yield invalid(f"{below}.type", own.get("type") or "", detail)
        if "default" not in own and key not in (items.get("required") or ()):
            detail = f"this property is in {LIST_KEYS}, so it must have a default or be a required property"
            yield required(f"{below}.default", detail)
        if own.get("nullable"):
            yield forbidden(f"{below}.nullable", f"this property is in {LIST_KEYS}, so it cannot be nullable")
    if items.get("nullable"):
        yield forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is map")


def _set_items(items: Doc, path: str) -> Causes:
    detail = f"must be atomic as item of a list with {LIST_TYPE}=set"
    if items.get("nullable"):
        yield forbidden(f"{path}.items.nullable", f"cannot be nullable when {LIST_TYPE} is set")
    if items.get("type") == "array" and items.get(LIST_TYPE) not in (None, "atomic"):
        yield invalid(f"{path}.items.{LIST_TYPE}", items.get(LIST_TYPE), detail)
    if items.get("type") == "object" and items.get(MAP_TYPE) != "atomic":
        value = items.get(MAP_TYPE)
        yield (
            invalid(f"{path}.items.{MAP_TYPE}", value, detail)
            if value
            else required(f"{path}.items.{MAP_TYPE}", detail)
        )


def _map(schema: Doc, path: str) -> Causes:
    kind = schema.get(MAP_TYPE)
    if kind is None:
        return
    if schema.get("type") != "object":
        yield invalid(f"{path}.type", schema.get("type") or "", f"must be object if {MAP_TYPE} is specified")
    if kind not in ("atomic", "granular"):
        yield not_supported(f"{path}.{MAP_TYPE}", kind, ("atomic", "granular"))


# allOf, anyOf, oneOf, not


def _branches(schema: Doc, structure: Doc, path: str) -> Causes:
    """What composites may not say; `structure` is the structural schema of the value that they are about."""
    for index, branch, where in _each_branch(schema, path):
        if _is_int_or_string(schema, structure, branch, where, index):
            continue
        yield from _nested(branch, structure, where)


def _each_branch(schema: Doc, path: str) -> Iterator[tuple[int, Doc, str]]:
    for name in _COMPOSITES:
        for index, branch in enumerate(schema.get(name) or ()):
            yield index, branch, f"{path}.{name}[{index}]"
    if (branch := schema.get("not")) is not None:
        yield 0, branch, f"{path}.not"


def _is_int_or_string(schema: Doc, structure: Doc, branch: Doc, where: str, index: int) -> bool:
    """The two spellings in which a composite may repeat the types of an int-or-string field."""
    if not structure.get(INT_OR_STRING):
        return False
    both = [{"type": "integer"}, {"type": "string"}]
    if where.rpartition(".")[2].startswith("anyOf"):
        return bool(schema.get("anyOf") == both)
    is_first = where.endswith("allOf[0]") and index == 0
    return is_first and branch.get("anyOf") == both and set(branch) == {"anyOf"}


def _nested(schema: Doc, structure: Doc | None, path: str) -> Causes:
    for name, detail in _STRUCTURE.items():
        if schema.get(name) not in (None, "", False, []) or (name == "default" and name in schema):
            yield forbidden(f"{path}.{name}", detail)
    if schema.get(RULES):
        yield forbidden(f"{path}.{RULES}", "must be empty to be structural")
    yield from _keywords({k: v for k, v in schema.items() if k != "additionalProperties"}, path)
    properties: Mapping[str, Doc] = schema.get("properties") or {}
    if "metadata" in properties:
        yield forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context")
    for name, below in properties.items():
        where = f"{path}.properties[{name}]"
        known = ((structure or {}).get("properties") or {}).get(name) if structure is not None else None
        if structure is not None and known is None and not structure.get(PRESERVE):
            yield required(_structural_place(where), f"because it is defined in {where}")
        yield from _nested(below, known, where)
    items = schema.get("items")
    if isinstance(items, dict):
        known = (structure or {}).get("items")
        if structure is not None and not isinstance(known, dict):
            yield required(_structural_place(f"{path}.items"), f"because it is defined in {path}.items")
        yield from _nested(items, known if isinstance(known, dict) else None, f"{path}.items")
    for _, branch, where in _each_branch(schema, path):
        yield from _nested(branch, structure, where)


def _structural_place(path: str) -> str:
    """Where the field of a composite has to be declared: the same path without the composites."""
    parts = [p for p in path.split(".") if p.partition("[")[0] not in _COMPOSITES and p != "not"]
    return ".".join(parts)


def _defaults(schema: Doc, path: str) -> Causes:
    """Defaults have to be valid themselves: pruned, and accepted by the schema they stand in."""
    if "default" in schema:
        yield from _default(schema, f"{path}.default")
    for name, below in (schema.get("properties") or {}).items():
        yield from _defaults(below, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(below := schema.get(name), dict):
            yield from _defaults(below, f"{path}.{name}")


def _default(schema: Doc, path: str) -> Causes:
    value = schema["default"]
    if value is None:
        yield invalid(path, None, "default cannot be null when nullable is false")
        return
    try:
        _, unknown = prune_value(value, type_of(schema, "default"))
    except DecodeError as error:
        yield invalid(path, value, str(error))
        return
    if unknown:
        yield invalid(path, value, "must not have unknown fields")
    yield from check_values(value, schema, path=path)
