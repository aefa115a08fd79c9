"""Bytes to JSON documents and back: JSON, YAML and manifests of several documents.

orjson does the JSON work. It keeps the last of two equal keys silently, so duplicates are found by counting: a
document has as many keys as its source has `":`, and only when the counts differ is the source parsed again,
slowly, to say where. Errors have the words of Go's parsers, which clients show to people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import orjson

from minik8s.machinery.meta import Doc, Obj
from minik8s.schema.scalars import DecodeError, json_word

__all__ = [
    "DecodeError",
    "check_encodable",
    "dumps",
    "dumps_yaml",
    "load_manifests",
    "loads_json",
    "loads_patch",
    "loads_value",
    "loads_yaml",
    "yaml_complaint",
]


_FRACTIONS = re.compile(rb"[:,\[]\s*-?[0-9]+[.eE]")
"""Where numbers stand (or seem to stand) that YAML and JSON read in different ways: `1.0` is an int in YAML."""


def loads_value(data: bytes) -> Any:
    """Any JSON value (a patch may be a list); raises DecodeError."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DecodeError(_go_message(data, error)) from None


def loads_patch(data: bytes) -> tuple[Any, list[str]]:
    """Any JSON value and the paths of its duplicate fields; raises DecodeError."""
    value = loads_value(data)
    if not isinstance(value, dict | list) or _count_keys(check_encodable(value)) == _count_keys(data):
        return value, []
    return value, _duplicates(data)


def loads_json(data: bytes) -> tuple[Obj, list[str]]:
    """A JSON object and the paths of its duplicate fields; raises DecodeError."""
    doc = _object(loads_value(data))
    return doc, [] if _count_keys(check_encodable(doc)) == _count_keys(data) else _duplicates(data)


def check_encodable(doc: Any) -> bytes:
    """The value's JSON inside sixteen pairs of brackets: room for what a server puts around it (a list, a table, the
    field sets that mirror it). Raises DecodeError for what could be stored and never be shown.
    """
    try:
        return orjson.dumps([[[[[[[[[[[[[[[[doc]]]]]]]]]]]]]]]])
    except TypeError as error:
        deep = "Recursion" in str(error)
        raise DecodeError("exceeded max depth" if deep else f"json: {error}") from None


def loads_yaml(data: bytes) -> tuple[Obj, list[str]]:
    """The first document of a YAML stream and the paths of its duplicate keys; raises DecodeError."""
    if data.startswith(b"{") and not _FRACTIONS.search(data):
        try:  # what is JSON already, as most of what is sent as YAML, is read ten times as fast
            doc = _object(orjson.loads(data))
        except orjson.JSONDecodeError:
            pass
        else:
            if _count_keys(check_encodable(doc)) == _count_keys(data):
                return doc, []
    from minik8s.schema import yamlform  # here and below: PyYAML costs more to import than most runs use it

    for value, duplicates in yamlform.documents(data):
        doc = _object(value)
        check_encodable(doc)
        return doc, list(duplicates)
    raise DecodeError("unexpected end of YAML input")


def yaml_complaint(duplicates: list[str]) -> str:
    """What go-yaml says about duplicate keys that `loads_yaml` has found; "" when there are none."""
    from minik8s.schema import yamlform

    found = [d for d in duplicates if isinstance(d, yamlform.DuplicateKey)]
    lines = [f'\n  line {d.line}: key "{d.key}" already set in map' for d in found]
    return "error converting YAML to JSON: yaml: unmarshal errors:" + "".join(lines) if lines else ""


def load_manifests(text: str) -> list[Obj]:
    """All objects of a manifest: several YAML or JSON documents, lists expanded, empty documents skipped.

    Raises DecodeError, also for a document that is not an object.
    """
    from minik8s.schema import yamlform

    return [item for doc, _ in yamlform.documents(text.encode()) if doc is not None for item in _expand(_object(doc))]


def dumps(obj: Doc, *, indent: bool = False) -> bytes:
    """Compact JSON, or with two spaces of indentation, without a trailing newline."""
    return orjson.dumps(obj, option=orjson.OPT_INDENT_2) if indent else orjson.dumps(obj)


def dumps_yaml(obj: Doc) -> bytes:
    """YAML with sorted keys, as sigs.k8s.io/yaml writes it."""
    from minik8s.schema import yamlform

    return yamlform.dump(obj)


def _object(value: Any) -> Obj:
    if isinstance(value, dict):
        return value
    raise DecodeError(f"json: cannot unmarshal {json_word(value)} into Go value of type map[string]interface {{}}")


def _expand(doc: Obj) -> Iterator[Obj]:
    items = doc.get("items")
    kind = doc.get("kind")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        yield doc
        return
    for item in items:
        item = _object(item)
        if kind != "List" and "kind" not in item:
            item = {"kind": kind.removesuffix("List"), "apiVersion": doc.get("apiVersion", ""), **item}
        yield from _expand(item)


def _count_keys(data: bytes) -> int:
    """The keys of compact JSON; a quote inside a string is escaped, so `\\":` is none."""
    return data.count(b'":') - data.count(b'\\":')


class _Noting(dict[str, Any]):
    """A JSON object that remembers which keys came twice."""

    twice: frozenset[str] = frozenset()


def _noting(pairs: list[tuple[str, Any]]) -> _Noting:
    found = _Noting(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        found.twice = frozenset(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return found


def _duplicates(data: bytes) -> list[str]:
    return list(_duplicate_paths(json.loads(data, object_pairs_hook=_noting), ""))


def _duplicate_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, _Noting):
        for key, child in value.items():
            where = f"{path}.{key}" if path else key
            if key in value.twice:
                yield where
            yield from _duplicate_paths(child, where)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _duplicate_paths(child, f"{path}[{index}]")


_CONTEXTS: Mapping[str, str] = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
"""What json says, and what Go says of the same place."""


def _refuse_constant(name: str) -> NoReturn:
    raise DecodeError(f"invalid character '{name[0]}' looking for beginning of value")


def _go_message(data: bytes, error: orjson.JSONDecodeError) -> str:
    """Go's description of broken JSON, from a second parse that says more than orjson does."""
    try:
        text = data.decode()
        json.loads(text, parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        return "invalid UTF-8 in JSON input"
    except RecursionError:
        return "exceeded max depth"
    except DecodeError as refusal:
        return str(refusal)
    except json.JSONDecodeError as found:
        if found.pos >= len(text.rstrip()) or found.msg.startswith("Unterminated string"):
            return "unexpected end of JSON input"
        context = next((go for said, go in _CONTEXTS.items() if found.msg.startswith(said)), found.msg)
        return f"invalid character {text[found.pos]!r} {context}"
    return str(error)
