"""From a parsed JSON document to the private, canonical copy that the server works on.

The rules are those of Go's decoder followed by its encoder, because that is what an object goes through in a
real API server: wrong JSON types are refused, unknown fields dropped and reported, null means absent, an empty
value of an `omitempty` field disappears, a struct without pointer is always there. Every write passes here, so
each `Type` is compiled once, at first use, into a closure that looks only at the fields that a document has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import attrs

from minik8s.machinery.meta import Obj, copy_document
from minik8s.schema import scalars
from minik8s.schema.scalars import DecodeError, json_word
from minik8s.schema.table import Field, Type, struct

__all__ = ["DecodeError", "Decoded", "decode"]

Reader = Callable[[Any, list[str]], Any]
"""Converts one value; appends the names of unknown fields to the list."""


_NOTHING: Final[Mapping[str, Any]] = {}


@attrs.frozen(slots=True)
class Decoded:
    """`obj` starts with kind and apiVersion (where given) and shares nothing with its source.

    `unknown` holds the paths of dropped fields (`spec.containers[0].foo`), in document order.
    """

    obj: Obj
    unknown: list[str]


def decode(doc: Any, type: Type, kind: str, *, shared: Mapping[str, Any] = _NOTHING) -> Decoded:
    """The canonical copy of `doc`, read as a `type`; `kind` names the root struct in errors.

    `shared` are fields of `doc` that are canonical already, as parts of what is stored are: they are taken as they are.

    Raises DecodeError for what no client may send: wrong JSON types, bad quantities, times or base64.
    """
    if type.schema is not None:
        from minik8s.schema.pruning import prune

        return prune(doc, type, kind)
    read, order = _root(type)
    unknown: list[str] = []
    if shared:
        doc = {name: value for name, value in doc.items() if name not in shared}
    try:
        found = read(doc, unknown) | shared
        paths = _unknown_paths(doc, type, "", root=True) if unknown else unknown
    except _MismatchError as error:
        raise DecodeError(error.message(kind)) from None
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    obj = {name: found[name] for name in order if name in found}
    if len(obj) != len(found):
        obj.update(found)
    return Decoded(obj, paths)


def decode_part(doc: Any, type: Type, path: str, unknown: list[str]) -> Obj:
    """A struct that stands at `path` of a document; the paths of unknown fields are appended. Raises DecodeError."""
    names: list[str] = []
    try:
        found = _struct(type, full=False)(doc if doc.__class__ is dict else _coerce(doc, dict, type), names)
        if names:
            unknown += _unknown_paths(doc, type, path)
    except _MismatchError as error:
        raise DecodeError(error.message(type.struct_name)) from None
    return found


class _MismatchError(Exception):
    """A JSON value of the wrong type; collects the fields that lead to it on its way up."""

    def __init__(self, what: str, go_type: str) -> None:
        self.what, self.go_type = what, go_type
        self.path: list[str] = []
        self.struct = ""

    def within(self, field: str, struct: str) -> None:
        self.path.insert(0, field)
        self.struct = self.struct or struct

    def message(self, kind: str) -> str:
        if not self.path:
            return f"json: cannot unmarshal {self.what} into Go value of type {self.go_type}"
        struct = kind if len(self.path) == 1 else self.struct
        return (
            f"json: cannot unmarshal {self.what} into Go struct field {struct}.{'.'.join(self.path)} "
            f"of type {self.go_type}"
        )


_GO_NAMES: Final = {"int32": "int32", "int64": "int64", "bool": "bool", "double": "float64", "bytes": "[]uint8"}


def _go_type(type: Type) -> str:
    """The name that Go prints for a type: `v1.PodSpec`, `[]v1.Container`, `map[string]string`."""
    if type.kind == "struct":
        return f"{type.group_version.rpartition('/')[2]}.{type.struct_name}"
    if type.item is not None:
        if type.item.kind == "quantity":
            return "v1.ResourceList"
        return ("[]" if type.kind == "list" else "map[string]") + _go_type(type.item)
    if type.kind == "string":
        return "string" if type.name == "string" else f"v1.{type.name}"
    return _GO_NAMES.get(type.kind, "map[string]interface {}")


_PYTHON: Final[dict[str, type]] = {
    "string": str, "bytes": str, "time": str, "microtime": str, "duration": str, "bool": bool,
    "int32": int, "int64": int, "list": list, "map": dict, "struct": dict, "object": dict,
}  # fmt: skip
"""What a parsed value must be; kinds that accept several are absent and check for themselves."""


def _coerce(value: Any, wanted: type, type: Type) -> Any:
    """A value whose class is not exactly `wanted`: fine for a subclass (a frozen document), else a mismatch."""
    if isinstance(value, wanted) and not isinstance(value, bool):
        return value
    what = json_word(value)
    if what == "number" and wanted is int:
        what = f"number {value}"
    raise _MismatchError(what, _go_type(type))


def _integer(bounds: range, type: Type) -> Reader:
    low, high = bounds.start, bounds.stop

    def read(value: Any, unknown: list[str]) -> Any:
        if low <= value < high:
            return value
        raise _MismatchError(f"number {value}", _go_type(type))

    return read


def _double(value: Any, unknown: list[str]) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise _MismatchError(json_word(value), "float64")


def _simple(convert: Callable[[Any], Any]) -> Reader:
    def read(value: Any, unknown: list[str]) -> Any:
        return convert(value)

    return read


_SIMPLE: Final[dict[str, Reader]] = {
    "bytes": _simple(scalars.base64_text),
    "time": _simple(scalars.time),
    "microtime": _simple(scalars.microtime),
    "duration": _simple(scalars.duration),
    "quantity": _simple(scalars.quantity),
    "intorstring": _simple(scalars.int_or_string),
    "any": _simple(copy_document),
    "object": _simple(copy_document),
    "double": _double,
}


_UNIONS: Final = frozenset({"JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"})


def _union(value: Any, unknown: list[str]) -> Any:
    """A JSON schema, or what the schema of a definition may have in the place of one: a boolean, a list."""
    if isinstance(value, list):
        return [element if isinstance(element, str) else _union(element, unknown) for element in value]
    if isinstance(value, bool):
        return value
    if not isinstance(value, dict):
        raise _MismatchError(json_word(value), "v1.JSONSchemaProps")
    return _struct(_schema(), full=False)(value, unknown)


def _schema() -> Type:
    return struct("apiextensions.k8s.io/v1", "JSONSchemaProps")


def _convert(type: Type, full: bool) -> Reader | None:
    """The reader of a value that already has the right Python class; None when it is taken as it is."""
    if type.kind in ("string", "bool"):
        return None
    if type.name in _UNIONS:
        return _union
    if type.kind == "struct":
        return _struct(type, full)
    if type.kind == "list":
        return _list(type, full)
    if type.kind == "map":
        return _map(type, full)
    if type.kind in ("int32", "int64"):
        return _integer(scalars.INT32 if type.kind == "int32" else scalars.INT64, type)
    return _SIMPLE[type.kind]


_ZEROS: Final[dict[str, Any]] = {
    "string": "", "bytes": "", "bool": False, "int32": 0, "int64": 0, "double": 0, "quantity": "0", "intorstring": 0,
}  # fmt: skip


def _zero(type: Type, full: bool) -> Any:
    """What Go's decoder leaves where an element of a list or map is null."""
    if type.kind == "struct":
        return _struct(type, full)({}, [])
    if type.item is not None:
        return [] if type.kind == "list" else {}
    return _ZEROS.get(type.kind)


def _item(type: Type, full: bool) -> Reader:
    """The reader of an element: checks the class, then converts."""
    wanted = _PYTHON.get(type.kind)
    convert = _convert(type, full)

    def read(value: Any, unknown: list[str]) -> Any:
        if value is None:
            return _zero(type, full)
        if wanted is not None and value.__class__ is not wanted:
            value = _coerce(value, wanted, type)
        return value if convert is None else convert(value, unknown)

    return read


def _list(type: Type, full: bool) -> Reader:
    item = type.item
    assert item is not None
    read_item, only, convert = _item(item, full), {_PYTHON.get(item.kind)}, _convert(item, full)

    def read(value: Any, unknown: list[str]) -> Any:
        if set(map(_class_of, value)) == only:
            return [*value] if convert is None else [convert(element, unknown) for element in value]
        return [read_item(element, unknown) for element in value]

    return read


def _map(type: Type, full: bool) -> Reader:
    item = type.item
    assert item is not None
    read_item, only, plain = _item(item, full), {_PYTHON.get(item.kind)}, _convert(item, full) is None

    def read(value: Any, unknown: list[str]) -> Any:
        if plain and set(map(_class_of, value.values())) == only:
            return {**value}
        return {key: read_item(element, unknown) for key, element in value.items()}

    return read


_class_of: Final[Callable[[Any], type]] = type


def _keeps_empty(field: Field) -> bool:
    """Whether an empty value of the field is serialised."""
    if field.type.kind == "struct":
        return field.pointer or not field.omit_zero
    return field.pointer or field.always or field.type.kind in ("quantity", "intorstring", "any", "object")


def _filler(field: Field, full: bool) -> Callable[[], Any] | None:
    """Makes the value that a field has when it is absent; None when it stays absent.

    Go would also write "" for a required string and null for a list. Outside of a status those stay
    absent, so that validation can tell that the client left them out.
    """
    type = field.type
    if field.pointer or field.omit_zero:
        return None
    if type.kind == "struct":
        return partial(_struct(type, full or field.name == "status"), {}, [])
    if type.kind == "quantity":
        return lambda: "0"
    if type.kind in ("time", "microtime"):
        return lambda: None  # a struct in Go, which `omitempty` never leaves out, and its zero is written as null
    if field.always and type.kind in ("int32", "int64", "bool"):
        zero = _ZEROS[type.kind]
        return lambda: zero
    if field.always and type.kind == "string" and (full or not field.required):
        return lambda: ""
    return None


_Entry = tuple[Callable[..., Any] | None, bool, Reader | None]
_META: Final[dict[str, _Entry]] = {"kind": (str, False, None), "apiVersion": (str, False, None)}


@attrs.frozen
class _Plan:
    """A struct compiled: per field (Python class, keep empty, converter), and what is added when absent."""

    entries: dict[str, _Entry]
    missing: tuple[tuple[str, Callable[[], Any]], ...]


def _compile(type: Type, full: bool, root: bool) -> _Plan:
    entries: dict[str, _Entry] = dict(_META) if root or type.has_type_meta else {}
    missing = []
    for name, field in type.fields.items():
        inner = full or (name == "status" and field.type.kind == "struct")
        entries[name] = (_PYTHON.get(field.type.kind), _keeps_empty(field), _convert(field.type, inner))
        if filler := _filler(field, full):
            missing.append((name, filler))
    return _Plan(entries, tuple(missing))


def _struct(type: Type, full: bool, root: bool = False) -> Reader:
    """The reader of a struct. `full` is set inside a status, where every field that Go writes is filled in."""
    key = f"decode:{full:d}{root:d}"
    if known := type.compiled.get(key):
        reader: Reader = known
        return reader
    plan: _Plan | None = None
    struct_name = type.struct_name

    def read(doc: Any, unknown: list[str]) -> Any:
        nonlocal plan
        if plan is None:
            plan = _compile(type, full, root)
        entry_of = plan.entries.get
        out: Obj = {}
        name = ""
        try:
            for name, value in doc.items():
                entry = entry_of(name)
                if entry is None:
                    unknown.append(name)
                    continue
                if value is None:
                    continue
                wanted, keep, convert = entry
                if wanted is not None and value.__class__ is not wanted:
                    field = type.fields.get(name)
                    value = _coerce(value, wanted, field.type if field else _STRING)  # type: ignore[arg-type]
                if convert is not None:
                    value = convert(value, unknown)
                if value or (keep and value is not None):
                    out[name] = value
        except _MismatchError as error:
            error.within(name, struct_name)
            raise
        for name, fill in plan.missing:
            if name not in out:
                out[name] = fill()
        return out

    type.compiled[key] = read
    return read


_STRING: Final = Type("string", "string")


def _root(type: Type) -> tuple[Reader, tuple[str, ...]]:
    """The reader of a top-level document and the order of its fields."""
    known: tuple[Reader, tuple[str, ...]] | None = type.compiled.get("decode")
    if known is None:
        read = _struct(type, full=False, root=True)

        def read_object(doc: Any, unknown: list[str]) -> Any:
            return read(doc if doc.__class__ is dict else _coerce(doc, dict, type), unknown)

        order = dict.fromkeys(("kind", "apiVersion", "metadata", *type.fields))
        known = type.compiled["decode"] = (read_object, tuple(order))
    return known


def _unknown_paths(doc: Any, type: Type, path: str, root: bool = False) -> list[str]:
    """The paths of fields that the type does not have; only walked once the fast pass has met one."""
    if type.name in _UNIONS:
        elements = doc if isinstance(doc, list) else [doc]
        return [p for element in elements for p in _unknown_paths(element, _schema(), path)]
    if isinstance(doc, dict) and type.kind == "struct":
        found: list[str] = []
        for name, value in doc.items():
            child = f"{path}.{name}" if path else name
            field = type.fields.get(name)
            if field is not None:
                found += _unknown_paths(value, field.type, child)
            elif name not in _META or not (root or type.has_type_meta):
                found.append(child)
        return found
    if isinstance(doc, dict) and type.kind == "map" and type.item:
        return [p for name, value in doc.items() for p in _unknown_paths(value, type.item, f"{path}.{name}")]
    if isinstance(doc, list) and type.item:
        return [p for i, value in enumerate(doc) for p in _unknown_paths(value, type.item, f"{path}[{i}]")]
    return []
