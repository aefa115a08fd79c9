"""From a parsed JSON document to the private copy of a custom resource that the server works on.

Unlike a built-in kind's decoder this one judges no values: what a schema does not know is dropped and reported, nulls
go where they can mean nothing, metadata is read as what it is everywhere, and the rest is left for validation to speak
about. Upstream: apiextensions-apiserver `pkg/apiserver/schema/pruning` and `objectmeta`.
"""

from __future__ import annotations

from typing import Any

from minik8s.machinery.meta import CONTAINERS, Doc, Obj, copy_document
from minik8s.schema.decode import Decoded, decode_part
from minik8s.schema.scalars import DecodeError, json_word
from minik8s.schema.structural import EMBEDDED, TYPE_META, object_meta
from minik8s.schema.table import Type


def prune(doc: Any, type: Type, kind: str) -> Decoded:
    """The copy of `doc` that shares nothing with it, and the paths of what was dropped, sorted.

    Raises DecodeError for metadata that is none, the only thing that cannot be said more precisely later.
    """
    if not isinstance(doc, dict):
        raise DecodeError(f"json: cannot unmarshal {json_word(doc)} into Go value of type map[string]interface {{}}")
    unknown: list[str] = []
    obj: Obj = {key: doc[key] for key in ("kind", "apiVersion") if key in doc}
    try:
        if "metadata" in doc:
            obj["metadata"] = _metadata(doc["metadata"], "metadata", unknown)
        rest = {key: value for key, value in doc.items() if key not in ("kind", "apiVersion", "metadata")}
        obj.update(_members(rest, type, "", unknown))
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    return Decoded(obj, sorted(unknown))


def prune_value(value: Any, type: Type) -> tuple[Any, list[str]]:
    """The same for a value within a document."""
    unknown: list[str] = []
    return _value(value, type, "", unknown), unknown


def _metadata(value: Any, path: str, unknown: list[str]) -> Obj:
    """Metadata as all objects have it; the time of birth only where there is one."""
    found = decode_part(value if value is not None else {}, object_meta(), path, unknown)
    if found.get("creationTimestamp") is None:
        found.pop("creationTimestamp", None)
    return found


def _value(value: Any, type: Type, path: str, unknown: list[str]) -> Any:
    if not isinstance(value, CONTAINERS):
        return value
    if isinstance(value, dict):
        if type.schema is not None and type.schema.get(EMBEDDED):
            return _embedded(value, type, path, unknown)
        return _members(value, type, path, unknown)
    if type.kind != "list":
        if type.preserves:
            return copy_document(value)
        return [_value(item, _NOTHING, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    assert type.item is not None
    item_type = _ANY if type.preserves and not type.item.schema else type.item
    return [_value(item, item_type, f"{path}[{index}]", unknown) for index, item in enumerate(value)]


_NOTHING = Type("object", "JSON")
_ANY = Type("any", "JSON", preserves=True)


def _members(doc: Doc, type: Type, path: str, unknown: list[str]) -> Obj:
    fields = type.fields if type.kind == "struct" else {}
    other = type.item if type.kind == "map" else None
    out: Obj = {}
    for name, value in doc.items():
        field = fields.get(name)
        member = field.type if field is not None else other
        child = f"{path}.{name}" if path else name
        if member is None:
            if not type.preserves:
                unknown.append(child)
            else:
                out[name] = copy_document(value)
        elif value is not None or _may_be_null(member, field is not None):
            out[name] = _value(value, member, child, unknown)
    return out


def _may_be_null(type: Type, is_field: bool) -> bool:
    """Whether null stays: it is a value there, or a default will take its place."""
    schema = type.schema
    return not schema or bool(schema.get("nullable")) or (is_field and "default" in schema)


def _embedded(value: Doc, type: Type, path: str, unknown: list[str]) -> Obj:
    """A whole object within another one: its kind and metadata are known, whatever the schema says."""
    for name in TYPE_META:
        if not isinstance(value.get(name), str | None):
            raise DecodeError(f"{path}.{name}: Invalid value: must be a string")
    own = {name: value[name] for name in TYPE_META if value.get(name) is not None}
    rest = {name: inner for name, inner in value.items() if name not in (*TYPE_META, "metadata")}
    found: Obj = {**own, **_members(rest, type, path, unknown)}
    if value.get("metadata") is not None:
        found["metadata"] = _metadata(value["metadata"], f"{path}.metadata", unknown)
    return found
