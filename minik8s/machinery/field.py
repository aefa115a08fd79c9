"""Field errors: what validation says about one field of an object.

A validator returns a list of `StatusCause`, all errors at once, made by the functions below; the texts
are those of apimachinery `pkg/util/validation/field/errors.go`, because users read them and tests match
them. Paths are plain strings (`spec.containers[0].name`), grown with f-strings or `child` and `index`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from minik8s.machinery.errors import StatusCause

FieldErrors = list[StatusCause]


def render(value: Any) -> str:
    """A value as field errors show it: strings quoted, numbers and booleans bare, the rest compact JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return orjson.dumps(value).decode()


def required(path: str, detail: str = "") -> StatusCause:
    return StatusCause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), path)


def invalid(path: str, value: Any, detail: str) -> StatusCause:
    return StatusCause("FieldValueInvalid", f"Invalid value: {render(value)}: {detail}", path)


def invalid_as_a_whole(path: str, detail: str) -> StatusCause:
    """Where upstream leaves the value out of the message."""
    return StatusCause("FieldValueInvalid", f"Invalid value: {detail}", path)


def not_supported(path: str, value: Any, supported: Iterable[str]) -> StatusCause:
    """`supported` is shown in the order given."""
    shown = ", ".join(f'"{s}"' for s in supported)
    return StatusCause("FieldValueNotSupported", f"Unsupported value: {render(value)}: supported values: {shown}", path)


def forbidden(path: str, detail: str) -> StatusCause:
    return StatusCause("FieldValueForbidden", f"Forbidden: {detail}", path)


def duplicate(path: str, value: Any) -> StatusCause:
    return StatusCause("FieldValueDuplicate", f"Duplicate value: {render(value)}", path)


def not_found(path: str, value: Any) -> StatusCause:
    return StatusCause("FieldValueNotFound", f"Not found: {render(value)}", path)


def too_long(path: str, limit: int) -> StatusCause:
    return StatusCause("FieldValueTooLong", f"Too long: may not be more than {limit} bytes", path)


def too_many(path: str, count: int, limit: int) -> StatusCause:
    noun = "item" if limit == 1 else "items"
    return StatusCause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} {noun}", path)


def type_invalid(path: str, value: Any, detail: str) -> StatusCause:
    return StatusCause("FieldValueTypeInvalid", f"Invalid value: {render(value)}: {detail}", path)
