"""`x-kubernetes-validations`: the rules that a custom resource's schema states in CEL.

A rule belongs to a node of the schema and is asked about every value there, as `self`; one that mentions `oldSelf` is a
transition rule and only asked where the value's predecessor is known. Compiled once, when a definition is stored or
served. Upstream: apiextensions-apiserver `pkg/apiserver/schema/cel/validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from minik8s.cel import (
    Budget,
    BudgetError,
    CelError,
    CelType,
    CompileError,
    EvaluationError,
    Program,
    compile_expression,
    optional_of,
    type_of,
)
from minik8s.cel.convert import converter
from minik8s.cel.values import NONE, Optional
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors, duplicate, forbidden, invalid, render, required
from minik8s.machinery.meta import CONTAINERS, Doc
from minik8s.schema.constraints import MISSING, NOWHERE, correlated, same
from minik8s.schema.structural import LIST_KEYS, LIST_TYPE, MAP_TYPE, RULES
from minik8s.schema.table import Type

OBJECT_BUDGET = 10_000_000
"""What all rules of one object may cost together (upstream: RuntimeCELCostBudget)."""
MAX_MESSAGE = 5 * 1024
_KEY = "rules"


@attrs.frozen(eq=False)
class Rule:
    """One compiled rule; `path` is where its failure is reported, below the value."""

    doc: Doc
    program: Program
    message: Program | None
    is_transition: bool
    is_optional: bool
    path: str

    @property
    def text(self) -> str:
        """What errors call the rule."""
        return (self.doc.get("message") or self.doc["rule"]).strip()


def node_type(type: Type) -> CelType:
    """The type of `self` at a node."""
    schema = type.schema or {}
    return type_of(type, schema.get(LIST_TYPE) or "", tuple(schema.get(LIST_KEYS) or ()))


def compile_rule(doc: Doc, type: Type) -> Rule:
    """Raises CompileError."""
    own = node_type(type)
    is_optional = bool(doc.get("optionalOldSelf"))
    variables = {"self": own, "oldSelf": optional_of(own) if is_optional else own}
    program = compile_expression(doc["rule"], variables=variables, result="bool")
    text = doc.get("messageExpression")
    message = compile_expression(text, variables=variables, result="string") if text else None
    is_transition = program.uses("oldSelf") and not is_optional
    return Rule(doc, program, message, is_transition, is_optional, doc.get("fieldPath") or "")


@attrs.frozen(eq=False)
class Asked:
    """What a round of rules may cost, and which it is about: what counts, or what is `tolerated` because it is old."""

    budget: Budget
    tolerated: bool


class Rules:
    """All rules of one version's schema."""

    def __init__(self, type: Type) -> None:
        self._type = type

    def check(self, obj: Doc, old: Doc | None) -> FieldErrors:
        """What the rules say about an object that its schema finds valid, and about what it changes of `old`."""
        return self._ask(obj, MISSING if old is None else old, tolerated=False)

    def tolerated(self, obj: Doc, old: Doc) -> FieldErrors:
        """What they have against values that an update leaves as they were."""
        return self._ask(obj, old, tolerated=True)

    def _ask(self, obj: Doc, old: Any, *, tolerated: bool) -> FieldErrors:
        try:
            return _check(obj, self._type, "", old, Asked(Budget(OBJECT_BUDGET), tolerated))
        except _OutOfBudgetError as error:
            return [error.cause]


def rules_of(type: Type) -> Rules | None:
    """The rules of a schema, None when it has none. Raises CompileError."""
    return Rules(type) if _has_rules(type) else None


class _OutOfBudgetError(Exception):
    def __init__(self, cause: StatusCause) -> None:
        self.cause = cause


def _compiled(type: Type) -> list[Rule]:
    found: list[Rule] | None = type.compiled.get(_KEY)
    if found is None:
        docs = (type.schema or {}).get(RULES) or ()
        found = type.compiled[_KEY] = [compile_rule(doc, type) for doc in docs]
    return found


def _has_rules(type: Type) -> bool:
    """Whether there are rules at a node or below; compiles them."""
    known: bool | None = type.compiled.get("has rules")
    if known is None:
        if type.schema is None:
            return False
        members = [field.type for field in type.fields.values()] if type.kind == "struct" else [type.item]
        below = [_has_rules(member) for member in members if member is not None]
        known = type.compiled["has rules"] = any(below) or bool(_compiled(type))
    return known


def _check(value: Any, type: Type, path: str, old: Any, asked: Asked) -> FieldErrors:
    if value is None or not _has_rules(type):
        return []
    errors = list(_own(value, type, path, old, asked)) if _compiled(type) else []
    if not isinstance(value, CONTAINERS):
        return errors
    for inner, member, child, before in _members(value, type, path, old):
        errors += _check(inner, member, child, before, asked)
    return errors


def _members(value: Any, type: Type, path: str, old: Any) -> Iterator[tuple[Any, Type, str, Any]]:
    """(value, node, path, predecessor) of everything in a value."""
    if isinstance(value, list):
        if type.item is not None and type.kind == "list":
            for index, before in enumerate(correlated(value, old, type.schema or {})):
                yield value[index], type.item, f"{path}[{index}]", before
        return
    known = old if isinstance(old, dict) and (type.schema or {}).get(MAP_TYPE) != "atomic" else {}
    for name, inner in value.items():
        if type.kind == "map" and type.item is not None:
            yield inner, type.item, f"{path}[{name}]", known.get(name, MISSING)
        elif type.kind == "struct" and (field := type.fields.get(name)) is not None:
            yield inner, field.type, f"{path}.{name}" if path else name, known.get(name, MISSING)


def _own(value: Any, type: Type, path: str, old: Any, asked: Asked) -> Iterator[StatusCause]:
    convert = converter(node_type(type))
    shown = convert(value) if convert else value
    has_old = old is not MISSING and old is not None
    before = (convert(old) if convert else old) if has_old else None
    unchanged = has_old and same(value, old)
    for rule in _compiled(type):
        if rule.is_transition and not has_old:
            continue
        if asked.tolerated != (unchanged and not rule.program.uses("oldSelf")):
            continue
        old_self = (Optional(True, before) if has_old else NONE) if rule.is_optional else before
        variables = {"self": shown, "oldSelf": old_self}
        if (cause := _ask(rule, variables, value, type, path or NOWHERE, asked.budget)) is not None:
            yield cause


def _ask(rule: Rule, variables: Doc, value: Any, type: Type, path: str, budget: Budget) -> StatusCause | None:
    kind = (type.schema or {}).get("type") or ""
    try:
        if rule.program.evaluate(variables, budget=budget) is True:
            return None
    except BudgetError as error:
        why = f"'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {rule.text}"
        raise _OutOfBudgetError(invalid(path, kind, why)) from None
    except EvaluationError as error:
        if str(error).startswith("no such overload"):
            words = "call arguments did not match a supported operator, function or macro signature for rule"
            return invalid(path, kind, f"'{error}': {words}: {rule.text}")
        return invalid(path, kind, f"{error} evaluating rule: {rule.text}")
    where = path + rule.path if path != NOWHERE else rule.path.removeprefix(".") or NOWHERE
    message = _expressed(rule, variables, budget)
    return _failed(rule, where, value, message)


def _expressed(rule: Rule, variables: Doc, budget: Budget) -> str | None:
    """What messageExpression says, None when it says nothing that could be shown."""
    if rule.message is None:
        return None
    try:
        text = rule.message.evaluate(variables, budget=budget)
    except CelError:
        return None
    usable = isinstance(text, str) and text.strip() and "\n" not in text and len(text) <= MAX_MESSAGE
    return text.strip() if usable else None


def _failed(rule: Rule, path: str, value: Any, message: str | None) -> StatusCause:
    text = message or (rule.doc.get("message") or "").strip() or f"failed rule: {rule.text}"
    match rule.doc.get("reason"):
        case "FieldValueForbidden":
            return forbidden(path, text)
        case "FieldValueRequired":
            return required(path, text)
        case "FieldValueDuplicate":
            return duplicate(path, value)
    if message is not None or isinstance(value, CONTAINERS):
        return StatusCause("FieldValueInvalid", f"Invalid value: {text}", path)
    return StatusCause("FieldValueInvalid", f"Invalid value: {render(value)}: {text}", path)


__all__ = ["CompileError", "Rule", "Rules", "compile_rule", "node_type", "rules_of"]
