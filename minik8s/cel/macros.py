"""The static types of macros: what their variables are, and what they yield.

Upstream expands macros before it checks them; the messages here speak of what they would expand to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .syntax import Call, Fold
from .types import BOOL, DYN, INT, CelType, list_of, map_of, optional_of, unify

if TYPE_CHECKING:
    from .checker import Checker

QUANTIFIERS = ("all", "exists", "exists_one")


def check_fold(checker: Checker, node: Fold) -> CelType:
    """The type of a macro; its range and steps are checked on the way."""
    over = checker.settled(checker.visit(node.over))
    if node.macro.startswith("opt"):
        return _optional_map(checker, node, over)
    if node.macro == "bind":
        return _bound(checker, node, over)
    variables = _range(checker, node, over)
    checker.locals.append(dict(zip(node.variables, variables, strict=True)))
    types = [checker.visit(step) for step in node.steps]
    checker.locals.pop()
    result = _result(checker, node, variables, types[-1])
    if node.macro in (*QUANTIFIERS, "filter") or len(types) == 2:
        _condition(checker, node, types[0], result)
    return result


def _bound(checker: Checker, node: Fold, value: CelType) -> CelType:
    checker.locals.append({node.variables[0]: value})
    result = checker.visit(node.steps[0])
    checker.locals.pop()
    return result


def _condition(checker: Checker, node: Fold, type_: CelType, result: CelType) -> None:
    """A macro's condition must be bool; the message speaks of what upstream expands the macro to."""
    if unify(BOOL, type_, checker.bound):
        return
    operator = {"all": "_&&_", "exists": "_||_"}.get(node.macro, "_?_:_")
    state = INT if node.macro == "exists_one" else result
    checker.no_overload(Call(node.pos, operator, None, []), [BOOL, type_] if state == BOOL else [type_, state, state])


def _result(checker: Checker, node: Fold, variables: list[CelType], last: CelType) -> CelType:
    if node.macro in QUANTIFIERS:
        return BOOL
    if node.macro == "filter":
        return list_of(variables[0])
    if node.macro in ("map", "transformList"):
        return list_of(last)
    if node.macro == "transformMap":
        return map_of(variables[0], last)
    entry = checker.settled(last)
    if entry.kind not in ("map", "dyn", "error"):
        checker.issues.add(node.steps[-1].pos, f"expected type 'map' but found '{entry}'")
    return entry if entry.kind == "map" else map_of(DYN, DYN)


def _range(checker: Checker, node: Fold, over: CelType) -> list[CelType]:
    """The types of a macro's variables."""
    two = len(node.variables) == 2
    if over.kind == "list":
        return [INT, over.params[0]] if two else [over.params[0]]
    if over.kind == "map":
        return list(over.params) if two else [over.params[0]]
    if over.kind not in ("dyn", "error", "var"):
        checker.issues.add(
            node.over.pos,
            f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)",
        )
    return [DYN] * len(node.variables)


def _optional_map(checker: Checker, node: Fold, over: CelType) -> CelType:
    inner = checker.variable()
    if not unify(optional_of(inner), over, checker.bound):
        checker.issues.add(node.pos, f"found no matching overload for 'hasValue' applied to '{over}.()'")
    value = checker.settled(inner)
    checker.locals.append({node.variables[0]: DYN if value.kind == "var" else value})
    result = checker.visit(node.steps[0])
    checker.locals.pop()
    if node.macro == "optMap":
        return optional_of(result)
    wrapped = optional_of(checker.variable())
    if not unify(wrapped, result, checker.bound):
        checker.issues.add(node.pos, f"expected type 'optional_type' but found '{checker.settled(result)}'")
    return checker.settled(wrapped)
