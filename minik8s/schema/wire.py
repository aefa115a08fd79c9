"""Protobuf's wire format: varints, tags and length-delimited fields, nothing of Kubernetes.

developers.google.com/protocol-buffers/docs/encoding. Malformed bytes raise `DecodeError` with the words of
gogo/protobuf, never anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from minik8s.schema.scalars import DecodeError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_EOF: Final = "proto: unexpected EOF"

Value = int | bytes
"""What a field holds on the wire: a number (varint, fixed) or bytes."""


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    try:
        while True:
            byte = data[position]
            position += 1
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result & 0xFFFF_FFFF_FFFF_FFFF, position
            shift += 7
            if shift > 63:
                raise DecodeError("proto: integer overflow")
    except IndexError:
        raise DecodeError(_EOF) from None


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Field numbers and their values, in the order of the wire."""
    position, end = 0, len(data)
    while position < end:
        tag, position = read_varint(data, position)
        wire = tag & 7
        if tag < 8:
            raise DecodeError(f"proto: illegal tag {tag >> 3} (wire type {wire})")
        if wire == BYTES:
            size, position = read_varint(data, position)
            value: Value = data[position : position + size]
            position += size
        elif wire == VARINT:
            value, position = read_varint(data, position)
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            value = int.from_bytes(data[position : position + size], "little")
            position += size
        else:
            raise DecodeError(f"proto: illegal wireType {wire}")
        if position > end:
            raise DecodeError(_EOF)
        yield tag >> 3, value


def as_bytes(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    raise DecodeError("proto: wrong wireType = 0 for a field of bytes")


def as_text(value: Value) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError:
        raise DecodeError("proto: string field contains invalid UTF-8") from None


def as_number(value: Value) -> int:
    if isinstance(value, int):
        return value
    raise DecodeError("proto: wrong wireType = 2 for a number")


def as_signed(value: Value) -> int:
    number = as_number(value)
    return number - 2**64 if number >= 2**63 else number


def write_varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number_field(number: int, value: int) -> bytes:
    return write_varint(number << 3) + write_varint(value)


def message_head(number: int, size: int) -> bytes:
    """What stands before a field's content of `size` bytes."""
    return write_varint(number << 3 | BYTES) + write_varint(size)


def message_field(number: int, content: bytes) -> bytes:
    return message_head(number, len(content)) + content


def string_field(number: int, text: str) -> bytes:
    return message_field(number, text.encode())
