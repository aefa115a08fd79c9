"""The words of Go templates: where actions begin and end, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class TemplateError(ValueError):
    """`line` counts from 1 within the template."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line, self.message = line, message


class Token(NamedTuple):
    kind: str
    text: str
    glued: bool
    """Whether it follows the one before without a space."""


_ACTION = re.compile(
    r"\{\{(?P<left>- )?(?P<body>(?:/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|`[^`]*`|(?!\}\}).)*?)(?P<right> -)?\}\}", re.DOTALL
)
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>[+-]?\d[\d.]*)|(?P<declare>:=)|(?P<assign>=)
    |(?P<pipe>\|)|(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<variable>\$\w*)|(?P<field>\.[A-Za-z_]\w*)|(?P<dot>\.)
    |(?P<word>[A-Za-z_]\w*)""",
    re.VERBOSE,
)


def split(text: str) -> Iterator[tuple[str, int, str]]:
    """(kind, line, text) of plain texts and actions, with what the trim markers cut off."""
    position, trim = 0, False
    for found in _ACTION.finditer(text):
        plain = text[position : found.start()]
        plain = plain.lstrip() if trim else plain
        yield "text", 0, plain.rstrip() if found["left"] else plain
        body = found["body"]
        if not body.strip().startswith("/*"):
            yield "action", text.count("\n", 0, found.start()) + 1, body
        position, trim = found.end(), bool(found["right"])
    rest = text[position:]
    if "{{" in rest:
        raise TemplateError(text.count("\n", 0, position + rest.index("{{")) + 1, "unclosed action")
    yield "text", text.count("\n") + 1, rest.lstrip() if trim else rest


def tokens_of(text: str, line: int) -> Iterator[Token]:
    position, spaced = 0, True
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise TemplateError(line, f"unexpected {text[position:].strip()!r}")
        position = found.end()
        if found.lastgroup != "space":
            yield Token(found.lastgroup, found[0], not spaced)
        spaced = found.lastgroup == "space"


def closing(tokens: Sequence[Token], start: int) -> int:
    depth = 0
    for index in range(start, len(tokens)):
        depth += (tokens[index].kind == "open") - (tokens[index].kind == "close")
        if not depth:
            return index
    raise AssertionError("pipelines have been checked for parentheses")


def unquoted(text: str, line: int) -> str:
    if text.startswith("`"):
        return text[1:-1]
    try:
        return text[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    except UnicodeDecodeError:
        raise TemplateError(line, f"malformed string {text}") from None


def number(text: str, line: int) -> int | float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise TemplateError(line, f"malformed number {text}") from None
