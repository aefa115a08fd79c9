"""Regular expressions of users: matched in time that grows with the text, never exponentially.

Kubernetes' patterns are RE2's, in schemas as in CEL, and one request must not be able to stop the whole process, as a
pattern for Python's own engine can. So the library of that name is used; errors are told in the words of Go's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

MAX_PATTERN = 10_000
"""Characters; upstream's bound is the size of a request."""
MAX_MEMORY = 16 << 20
"""Bytes that one compiled pattern may take; `(((a{1,100}){1,100}){1,100})` would take gigabytes."""
_GO = {
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "trailing \\": "trailing backslash at end of expression",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}
"""What RE2 for C++ says -> what Go's says."""


class PatternError(ValueError):
    """A pattern that is no regular expression, in Go's words as far as they are known."""


def compile_pattern(pattern: str) -> Any:
    """The compiled pattern, with `search` and `finditer` as of `re`. Raises PatternError."""
    found = _compiled(pattern)
    if isinstance(found, PatternError):
        raise PatternError(str(found))
    return found


@lru_cache(1024)
def _compiled(pattern: str) -> Any:
    """The pattern or its error: hopeless ones are not tried again, either."""
    import re2  # here, because hardly a cluster that lives for one test has a pattern

    if len(pattern) > MAX_PATTERN:
        return PatternError("error parsing regexp: expression too large")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        return PatternError(f"error parsing regexp: {_go_message(error.args[0])}")
    except UnicodeError:
        return PatternError("error parsing regexp: invalid UTF-8")


def _go_message(text: str | bytes) -> str:
    kind, _, part = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).partition(": ")
    return _GO.get(kind, kind) + (f": `{part}`" if part else "")


def is_found(pattern: str, text: str) -> bool:
    """Whether the pattern is found anywhere in a text. Raises PatternError.

    Lone surrogates have no UTF-8 form; Go reads them as the replacement character.
    """
    return compile_pattern(pattern).search(text.encode("utf-8", "replace").decode("utf-8")) is not None
