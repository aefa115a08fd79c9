"""The simple JSONPath that columns of custom resources are written in.

Fields (`.spec.replicas`, `['a.b']`, `.a\\.b`), indexes, wildcards and filters (`[?(@.type=="Ready")]`), as far as
client-go `util/jsonpath` allows them in a CustomResourceDefinition's printer columns. A path is compiled once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

Step = Callable[[Any], Iterable[Any]]
"""From one value to those one step further down."""

_STEP = re.compile(
    r"""
      \.?\[\?\((?P<filter>.*?)\)\]
    | \.?\[(?P<quoted>'[^']*'|"[^"]*")\]
    | \.?\[(?P<index>-?\d+)\]
    | \.?(?P<all>\[\*\])
    | \.(?P<field>(?:\\.|[^.\[\\])+)
    """,
    re.VERBOSE,
)
_FILTER = re.compile(
    r"""\s*@(?P<path>[^=!<>]*?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>'[^']*'|"[^"]*"|[^\s'"]+))?\s*"""
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """A function that gives all values at the path; raises ValueError for what is no such path."""
    steps: list[Step] = []
    position, end = 0, len(text)
    while position < end:
        match = _STEP.match(text, position)
        if not match:
            raise ValueError(f"unsupported JSONPath: {text}")
        steps.append(_step(match))
        position = match.end()

    def find(document: Any) -> list[Any]:
        values = [document]
        for step in steps:
            values = [found for value in values for found in step(value)]
        return values

    return find


def _step(match: re.Match[str]) -> Step:
    if match["filter"] is not None:
        return _filter(match["filter"])
    if match["index"] is not None:
        return _at(int(match["index"]))
    if match["all"] or match["field"] == "*":
        return lambda value: value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    name = match["quoted"][1:-1] if match["quoted"] else re.sub(r"\\(.)", r"\1", match["field"])
    return lambda value: [value[name]] if isinstance(value, dict) and name in value else ()


def _at(index: int) -> Step:
    def step(value: Any) -> Iterable[Any]:
        in_range = isinstance(value, list) and -len(value) <= index < len(value)
        return [value[index]] if in_range else ()

    return step


def _filter(text: str) -> Step:
    match = _FILTER.fullmatch(text)
    if not match:
        raise ValueError(f"unsupported JSONPath filter: {text}")
    find = compile_path(match["path"])
    compare = _COMPARE.get(match["op"] or "")
    wanted = _literal(match["value"]) if compare else None

    def holds(item: Any) -> bool:
        found = find(item)
        if compare is None or not found:
            return bool(found)
        try:
            return compare(found[0], wanted)
        except TypeError:
            return False

    return lambda value: [item for item in value if holds(item)] if isinstance(value, list) else ()


def _literal(text: str) -> Any:
    if text[0] in "'\"":
        return text[1:-1]
    try:
        return json.loads(text)
    except ValueError:
        return text
