"""What a DeviceSelector's CEL expression sees of a device, and how it is compiled and asked.

The API server refuses an expression that does not compile, the scheduler picks devices by those that do. Upstream:
`k8s.io/dynamic-resource-allocation/cel`. An attribute or capacity without a domain belongs to the driver's; a domain
that the device does not know is an empty map, so that only the attribute has to be asked for.
"""

from __future__ import annotations

from typing import Any

from minik8s.cel import (
    BOOL,
    DYN,
    STRING,
    Budget,
    CelType,
    CompileError,
    EvaluationError,
    Program,
    compile_expression,
    map_of,
    object_of,
    opaque,
)
from minik8s.cel.library.quantity import Quantity
from minik8s.cel.library.semver import parse_semver
from minik8s.cel.values import Defaults, type_name
from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import parse_quantity

MAX_COST = 1_000_000
"""What asking about one device may cost; CELSelectorExpressionMaxCost."""
_DEVICE = object_of(
    "kubernetes.DRADevice",
    {
        "driver": STRING,
        "allowMultipleAllocations": BOOL,
        "attributes": map_of(STRING, map_of(STRING, DYN)),
        "capacity": map_of(STRING, map_of(STRING, opaque(Quantity.cel_name))),
    },
    escaped=False,
)
_VARIABLES: dict[str, CelType] = {"device": _DEVICE}
_HINT = ". Consider using CEL optional chaining (?), has() macro, or orValue() for optional fields"


def compile_selector(expression: str) -> Program:
    """Raises CompileError with upstream's text."""
    program = compile_expression(expression, variables=_VARIABLES, bindings=True)
    if program.type not in (BOOL, DYN):
        raise CompileError(f"must evaluate to bool or the unknown type, not {program.type}")
    return program


def device_value(driver: str, device: Doc) -> Any:
    """A device of a ResourceSlice as the variable `device`. Raises EvaluationError for a version that is none."""
    attributes: dict[str, Any] = {}
    for name, attribute in (device.get("attributes") or {}).items():
        domain, identifier = qualified(name, driver)
        attributes.setdefault(domain, {})[identifier] = _attribute(attribute)
    capacity: dict[str, Any] = {}
    for name, amount in (device.get("capacity") or {}).items():
        domain, identifier = qualified(name, driver)
        capacity.setdefault(domain, {})[identifier] = Quantity(parse_quantity(amount["value"]))
    return {
        "driver": driver,
        "allowMultipleAllocations": bool(device.get("allowMultipleAllocations")),
        "attributes": Defaults(attributes, {}),
        "capacity": Defaults(capacity, {}),
    }


def matches(program: Program, device: Any) -> bool:
    """Whether a selector takes a `device_value`. Raises EvaluationError with upstream's text."""
    try:
        found = program.evaluate({"device": device}, budget=Budget(MAX_COST))
    except EvaluationError as error:
        if str(error).startswith("no such key:"):
            raise EvaluationError(f"{error}{_HINT}") from None
        raise
    if not isinstance(found, bool):
        raise EvaluationError(f"CEL result of type {type_name(found)} could not be converted to bool")
    return found


def qualified(name: str, driver: str) -> tuple[str, str]:
    """Domain and identifier of an attribute or capacity."""
    domain, slash, identifier = name.partition("/")
    return (domain, identifier) if slash else (driver, name)


def attribute_value(attribute: Doc) -> Any:
    """What an attribute says, with its kind, so that `1` and `true` and `"1"` differ; None for none that is known."""
    for kind in ("string", "int", "bool", "version"):
        if (value := attribute.get(kind)) is not None:
            return kind, value
    return None


def _attribute(attribute: Doc) -> Any:
    found = attribute_value(attribute)
    if found is None:
        raise EvaluationError("unsupported attribute value")
    kind, value = found
    return parse_semver(value) if kind == "version" else value
