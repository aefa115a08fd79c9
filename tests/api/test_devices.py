"""Device selectors: what they see, what they may say, and what they are told."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.devices import compile_selector, device_value, matches
from minik8s.cel import CompileError, EvaluationError

DRIVER = "gpu.example.com"
DEVICE: Any = {
    "name": "gpu-0",
    "attributes": {
        "model": {"string": "a100"},
        "index": {"int": 3},
        "ready": {"bool": True},
        "firmware": {"version": "1.2.3-rc.1"},
        "other.example.com/model": {"string": "x"},
    },
    "capacity": {"memory": {"value": "40Gi"}, "other.example.com/lanes": {"value": "16"}},
}


def ask(expression: str, device: Any = DEVICE) -> bool:
    return matches(compile_selector(expression), device_value(DRIVER, device))


@pytest.mark.parametrize(
    "expression",
    [
        f'device.driver == "{DRIVER}"',
        f'device.attributes["{DRIVER}"].model == "a100"',
        'device.attributes["other.example.com"].model == "x"',
        f'device.attributes["{DRIVER}"].index > 2 && device.attributes["{DRIVER}"].ready',
        f'device.attributes["{DRIVER}"].firmware.isLessThan(semver("1.2.3"))',
        f'device.capacity["{DRIVER}"].memory.compareTo(quantity("40Gi")) == 0',
        'device.capacity["other.example.com"].lanes.isGreaterThan(quantity("8"))',
        "!device.allowMultipleAllocations",
        # a domain that is not there is empty; the attribute may be asked for without asking for the domain
        '!has(device.attributes["none.example.com"].model)',
        '!("none.example.com" in device.attributes)',
        'device.attributes["none.example.com"].?model.orValue("y") == "y"',
        'device.attributes["none.example.com"].size() == 0',
        f'cel.bind(gpu, device.attributes["{DRIVER}"], gpu.ready && gpu.model.startsWith("a"))',
        f'cel.bind(a, 1, cel.bind(b, a + 1, [a, b].exists(c, c == device.attributes["{DRIVER}"].index - 1)))',
        f'device.attributes["{DRIVER}"].ready',
    ],
)
def test_what_a_selector_sees(expression: str) -> None:
    """Attributes and capacities by domain, where the driver's is understood; versions and quantities as such."""
    assert ask(expression)


def test_shared_devices() -> None:
    """A selector can tell a device that several may share."""
    assert ask("device.allowMultipleAllocations", {**DEVICE, "allowMultipleAllocations": True})


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("device.nope", "compilation failed: ERROR: <input>:1:7: undefined field 'nope'"),
        ("1 + 1", "must evaluate to bool or the unknown type, not int"),
        ("object.x", "compilation failed: ERROR: <input>:1:1: undeclared reference to 'object'"),
        ("cel.bind(1, 2, true)", "argument must be a simple name"),
        ("cel.bind(x, 1)", "undeclared reference to 'cel"),
        ("", "compilation failed"),
    ],
)
def test_what_does_not_compile(expression: str, why: str) -> None:
    """It is refused with upstream's words."""
    with pytest.raises(CompileError) as told:
        compile_selector(expression)
    assert why in str(told.value)


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (
            f'device.attributes["{DRIVER}"].nope == 1',
            "no such key: nope. Consider using CEL optional chaining (?), has() macro, or orValue() for optional "
            "fields",
        ),
        (f'device.attributes["{DRIVER}"].model', "CEL result of type string could not be converted to bool"),
        (f'device.attributes["{DRIVER}"].model > 1', "no such overload"),
        ("[1, 2, 3].map(x, [1, 2, 3]).all(y, [0].all(z, device.driver.size() / z == 1))", "division by zero"),
    ],
)
def test_what_fails_on_a_device(expression: str, why: str) -> None:
    """It is told, with a hint where a key is missing."""
    with pytest.raises(EvaluationError) as told:
        ask(expression)
    assert str(told.value) == why


def test_what_costs_too_much() -> None:
    """One device may not cost more than a million units."""
    numbers = "[" + ", ".join(["1"] * 100) + "]"
    hungry = f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a == b)))"
    with pytest.raises(EvaluationError, match="actual cost limit exceeded"):
        ask(hungry)
