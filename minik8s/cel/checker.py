"""The static checker: every name is declared, every call has an overload, every field exists.

It fills in `Node.type`, the overloads that remain possible for a call, and the document's key of a selected field.
Upstream: cel-go `checker/checker.go`, with homogeneous literals and cross-type comparison as Kubernetes
sets them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import attrs

from .declare import Overload, Table
from .errors import EvaluationError, Issues
from .functions import OPAQUE_TYPES
from .library.regex import pattern
from .macros import check_fold
from .syntax import Call, Const, Fold, Ident, ListNode, MapNode, Node, Select, Struct, dotted_name
from .timelib import parse_duration, parse_timestamp
from .types import (
    BOOL,
    DYN,
    ERROR,
    NULL,
    SIMPLE,
    CelType,
    list_of,
    map_of,
    opaque,
    optional_of,
    resolve,
    substitute,
    type_type,
    unify,
)
from .values import TypeValue

_TYPES: dict[str, CelType] = {
    **{name: type_ for name, type_ in SIMPLE.items() if name != "dyn"},
    "list": list_of(DYN),
    "map": map_of(DYN, DYN),
    "optional_type": optional_of(DYN),
    "type": type_type(DYN),
    **{name: opaque(name) for name in OPAQUE_TYPES},
}


@attrs.define
class Scope:
    """What names mean: variables, functions, and struct types that can be constructed."""

    variables: dict[str, CelType]
    functions: Table
    structs: Callable[[str], CelType | None]


class Checker:
    """Checks one expression."""

    def __init__(self, scope: Scope, issues: Issues) -> None:
        self.scope = scope
        self.issues = issues
        self.bound: dict[str, CelType] = {}
        self.fresh = count()
        self.used: set[str] = set()
        self.locals: list[Mapping[str, CelType]] = []
        self.visitors: dict[type, Callable[[Any], CelType]] = {
            Const: lambda node: node.type,
            Ident: self.ident,
            Select: self.select,
            Call: self.call,
            ListNode: self.list_literal,
            MapNode: self.map_literal,
            Struct: self.struct,
            Fold: lambda node: check_fold(self, node),
        }

    def check(self, root: Node) -> CelType:
        """The expression's type; raises CompileError with everything that is wrong."""
        result = substitute(self.visit(root), self.bound, free=DYN)
        self.issues.raise_if_any()
        return result

    def visit(self, node: Node) -> CelType:
        node.type = self.visitors[type(node)](node)
        return node.type

    def settled(self, type_: CelType) -> CelType:
        return substitute(type_, self.bound)

    def variable(self) -> CelType:
        return CelType("var", f"_{next(self.fresh)}")

    # names

    def lookup(self, name: str) -> CelType | None:
        for scope in reversed(self.locals):
            if name in scope:
                return scope[name]
        if name in self.scope.variables:
            self.used.add(name)
            return self.scope.variables[name]
        return None

    def ident(self, node: Ident) -> CelType:
        found = self.lookup(node.name)
        if found is not None:
            return found
        if node.name in _TYPES:
            return type_type(_TYPES[node.name])
        self.issues.add(node.pos, f"undeclared reference to '{node.name}' (in container '')")
        return ERROR

    def path(self, node: Node) -> str:
        """`a.b.c` of plain selections whose head is no variable: the name of a type or of a library's function."""
        if isinstance(node, Ident):
            declared = any(node.name in scope for scope in self.locals) or node.name in self.scope.variables
            return "" if declared else node.name
        if isinstance(node, Select) and not node.optional and not node.test and (head := self.path(node.operand)):
            return f"{head}.{node.field}"
        return ""

    # selection

    def select(self, node: Select) -> CelType:
        if (name := self.path(node)) in _TYPES:
            return type_type(_TYPES[name])
        if (name := dotted_name(node)) in self.scope.variables:
            node.variable = name
            self.used.add(name)
            return self.scope.variables[name]
        operand = self.settled(self.visit(node.operand))
        optional = operand.kind == "optional"
        base = operand.params[0] if optional else operand
        found = self.field(node, self.settled(base))
        if node.test:
            return BOOL
        return optional_of(found) if (optional or node.optional) and found != ERROR else found

    def field(self, node: Select, base: CelType) -> CelType:
        node.key = node.field
        if base.kind == "map":
            return base.params[1]
        if base.kind == "object" and base.fields is not None:
            field = base.fields(node.field)
            if field is None:
                self.issues.add(node.pos, f"undefined field '{node.field}'")
                return ERROR
            node.key = field.key
            return field.type
        if base.kind == "var":
            self.bound[base.name] = DYN
            return DYN
        if base.kind in ("dyn", "error"):
            return base
        self.issues.add(node.pos, f"type '{base}' does not support field selection")
        return ERROR

    # calls

    def call(self, node: Call) -> CelType:
        if node.target is not None and (head := self.path(node.target)):
            name = f"{head}.{node.name}"
            if name in self.scope.functions:
                node.name, node.target = name, None
        types = [self.visit(operand) for operand in node.operands]
        if node.name in ("_&&_", "_||_"):
            return self.logical(node, types)
        if node.name == "_?_:_":
            return self.conditional(node, types)
        candidates = self.scope.functions.get(node.name)
        if candidates is None:
            self.issues.add(node.pos, f"undeclared reference to '{node.name}' (in container '')")
            return ERROR
        self.validate(node)
        return self.resolve_overload(node, candidates, types)

    def resolve_overload(self, node: Call, candidates: tuple[Overload, ...], types: list[CelType]) -> CelType:
        result: CelType | None = None
        for candidate in candidates:
            if candidate.member != (node.target is not None) or len(candidate.params) != len(types):
                continue
            bound = dict(self.bound)
            renamed: dict[str, CelType] = {}
            params = [self.renamed(param, renamed) for param in candidate.params]
            if not all(unify(param, actual, bound) for param, actual in zip(params, types, strict=True)):
                continue
            node.overloads.append(candidate)
            self.bound = bound
            found = self.settled(self.renamed(candidate.result, renamed))
            result = found if result is None or result == found else DYN
        if result is None:
            self.no_overload(node, types)
            return ERROR
        if node.name == "_+_" and types[0].kind == "list" and types[0].list_type:
            return types[0]
        return result

    def renamed(self, type_: CelType, names: dict[str, CelType]) -> CelType:
        """A declaration's type with fresh variables in place of `A`, `B`."""
        if type_.kind == "var":
            return names.setdefault(type_.name, self.variable())
        if not type_.params:
            return type_
        return attrs.evolve(type_, params=tuple(self.renamed(param, names) for param in type_.params))

    def no_overload(self, node: Call, types: list[CelType]) -> None:
        texts = [str(substitute(each, self.bound, free=DYN)) for each in types]
        if any(resolve(each, self.bound).kind == "error" for each in types):
            return
        args = f"({', '.join(texts)})" if node.target is None else f"{texts[0]}.({', '.join(texts[1:])})"
        self.issues.add(node.pos, f"found no matching overload for '{node.name}' applied to '{args}'")

    def logical(self, node: Call, types: list[CelType]) -> CelType:
        if not all(unify(BOOL, each, self.bound) for each in types):
            wrong = next(i for i, each in enumerate(types) if not unify(BOOL, each, self.bound))
            self.no_overload(node, types[max(0, wrong - 1) : max(0, wrong - 1) + 2])
        return BOOL

    def conditional(self, node: Call, types: list[CelType]) -> CelType:
        condition, yes, no = types
        if not unify(BOOL, condition, self.bound) or not unify(yes, no, self.bound):
            self.no_overload(node, types)
            return ERROR
        return self.wider(yes, no)

    def wider(self, one: CelType, other: CelType) -> CelType:
        """Of two types that fit each other, the one that allows more."""
        one, other = resolve(one, self.bound), resolve(other, self.bound)
        if one is other or other.kind == "dyn" or one.kind == "null" or one.kind == "error":
            return other
        if one.params and len(one.params) == len(other.params) and one.kind == other.kind:
            return attrs.evolve(
                one, params=tuple(self.wider(a, b) for a, b in zip(one.params, other.params, strict=True))
            )
        return one

    def validate(self, node: Call) -> None:
        """Literals that can be seen to be wrong are refused (cel-go's AST validators)."""
        arg = node.args[-1] if node.args else None
        if not isinstance(arg, Const) or not isinstance(arg.value, str):
            return
        parsers: dict[str, Callable[[str], Any]] = {
            "duration": parse_duration, "timestamp": parse_timestamp, "matches": pattern,
        }  # fmt: skip
        parser = parsers.get(node.name)
        if parser is None or (node.name != "matches" and (node.target is not None or len(node.args) != 1)):
            return
        try:
            parser(arg.value)
        except EvaluationError:
            self.issues.add(arg.pos, f"invalid {node.name} argument")

    # literals

    def list_literal(self, node: ListNode) -> CelType:
        element: CelType | None = None
        for index, item in enumerate(node.items):
            type_ = self.visit(item)
            if index in node.optional:
                type_ = self.unwrapped(item, type_)
            element = self.joined(item.pos, element, type_)
        return list_of(element or self.variable())

    def map_literal(self, node: MapNode) -> CelType:
        key_type: CelType | None = None
        value_type: CelType | None = None
        for key, value, optional in node.entries:
            key_type = self.joined(key.pos, key_type, self.visit(key))
            type_ = self.visit(value)
            value_type = self.joined(value.pos, value_type, self.unwrapped(value, type_) if optional else type_)
        return map_of(key_type or self.variable(), value_type or self.variable())

    def unwrapped(self, node: Node, type_: CelType) -> CelType:
        """What is in an optional that `?` marks in a literal."""
        inner = self.variable()
        if unify(optional_of(inner), type_, self.bound):
            return self.settled(inner) if resolve(type_, self.bound).kind == "optional" else DYN
        self.issues.add(node.pos, f"expected type 'optional_type' but found '{type_}'")
        return ERROR

    def joined(self, pos: int, previous: CelType | None, current: CelType) -> CelType:
        if previous is None:
            return current
        if unify(previous, current, self.bound):
            return self.wider(previous, current)
        self.issues.add(pos, f"expected type '{self.settled(previous)}' but found '{self.settled(current)}'")
        return previous

    def struct(self, node: Struct) -> CelType:
        type_ = self.scope.structs(node.name)
        if type_ is None:
            known = node.name in self.scope.variables or node.name in _TYPES
            message = (
                f"'{node.name}' is not a type"
                if known
                else (f"undeclared reference to '{node.name}' (in container '')")
            )
            self.issues.add(node.pos, message)
        for pos, name, value, optional in node.fields:
            found = self.visit(value)
            found = self.unwrapped(value, found) if optional else found
            if type_ is None or type_.fields is None:
                continue
            field = type_.fields(name)
            if field is None:
                self.issues.add(pos, f"undefined field '{name}'")
            elif not unify(field.type, found, self.bound):
                self.issues.add(
                    pos,
                    f"expected type of field '{name}' is '{field.type}' but provided type is '{self.settled(found)}'",
                )
        return type_ or ERROR


def type_value(type_: CelType) -> TypeValue:
    """The run-time value of a type's name, such as `int` in `type(x) == int`."""
    inner = type_.params[0]
    return TypeValue("null_type" if inner == NULL else inner.name)
