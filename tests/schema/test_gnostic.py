"""Swagger as protobuf, read back by a decoder that knows the messages in another way: field numbers to names."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from minik8s.api.resources import BUILTIN
from minik8s.apiserver.swagger import openapi_v2
from minik8s.schema.gnostic import encode
from minik8s.schema.wire import fields

Read = Callable[[Any], Any]


def text(value: bytes) -> str:
    return value.decode()


def double(value: int) -> float:
    (number,) = struct.unpack("<d", value.to_bytes(8, "little"))
    return float(number)


def anything(value: bytes) -> Any:
    return yaml.safe_load(dict(fields(value))[2])  # type: ignore[arg-type]


def only(number: int, read: Read) -> Read:
    """The one field of a message."""

    def inner(value: bytes) -> Any:
        ((found, content),) = fields(value)
        assert found == number
        return read(content)

    return inner


def pairs(number: int, read: Read) -> Read:
    def inner(value: bytes) -> Any:
        found = {}
        for key, pair in fields(value):
            assert key == number
            named = dict(fields(pair))  # type: ignore[arg-type]
            found[text(named[1])] = read(named.get(2, b""))  # type: ignore[arg-type]
        return found

    return inner


def message(extensions: int, **rows: tuple[int, Read]) -> Read:
    """`name=(number, read)`; a name that ends in `__` may be repeated, `ref` is `$ref`."""
    by_number = {number: (name, read) for name, (number, read) in rows.items()}

    def inner(value: bytes) -> Any:
        found: dict[str, Any] = {}
        for number, content in fields(value):
            if number == extensions:
                (key, held) = dict(fields(content)).values()  # type: ignore[arg-type]
                found[text(key)] = anything(held)  # type: ignore[arg-type]
                continue
            name, read = by_number[number]
            if name.endswith("__"):
                found.setdefault(name[:-2], []).append(read(content))
            else:
                found["$ref" if name == "ref" else name] = read(content)
        return found

    return inner


def schema(value: bytes) -> Any:
    return message(
        31,
        ref=(1, text), format=(2, text), title=(3, text), description=(4, text), multipleOf=(6, double),
        maximum=(7, double), exclusiveMaximum=(8, bool), minimum=(9, double), exclusiveMinimum=(10, bool),
        maxLength=(11, int), minLength=(12, int), pattern=(13, text), maxItems=(14, int), minItems=(15, int),
        uniqueItems=(16, bool), maxProperties=(17, int), minProperties=(18, int), required__=(19, text),
        enum__=(20, anything), additionalProperties=(21, additional), type=(22, only(1, text)),
        items=(23, only(1, schema)), properties=(25, pairs(1, schema)),
    )(value)  # fmt: skip


def additional(value: bytes) -> Any:
    ((number, content),) = fields(value)
    return schema(content) if number == 1 else bool(content)  # type: ignore[arg-type]


def parameter(value: bytes) -> Any:
    ((number, content),) = fields(only(1, lambda inner: inner)(value))
    if number == 1:
        body = message(
            6, description=(1, text), name=(2, text), required=(4, bool), schema=(5, schema), **{"in": (3, text)}
        )
        return body(content)  # type: ignore[arg-type]
    assert number == 2
    ((place, content),) = fields(content)  # type: ignore[arg-type]
    start = {3: 6, 4: 5}[place]
    rows = {"in": (2, text), "type": (start, text), "uniqueItems": (start + 14, bool)}
    return message(0, required=(1, bool), description=(3, text), name=(4, text), **rows)(content)  # type: ignore[arg-type]


RESPONSE = message(5, description=(1, text), schema=(2, only(1, schema)))
OPERATION = message(
    13,
    tags__=(1, text), description=(3, text), operationId=(5, text), produces__=(6, text), consumes__=(7, text),
    parameters__=(8, parameter), responses=(9, pairs(1, only(1, RESPONSE))), schemes__=(10, text),
)  # fmt: skip
METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
PATH_ITEM = message(10, parameters__=(9, parameter), **{name: (n, OPERATION) for name, n in METHODS.items()})
KEY = message(5, type=(1, text), name=(2, text), description=(4, text), **{"in": (3, text)})
DOCUMENT = message(
    16,
    swagger=(1, text), info=(2, message(7, title=(1, text), version=(2, text))),
    paths=(8, lambda value: pairs(2, PATH_ITEM)(value)), definitions=(9, pairs(1, schema)),
    security__=(12, pairs(1, lambda value: [text(v) for _, v in fields(value)])),
    securityDefinitions=(13, pairs(1, only(2, KEY))),
)  # fmt: skip


def test_the_whole_document_comes_back() -> None:
    """Nothing that the JSON says is lost on the way through protobuf."""
    document = openapi_v2([r for r in BUILTIN if r.group in ("", "apps", "apiextensions.k8s.io")], version="v1.2.3")
    assert DOCUMENT(encode(document)) == document


@pytest.mark.parametrize(
    "one",
    [
        {"type": "number", "multipleOf": 0.5, "maximum": 3.0, "minimum": -1.0, "exclusiveMaximum": True},
        {"type": "string", "maxLength": 300, "minLength": 1, "pattern": "^a$", "enum": ["a", "\u0085\x7f\u2028😀"]},
        {"type": "integer", "enum": [1, None, {"a": [1.5, True]}]},
        {"additionalProperties": True},
        {"additionalProperties": False},
        {"x-kubernetes-validations": [{"rule": 'self.a == "b: c"', "message": "é # not\ta comment"}]},
    ],
)
def test_schemas_come_back(one: dict[str, Any]) -> None:
    """Numbers, booleans of a oneof, and YAML of any value, whatever characters it holds."""
    assert DOCUMENT(encode({"definitions": {"a.B": one}})) == {"definitions": {"a.B": one}}


def test_bytes() -> None:
    """A golden pair by hand: definitions (9) > pair (1) > name (1) and schema (2) > type (22) > value (1)."""
    inner = b"\x0a\x01A\x12\x0b\xb2\x01\x08\x0a\x06string"
    assert encode({"definitions": {"A": {"type": "string", "nonsense": 1}}}) == b"\x4a\x12\x0a\x10" + inner


def test_zeros_are_not_written() -> None:
    """It is proto3: what is absent is zero."""
    assert encode({"definitions": {"A": {"minimum": 0, "maxLength": 0}}}) == encode({"definitions": {"A": {}}})
