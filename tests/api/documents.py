"""Random documents of any type of the table: right in form, mostly wrong in content.

They are drawn from a seed, not from hypothesis' own choices: a Pod has thousands of nodes, and a seed shrinks and
replays as well as anything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from minik8s.schema.table import Field, Type

TEXTS = (
    "", "a", "web-1", "A_b", "a.b", "a/b", "example.com/name", "x" * 64, "x" * 254, "-", "..", "../x", "/x", "/a/../b",
    " ", "a=b", "é", "\x00", "*", "*.example.com", "$(A)", "10.96.0.1", "127.0.0.1", "::1", "10.0.0.0/8", "1.2.3",
    "None", "80", "25%", "0%", "101%", "-1", "spec.nodeName", "metadata.labels['a']", "limits.cpu", "cpu", "memory",
    "hugepages-2Mi", "requests.cpu", "kubernetes.io/x", "true", "http", "@hourly", "* * * * *", "Europe/Berlin", "ns",
    "default", "[", "{}",
)  # fmt: skip
NUMBERS = (0, 1, 2, 3, 5, 10, 80, 100, 443, 1000, 30000, 65535, 65536, -1, -(2**31), 2**31 - 1)
QUANTITIES = ("0", "1", "2", "500m", "1.5", "-1", "1Gi", "2Mi", "1e3", "1n", "9e18")
TIMES = ("2026-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
_DEPTH = 12

Maker = Callable[[Random], Any]
_SCALARS: Mapping[str, Maker] = {
    "bool": lambda rng: rng.random() < 0.5,
    "int32": lambda rng: rng.choice(NUMBERS),
    "int64": lambda rng: rng.choice((*NUMBERS, 2**63 - 1, -(2**63))),
    "double": lambda rng: rng.choice((0.0, 1.5, -1.0)),
    "bytes": lambda rng: rng.choice(("", "YQ==", "AAAA")),
    "time": lambda rng: rng.choice(TIMES),
    "microtime": lambda rng: rng.choice(("2026-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000001Z")),
    "duration": lambda rng: rng.choice(("0s", "1m0s", "-1s", "1h")),
    "quantity": lambda rng: rng.choice(QUANTITIES),
    "intorstring": lambda rng: rng.choice(NUMBERS if rng.random() < 0.5 else TEXTS),
    "object": lambda rng: rng.choice(({}, {"a": 1}, {"kind": "K", "apiVersion": "v1"})),
    "any": lambda rng: rng.choice((None, 1, "x", [1], {"a": {"b": []}})),
}


def document(type: Type, seed: int) -> Any:
    """A document of a kind; some seeds fill few fields, some many."""
    rng = Random(seed)
    density = rng.choice((0.05, 0.15, 0.3, 0.6))
    made = _value(type, rng, density, 0)
    made.pop("apiVersion", None)
    made.pop("kind", None)
    return made


def _value(type: Type, rng: Random, density: float, depth: int) -> Any:
    if type.kind == "struct":
        return {
            name: _value(field.type, rng, density, depth + 1)
            for name, field in type.fields.items()
            if name != "managedFields" and _is_chosen(field, rng, density, depth)
        }
    if type.kind == "list" and type.item is not None:
        items = [_value(type.item, rng, density, depth + 1) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        return items + items[:1] if items and rng.random() < 0.1 else items
    if type.kind == "map" and type.item is not None:
        return {_text(rng): _value(type.item, rng, density, depth + 1) for _ in range(rng.choice((0, 1, 1, 2)))}
    if type.wrapped:
        return [_text(rng)]
    if type.kind == "string":
        return rng.choice(type.enum) if type.enum and rng.random() < 0.8 else _text(rng)
    if type.name.startswith("JSONSchemaPropsOr"):
        return rng.choice((True, {"type": "string"}, {"properties": {"a": {"maximum": 1}}}, [{"type": "x"}]))
    return _SCALARS[type.kind](rng)


def _is_chosen(field: Field, rng: Random, density: float, depth: int) -> bool:
    if depth >= _DEPTH:
        return False
    if field.name in ("spec", "template", "containers"):
        return rng.random() < 0.95
    return rng.random() < (0.7 if field.required else density)


def _text(rng: Random) -> str:
    return rng.choice(TEXTS)


def variation(type: Type, base: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A good document with a few fields drawn anew: often still good, and then never seen before."""
    rng = Random(seed)
    doc: dict[str, Any] = copy.deepcopy(dict(base))
    for _ in range(rng.choice((1, 1, 2, 4))):
        _vary(type, doc, rng)
    return doc


def _vary(type: Type, doc: dict[str, Any], rng: Random) -> None:
    """Goes down a random path of what is there, and sets a random field of the struct where it stops."""
    while True:
        below = [
            (field.type, value)
            for name, field in type.fields.items()
            if name not in ("metadata", "status") or type.has_type_meta is False
            for value in _structs(field.type, doc.get(name))
        ]
        if below and rng.random() < 0.8:
            inner, doc = rng.choice(below)
            type = inner.item if inner.kind in ("list", "map") and inner.item is not None else inner
            continue
        name = rng.choice([name for name in type.fields if name not in ("metadata", "status", "managedFields")] or [""])
        if name:
            doc[name] = _value(type.fields[name].type, rng, 0.1, _DEPTH - 4)
        return


def _structs(type: Type, value: Any) -> list[dict[str, Any]]:
    """The structs that a field of this type holds."""
    if type.kind == "struct":
        return [value] if isinstance(value, dict) else []
    if type.item is None or type.item.kind != "struct":
        return []
    if type.kind == "list":
        return [item for item in value or () if isinstance(item, dict)]
    return [item for item in (value or {}).values() if isinstance(item, dict)]
