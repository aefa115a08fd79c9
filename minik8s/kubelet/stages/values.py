"""How Go shows values in text: `%v`, and the verbs of printf that templates use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

_VERB = re.compile(r"%(?P<width>[+-]?0?\d*(?:\.\d+)?)(?P<verb>[a-zA-Z%])")


def go_print(value: Any) -> str:
    """As Go prints it with `%v`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{go_print(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(map(go_print, value)) + "]"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def quoted(value: Any) -> str:
    """The value as a JSON string: a string in quotes, anything else its JSON in quotes."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return orjson.dumps(text).decode()


def printf(form: str, *values: Any) -> str:
    """%v %s %q %d %t %f %x and %%, with a width. Raises ValueError for other verbs or a wrong number of values."""
    rest = list(values)

    def show(found: re.Match[str]) -> str:
        width, verb = found["width"], found["verb"]
        if verb == "%":
            return "%"
        if not rest:
            raise ValueError(f"printf: no value for %{verb}")
        value = rest.pop(0)
        match verb:
            case "v" | "s" | "t":
                text = "<nil>" if value is None else go_print(value)
                return f"{text:>{width}}" if width and not width.startswith("-") else text.ljust(int(width[1:] or 0))
            case "q":
                return quoted(go_print(value))
            case "d" | "x":
                return f"{int(value):{width}{verb}}"
            case "f":
                return f"{float(value):{width}f}"
        raise ValueError(f"printf: %{verb} is not supported")

    text = _VERB.sub(show, form)
    if rest:
        raise ValueError(f"printf: {len(rest)} values too many")
    return text
