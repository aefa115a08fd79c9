"""Strings beyond the standard library, version 2 as Kubernetes enables it; `format` has a file of its own.

Indices count characters. Upstream: cel-go `ext/strings.go`.
"""

from __future__ import annotations

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.library.stringformat import format_string

_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_QUOTED = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise EvaluationError(f"index out of range: {index}")
    return text[index : index + 1]


def _index_of(text: str, part: str, offset: int = 0) -> int:
    if part == "":
        return offset
    if not 0 <= offset < max(len(text), 1):
        raise EvaluationError(f"index out of range: {offset}")
    return text.find(part, offset)


def _last_index_of(text: str, part: str, offset: int | None = None) -> int:
    if offset is None:
        return len(text) if part == "" else text.rfind(part)
    if part == "":
        return offset
    if not 0 <= offset < max(len(text), 1):
        raise EvaluationError(f"index out of range: {offset}")
    return text.rfind(part, 0, offset + len(part))


def _join(items: list[str], separator: str = "") -> str:
    if not all(isinstance(item, str) for item in items):
        raise EvaluationError("no such overload")
    return separator.join(items)


def _join_cost(items: list[str], separator: str = "") -> int:
    return (sum(len(item) for item in items if isinstance(item, str)) + len(separator) * len(items)) // 10


def _replace(text: str, old: str, new: str, limit: int = -1) -> str:
    return text.replace(old, new, max(limit, -1))


def _replace_cost(text: str, old: str, new: str, *_: int) -> int:
    times = text.count(old) if old else len(text) + 1
    return (len(text) + times * len(new)) // 10


def _split(text: str, separator: str, limit: int = -1) -> list[str]:
    if limit == 0:
        return []
    if separator == "":
        if limit < 0 or limit >= len(text):
            return list(text)
        return [*text[: limit - 1], text[limit - 1 :]]
    return text.split(separator, limit - 1 if limit > 0 else -1)


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is None:
        if not 0 <= start <= len(text):
            raise EvaluationError(f"index out of range: {start}")
        return text[start:]
    if start > end:
        raise EvaluationError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if not 0 <= index <= len(text):
            raise EvaluationError(f"index out of range: {index}")
    return text[start:end]


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


FUNCTIONS = table(
    [
        ("charAt", "string.(int) -> string", _char_at),
        ("indexOf", "string.(string) -> int", _index_of),
        ("indexOf", "string.(string, int) -> int", _index_of),
        ("lastIndexOf", "string.(string) -> int", _last_index_of),
        ("lastIndexOf", "string.(string, int) -> int", _last_index_of),
        ("join", "list(string).() -> string", _join, _join_cost),
        ("join", "list(string).(string) -> string", _join, _join_cost),
        ("lowerAscii", "string.() -> string", lambda text: text.translate(_LOWER)),
        ("upperAscii", "string.() -> string", lambda text: text.translate(_UPPER)),
        ("replace", "string.(string, string) -> string", _replace, _replace_cost),
        ("replace", "string.(string, string, int) -> string", _replace, _replace_cost),
        ("split", "string.(string) -> list(string)", _split),
        ("split", "string.(string, int) -> list(string)", _split),
        ("substring", "string.(int) -> string", _substring),
        ("substring", "string.(int, int) -> string", _substring),
        ("trim", "string.() -> string", str.strip),
        ("format", "string.(list(dyn)) -> string", format_string, None, True),
        ("strings.quote", "(string) -> string", _quote),
    ]
)
