"""Kubernetes' protobuf, both ways: client-go sends it and takes no other answer for an encoding it chose itself.

A message is read by the field numbers of the type table into the JSON form of the object, which then takes the
same road as a JSON body (`decode` gives it its canonical form and drops the zeros that Go writes for every field
without pointer). Wire format: developers.google.com/protocol-buffers/docs/encoding; envelope and custom
encodings: apimachinery `pkg/runtime/serializer/protobuf`, `meta/v1/generated.proto`.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from minik8s.machinery.meta import Doc, Obj, parse_time
from minik8s.schema import table
from minik8s.schema.scalars import DecodeError, format_duration, parse_duration
from minik8s.schema.table import Type
from minik8s.schema.wire import (
    FIXED64,
    Value,
    as_bytes,
    as_number,
    as_signed,
    as_text,
    fields,
    message_field,
    number_field,
    read_varint,
    string_field,
    write_varint,
)

__all__ = ["DecodeError", "decode_envelope", "decode_message", "encode_envelope", "encode_message"]

MAGIC: Final = b"k8s\x00"


def decode_envelope(data: bytes) -> tuple[str, str, bytes]:
    """apiVersion, kind and the object's message of a request body; raises DecodeError."""
    if not data.startswith(MAGIC):
        raise DecodeError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    api_version, kind, raw, encoding = "", "", b"", ""
    for number, value in fields(data[4:]):
        if number == 1:
            for part, text in fields(as_bytes(value)):
                if part == 1:
                    api_version = as_text(text)
                elif part == 2:
                    kind = as_text(text)
        elif number == 2:
            raw = as_bytes(value)
        elif number == 3:
            encoding = as_text(value)
    if encoding:
        raise DecodeError(f"unsupported content encoding {encoding!r}")
    return api_version, kind, raw


def encode_envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    """A response body around an encoded message."""
    meta = string_field(1, api_version) + string_field(2, kind)
    return MAGIC + message_field(1, meta) + message_field(2, raw) + message_field(3, b"") + message_field(4, b"")


def decode_message(raw: bytes, type: Type) -> Obj:
    """The JSON form of a message, without kind and apiVersion; unknown field numbers are skipped.

    Raises DecodeError for malformed bytes and for JSON inside of them that is none.
    """
    found: Obj = {}
    try:
        _read_into(found, raw, type)
    except RecursionError:
        raise DecodeError("proto: exceeded max depth") from None
    return found


def encode_message(obj: Doc, type: Type) -> bytes:
    """The message of an object in JSON form; fields that the type does not know are left out."""
    return b"".join(_write_struct(obj, type))


# -- reading -------------------------------------------------------------------------------------------------


def _read_into(found: Obj, raw: bytes, type: Type) -> None:
    """Adds the fields of one message; an inline struct's fields land in the same object."""
    layout: dict[int, tuple[str | None, Type]] | None = type.compiled.get("protobuf")
    if layout is None:
        layout = type.compiled["protobuf"] = {number: (name, inner) for number, name, inner in type.layout if number}
    for number, value in fields(raw):
        name, inner = layout.get(number, (None, None))
        if inner is None:
            continue
        if name is None:
            _read_into(found, as_bytes(value), inner)
        elif inner.item is None or inner.wrapped:
            read = _read(value, inner)
            if read is not None:
                found[name] = read
        elif inner.kind == "list":
            _append(found.setdefault(name, []), value, inner.item)
        else:
            _put(found.setdefault(name, {}), as_bytes(value), inner.item)


def _append(items: list[Any], value: Value, item: Type) -> None:
    if isinstance(value, bytes) and item.kind in ("int32", "int64", "bool"):  # packed
        position = 0
        while position < len(value):
            number, position = read_varint(value, position)
            items.append(_read(number, item))
    else:
        items.append(_read(value, item))


def _put(entries: Obj, raw: bytes, item: Type) -> None:
    key, value = "", None
    for number, part in fields(raw):
        if number == 1:
            key = as_text(part)
        elif number == 2:
            value = _read(part, item)
    entries[key] = _EMPTY.get(item.kind, value) if value is None else value


_EMPTY: Final[dict[str, Any]] = {"string": "", "bytes": "", "quantity": "0"}


def _read(value: Value, type: Type) -> Any:
    if type.wrapped:
        return [as_text(part) for number, part in fields(as_bytes(value)) if number == 1]
    return _READERS[type.kind](value, type)


def _read_struct(value: Value, type: Type) -> Obj:
    found: Obj = {}
    _read_into(found, as_bytes(value), type)
    return found


def _read_int32(value: Value, type: Type) -> int:
    number = as_number(value) & 0xFFFF_FFFF
    return number - 2**32 if number >= 2**31 else number


def _read_double(value: Value, type: Type) -> float:
    number: float = struct.unpack("<d", as_number(value).to_bytes(8, "little"))[0]
    if number != number or number in (float("inf"), float("-inf")):
        raise DecodeError("json: unsupported value: NaN or infinite")
    return number


def _parts(value: Value) -> dict[int, Value]:
    return dict(fields(as_bytes(value)))


def _moment(value: Value) -> datetime | None:
    parts = _parts(value)
    if not parts:
        return None
    try:
        nanos = as_signed(parts.get(2, 0))
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=as_signed(parts.get(1, 0)), microseconds=nanos // 1000
        )
    except OverflowError:
        raise DecodeError("proto: time out of range") from None


def _read_time(value: Value, type: Type) -> str | None:
    when = _moment(value)
    return None if when is None else when.isoformat(timespec="seconds")[:19] + "Z"


def _read_microtime(value: Value, type: Type) -> str | None:
    when = _moment(value)
    return None if when is None else when.isoformat(timespec="microseconds")[:26] + "Z"


def _read_int_or_string(value: Value, type: Type) -> int | str:
    parts = _parts(value)
    return as_text(parts.get(3, b"")) if as_number(parts.get(1, 0)) == 1 else _read_int32(parts.get(2, 0), type)


def _read_json(value: Value, type: Type) -> Any:
    """RawExtension, FieldsV1, JSON: {1 raw}; the three schema unions of apiextensions have messages of their own."""
    parts = list(fields(as_bytes(value)))
    if type.name in _UNIONS:
        return _read_union(parts, type)
    raw = next((as_bytes(part) for number, part in parts if number == 1), b"")
    if type.name not in _RAW:
        return {}
    if raw.startswith(MAGIC):
        return _read_embedded(raw)
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"json: {error}") from None


def _read_embedded(raw: bytes) -> Obj:
    """An object inside of a RawExtension, in an envelope of its own."""
    api_version, kind, message = decode_envelope(raw)
    home = api_version if "/" in api_version else f"core/{api_version}"
    if not table.has_struct(home, kind):
        raise DecodeError(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"kind": kind, "apiVersion": api_version, **_read_struct(message, table.struct(home, kind))}


_RAW: Final = ("RawExtension", "FieldsV1", "JSON")
_UNIONS: Final = ("JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray")


def _schema_type() -> Type:
    return table.struct("apiextensions.k8s.io/v1", "JSONSchemaProps")


def _read_union(parts: list[tuple[int, Value]], type: Type) -> Any:
    or_bool = type.name == "JSONSchemaPropsOrBool"
    schema_number = 2 if or_bool else 1
    for number, part in parts:
        if number == schema_number:
            return _read_struct(part, _schema_type())
    if or_bool:
        return any(number == 1 and as_number(part) != 0 for number, part in parts)
    if type.name == "JSONSchemaPropsOrArray":
        return [_read_struct(part, _schema_type()) for number, part in parts if number == 2]
    return [as_text(part) for number, part in parts if number == 2]


_READERS: Final[dict[str, Callable[[Value, Type], Any]]] = {
    "string": lambda value, type: as_text(value),
    "bool": lambda value, type: as_number(value) != 0,
    "int32": _read_int32,
    "int64": lambda value, type: as_signed(value),
    "double": _read_double,
    "bytes": lambda value, type: binascii.b2a_base64(as_bytes(value), newline=False).decode(),
    "time": _read_time,
    "microtime": _read_microtime,
    "duration": lambda value, type: format_duration(as_signed(_parts(value).get(1, 0))),
    "quantity": lambda value, type: as_text(_parts(value).get(1, b"0")) or "0",
    "intorstring": _read_int_or_string,
    "any": _read_json,
    "object": _read_json,
    "struct": _read_struct,
}


# -- writing -------------------------------------------------------------------------------------------------


def _write_struct(obj: Doc, type: Type) -> Iterator[bytes]:
    for number, name, inner in type.layout:
        if name is None:
            content = encode_message(obj, inner)
            if content:
                yield message_field(number, content)
            continue
        value = obj.get(name)
        if value is None:
            continue
        if inner.item is None or inner.wrapped:
            yield _write(number, value, inner)
        elif inner.kind == "list":
            for element in value:
                yield _write(number, element, inner.item)
        else:
            for key, element in value.items():
                yield message_field(number, string_field(1, key) + _write(2, element, inner.item))


def _write(number: int, value: Any, type: Type) -> bytes:
    if type.wrapped:
        return message_field(number, b"".join(string_field(1, text) for text in value))
    if type.kind in ("bool", "int32", "int64"):
        return number_field(number, int(value))
    if type.kind == "double":
        return write_varint(number << 3 | FIXED64) + struct.pack("<d", value)
    return message_field(number, _WRITERS[type.kind](value, type))


def _write_time(value: str, type: Type) -> bytes:
    since = parse_time(value) - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86400 + since.seconds
    return number_field(1, seconds) + number_field(2, since.microseconds * 1000)


def _write_int_or_string(value: int | str, type: Type) -> bytes:
    text = isinstance(value, str)
    number = 0 if isinstance(value, str) else value
    return number_field(1, int(text)) + number_field(2, number) + string_field(3, str(value) if text else "")


def _write_json(value: Any, type: Type) -> bytes:
    if type.name in _UNIONS:
        return _write_union(value, type)
    return message_field(1, orjson.dumps(value)) if type.name in _RAW else b""


def _write_union(value: Any, type: Type) -> bytes:
    or_bool = type.name == "JSONSchemaPropsOrBool"
    if isinstance(value, dict):
        schema = message_field(2 if or_bool else 1, encode_message(value, _schema_type()))
        return number_field(1, 1) + schema if or_bool else schema
    if or_bool:
        return number_field(1, int(value))
    if type.name == "JSONSchemaPropsOrArray":
        return b"".join(message_field(2, encode_message(v, _schema_type())) for v in value)
    return b"".join(string_field(2, text) for text in value)


_WRITERS: Final[dict[str, Callable[[Any, Type], bytes]]] = {
    "string": lambda value, type: value.encode(),
    "bytes": lambda value, type: binascii.a2b_base64(value),
    "time": _write_time,
    "microtime": _write_time,
    "duration": lambda value, type: number_field(1, parse_duration(value)),
    "quantity": lambda value, type: string_field(1, value),
    "intorstring": _write_int_or_string,
    "any": _write_json,
    "object": _write_json,
    "struct": encode_message,
}
