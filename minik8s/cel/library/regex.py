"""`matches`, `find`, `findAll` with RE2, which never takes more than linear time.

Upstream: k8s.io/apiserver `pkg/cel/library/regex.go`.
"""

from __future__ import annotations

from typing import Any

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.schema.patterns import PatternError, compile_pattern


def pattern(text: str) -> Any:
    """A compiled pattern; raises EvaluationError with what is wrong with it."""
    try:
        return compile_pattern(text)
    except PatternError as error:
        raise EvaluationError(str(error)) from None


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
