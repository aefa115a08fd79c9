"""`matches`, `find`, `findAll` with RE2, which never takes more than linear time.

Python's own `re` takes exponential time on hostile patterns, so google-re2 (extra `cel`) is needed for these functions
and only for these; without it an expression that uses them is refused when it is compiled.
Upstream: k8s.io/apiserver `pkg/cel/library/regex.go`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError

NEEDS = "regular expressions in CEL need RE2: pip install 'minik8s[cel]'"


def available() -> bool:
    """Whether the engine of regular expressions is installed."""
    try:
        import re2  # noqa: F401
    except ImportError:
        return False
    return True


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


def _go_message(text: str | bytes) -> str:
    kind, _, part = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).partition(": ")
    return _GO.get(kind, kind) + (f": `{part}`" if part else "")


@lru_cache(maxsize=128)
def _compiled(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        return EvaluationError(f"error parsing regexp: {_go_message(error.args[0])}")
    except UnicodeEncodeError:
        return EvaluationError("error parsing regexp: invalid UTF-8")


def pattern(text: str) -> Any:
    """A compiled pattern; raises EvaluationError with what is wrong with it."""
    found = _compiled(text)
    if isinstance(found, EvaluationError):
        raise EvaluationError(str(found))
    return found


def matches(text: str, regex: str) -> bool:
    """Whether the pattern is found anywhere in the text."""
    return pattern(regex).search(text) is not None


def search_cost(text: str, regex: str, *_: Any) -> int:
    """Upstream: a tenth of the text's length times a quarter of the pattern's."""
    return (1 + len(text) // 10) * (1 + len(regex) // 4)


def _find(text: str, regex: str) -> str:
    found = pattern(regex).search(text)
    return found.group(0) if found else ""


def _find_all(text: str, regex: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    if limit != 0:
        for match in pattern(regex).finditer(text):
            found.append(match.group(0))
            if len(found) == limit:
                break
    return found


FUNCTIONS = table(
    [
        ("find", "string.(string) -> string", _find, search_cost),
        ("findAll", "string.(string) -> list(string)", _find_all, search_cost),
        ("findAll", "string.(string, int) -> list(string)", _find_all, search_cost),
    ]
)
NAMES = frozenset({"matches", "find", "findAll"})
