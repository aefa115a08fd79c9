"""Consumable capacity: how much of a device a request takes, and whether that much is left.

Of a device that several share each takes a part: what it asks for, rounded up as the device's policy says, or the
policy's default, or all. Of a device that is taken as a whole the same sum says whether it is large enough.
Upstream: `consumable_capacity.go`.
"""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import Quantity, from_value, parse_quantity
from minik8s.scheduler.devices.slices import Capacity

Amounts = Mapping[str, int]
"""Capacity -> billionths."""


def consumption(asked: Mapping[str, Quantity], capacity: Mapping[str, Capacity]) -> dict[str, Quantity] | None:
    """What a request takes of each capacity of a device; None if it asks for what the device has not, or may not."""
    if any(name not in capacity for name in asked):
        return None
    taken = {name: _rounded(asked.get(name), each) for name, each in capacity.items()}
    return None if any(_violates(taken[name], each.policy) for name, each in capacity.items()) else taken


def fits(taken: Mapping[str, Quantity], capacity: Mapping[str, Capacity], *used: Amounts) -> bool:
    """Whether that much is left beside what is used already."""
    return all(
        taken[name].nanos + sum(amounts.get(name, 0) for amounts in used) <= each.value.nanos
        for name, each in capacity.items()
    )


def _rounded(asked: Quantity | None, capacity: Capacity) -> Quantity:
    policy = capacity.policy or {}
    if asked is None:
        return parse_quantity(policy["default"]) if policy.get("default") is not None else capacity.value
    span = policy.get("validRange") or {}
    if span.get("min") is not None:
        return _in_range(asked, span)
    for value in map(parse_quantity, policy.get("validValues") or ()):
        if asked <= value:
            return value
    return asked


def _in_range(asked: Quantity, span: Doc) -> Quantity:
    """At least the minimum, and from there in whole steps."""
    least = parse_quantity(span["min"])
    if asked < least:
        return least
    step = parse_quantity(span["step"]) if span.get("step") is not None else None
    if not step:
        return asked
    steps = -(-(asked.value() - least.value()) // step.value())
    return from_value(least.value() + steps * step.value(), step.format)


def _violates(taken: Quantity, policy: Doc | None) -> bool:
    if policy is None or (policy.get("default") is not None and taken == parse_quantity(policy["default"])):
        return False
    span = policy.get("validRange")
    if span is not None:
        if span.get("max") is not None and taken > parse_quantity(span["max"]):
            return True
        step = parse_quantity(span.get("step") or "0").value()
        return bool(step) and (taken.value() - parse_quantity(span.get("min") or "0").value()) % step != 0
    values = policy.get("validValues") or ()
    return bool(values) and taken not in [parse_quantity(value) for value in values]
