"""CEL's tokens: one regular expression over the source, and the escapes of string and bytes literals.

Upstream: cel-go `parser/gen/CEL.g4` and `parser/unescape.go`.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from .errors import Issues

_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\n\f]+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR])(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3})
        |[bB]?(?:\"{3}(?:[^\\]|\\[\s\S])*?\"{3}|'{3}(?:[^\\]|\\[\s\S])*?'{3})
        |(?:[rR][bB]?|[bB][rR])(?:"[^"\r\n]*"|'[^'\r\n]*')
        |[bB]?(?:"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*'))
    |(?P<float>(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?))
    |(?P<uint>(?:0x[0-9a-fA-F]+|\d+)[uU])
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<ident>[_a-zA-Z][_a-zA-Z0-9]*)
    |(?P<op>==|!=|<=|>=|&&|\|\||[\[\]{}().,?:!<>+\-*/%])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))", re.S
)
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@attrs.frozen
class Token:
    """`kind` is string, bytes, float, uint, int, ident, end, or the operator itself; `value` a literal's value."""

    kind: str
    text: str
    pos: int
    value: Any = None


def tokenize(source: str, issues: Issues) -> list[Token]:
    """All tokens, with an `end` token last. What is no token is reported and left out."""
    tokens: list[Token] = []
    pos = 0
    while pos < len(source):
        match = _TOKEN.match(source, pos)
        if match is None:
            end = pos + 1
            if source[pos] in "'\"":  # a string that is never closed
                end = min(source.find(newline, pos) % (len(source) + 1) for newline in "\r\n")
            issues.add(pos, f"Syntax error: token recognition error at: {_quote(source[pos:end])}")
            pos = end
            continue
        text = match.group()
        kind = match.lastgroup or ""
        if kind == "op":
            tokens.append(Token(text, text, pos))
        elif kind != "skip":
            tokens.append(_literal(kind, text, pos, issues))
        pos = match.end()
    tokens.append(Token("end", "<EOF>", len(source)))
    return tokens


def _quote(text: str) -> str:
    return "'" + text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") + "'"


def _literal(kind: str, text: str, pos: int, issues: Issues) -> Token:
    if kind == "string":
        return _string(text, pos, issues)
    value: Any = None
    if kind in ("int", "uint"):
        digits = text.rstrip("uU")
        value = int(digits, 16) if digits.startswith("0x") else int(digits[:40])
    elif kind == "float":
        value = float(text)
    return Token(kind, text, pos, value)


def _string(text: str, pos: int, issues: Issues) -> Token:
    body = text.lstrip("rRbB")
    prefix = text[: len(text) - len(body)].lower()
    quotes = 3 if len(body) >= 6 and body[:3] in ('"""', "'''") else 1
    body = body[quotes:-quotes]
    binary = "b" in prefix
    if "r" not in prefix and "\\" in body:
        try:
            return _unescaped(body, text, pos, binary)
        except ValueError:
            issues.add(pos, f"invalid string literal: {text}" if not binary else f"invalid bytes literal: {text}")
            return Token("string", text, pos, "")
    if binary:
        return Token("bytes", text, pos, body.encode("utf-8", "surrogatepass"))
    return Token("string", text, pos, body)


def _unescaped(body: str, text: str, pos: int, binary: bool) -> Token:
    """Raises ValueError for an escape that is none. In bytes, \\x and octal escapes stand for one byte."""
    out = bytearray()
    last = 0
    for match in _ESCAPE.finditer(body):
        out += body[last : match.start()].encode("utf-8", "surrogatepass")
        last = match.end()
        simple, two, four, eight, octal, wrong = match.groups()
        if wrong is not None:
            raise ValueError(wrong)
        if simple is not None:
            out += _SIMPLE.get(simple, simple).encode()
            continue
        code = int(octal, 8) if octal is not None else int(two or four or eight, 16)
        if binary:
            if two is None and octal is None:
                raise ValueError("bytes have no unicode escapes")
            out.append(code)
            continue
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            raise ValueError(code)
        out += chr(code).encode()
    out += body[last:].encode("utf-8", "surrogatepass")
    if binary:
        return Token("bytes", text, pos, bytes(out))
    return Token("string", text, pos, out.decode("utf-8", "surrogatepass"))
