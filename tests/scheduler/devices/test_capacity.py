"""Consumable capacity: what a request takes of a device, and who still fits beside it."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.machinery.quantity import parse_quantity
from minik8s.scheduler.devices.capacity import consumption
from minik8s.scheduler.devices.slices import Capacity
from tests.scheduler.devices.builders import claim, device, got, offer, request, search

STEPS = {"default": "1Gi", "validRange": {"min": "1Gi", "max": "8Gi", "step": "2Gi"}}
VALUES = {"default": "1Gi", "validValues": ["1Gi", "4Gi", "8Gi"]}


@pytest.mark.parametrize(
    ("policy", "asked", "taken"),
    [
        (None, None, "10Gi"),
        (None, "3Gi", "3Gi"),
        (None, "30Gi", "30Gi"),
        (STEPS, None, "1Gi"),
        (STEPS, "512Mi", "1Gi"),
        (STEPS, "1Gi", "1Gi"),
        (STEPS, "2Gi", "3Gi"),
        (STEPS, "7Gi", "7Gi"),
        (STEPS, "8Gi", None),
        ({"default": "1Gi", "validRange": {"min": "1Gi"}}, "2500Mi", "2500Mi"),
        (VALUES, None, "1Gi"),
        (VALUES, "2Gi", "4Gi"),
        (VALUES, "8Gi", "8Gi"),
        (VALUES, "9Gi", None),
        ({"default": "2Gi", "validValues": ["2Gi"]}, None, "2Gi"),
    ],
)
def test_consumption(policy: Any, asked: str | None, taken: str | None) -> None:
    """What is asked for, rounded up as the policy says; its default; or all. None is what the policy forbids."""
    wanted = {} if asked is None else {"memory": parse_quantity(asked)}
    found = consumption(wanted, {"memory": Capacity(parse_quantity("10Gi"), policy)})
    assert (found and {name: str(amount) for name, amount in found.items()}) == (taken and {"memory": taken})


def test_what_a_device_has_not() -> None:
    """A capacity that the device does not have cannot be asked of it."""
    assert consumption({"cores": parse_quantity("1")}, {"memory": Capacity(parse_quantity("1Gi"))}) is None


def asking(amount: str, name: str = "c", **fields: Any) -> Any:
    return claim(request(capacity={"requests": {"memory": amount}}, **fields), name=name)


SHARED = [offer(device("a", allowMultipleAllocations=True, capacity={"memory": "10Gi"}))]


def share(amount: str) -> Any:
    result = {"request": "r", "driver": "gpu.example.com", "pool": "n", "device": "a", "shareID": "s"}
    return {"devices": {"results": [{**result, "consumedCapacity": {"memory": amount}}]}}


@pytest.mark.parametrize(
    ("claims", "used", "found"),
    [
        ([asking("4Gi")], None, ["r a"]),
        ([asking("4Gi", "c"), asking("6Gi", "d")], None, ["r a", "r a"]),
        ([asking("4Gi", "c"), asking("7Gi", "d")], None, None),
        ([asking("4Gi")], share("6Gi"), ["r a"]),
        ([asking("4Gi")], share("7Gi"), None),
        ([asking("1Gi", count=2)], None, None),
        ([claim(request())], share("1Gi"), None),
    ],
)
def test_shares(claims: Any, used: Any, found: list[str] | None) -> None:
    """Several may have parts of a device as long as these add up to no more than it has; who says nothing wants all.

    Two devices are two devices, never two parts of one.
    """
    assert got(SHARED, *claims, used=used) == found


def test_a_device_that_is_not_shared() -> None:
    """It is given as a whole, to who asks for no more than it has, and no amount is noted."""
    slices = [offer(device("a", capacity={"memory": "4Gi"}), device("b", capacity={"memory": "8Gi"}))]
    assert got(slices, asking("6Gi")) == ["r b"]
    assert got(slices, asking("9Gi")) is None
    _, found = search(slices, asking("6Gi"))
    assert found is not None
    assert found[0][0].consumed is None


def test_a_share_of_a_partition() -> None:
    """Counters are drawn by the first share of a device, not by the next."""
    consumes = [{"counterSet": "g", "counters": {"m": {"value": "6"}}}]
    parts = offer(
        device("a", allowMultipleAllocations=True, capacity={"memory": "10Gi"}, consumesCounters=consumes),
        device("b", consumesCounters=consumes), name="parts", count=2,
    )  # fmt: skip
    sets = [{"name": "g", "counters": {"m": {"value": "10"}}}]
    slices = [offer(name="sets", count=2, devices=[], sharedCounters=sets), parts]
    assert got(slices, asking("4Gi", "c"), asking("4Gi", "d")) == ["r a", "r a"]
    assert got(slices, asking("4Gi", "c"), used=share("4Gi")) == ["r a"]
    assert got(slices, claim(request(count=2))) is None
