"""Turns a checked tree into nested Python functions over a frame.

A frame is a list: what is left of the budget first, then the values of variables and of macros' variables, each at a
place that is known when the tree is turned. That makes a selection or comparison cost a tenth of a microsecond without
any code generation. What loops, or grows with its operands, pays from the budget before or as it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import listtypes, operators
from .budget import CALL, SCALARS, deep_size, paid_equal, size_of, spend
from .checker import type_value
from .convert import converter
from .errors import EvaluationError
from .folds import decide, fold
from .syntax import Call, Const, Fold, Ident, ListNode, MapNode, Node, Select, Struct
from .types import CelType
from .values import Made, Optional, no_such_overload

Frame = list[Any]
Eval = Callable[[Frame], Any]
MISSING = object()
"""Stands in a frame for a variable that was declared but not given."""


class Builder:
    """Builds the function of one expression; `slots` says where each variable stands in the frame."""

    def __init__(self, variables: dict[str, CelType]) -> None:
        self.slots = {name: index for index, name in enumerate(variables, 1)}
        self.size = len(self.slots) + 1
        self.converters = {name: converter(type_) for name, type_ in variables.items()}
        self.locals: list[dict[str, int]] = []
        self.builders: dict[type, Callable[[Any], Eval]] = {
            Const: lambda node: _constant(node.value),
            Ident: self.ident,
            Select: self.select,
            Call: self.call,
            ListNode: self.list_literal,
            MapNode: self.map_literal,
            Struct: self.struct,
            Fold: lambda node: fold(self, node),
        }

    def build(self, node: Node) -> Eval:
        """The function that computes `node`."""
        return self.builders[type(node)](node)

    def local(self, name: str) -> int | None:
        """Where a macro's variable stands, None when no macro binds the name."""
        return next((scope[name] for scope in reversed(self.locals) if name in scope), None)

    def bind(self, names: tuple[str, ...]) -> list[int]:
        """Places for a macro's variables, until `unbind`."""
        places = list(range(self.size, self.size + len(names)))
        self.size += len(names)
        self.locals.append(dict(zip(names, places, strict=True)))
        return places

    def unbind(self) -> None:
        """Ends the innermost macro's scope."""
        self.locals.pop()

    def ident(self, node: Ident) -> Eval:
        if (place := self.local(node.name)) is not None:
            return _load(place)
        if node.name not in self.slots:
            return _constant(type_value(node.type))
        return _variable(self.slots[node.name], node.name, self.converters[node.name])

    def select(self, node: Select) -> Eval:
        if node.variable:
            return _variable(self.slots[node.variable], node.variable, self.converters[node.variable])
        if not node.key:
            return _constant(type_value(node.type))
        key = node.key
        if node.test:
            operand = self.build(node.operand)
            return lambda frame: operators.has(operand(frame), key)
        convert = converter(node.type)
        if node.optional or convert is not None:
            apply = operators.optional_index if node.optional else _select
            return _converted(self.build(node.operand), key, apply, convert)
        keys = [key]
        base = node.operand
        while isinstance(base, Select) and _plain(base):
            keys.insert(0, base.key)
            base = base.operand
        return _chain(self.build(base), tuple(keys))

    def call(self, node: Call) -> Eval:
        if (special := listtypes.operator(node)) is not None:
            return _deep(special, *[self.build(operand) for operand in node.operands])
        parts = [self.build(operand) for operand in node.operands]
        match node.name:
            case "_&&_" | "_||_":
                return _logical(parts, node.name == "_||_")
            case "_?_:_":
                return _conditional(*parts)
            case "or" | "orValue":
                return _or(parts[0], parts[1], node.name == "orValue")
        if node.name in operators.BINARY:
            return _binary(node.name, *parts)
        if node.name in operators.UNARY:
            apply, operand = operators.UNARY[node.name], parts[0]
            return lambda frame: apply(operand(frame))
        return _function(node, parts)

    def list_literal(self, node: ListNode) -> Eval:
        parts = [self.build(item) for item in node.items]
        if not node.optional:
            return lambda frame: [part(frame) for part in parts]
        marked = node.optional

        def run(frame: Frame) -> list[Any]:
            items: list[Any] = []
            for index, part in enumerate(parts):
                value = part(frame)
                if index not in marked:
                    items.append(value)
                elif _optional(value).present:
                    items.append(value.value)
            return items

        return run

    def map_literal(self, node: MapNode) -> Eval:
        parts = [(self.build(key), self.build(value), optional) for key, value, optional in node.entries]

        def run(frame: Frame) -> dict[Any, Any]:
            made: dict[Any, Any] = {}
            for key_part, value_part, optional in parts:
                key, value = key_part(frame), value_part(frame)
                if not isinstance(key, (str, int)):
                    raise EvaluationError("unsupported key type")
                if key in made:
                    raise EvaluationError(f"repeated key: {operators.key_text(key)}")
                if not optional:
                    made[key] = value
                elif _optional(value).present:
                    made[key] = value.value
            return made

        return run

    def struct(self, node: Struct) -> Eval:
        parts = [(name, self.build(value), optional) for _, name, value, optional in node.fields]
        name = node.name

        def run(frame: Frame) -> Made:
            made: dict[str, Any] = {}
            for field, part, optional in parts:
                value = part(frame)
                if not optional:
                    made[field] = value
                elif _optional(value).present:
                    made[field] = value.value
            return Made(name, made)

        return run


def _constant(value: Any) -> Eval:
    return lambda frame: value


def _load(place: int) -> Eval:
    return lambda frame: frame[place]


def _variable(place: int, name: str, convert: Callable[[Any], Any] | None) -> Eval:
    def run(frame: Frame) -> Any:
        value = frame[place]
        if value is MISSING:
            raise EvaluationError(f"no such attribute(s): {name}")
        return value if convert is None else convert(value)

    return run


def _plain(node: Select) -> bool:
    plain = bool(node.key) and not node.variable and not node.test and not node.optional
    return plain and converter(node.type) is None


def _select(value: Any, key: str) -> Any:
    try:
        return value[key]
    except (KeyError, TypeError):
        return operators.select(value, key)


def _chain(base: Eval, keys: tuple[str, ...]) -> Eval:
    def run(frame: Frame) -> Any:
        value = base(frame)
        try:
            for key in keys:
                value = value[key]
            return value
        except (KeyError, TypeError):
            return slow(frame)

    def slow(frame: Frame) -> Any:
        value = base(frame)
        for key in keys:
            value = operators.select(value, key)
        return value

    return run


def _logical(parts: list[Eval], decisive: bool) -> Eval:
    """`&&` (decided by false) and `||` (by true): an error on one side does not matter if another decides."""
    return lambda frame: decide(parts, frame, decisive)


def _conditional(condition: Eval, yes: Eval, no: Eval) -> Eval:
    def run(frame: Frame) -> Any:
        value = condition(frame)
        if value is True:
            return yes(frame)
        if value is False:
            return no(frame)
        raise no_such_overload()

    return run


def _optional(value: Any) -> Optional:
    if isinstance(value, Optional):
        return value
    raise no_such_overload()


def _or(one: Eval, other: Eval, unwrap: bool) -> Eval:
    """`a.or(b)` and `a.orValue(b)`: `b` is only computed when it is needed."""

    def run(frame: Frame) -> Any:
        optional = _optional(one(frame))
        if optional.present:
            return optional.value if unwrap else optional
        return other(frame)

    return run


def _binary(name: str, left: Eval, right: Eval) -> Eval:
    """An operator; what is no number pays for its size."""
    if name == "_==_":
        return lambda frame: paid_equal(frame, left(frame), right(frame))
    if name == "_!=_":
        return lambda frame: not paid_equal(frame, left(frame), right(frame))
    apply = operators.BINARY[name]
    if name == "@in":
        return _deep(apply, left, right)
    if name in ("_[_]", "_[?_]"):
        return lambda frame: apply(left(frame), right(frame))

    def run(frame: Frame) -> Any:
        one, other = left(frame), right(frame)
        if type(one) not in SCALARS:
            spend(frame, size_of(one) + size_of(other))
        return apply(one, other)

    return run


def _deep(apply: Callable[[Any, Any], Any], left: Eval, right: Eval) -> Eval:
    """An operator that may look at all parts of both sides."""

    def run(frame: Frame) -> Any:
        one, other = left(frame), right(frame)
        if type(one) in SCALARS or isinstance(other, dict):
            spend(frame, size_of(other))
        else:
            spend(frame, deep_size(frame[0], one, other))
        return apply(one, other)

    return run


def _converted(inner: Eval, key: str, apply: Callable[[Any, str], Any], convert: Callable[[Any], Any] | None) -> Eval:
    """A field whose values the schema turns into something else; a list or map pays for all that it holds."""
    if convert is None:
        return lambda frame: apply(inner(frame), key)

    def run(frame: Frame) -> Any:
        value = apply(inner(frame), key)
        if isinstance(value, (list, dict, Optional)):
            spend(frame, deep_size(frame[0], value))
        return convert(value)

    return run


def _function(node: Call, parts: list[Eval]) -> Eval:
    """A library's function: the overload that fits the values; sizes of arguments and result are paid for."""
    overloads, name = node.overloads, node.name

    def run(frame: Frame) -> Any:
        values = [part(frame) for part in parts]
        for overload in overloads:
            if overload.fits(values):
                break
        else:
            raise no_such_overload(name, *values)
        cost = CALL
        for value in values:
            cost += size_of(value)
        if overload.deep:
            cost += deep_size(frame[0], *values)
            spend(frame, cost)
        spend(frame, cost if overload.cost is None else cost + overload.cost(*values))
        try:
            result = overload.call(*values)
        except UnicodeError:  # a lone surrogate, which no text in UTF-8 holds
            raise EvaluationError("invalid UTF-8") from None
        spend(frame, size_of(result))
        return result

    return run
