"""Value validation: what a custom resource's schema demands of values, beyond which fields there are.

All errors at once, in the words of kube-openapi's validator (`pkg/validation/validate`, `errors/schema.go`) as
apiextensions-apiserver turns them into field errors. An update is only held to what it changes: a value that equals
its predecessor is not looked into (upstream: CRDValidationRatcheting).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import (
    FieldErrors,
    duplicate,
    invalid,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)
from minik8s.machinery.meta import CONTAINERS, Doc
from minik8s.schema.formats import format_check
from minik8s.schema.patterns import is_found
from minik8s.schema.structural import INT_OR_STRING, LIST_KEYS, LIST_TYPE, NOTHING

NOWHERE: Final = "<nil>"
"""The path of what concerns no field of its own, as Go prints it."""
MISSING: Final = object()
"""Stands for an old value that does not exist or cannot be told apart."""


MAX_CHECKS: Final = 1_000_000
"""Values looked at, counted once for each schema that looks: what a large document and a hostile schema can cost."""


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_CHECKS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _ExhaustedError


class _ExhaustedError(Exception):
    """The document is not going to be judged in a reasonable time."""


def check_values(obj: Any, schema: Doc, old: Any = MISSING, path: str = "") -> FieldErrors:
    """Everything that is wrong with a document, or with a value at `path`; `old` is what it replaces."""
    try:
        return _check(obj, schema, path, old, _Budget())
    except _ExhaustedError:
        return [_nowhere(f"validation by the schema takes more than {MAX_CHECKS} steps")]
    except RecursionError:
        return [_nowhere("the schema or the object is nested too deeply")]


def same(value: Any, old: Any) -> bool:
    """JSON equality: true is not 1, but 1.0 is."""
    if value is old:
        return True
    if isinstance(value, bool) != isinstance(old, bool):
        return False
    if isinstance(value, dict) and isinstance(old, dict):
        return value.keys() == old.keys() and all(same(inner, old[key]) for key, inner in value.items())
    if isinstance(value, list) and isinstance(old, list):
        return len(value) == len(old) and all(map(same, value, old))
    return bool(value == old)


def correlated(items: list[Any], old: Any, schema: Doc) -> list[Any]:
    """For each element of a list its predecessor, MISSING where there is none: only keys identify elements."""
    if schema.get(LIST_TYPE) != "map" or not isinstance(old, list):
        return [MISSING] * len(items)
    keys = schema.get(LIST_KEYS) or ()
    properties = (schema.get("items") or NOTHING).get("properties") or {}
    known = {_identity(item, keys, properties): item for item in reversed(old) if isinstance(item, dict)}
    return [
        known.get(_identity(item, keys, properties), MISSING) if isinstance(item, dict) else MISSING for item in items
    ]


def _identity(item: Doc, keys: Iterable[str], properties: Mapping[str, Doc]) -> bytes:
    values = [item.get(key, (properties.get(key) or NOTHING).get("default")) for key in keys]
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)


def _check(value: Any, schema: Doc, path: str, old: Any, budget: _Budget) -> FieldErrors:
    budget.spend()
    if old is not MISSING and same(value, old):
        return []
    errors = list(_type_errors(value, schema, path))
    if value is None:
        return errors if schema.get("nullable") else errors + list(_enum_errors(value, schema, path))
    errors += _composites(value, schema, path, old, budget)
    if isinstance(value, str):
        errors += _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        errors += _number(value, schema, path)
    elif isinstance(value, list):
        errors += _list(value, schema, path, old, budget)
    errors += _enum_errors(value, schema, path)
    if isinstance(value, dict):
        errors += _object(value, schema, path, old, budget)
    return errors


def word(value: Any) -> str:
    """The schema's name for the type of a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if value is None:
        return "null"
    return "string" if isinstance(value, str) else "object" if isinstance(value, dict) else "array"


def _type_errors(value: Any, schema: Doc, path: str) -> Iterable[StatusCause]:
    given = word(value)
    wanted = ("integer", "string") if schema.get(INT_OR_STRING) else (schema.get("type") or "",)
    if value is None:
        if wanted[0] and not schema.get("nullable"):
            yield _mistyped(path, ",".join(wanted), "null")
        return
    if not wanted[0] or given in wanted:
        return
    if given == "integer" and "number" in wanted:
        return
    if isinstance(value, float) and "integer" in wanted and value.is_integer():
        return
    yield _mistyped(path, ",".join(wanted), given)


def _mistyped(path: str, wanted: str, given: str) -> StatusCause:
    return type_invalid(path or NOWHERE, given, f'{path} in body must be of type {wanted}: "{given}"')


def _string(value: str, schema: Doc, path: str) -> Iterable[StatusCause]:
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength"), schema.get("pattern")
    if longest is not None and len(value) > longest:
        yield too_long(path, longest)
    if shortest is not None and len(value) < shortest:
        yield invalid(path, value, f"{path} in body should be at least {shortest} chars long")
    if pattern and not is_found(pattern, value):
        yield invalid(path, value, f"{path} in body should match '{pattern}'")
    name = schema.get("format")
    if name and (check := format_check(name)) is not None and not check(value):
        yield type_invalid(path, value, f"{path} in body must be of type {name}: {go_quoted(value)}")


def go_quoted(value: str) -> str:
    return orjson.dumps(value.encode("utf-8", "replace").decode()).decode()


def _number(value: float, schema: Doc, path: str) -> Iterable[StatusCause]:
    factor = schema.get("multipleOf")
    if factor and not _is_multiple(value, factor):
        yield invalid(path, value, f"{path} in body should be a multiple of {_bound(factor)}")
    maximum, minimum = schema.get("maximum"), schema.get("minimum")
    if maximum is not None:
        if schema.get("exclusiveMaximum") and value >= maximum:
            yield invalid(path, value, f"{path} in body should be less than {_bound(maximum)}")
        elif value > maximum:
            yield invalid(path, value, f"{path} in body should be less than or equal to {_bound(maximum)}")
    if minimum is not None:
        if schema.get("exclusiveMinimum") and value <= minimum:
            yield invalid(path, value, f"{path} in body should be greater than {_bound(minimum)}")
        elif value < minimum:
            yield invalid(path, value, f"{path} in body should be greater than or equal to {_bound(minimum)}")


def _is_multiple(value: float, factor: float) -> bool:
    if isinstance(value, int) and isinstance(factor, int):
        return value % factor == 0
    try:
        quotient = value / factor
    except (OverflowError, ZeroDivisionError):
        return False
    return math.isfinite(quotient) and quotient == math.floor(quotient)


def _bound(number: float) -> str:
    """A limit as Go's %v prints a float64."""
    number = float(number)
    if number.is_integer() and abs(number) < 1e21:
        return str(int(number))
    return repr(number)


def _list(value: list[Any], schema: Doc, path: str, old: Any, budget: _Budget) -> FieldErrors:
    errors: FieldErrors = []
    if (items := schema.get("items")) is not None:
        before = correlated(value, old, schema)
        for index, item in enumerate(value):
            errors += _check(item, items, f"{path}[{index}]", before[index], budget)
    most, least = schema.get("maxItems"), schema.get("minItems")
    if most is not None and len(value) > most:
        errors.append(too_many(path, len(value), most))
    if least is not None and len(value) < least:
        errors.append(invalid(path, len(value), f"{path} in body should have at least {least} items"))
    return errors


def _object(value: Doc, schema: Doc, path: str, old: Any, budget: _Budget) -> FieldErrors:
    most, least = schema.get("maxProperties"), schema.get("minProperties")
    if least is not None and len(value) < least:
        return [invalid(path or NOWHERE, len(value), f"{path} in body should have at least {least} properties")]
    if most is not None and len(value) > most:
        return [too_many(path or NOWHERE, len(value), most)]
    errors: FieldErrors = []
    properties: Mapping[str, Doc] = schema.get("properties") or {}
    other = schema.get("additionalProperties")
    before = old if isinstance(old, dict) else {}
    for name, inner in value.items():
        below = properties.get(name, other)
        if isinstance(below, dict):
            errors += _check(inner, below, f"{path}.{name}" if path else name, before.get(name, MISSING), budget)
        elif below is False:
            errors.append(invalid(path or NOWHERE, "", f"{path}.{name} in body is a forbidden property"))
    for name in schema.get("required") or ():
        if name not in value and "default" not in properties.get(name, NOTHING):
            errors.append(required(f"{path}.{name}" if path else name))
    return errors


def _enum_errors(value: Any, schema: Doc, path: str) -> Iterable[StatusCause]:
    allowed = schema.get("enum")
    if allowed and not any(same(value, one) for one in allowed):
        shown = (one if isinstance(one, str) else orjson.dumps(one).decode() for one in allowed)
        yield not_supported(path or NOWHERE, value, shown)


# allOf, anyOf, oneOf, not


def _composites(value: Any, schema: Doc, path: str, old: Any, budget: _Budget) -> FieldErrors:
    errors: FieldErrors = []
    if branches := schema.get("anyOf"):
        errors += _any_of(value, branches, path, old, budget)
    if branches := schema.get("oneOf"):
        errors += _one_of(value, branches, path, old, budget)
    if branches := schema.get("allOf"):
        failures = [found for branch in branches if (found := _check(value, branch, path, old, budget))]
        errors += [cause for found in failures for cause in found]
        if failures:
            none = ". None validated" if len(failures) == len(branches) else ""
            errors.append(_nowhere(f'"{path}" must validate all the schemas (allOf){none}'))
    if (forbidden := schema.get("not")) is not None and not _check(value, forbidden, path, old, budget):
        errors.append(_nowhere(f'"{path}" must not validate the schema (not)'))
    return errors


def _nowhere(text: str) -> StatusCause:
    return invalid(NOWHERE, "", text)


def _any_of(value: Any, branches: Iterable[Doc], path: str, old: Any, budget: _Budget) -> FieldErrors:
    best: FieldErrors | None = None
    for branch in branches:
        found = _check(value, branch, path, old, budget)
        if not found:
            return []
        if best is None or len(found) < len(best):
            best = found
    return [_nowhere(f'"{path}" must validate at least one schema (anyOf)'), *(best or ())]


def _one_of(value: Any, branches: Iterable[Doc], path: str, old: Any, budget: _Budget) -> FieldErrors:
    """The best failures follow only when nothing fitted; of two that fit there is nothing more to say."""
    failures = [_check(value, branch, path, old, budget) for branch in branches]
    valid = sum(not found for found in failures)
    if valid == 1:
        return []
    why = f"Found {valid} valid alternatives" if valid else "Found none valid"
    best = [] if valid else min(failures, key=len)
    return [_nowhere(f'"{path}" must validate one and only one schema (oneOf). {why}'), *best]


# list types


def check_lists(value: Any, schema: Doc, path: str = "") -> FieldErrors:
    """Elements that sets and maps have twice."""
    errors: FieldErrors = []
    if isinstance(value, list):
        errors += _repeated(value, schema, path)
        if items := schema.get("items"):
            for index, item in enumerate(value):
                if isinstance(item, CONTAINERS):
                    errors += check_lists(item, items, f"{path}[{index}]")
    elif isinstance(value, dict):
        properties: Mapping[str, Doc] = schema.get("properties") or {}
        other = schema.get("additionalProperties")
        for name, inner in value.items():
            below = properties.get(name, other)
            if isinstance(inner, CONTAINERS) and isinstance(below, dict):
                errors += check_lists(inner, below, f"{path}.{name}" if path else name)
    return errors


def _repeated(items: list[Any], schema: Doc, path: str) -> Iterable[StatusCause]:
    kind, keys = schema.get(LIST_TYPE), schema.get(LIST_KEYS) or ()
    if kind not in ("set", "map"):
        return
    properties = (schema.get("items") or NOTHING).get("properties") or {}
    seen: set[bytes] = set()
    for index, item in enumerate(items):
        if kind == "set":
            identity, shown = orjson.dumps(item, option=orjson.OPT_SORT_KEYS), item
        elif isinstance(item, dict):
            identity, shown = _identity(item, keys, properties), {key: item[key] for key in keys if key in item}
        else:
            continue
        if identity in seen:
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(identity)
