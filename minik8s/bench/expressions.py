"""`${...}` in scenarios and templates: names and small arithmetic, nothing that could run away.

clusterloader2 has Go templates in their place, a language with loops and conditions whose output is then parsed. Here
a file is parsed first and its scalars are filled in afterwards, so that every error has a line and no value can
change the document's shape. A scalar that is one `${...}` and nothing else takes the value's own type (`text(...)`
makes text of it); `$${` stands for `${`.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Value: TypeAlias = int | float | str | bool
_PLACE: Final = re.compile(r"(\$?)\$\{([^{}]*)\}")
_OPEN: Final = re.compile(r"(?<!\$)\$\{[^{}]*(\{|$)")
_LONGEST: Final = 200
_OPERATORS: Final[Mapping[type, Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {"min": min, "max": max, "ceil": math.ceil, "floor": math.floor}


class ExpressionError(ValueError):
    """What stands between the braces cannot be evaluated; the message says why."""


def substitute(text: str, values: Mapping[str, Value]) -> Value:
    """The text with every `${...}` replaced. Raises ExpressionError."""
    if "${" not in text:
        return text
    if _OPEN.search(text):
        raise ExpressionError(f"${{ without its }} in {text!r}")
    whole = _PLACE.fullmatch(text)
    if whole and not whole[1]:
        return evaluate(whole[2], values)
    return _PLACE.sub(lambda m: m[0][1:] if m[1] else shown(evaluate(m[2], values)), text)


def filled(value: Any, values: Mapping[str, Value]) -> Any:
    """A value with `${...}` replaced in all of its text. Raises ExpressionError."""
    if isinstance(value, str):
        return substitute(value, values)
    if isinstance(value, dict):
        return {substitute(key, values): filled(each, values) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, values) for each in value]
    return value


def shown(value: Value) -> str:
    """A value inside of text, as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def evaluate(expression: str, values: Mapping[str, Value]) -> Value:
    """A name, a number, + - * / // %, min, max, ceil, floor and text of them. Raises ExpressionError."""
    if (name := expression.strip()) in values:
        return values[name]
    if len(expression) > _LONGEST:
        raise ExpressionError(f"an expression of more than {_LONGEST} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
        return _value(tree.body, values, expression)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, TypeError, RecursionError, MemoryError) as error:
        if isinstance(error, ExpressionError):
            raise
        reason = "division by zero" if isinstance(error, ZeroDivisionError) else "not an expression"
        raise ExpressionError(f"${{{expression}}}: {reason}") from None


def _value(node: ast.expr, values: Mapping[str, Value], whole: str) -> Any:
    match node:
        case ast.Constant(value=int() | float()):
            return node.value
        case ast.Name(id=name):
            if name not in values:
                raise ExpressionError(f"${{{whole}}}: nothing is called {name}; there are {', '.join(sorted(values))}")
            return values[name]
        case ast.UnaryOp(op=ast.USub()):
            return -_number(node.operand, values, whole)
        case ast.BinOp() if type(node.op) in _OPERATORS:
            left, right = _number(node.left, values, whole), _number(node.right, values, whole)
            return _OPERATORS[type(node.op)](left, right)
        case ast.Call(func=ast.Name(id="text"), keywords=[], args=[argument]):
            return shown(_value(argument, values, whole))
        case ast.Call(func=ast.Name(id=name), keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_number(each, values, whole) for each in node.args))
    known = ", ".join((*_FUNCTIONS, "text"))
    raise ExpressionError(f"${{{whole}}}: only names, numbers, + - * / // % and {known} can stand here")


def _number(node: ast.expr, values: Mapping[str, Value], whole: str) -> int | float:
    value = _value(node, values, whole)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError(f"${{{whole}}}: {value!r} is no number")
    return value
