"""The CEL rules of a CustomResourceDefinition's schema: every one must compile before the definition is stored.

Upstream: apiextensions-apiserver `pkg/apis/apiextensions/validation/validation.go`, `validateXValidations`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import invalid, not_supported, required, too_long
from minik8s.machinery.meta import Doc
from minik8s.schema.structural import LIST_TYPE, MAP_TYPE, RULES, nodes, root_type
from minik8s.schema.table import Type

if TYPE_CHECKING:
    from minik8s.api.validation.rulecosts import Costs, Place

Causes = Iterator[StatusCause]
MAX_MESSAGE = 2048
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_STEP = re.compile(r"\.(?P<field>[A-Za-z_][A-Za-z0-9_-]*)|\['(?P<quoted>(?:[^'\\]|\\.)+)'\]", re.ASCII)


def rule_errors(schema: Doc, path: str, *, lenient: bool = False) -> Causes:
    """What is wrong with the rules anywhere in a structural schema; a `lenient` view lets each cost what it likes."""
    if any(node.get(RULES) for node in nodes(schema)):  # without one nothing of CEL is imported
        from minik8s.api.validation.rulecosts import Costs, Place
        from minik8s.cel.sizes import sized

        costs = Costs(lenient=lenient)
        place = Place(sized(schema, root=True))
        yield from _Schema(costs).below(root_type(schema, "object"), path, place, correlatable=True)
        yield from costs.verdict(path)


@attrs.frozen
class _Spot:
    """One rule: its path, that of its schema, and whether values there are known by what they were before."""

    path: str
    at: str
    place: Place
    correlatable: bool


class _Schema:
    """The rules of one schema."""

    def __init__(self, costs: Costs) -> None:
        self._costs = costs

    def below(self, type: Type, path: str, place: Place, *, correlatable: bool) -> Causes:
        schema = type.schema or {}
        for index, rule in enumerate(schema.get(RULES) or ()):
            spot = _Spot(f"{path}.{RULES}[{index}]", path, place, correlatable)
            yield from _rule(rule, type, spot, self._costs)
        if type.kind == "struct":
            inner = correlatable and schema.get(MAP_TYPE) != "atomic"
            for name, field in type.fields.items():
                if field.type.schema is not None and name in (schema.get("properties") or {}):
                    within = place.field(name, field.type)
                    yield from self.below(field.type, f"{path}.properties[{name}]", within, correlatable=inner)
        elif type.item is not None and type.kind == "map":
            inner = correlatable and schema.get(MAP_TYPE) != "atomic"
            yield from self.below(type.item, f"{path}.additionalProperties", place.items(type), correlatable=inner)
        elif type.item is not None:
            inner = correlatable and schema.get(LIST_TYPE) == "map"
            yield from self.below(type.item, f"{path}.items", place.items(type), correlatable=inner)


def _rule(rule: Mapping[str, Any], type: Type, spot: _Spot, costs: Costs) -> Causes:
    path = spot.path
    text, message = rule.get("rule") or "", rule.get("message")
    if not text.strip():
        yield required(f"{path}.rule", "rule is not specified")
        return
    if message is not None:
        yield from _message(message, path)
    if "\n" in text and not message and not rule.get("messageExpression"):
        yield required(f"{path}.message", "message must be specified if rule contains line breaks")
    if rule.get("reason") not in (None, "", *REASONS):
        yield not_supported(f"{path}.reason", rule["reason"], REASONS)
    if (field_path := rule.get("fieldPath")) and not _is_field(field_path, type):
        yield invalid(f"{path}.fieldPath", field_path, "fieldPath must be a valid path")
    yield from _compiled(rule, type, spot, costs)


def _message(message: str, path: str) -> Causes:
    if not message.strip():
        yield invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid(f"{path}.message", message, "message must not contain line breaks")
    elif len(message) > MAX_MESSAGE:
        yield too_long(f"{path}.message", MAX_MESSAGE)


def _compiled(rule: Mapping[str, Any], type: Type, spot: _Spot, costs: Costs) -> Causes:
    from minik8s.api.rules import CompileError, compile_rule
    from minik8s.cel import ResultTypeError

    path = spot.path
    try:
        program = compile_rule({**rule, "messageExpression": ""}, type).program
    except ResultTypeError:
        yield invalid(f"{path}.rule", rule["rule"], "cel expression must evaluate to a bool")
        return
    except CompileError as error:
        yield invalid(f"{path}.rule", rule["rule"], str(error))
        return
    yield from costs.charge(spot.place.times(program.estimated_cost(spot.place.sized)), f"{path}.rule", "rule")
    if rule.get("messageExpression"):
        yield from _expressed(rule, type, spot, costs)
    if not spot.correlatable and program.uses("oldSelf"):
        why = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {spot.at}"
        yield invalid(f"{path}.rule", rule["rule"], why)
    if "optionalOldSelf" in rule and not program.uses("oldSelf"):
        yield invalid(
            f"{path}.optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule"
        )


def _expressed(rule: Mapping[str, Any], type: Type, spot: _Spot, costs: Costs) -> Causes:
    """A rule's messageExpression; it is charged once, for only one message is told."""
    from minik8s.api.rules import CompileError, compile_rule
    from minik8s.cel import ResultTypeError

    path = f"{spot.path}.messageExpression"
    try:
        message = compile_rule(rule, type).message
    except ResultTypeError:
        yield invalid(path, rule["messageExpression"], "messageExpression must evaluate to a string")
        return
    except CompileError as error:
        yield invalid(path, rule["messageExpression"], f"messageExpression {error}")
        return
    if message is not None:
        yield from costs.charge(message.estimated_cost(spot.place.sized), path, "messageExpression")


def _is_field(path: str, type: Type) -> bool:
    """Whether a rule's fieldPath leads to a field of the value."""
    position = 0
    node: Type | None = type
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None or node is None:
            return False
        name = match["field"] or re.sub(r"\\(.)", r"\1", match["quoted"])
        if node.kind == "struct":
            field = node.fields.get(name)
            node = field.type if field is not None else None
        else:
            node = node.item if node.kind == "map" else None
        if node is None:
            return False
        position = match.end()
    return True
