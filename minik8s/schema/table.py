"""The type table: what every kind looks like, as data.

`types.txt` holds the facts (one line a field); this module turns the part that is asked for into
`Type` and `Field` nodes. Everything that depends on a kind's shape (decoding, pruning, strategic
merge, OpenAPI, protobuf) walks these nodes and nothing else, so a custom resource needs only nodes
of its own to be treated like a built-in kind. The file is indexed once (under 2 ms) and a struct is
parsed when somebody first looks at its fields, so that starting a cluster stays cheap.

Type notation in `types.txt`: `*T` pointer, `[]T` list, `map[K]V`, `string:Enum`, `core.X` a struct of
core/v1; a bare name is looked up in its own group, then in meta/v1, then in core/v1.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import attrs

Kind = Literal[
    "string", "bool", "int32", "int64", "double", "bytes",
    "time", "microtime", "duration", "quantity", "intorstring",
    "any", "object", "struct", "list", "map",
]  # fmt: skip
"""`any` is arbitrary JSON, `object` an arbitrary JSON object (RawExtension, FieldsV1)."""

_SCALARS: dict[str, Kind] = {
    "string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int64",
    "double": "double", "bytes": "bytes", "Time": "time", "MicroTime": "microtime",
    "Duration": "duration", "Quantity": "quantity", "IntOrString": "intorstring",
    "RawExtension": "object", "FieldsV1": "object", "JSON": "any", "interface{}": "any",
    "JSONSchemaPropsOrArray": "any", "JSONSchemaPropsOrBool": "any",
    "JSONSchemaPropsOrStringArray": "any",
}  # fmt: skip


@attrs.define(eq=False)
class Type:
    """One node of the type graph.

    `name` is `<group/version>.<Struct>` for a struct, the Go type's name for the custom encodings
    (`RawExtension`, `JSON`, …), the enum's name for a closed string, else the kind itself.
    `item` is the element of a list or the value of a map. `enum` is empty for open strings.
    `wrapped` marks `[]string` that protobuf puts into a message of its own, `atomic` a struct that server-side
    apply takes as one value wherever it stands.
    `schema` is the OpenAPI schema that a custom resource's type was made from (`structural.py`), None for what
    stands in the table; `preserves` marks one of those whose unknown fields are kept.
    """

    kind: Kind
    name: str
    item: Type | None = None
    enum: tuple[str, ...] = ()
    wrapped: bool = False
    atomic: bool = False
    preserves: bool = False
    schema: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    _fields: dict[str, Field] | None = attrs.field(default=None, repr=False)
    _layout: tuple[tuple[int, str | None, Type], ...] | None = attrs.field(default=None, repr=False)
    compiled: dict[str, Any] = attrs.field(init=False, factory=dict, repr=False)
    """What the walkers of this package made of the type at first use, each under a key of its own."""

    @property
    def struct_name(self) -> str:
        """`Pod` of `core/v1.Pod`; "" unless `kind == "struct"`."""
        return self.name.rpartition(".")[2] if self.kind == "struct" else ""

    @property
    def group_version(self) -> str:
        """`core/v1` of `core/v1.Pod`; "" unless `kind == "struct"`."""
        return self.name.rpartition(".")[0] if self.kind == "struct" else ""

    @property
    def has_type_meta(self) -> bool:
        """Whether objects of this struct carry `kind` and `apiVersion` of their own, wherever they stand."""
        metadata = self.fields.get("metadata")
        return (
            metadata is not None
            and metadata.type.name in ("meta/v1.ObjectMeta", "meta/v1.ListMeta")
            and not self.name.endswith(("TemplateSpec", "VolumeClaimTemplate"))
        )

    @property
    def fields(self) -> dict[str, Field]:
        """JSON name -> Field, inline structs flattened; empty unless `kind == "struct"`."""
        if self._fields is None:
            self._load()
            assert self._fields is not None
        return self._fields

    @property
    def layout(self) -> tuple[tuple[int, str | None, Type], ...]:
        """Protobuf view: (field number, JSON name or None for an inline struct, type)."""
        if self._layout is None:
            self._load()
            assert self._layout is not None
        return self._layout

    def _load(self) -> None:
        if self.kind != "struct":
            self._fields, self._layout = {}, ()
            return
        group_version, _, struct_name = self.name.rpartition(".")
        fields: dict[str, Field] = {}
        layout: list[tuple[int, str | None, Type]] = []
        for line in _index()[group_version, struct_name]:
            number, name, notation, *flags = line.split()
            type_ = _resolve(notation.lstrip("*"), group_version)
            if name == "(inline)":
                fields.update(type_.fields)
                layout.append((int(number) if number != "-" else 0, None, type_))
                continue
            field = _field(number, name, notation, type_, flags)
            fields[name] = field
            if field.number:
                layout.append((field.number, name, type_))
        self._fields, self._layout = fields, tuple(layout)


@attrs.frozen(eq=False)
class Field:
    """One field of a struct.

    number      protobuf field number, 0 when the type has no protobuf form
    pointer     an explicit zero value is kept and differs from absence
    required    clients must send it (OpenAPI `required`)
    always      serialised even when empty; for a struct without pointer this holds too unless `omit_zero`
    strategies  strategic-merge strategies, a subset of {"merge", "replace", "retainKeys"}
    merge_key   strategic-merge key of a merge list of objects, "" for primitives
    list_type   "atomic", "set" or "map" (server-side apply); list_keys are the map's keys
    atomic_map  a map or struct that server-side apply takes as one value (a field may overrule its struct)
    default     OpenAPI default, None when there is none
    """

    name: str
    number: int
    type: Type
    pointer: bool
    required: bool
    always: bool
    omit_zero: bool
    strategies: frozenset[str]
    merge_key: str
    list_type: str
    list_keys: tuple[str, ...]
    atomic_map: bool
    default: Any


_BLOCK_START = re.compile(r"\n(?! )")
"""A line that is not indented begins a struct, an enum or a group-version."""
_FLAG = re.compile(r"([PLS]):([\w,]+)(?:\(([\w,]+)\))?$")


def _field(number: str, name: str, notation: str, type_: Type, flags: list[str]) -> Field:
    strategies: frozenset[str] = frozenset()
    merge_key, list_type, default = "", "", None
    list_keys: tuple[str, ...] = ()
    atomic_map = type_.atomic
    for flag in flags:
        if flag.startswith("default="):
            default = json.loads(flag[8:])
        elif match := _FLAG.match(flag):
            letter, words, argument = match.groups()
            if letter == "P":
                strategies, merge_key = frozenset(words.split(",")), argument or ""
            elif letter == "L":
                list_type, list_keys = words, tuple((argument or "").split(",")) if argument else ()
            else:
                atomic_map = words == "atomic"
    return Field(
        name=name,
        number=0 if number == "-" else int(number),
        type=type_,
        pointer=notation.startswith("*"),
        required="R" in flags,
        always="!" in flags,
        omit_zero="Z" in flags,
        strategies=strategies,
        merge_key=merge_key,
        list_type=list_type or ("atomic" if type_.kind == "list" else ""),
        list_keys=list_keys,
        atomic_map=atomic_map,
        default=default,
    )


@cache
def digest() -> bytes:
    """Identifies the table's content, for whatever is derived from it and cached by others."""
    return hashlib.sha256(Path(__file__).with_name("types.txt").read_bytes()).digest()


@cache
def _index() -> dict[tuple[str, str], tuple[str, ...]]:
    """(group/version, struct) -> its raw field lines; "%Enum" -> the line of values; "@Struct" is there if atomic."""
    text = Path(__file__).with_name("types.txt").read_text("utf-8")
    index: dict[tuple[str, str], tuple[str, ...]] = {}
    group_version = ""
    for block in _BLOCK_START.split(text.rstrip("\n")):
        head, *lines = block.split("\n")
        if head.startswith("== "):
            group_version = head[3:]
        elif head.startswith("%"):
            enum, _, values = head.partition(" ")
            index[group_version, enum] = (values,)
        elif head and not head.startswith("#"):
            struct_name, _, mark = head.partition(":")
            if mark.strip() == "S:atomic":
                index[group_version, "@" + struct_name] = (mark,)
            index[group_version, struct_name] = tuple(lines)
    return index


@cache
def _resolve(notation: str, group_version: str) -> Type:
    """The Type that a notation stands for when it is used inside `group_version`."""
    notation = notation.lstrip("*")
    if notation.startswith("wrapped"):
        inner = _resolve(notation.removeprefix("wrapped"), group_version)
        return attrs.evolve(inner, wrapped=True)
    if notation.startswith("[]"):
        return Type("list", "list", _resolve(notation[2:], group_version))
    if notation.startswith("map["):
        _, _, value = notation[4:].partition("]")
        return Type("map", "map", _resolve(value, group_version))
    base, _, enum = notation.partition(":")
    if base in _SCALARS:
        name = enum or base
        return Type(_SCALARS[base], name, enum=_enum(enum, group_version) if enum else ())
    if base == "StatusReason":
        return Type("string", base)
    return _find(base, group_version)


def _find(name: str, group_version: str) -> Type:
    if name.startswith("core."):
        return struct("core/v1", name[5:])
    for home in (group_version, "meta/v1", "core/v1"):
        if (home, name) in _index():
            return struct(home, name)
    return Type("object", name)  # an empty struct without fields of its own, such as a CRD's status marker


def _enum(name: str, group_version: str) -> tuple[str, ...]:
    for home in (group_version, "meta/v1", "core/v1"):
        if values := _index().get((home, "%" + name)):
            return tuple("" if v == '""' else v.replace("_", " ") for v in values[0].split("|"))
    return ()


@cache
def struct(group_version: str, name: str) -> Type:
    """The struct `name` of a group-version (`core/v1`, `apps/v1`, `meta/v1`, …).

    Raises KeyError when the table has no such struct.
    """
    if (group_version, name) not in _index():
        raise KeyError(f"{group_version} has no type {name}")
    return Type("struct", f"{group_version}.{name}", atomic=(group_version, "@" + name) in _index())


def has_struct(group_version: str, name: str) -> bool:
    """Whether the table knows the struct."""
    return (group_version, name) in _index()


def struct_names(group_version: str) -> list[str]:
    """All structs that a group-version defines, in the table's order."""
    return [name for home, name in _index() if home == group_version and name[0] not in "%@"]


def group_versions() -> list[str]:
    """All group-versions of the table, in its order."""
    return list(dict.fromkeys(home for home, _ in _index()))
