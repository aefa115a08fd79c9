"""From JSON to CEL where a schema says more than JSON can: numbers, times, durations and bytes.

Only what is selected by a typed field is converted; documents themselves stay as they are.
Also here: the CEL type of a node of the type table.
Upstream: k8s.io/apiserver `pkg/cel/common/schemas.go`, `values.go`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from minik8s.schema import table

from .errors import EvaluationError
from .timelib import parse_date, parse_duration
from .types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CelField,
    CelType,
    escape,
    list_of,
    map_of,
    object_of,
)
from .values import Optional

Convert = Callable[[Any], Any]


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise EvaluationError(f"invalid base64: {error}") from None


def _only(kind: type, convert: Convert) -> Convert:
    """Leaves alone what is not of the JSON type that the schema promises (null, or an object not yet validated)."""
    return lambda value: convert(value) if isinstance(value, kind) and not isinstance(value, bool) else value


_LEAVES: dict[str, Convert] = {
    "double": _only(int, float),
    "timestamp": _only(str, parse_date),
    "duration": _only(str, parse_duration),
    "bytes": _only(str, _bytes),
}


@lru_cache(maxsize=2048)
def converter(type_: CelType) -> Convert | None:
    """What a value of this type goes through when it is read from a document; None when it is used as it is."""
    if type_.kind in _LEAVES:
        return _LEAVES[type_.kind]
    if type_.kind == "list" and (item := converter(type_.params[0])) is not None:
        each = item
        return lambda value: [each(entry) for entry in value] if isinstance(value, list) else value
    if type_.kind == "map" and (item := converter(type_.params[1])) is not None:
        each = item
        return lambda value: {k: each(v) for k, v in value.items()} if isinstance(value, dict) else value
    if type_.kind == "optional" and (item := converter(type_.params[0])) is not None:
        each = item
        return lambda value: Optional(True, each(value.value)) if value.present else value
    return None


_SCALARS: dict[str, CelType] = {
    "string": STRING, "bool": BOOL, "int32": INT, "int64": INT, "double": DOUBLE, "bytes": BYTES, "time": TIMESTAMP,
    "microtime": TIMESTAMP, "duration": DURATION, "quantity": DYN, "intorstring": DYN, "any": DYN, "object": DYN,
}  # fmt: skip


class _TableFields:
    """The fields of a struct of the type table under their CEL names, looked up when first asked for."""

    def __init__(self, type_: table.Type) -> None:
        self.type = type_
        self.found: dict[str, CelField] | None = None

    def __call__(self, name: str) -> CelField | None:
        if self.found is None:
            fields = self.type.fields
            self.found = {
                escaped: CelField(key, type_of(field.type, field.list_type, field.list_keys))
                for key, field in fields.items()
                if (escaped := escape(key))
            }
            if self.type.schema is not None:
                self._restrict(self.found)
        return self.found.get(name)

    def _restrict(self, found: dict[str, CelField]) -> None:
        """Of a custom resource, and of objects within one, rules see what they are and how they are called."""
        for key in [key for key, field in found.items() if field.type is _UNKNOWN]:
            del found[key]
        if (metadata := self.type.fields.get("metadata")) is not None and metadata.type.schema is None:
            found |= {"kind": CelField("kind", STRING), "apiVersion": CelField("apiVersion", STRING)}
            found["metadata"] = CelField("metadata", _METADATA)


_METADATA = object_of("object", {"name": STRING, "generateName": STRING})
_UNKNOWN = CelType("dyn", "unknown")
"""What a schema says nothing about (`x-kubernetes-preserve-unknown-fields` alone): no rule can name it."""
_FORMATS = {"date": TIMESTAMP, "date-time": TIMESTAMP, "datetime": TIMESTAMP, "duration": DURATION, "byte": BYTES}


def type_of(type_: table.Type, list_type: str = "", list_keys: tuple[str, ...] = ()) -> CelType:
    """The CEL type of a node of the type table, of a built-in kind or of a custom resource's schema."""
    if type_.kind == "list":
        assert type_.item is not None
        return list_of(type_of(type_.item), "" if list_type == "atomic" else list_type, list_keys)
    if type_.kind == "map":
        assert type_.item is not None
        return map_of(STRING, type_of(type_.item))
    if type_.kind != "struct":
        if type_.schema is not None:
            if type_.kind in ("any", "object"):
                return _UNKNOWN
            if type_.kind == "string":
                return _FORMATS.get(type_.schema.get("format") or "", STRING)
        return _SCALARS[type_.kind]
    found: CelType | None = type_.compiled.get("cel")
    if found is None:
        found = type_.compiled["cel"] = CelType("object", type_.name or "object", (), _TableFields(type_))
    return found
