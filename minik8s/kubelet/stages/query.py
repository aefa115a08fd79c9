"""The paths by which stages select and read: the part of jq that KWOK's stages use.

    .metadata.name   .metadata.labels["a.b/c"]   .status.conditions[]   .status.conditions.[]   .spec.containers[0]
    .status.conditions.[] | select( .type == "Ready" ) | .status

A query answers values; a path that leads nowhere answers none, and null is none. Anything else is a ValueError when the
query is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

_PART = re.compile(r"\.?\[\s*(?P<key>\"(?:\\.|[^\"\\])*\"|\d*)\s*\]|\.(?P<name>[A-Za-z_]\w*)|\.(?P<quoted>\"[^\"]*\")")
_SELECT = re.compile(
    r"select\(\s*(?P<path>.+?)\s*(?P<operator>==|!=)\s*(?P<value>\"(?:\\.|[^\"\\])*\"|-?\d+|true|false|null)\s*\)"
)

Walk = Callable[[Iterable[Any]], Iterable[Any]]


class Query:
    """A query that has been understood. Raises ValueError."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._walks = [_stage(part.strip(), text) for part in _pipes(text)]

    def values(self, document: Any) -> list[Any]:
        """What the query finds, without nulls."""
        found: Iterable[Any] = (document,)
        for walk in self._walks:
            found = walk(found)
        return [value for value in found if value is not None]

    def first(self, document: Any) -> Any:
        """The first value, None when there is none."""
        return next(iter(self.values(document)), None)


def _pipes(text: str) -> Iterator[str]:
    """The parts between `|` that stand in no string."""
    start, inside = 0, False
    for index, char in enumerate(text):
        if char == '"' and text[index - 1 : index] != "\\":
            inside = not inside
        elif char == "|" and not inside:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _stage(part: str, text: str) -> Walk:
    if (chosen := _SELECT.fullmatch(part)) is not None:
        path, wanted = _path(chosen["path"], text), orjson.loads(chosen["value"])
        same = chosen["operator"] == "=="

        def select(values: Iterable[Any]) -> Iterable[Any]:
            return [value for value in values if any((found == wanted) is same for found in path((value,)))]

        return select
    return _path(part, text)


def _path(part: str, text: str) -> Walk:
    steps: list[Any] = []
    position = 0
    while position < len(part):
        found = _PART.match(part, position)
        if found is None:
            break
        position = found.end()
        key = found["name"] or found["quoted"] or found["key"]
        steps.append(None if key == "" else orjson.loads(key) if key[0] in '"0123456789' else key)
    if position < len(part) and part != ".":
        raise ValueError(f"{text!r}: {part[position:]!r} is not supported")
    if not part:
        raise ValueError(f"{text!r}: a path is missing")

    def walk(values: Iterable[Any]) -> Iterable[Any]:
        for step in steps:
            values = [below for value in values for below in _below(value, step)]
        return values

    return walk


def _below(value: Any, step: Any) -> Iterable[Any]:
    """`step` is a key, an index, or None for everything."""
    if step is None:
        return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(step, int):
        return value[step : step + 1] if isinstance(value, list) else ()
    return (value.get(step),) if isinstance(value, dict) else ()
