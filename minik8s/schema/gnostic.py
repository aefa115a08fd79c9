"""Swagger 2.0 documents as protobuf: google/gnostic's `OpenAPIv2.proto`, which kubectl reads instead of JSON. Pure.

A table says for each message which JSON key is which field. What has no field is left out, zeros are not written (it is
proto3), and what may be anything (enum values, extensions) is text in YAML. JSON is YAML too, so it is written as such.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from minik8s.machinery.meta import Doc
from minik8s.schema.wire import FIXED64, message_field, number_field, string_field, write_varint

Encode = Callable[[int, Any], bytes]
"""A field's number and value, to the field."""


class _Message(NamedTuple):
    fields: Mapping[str, tuple[int, Encode]]
    extensions: int
    """The number of the field for all keys that begin with `x-`; 0 without one."""


def encode(swagger: Doc) -> bytes:
    """A whole document."""
    return _content("Document", swagger)


def _content(message: str, value: Doc) -> bytes:
    fields, extensions = _MESSAGES[message]
    parts = []
    for key, part in value.items():
        if row := fields.get(key):
            parts.append(row[1](row[0], part))
        elif extensions and key.startswith("x-"):
            parts.append(message_field(extensions, string_field(1, key) + _any(2, part)))
    return b"".join(parts)


# -- kinds of fields -----------------------------------------------------------------------------------------


def _flag(number: int, value: bool) -> bytes:
    return number_field(number, 1) if value else b""


def _whole(number: int, value: float) -> bytes:
    return number_field(number, int(value)) if value else b""


def _double(number: int, value: float) -> bytes:
    return write_varint(number << 3 | FIXED64) + struct.pack("<d", value) if value else b""


_UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def _any(number: int, value: Any) -> bytes:
    """`Any`, by its `yaml`. Blanks after colons, and what YAML does not print escaped: its readers insist on both."""
    text = json.dumps(value, ensure_ascii=False)
    yaml = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return message_field(number, string_field(2, yaml + "\n"))


def _many(one: Encode) -> Encode:
    return lambda number, values: b"".join([one(number, value) for value in values])


def _map(one: Encode) -> Encode:
    """Pairs of a name (1) and a value (2)."""
    return lambda number, values: b"".join(
        [message_field(number, string_field(1, name) + one(2, value)) for name, value in values.items()]
    )


def _message(name: str) -> Encode:
    return lambda number, value: message_field(number, _content(name, value))


def _within(inner: int, one: Encode) -> Encode:
    """A message of which only field `inner` is of use."""
    return lambda number, value: message_field(number, one(inner, value))


def _additional(number: int, value: Any) -> bytes:
    """`true` or `false`, the latter written out, for a oneof has a presence; or a schema."""
    return message_field(number, number_field(2, int(value)) if isinstance(value, bool) else _schema(1, value))


_PLACES: Final = {"header": 1, "query": 3, "path": 4}


def _parameter(number: int, value: Doc) -> bytes:
    """A parameter's message depends on where it stands in the request."""
    if value["in"] == "body":
        found = message_field(1, _content("BodyParameter", value))
    else:
        place = value["in"]
        found = message_field(2, message_field(_PLACES[place], _content(f"{place} parameter", value)))
    return message_field(number, message_field(1, found))


# -- the table -----------------------------------------------------------------------------------------------

_schema = _message("Schema")
_strings = _many(string_field)


def _parameter_fields(start: int) -> Mapping[str, tuple[int, Encode]]:
    """Of a parameter outside the body, as far as Kubernetes has such; what begins at "type" is numbered on."""
    head: dict[str, tuple[int, Encode]] = {
        "required": (1, _flag), "in": (2, string_field), "description": (3, string_field), "name": (4, string_field),
    }  # fmt: skip
    return {**head, "type": (start, string_field), "format": (start + 1, string_field),
            "uniqueItems": (start + 14, _flag)}  # fmt: skip


_MESSAGES: Final[Mapping[str, _Message]] = {
    "Document": _Message(
        {
            "swagger": (1, string_field),
            "info": (2, _message("Info")),
            "paths": (8, _within(2, _map(_message("PathItem")))),
            "definitions": (9, _within(1, _map(_schema))),
            "security": (12, _many(_within(1, _map(_within(1, _strings))))),
            "securityDefinitions": (13, _within(1, _map(_within(2, _message("ApiKeySecurity"))))),
        },
        16,
    ),
    "Info": _Message({"title": (1, string_field), "version": (2, string_field)}, 7),
    "ApiKeySecurity": _Message(
        {
            "type": (1, string_field),
            "name": (2, string_field),
            "in": (3, string_field),
            "description": (4, string_field),
        },
        5,
    ),
    "PathItem": _Message(
        {
            "get": (2, _message("Operation")),
            "put": (3, _message("Operation")),
            "post": (4, _message("Operation")),
            "delete": (5, _message("Operation")),
            "patch": (8, _message("Operation")),
            "parameters": (9, _many(_parameter)),
        },
        10,
    ),
    "Operation": _Message(
        {
            "tags": (1, _strings),
            "description": (3, string_field),
            "operationId": (5, string_field),
            "produces": (6, _strings),
            "consumes": (7, _strings),
            "parameters": (8, _many(_parameter)),
            "responses": (9, _within(1, _map(_within(1, _message("Response"))))),
            "schemes": (10, _strings),
        },
        13,
    ),
    "Response": _Message({"description": (1, string_field), "schema": (2, _within(1, _schema))}, 5),
    "BodyParameter": _Message(
        {
            "description": (1, string_field),
            "name": (2, string_field),
            "in": (3, string_field),
            "required": (4, _flag),
            "schema": (5, _schema),
        },
        6,
    ),
    "header parameter": _Message(_parameter_fields(5), 22),
    "query parameter": _Message(_parameter_fields(6), 23),  # 5 is allow_empty_value
    "path parameter": _Message(_parameter_fields(5), 22),
    "Schema": _Message(
        {
            "$ref": (1, string_field),
            "format": (2, string_field),
            "title": (3, string_field),
            "description": (4, string_field),
            "multipleOf": (6, _double),
            "maximum": (7, _double),
            "exclusiveMaximum": (8, _flag),
            "minimum": (9, _double),
            "exclusiveMinimum": (10, _flag),
            "maxLength": (11, _whole),
            "minLength": (12, _whole),
            "pattern": (13, string_field),
            "maxItems": (14, _whole),
            "minItems": (15, _whole),
            "uniqueItems": (16, _flag),
            "maxProperties": (17, _whole),
            "minProperties": (18, _whole),
            "required": (19, _strings),
            "enum": (20, _many(_any)),
            "additionalProperties": (21, _additional),
            "type": (22, _within(1, string_field)),
            "items": (23, _within(1, _schema)),
            "properties": (25, _within(1, _map(_schema))),
        },
        31,
    ),
}
"""Message -> JSON key -> field number and encoding. Messages that only hold one field are `_within`."""
