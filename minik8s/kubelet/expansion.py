"""`$(VAR)` references in commands, arguments, environment values and sub-paths.

A port of the semantics of upstream's third_party/forked/golang/expansion: an unknown reference stays as it is written
and `$$` is one dollar that starts no reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with every known `$(NAME)` replaced; `$$(NAME)` becomes `$(NAME)`."""
    if "$" not in text:
        return text
    return _REFERENCE.sub(lambda match: _value(match, variables), text)


def references(text: str) -> list[str]:
    """The names that `text` refers to, in order."""
    return [match[1] for match in _REFERENCE.finditer(text) if match[1] is not None]


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match[1] is None:
        return "$"
    return variables.get(match[1], match[0])
