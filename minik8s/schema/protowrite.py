"""From JSON documents to Kubernetes' protobuf: what client-go reads fastest and asks for first.

The message of an object goes out with every LIST and watch event, so each `Type` is compiled once, at first use, into a
closure that knows its fields' tags as bytes and looks only at what a document has. Fields are written in the document's
order, which no reader may depend on; zeros that a document leaves out are left out here too, which no reader can tell
from zeros. Wire format: see `wire`.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from minik8s.machinery.meta import Doc, parse_time
from minik8s.schema import table
from minik8s.schema.scalars import parse_duration
from minik8s.schema.table import Type
from minik8s.schema.wire import (
    BYTES,
    FIXED64,
    VARINT,
    message_field,
    message_head,
    number_field,
    string_field,
    write_varint,
)

MAGIC: Final = b"k8s\x00"
_META_GROUP: Final = "meta.k8s.io/"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SIZES: Final = tuple(write_varint(size) for size in range(1024))
"""The lengths that nearly all fields have, as they are written."""

Content = Callable[[Any], bytes]
"""What a value is between its tag and the next one, without its length."""
Part = Callable[[Any], bytes]
"""A value with its tag."""


def message_type(api_version: str, kind: str) -> Type | None:
    """The type by which documents of a kind are written; None for a kind that has no protobuf form."""
    if api_version.startswith(_META_GROUP):
        return table.struct("meta/v1", kind) if kind.startswith("PartialObjectMetadata") else None
    for home in (api_version,) if "/" in api_version else (f"core/{api_version}", f"meta/{api_version}"):
        if table.has_struct(home, kind):
            return table.struct(home, kind)
    return None


def encode_envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A response body around an encoded message."""
    return envelope_head(api_version, kind, len(raw)) + raw + ENVELOPE_TAIL


ENVELOPE_TAIL: Final = message_field(3, b"") + message_field(4, b"")
"""No content encoding and no content type: the message is what it is."""


def envelope_head(api_version: str, kind: str, size: int) -> bytes:
    """What stands before a message of `size` bytes; `ENVELOPE_TAIL` follows it."""
    meta = string_field(1, api_version) + string_field(2, kind)
    return MAGIC + message_field(1, meta) + message_head(2, size)


def encode_message(obj: Doc, type: Type) -> bytes:
    """The message of an object in JSON form; fields that the type does not know are left out."""
    return _struct(type)(obj)


def _size(size: int) -> bytes:
    return _SIZES[size] if size < 1024 else write_varint(size)


def _tag(number: int, wire: int) -> bytes:
    return write_varint(number << 3 | wire)


def _struct(type: Type) -> Content:
    """The encoder of a struct's fields."""
    if known := type.compiled.get("protowrite"):
        encode: Content = known
        return encode
    plan: dict[str, Part] | None = None
    inline: list[Part] = []

    def write(obj: Doc) -> bytes:
        nonlocal plan
        if plan is None:
            plan = _plan(type)
            inline.extend(_inline(number, inner) for number, name, inner in type.layout if number and name is None)
        part_of = plan.get
        parts = [
            part(value) for name, value in obj.items() if value is not None and (part := part_of(name)) is not None
        ]
        if inline:
            parts += [part(obj) for part in inline]
        return b"".join(parts)

    type.compiled["protowrite"] = write
    return write


def _plan(type: Type) -> dict[str, Part]:
    return {name: _field(number, inner) for number, name, inner in type.layout if number and name is not None}


def _inline(number: int, type: Type) -> Part:
    """A struct whose fields stand in its parent's document; left out when none of them is there."""
    tag, content = _tag(number, BYTES), _struct(type)

    def write(obj: Doc) -> bytes:
        raw = content(obj)
        return tag + _size(len(raw)) + raw if raw else b""

    return write


def _field(number: int, type: Type) -> Part:
    if type.item is None or type.wrapped:
        return _part(number, type)
    part = _part(number, type.item)
    if type.kind == "list":
        zero = _zero(type.item)
        return lambda value: b"".join([part(zero if element is None else element) for element in value])
    return _map(number, type.item)


def _zero(type: Type) -> Any:
    """What a null among the elements of a list is."""
    if type.kind in ("object", "any"):
        return None  # JSON's own
    return {} if type.kind == "struct" else 0 if type.kind in _NUMBERS else ""


def _map(number: int, item: Type) -> Part:
    tag, value_part = _tag(number, BYTES), _part(2, item)

    def write(value: Doc) -> bytes:
        parts = []
        for key in sorted(value):
            raw = string_field(1, key) + value_part(value[key])
            parts.append(tag + _size(len(raw)) + raw)
        return b"".join(parts)

    return write


_NUMBERS: Final = ("bool", "int32", "int64", "double")


def _part(number: int, type: Type) -> Part:
    """The encoder of one value with its tag."""
    wire = FIXED64 if type.kind == "double" else VARINT if type.kind in _NUMBERS else BYTES
    tag = _tag(number, wire)
    if wire == FIXED64:
        return lambda value: tag + struct.pack("<d", value)
    if wire == VARINT:
        return lambda value: tag + (_SIZES[value] if 0 <= value < 1024 else write_varint(value))
    if type.kind == "string" and not type.wrapped:
        return _string(tag)
    content = _wrapped if type.wrapped else _content(type)

    def write(value: Any) -> bytes:
        raw = content(value)
        return tag + _size(len(raw)) + raw

    return write


def _string(tag: bytes) -> Part:
    def write(value: str) -> bytes:
        raw = value.encode()
        size = len(raw)
        return tag + (_SIZES[size] if size < 1024 else write_varint(size)) + raw

    return write


def _content(type: Type) -> Content:
    if type.kind == "struct":
        return _struct(type)
    if type.kind in ("any", "object"):
        return _union(type) if type.name in _UNIONS else _raw if type.name in _RAW else lambda value: b""
    return _CONTENTS[type.kind]


def _wrapped(value: list[str]) -> bytes:
    return b"".join([string_field(1, text) for text in value])


@lru_cache(maxsize=1024)
def _time(value: str) -> bytes:
    since = parse_time(value) - _EPOCH
    seconds = since.days * 86400 + since.seconds
    return number_field(1, seconds) + number_field(2, since.microseconds * 1000)


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return number_field(1, 1) + number_field(2, 0) + string_field(3, value)
    return number_field(1, 0) + number_field(2, value) + string_field(3, "")


def _raw(value: Any) -> bytes:
    """JSON as Go writes it, for who compares its bytes: controllers and kubectl tell revisions apart by them."""
    text = orjson.dumps(value)
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return message_field(1, text)


_ESCAPES: Final = tuple((char.encode(), f"\\u{ord(char):04x}".encode()) for char in "<>&\u2028\u2029")


_RAW: Final = ("RawExtension", "FieldsV1", "JSON")
_UNIONS: Final = ("JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")


def _schema(value: Doc) -> bytes:
    return encode_message(value, table.struct("apiextensions.k8s.io/v1", "JSONSchemaProps"))


def _union(type: Type) -> Content:
    if type.name == "JSONSchemaPropsOrBool":
        return _schema_or_bool
    return _schema_or_list


def _schema_or_bool(value: Any) -> bytes:
    if isinstance(value, dict):
        return number_field(1, 1) + message_field(2, _schema(value))
    return number_field(1, int(value))


def _schema_or_list(value: Any) -> bytes:
    if isinstance(value, dict):
        return message_field(1, _schema(value))
    return b"".join([message_field(2, v.encode() if isinstance(v, str) else _schema(v)) for v in value])


_CONTENTS: Final[dict[str, Content]] = {
    "bytes": binascii.a2b_base64,
    "time": _time,
    "microtime": _time,
    "duration": lambda value: number_field(1, parse_duration(value)),
    "quantity": lambda value: string_field(1, value),
    "intorstring": _int_or_string,
}
