"""Regular expressions of users: matched in time that grows with the text, never exponentially.

Kubernetes' patterns are RE2's, whose matching is linear. The library of that name (extra `cel`) does the same here.
Without it Python's own engine serves for patterns that cannot make it backtrack for long; others are refused by name,
because one request must not be able to stop the whole process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Search = Callable[[str], bool]
MAX_PATTERN = 10_000
"""Characters; upstream's bound is the size of a request."""
MAX_MEMORY = 16 << 20
"""Bytes that one compiled pattern may take; `(((a{1,100}){1,100}){1,100})` would take gigabytes."""


class PatternError(ValueError):
    """A pattern that is no regular expression, in Go's words as far as they are known."""


@lru_cache(1024)
def compile_pattern(pattern: str) -> Search:
    """Whether the pattern is found anywhere in a text. Raises PatternError."""
    if len(pattern) > MAX_PATTERN:
        raise PatternError("error parsing regexp: expression too large")
    try:
        import re2
    except ImportError:
        return _with_python(pattern)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        found = re2.compile(pattern, options).search
    except (re2.error, UnicodeError) as error:
        raise PatternError(f"error parsing regexp: {_words(error)}") from None
    return lambda text: found(_encodable(text)) is not None


def _encodable(text: str) -> str:
    """Lone surrogates have no UTF-8 form; Go reads them as the replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _words(error: Exception) -> str:
    text = error.args[0] if error.args else error
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _with_python(pattern: str) -> Search:
    translated = pattern.replace(r"\z", r"\Z").replace("(?P>", "(?P=")
    try:
        compiled = re.compile(translated, re.ASCII)
        tree = re._parser.parse(translated)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"error parsing regexp: {error}") from None
    if _may_explode(tree):
        raise PatternError("this pattern needs a linear-time matcher: pip install 'minik8s[cel]'")
    return lambda text: compiled.search(text) is not None


def _may_explode(tree: Iterable[Any], repeated: bool = False) -> bool:
    """Whether a repetition stands within another one, or what Go's syntax does not have is used."""
    for name, argument in tree:
        operation = str(name)
        if operation in ("GROUPREF", "ASSERT", "ASSERT_NOT", "GROUPREF_EXISTS"):
            return True
        if operation in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            many = argument[1] > 1
            if many and repeated:
                return True
            if _may_explode(argument[2], repeated or many):
                return True
        elif operation == "BRANCH":
            if any(_may_explode(branch, repeated) for branch in argument[1]):
                return True
        elif operation == "SUBPATTERN" and _may_explode(argument[3], repeated):
            return True
    return False
