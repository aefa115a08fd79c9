"""Upstream's field descriptions, for `kubectl explain`.

They are a megabyte of prose that the project does not carry. The optional package `kubernetes-validate` (extra
`explain`) ships upstream's JSON schemas; its file is read when somebody first asks for a schema, and without it
every description is empty.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import Final

import attrs
import orjson

_WANTED: Final = (1, 36)
"""The Kubernetes version described; the nearest one is taken."""


@attrs.frozen
class Description:
    """A struct's own text and those of its fields; empty where unknown."""

    text: str = ""
    fields: dict[str, str] = attrs.field(factory=dict)


def describe(component: str) -> Description:
    """The description of an OpenAPI component such as `io.k8s.api.core.v1.Pod`."""
    return _all().get(component, _NONE)


def source() -> str:
    """Which version of which schemas is read, "" for none; part of what identifies a document's content."""
    path = _path()
    return path.parent.name if path else ""


_NONE: Final = Description()


@cache
def _path() -> Path | None:
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.origin:
        return None
    found = Path(spec.origin).parent.glob("kubernetes-json-schema/v*-local/_definitions.json")
    return min(found, key=lambda path: _distance(path.parent.name), default=None)


def _distance(name: str) -> int:
    match = re.match(r"v(\d+)\.(\d+)", name)
    return abs(int(match[1]) * 1000 + int(match[2]) - _WANTED[0] * 1000 - _WANTED[1]) if match else 10**6


@cache
def _all() -> dict[str, Description]:
    path = _path()
    if path is None:
        return {}
    content = orjson.loads(path.read_bytes())
    definitions = content.get("$defs") or content.get("definitions") or {}
    return {
        name: Description(
            schema.get("description", ""),
            {
                key: field["description"]
                for key, field in schema.get("properties", {}).items()
                if "description" in field
            },
        )
        for name, schema in definitions.items()
    }
