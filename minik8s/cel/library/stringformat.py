"""`'%s has %d'.format([name, count])`: the verbs s, d, f, e, b, x, X, o.

Numbers are written as for `en_US`, which is what this version of the library does: `%f` groups thousands, `%e` writes
`1.5 × 10⁰³`. Upstream: cel-go `ext/formatting.go`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from minik8s.cel.errors import EvaluationError
from minik8s.cel.values import Duration, Timestamp, TypeValue, UInt, type_name

_VERB = re.compile(r"%(?:(%)|(?:\.(\d+))?(.)|$)", re.DOTALL)
_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_STRINGABLE = "strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps"
MAX_LENGTH = 1_000_000
MAX_DEPTH = 50


def format_string(template: str, values: list[Any]) -> str:
    """Raises EvaluationError for a verb without a value, and for a value that its verb cannot show."""
    out: list[str] = []
    position, used, length = 0, 0, 0
    for match in _VERB.finditer(template):
        out.append(template[position : match.start()])
        position = match.end()
        percent, precision, verb = match.groups()
        if percent:
            out.append("%")
            continue
        clause = _CLAUSES.get(verb or "")
        if clause is None:
            raise EvaluationError(f'could not parse formatting clause: unrecognized formatting clause "{verb or ""}"')
        if used >= len(values):
            raise EvaluationError(f"index {used} out of range")
        digits = min(int(precision[:4]), 1000) if precision else 6
        out.append(clause(values[used], digits))
        used += 1
        length += len(out[-1])
        if length > MAX_LENGTH:
            raise EvaluationError("error during formatting: the result is too long")
    return "".join(out) + template[position:]


def _wrong(text: str, value: Any) -> EvaluationError:
    return EvaluationError(f"error during formatting: {text}, was given {type_name(value)}")


def _string(value: Any, _: int = 0) -> str:
    from minik8s.cel.standard import to_string  # which builds on the libraries

    if isinstance(value, (list, dict)):
        return _nested(value, 0)
    if value is None:
        return "null"
    if isinstance(value, TypeValue):
        return value.name
    if isinstance(value, (bool, int, float, str, bytes, Timestamp, Duration)):
        return to_string(value)
    raise _wrong(f"string clause can only be used on {_STRINGABLE}", value)


def _nested(value: Any, depth: int) -> str:
    """A value inside a list or map, as a literal of CEL."""
    if depth > MAX_DEPTH:
        raise EvaluationError("error during formatting: value is nested too deeply")
    if isinstance(value, list):
        return "[" + ", ".join(_nested(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        pairs = sorted((_nested(key, depth + 1), _nested(item, depth + 1)) for key, item in value.items())
        return "{" + ", ".join(f"{key}:{item}" for key, item in pairs) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bytes):
        return f"b{json.dumps(_string(value), ensure_ascii=False)}"
    if isinstance(value, Timestamp):
        return f'timestamp("{_string(value)}")'
    if isinstance(value, Duration):
        return f'duration("{_string(value)}")'
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else json.dumps(_string(value))
    return _string(value)


def _decimal(value: Any, _: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    raise _wrong("decimal clause can only be used on integers", value)


_NAMED = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _double(value: Any, clause: str) -> float:
    if isinstance(value, str) and value in _NAMED:
        return _NAMED[value]
    if isinstance(value, float):
        return value
    raise _wrong(f"{clause} clause can only be used on doubles", value)


def _special(value: float) -> str:
    return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")


def _fixed(value: Any, precision: int) -> str:
    number = _double(value, "fixed-point")
    return f"{number:,.{precision}f}" if math.isfinite(number) else _special(number)


def _scientific(value: Any, precision: int) -> str:
    number = _double(value, "scientific")
    if not math.isfinite(number):
        return _special(number)
    mantissa, _, exponent = f"{number:.{precision}e}".partition("e")
    return f"{mantissa} × 10{exponent.lstrip('+').translate(_SUPERSCRIPT)}"


def _binary(value: Any, _: int) -> str:
    if isinstance(value, int):
        return f"{int(value):b}"
    raise _wrong("only integers and bools can be formatted as binary", value)


def _octal(value: Any, _: int) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{int(value):o}"
    raise _wrong("octal clause can only be used on integers", value)


def _hex(value: Any, _: int) -> str:
    if isinstance(value, (int, UInt)) and not isinstance(value, bool):
        return f"{int(value):x}"
    if isinstance(value, (str, bytes)):
        return (value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value).hex()
    raise _wrong("only integers, byte buffers, and strings can be formatted as hex", value)


_CLAUSES: dict[str, Callable[[Any, int], str]] = {
    "s": _string,
    "d": _decimal,
    "f": _fixed,
    "e": _scientific,
    "b": _binary,
    "o": _octal,
    "x": _hex,
    "X": lambda value, digits: _hex(value, digits).upper(),
}
