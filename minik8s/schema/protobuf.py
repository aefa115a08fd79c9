"""From Kubernetes' protobuf to JSON documents: client-go sends it for every built-in kind.

A message is read by the field numbers of the type table into the JSON form of the object, which then takes the
same road as a JSON body (`decode` gives it its canonical form and drops the zeros that Go writes for every field
without pointer). Wire format: developers.google.com/protocol-buffers/docs/encoding; envelope and custom
encodings: apimachinery `pkg/runtime/serializer/protobuf`, `meta/v1/generated.proto`.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from minik8s.machinery.meta import Obj
from minik8s.schema import table
from minik8s.schema.protowrite import MAGIC, message_type
from minik8s.schema.scalars import DecodeError, format_duration
from minik8s.schema.table import Type
from minik8s.schema.wire import (
    Value,
    as_bytes,
    as_number,
    as_signed,
    as_text,
    fields,
    read_varint,
)

__all__ = ["DecodeError", "decode_envelope", "decode_message"]


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
    type = message_type(api_version, kind)
    if type is None:
        raise DecodeError(f'no kind "{kind}" is registered for version "{api_version}"')
    return {"kind": kind, "apiVersion": api_version, **_read_struct(message, type)}


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
