"""Which devices claims get, and when they get none."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.devices.allocator import Budget, OutOfBudgetError
from minik8s.scheduler.devices.requests import AllocationError
from tests.scheduler.devices.builders import (
    DRIVER,
    allocation,
    cel,
    claim,
    device,
    either,
    got,
    offer,
    request,
)

TWO = [offer(device("a"), device("b"))]
MODELS = [
    offer(
        device("a", attributes={"model": "x", "numa": 0}, capacity={"memory": "10Gi"}),
        device("b", attributes={"model": "y", "numa": 1}, capacity={"memory": "20Gi"}),
        device("c", attributes={"model": "y", "numa": 1}, capacity={"memory": "40Gi"}),
    )
]
IS_Y = cel(f'device.attributes["{DRIVER}"].model == "y"')
NUMA = f"{DRIVER}/numa"
NO_SCHEDULE = {"key": "k", "value": "v", "effect": "NoSchedule"}
EVERYTHING = {"allocationMode": "All"}


def many(number: int) -> list[Any]:
    return [offer(*(device(f"d{i:03}") for i in range(number)))]


@pytest.mark.parametrize(
    ("slices", "claims", "found"),
    [
        ([], [claim(request())], None),
        (TWO, [claim(request())], ["r a"]),
        (TWO, [claim(request(count=2))], ["r a", "r b"]),
        (TWO, [claim(request(count=3))], None),
        (TWO, [claim(request("x"), request("y"))], ["x a", "y b"]),
        (TWO, [claim(request(), name="c"), claim(request(), name="d")], ["r a", "r b"]),
        (TWO, [claim(request(count=2), name="c"), claim(request(), name="d")], None),
        (TWO, [claim()], []),
        (MODELS, [claim(request(selectors=[IS_Y]))], ["r b"]),
        (MODELS, [claim(request(selectors=[IS_Y, cel("1 == 2")]))], None),
        (MODELS, [claim(request(deviceClassName="own", selectors=[IS_Y]))], ["r b"]),
        (
            MODELS,
            [claim(request(selectors=[cel(f'device.capacity["{DRIVER}"].memory.isGreaterThan(quantity("30Gi"))')]))],
            ["r c"],
        ),
        # the first request would take what the second needs: the choice is taken back
        (MODELS, [claim(request("x"), request("y", selectors=[cel(f'device.attributes["{DRIVER}"].model == "x"')]))],
         ["x b", "y a"]),
    ],
)  # fmt: skip
def test_counts_and_selectors(slices: Any, claims: Any, found: list[str] | None) -> None:
    """The first devices that will do, whatever has to be tried for that; all claims, or none."""
    assert got(slices, *claims) == found


@pytest.mark.parametrize(
    ("asked", "used", "found"),
    [
        (request(**EVERYTHING), None, ["r a", "r b"]),
        (request(**EVERYTHING), allocation(("n", "a")), None),
        (request(**EVERYTHING, selectors=[cel("false")]), None, None),
        (request(**EVERYTHING, adminAccess=True), allocation(("n", "a")), ["r a", "r b"]),
        (request(adminAccess=True), allocation(("n", "a"), ("n", "b")), ["r a"]),
        (request(count=2, adminAccess=True), allocation(("n", "a")), ["r a", "r b"]),
        (request(count=3, adminAccess=True), None, None),
        (request(), allocation(("n", "a")), ["r b"]),
        (request(), allocation(("n", "a"), adminAccess=True), ["r a"]),
        (request(), allocation(("n", "a"), ("n", "b")), None),
    ],
)
def test_what_others_have(asked: Any, used: Any, found: list[str] | None) -> None:
    """A device is one claim's alone; only administrators look in on it. "All" means all, or none."""
    assert got(TWO, claim(asked), used=used) == found


@pytest.mark.parametrize(
    ("choices", "found"),
    [
        ([("big", {"count": 3}), ("small", {"count": 2})], ["r/small a", "r/small b"]),
        ([("one", {}), ("two", {"count": 2})], ["r/one a"]),
        ([("odd", {"selectors": [cel("false")]}), ("all", EVERYTHING)], ["r/all a", "r/all b"]),
        ([("big", {"count": 3}), ("bigger", {"count": 4})], None),
    ],
)
def test_alternatives(choices: Any, found: list[str] | None) -> None:
    """The first that can be met, and the result says which."""
    assert got(TWO, claim(either("r", *choices))) == found


def test_a_later_request_may_cost_an_earlier_one_its_choice() -> None:
    """The best alternative is given up if that lets the rest of the claim be met."""
    wanted = claim(either("r", ("two", {"count": 2}), ("one", {})), request("s"))
    assert got(TWO, wanted) == ["r/one a", "s b"]


@pytest.mark.parametrize(
    ("constraints", "found"),
    [
        ([{"matchAttribute": NUMA}], ["x b", "y c"]),
        ([{"distinctAttribute": NUMA}], ["x a", "y b"]),
        ([{"matchAttribute": NUMA, "requests": ["x"]}], ["x a", "y b"]),
        ([{"matchAttribute": f"{DRIVER}/nope"}], None),
        ([{"distinctAttribute": f"{DRIVER}/nope"}], None),
        ([{"matchAttribute": NUMA}, {"distinctAttribute": f"{DRIVER}/model"}], None),
    ],
)
def test_constraints(constraints: Any, found: list[str] | None) -> None:
    """What the devices of certain requests, or of all, must share or not; a device without the attribute never will."""
    assert got(MODELS, claim(request("x"), request("y"), constraints=constraints)) == found


@pytest.mark.parametrize(("requests", "found"), [(["r"], ["r/one b", "s c"]), (["r/one", "s"], ["r/one b", "s c"])])
def test_constraints_on_alternatives(requests: list[str], found: list[str]) -> None:
    """A request's name stands for all its alternatives, an alternative can be meant alone."""
    is_numa_1 = cel(f'device.attributes["{DRIVER}"].numa == 1')
    wanted = claim(
        either("r", ("one", {})), request("s", selectors=[is_numa_1]),
        constraints=[{"matchAttribute": NUMA, "requests": [*requests, *([] if "s" in requests else ["s"])]}],
    )  # fmt: skip
    assert got(MODELS, wanted) == found


@pytest.mark.parametrize(
    ("taints", "tolerations", "found"),
    [
        ([NO_SCHEDULE], [], ["r b"]),
        ([{**NO_SCHEDULE, "effect": "NoExecute"}], [], ["r b"]),
        ([{**NO_SCHEDULE, "effect": "None"}], [], ["r a"]),
        ([NO_SCHEDULE], [{"operator": "Exists"}], ["r a"]),
        ([NO_SCHEDULE], [{"key": "k", "operator": "Equal", "value": "v"}], ["r a"]),
        ([NO_SCHEDULE], [{"key": "k", "operator": "Equal", "value": "w"}], ["r b"]),
        ([NO_SCHEDULE], [{"key": "k", "operator": "Exists", "effect": "NoExecute"}], ["r b"]),
    ],
)
def test_taints(taints: Any, tolerations: Any, found: list[str]) -> None:
    """A tainted device goes to who tolerates that."""
    slices = [offer(device("a", taints=taints), device("b"))]
    assert got(slices, claim(request(tolerations=tolerations))) == found


def test_a_claim_has_a_limit() -> None:
    """32 devices, over all requests; an alternative that would exceed it is not taken."""
    assert len(got(many(40), claim(request(count=32))) or ()) == 32
    with pytest.raises(AllocationError, match=r"requested devices 33 exceeds the claim limit of 32"):
        got(many(40), claim(request(count=33)))
    assert got(many(40), claim(request(**EVERYTHING))) is None
    wanted = claim(either("r", ("many", {"count": 20}), ("few", {"count": 2})), request("s", count=20))
    assert [each.split()[0] for each in got(many(60), wanted) or ()] == ["r/few"] * 2 + ["s"] * 20


def test_too_many_is_found_out_at_once() -> None:
    """When no choice of devices can mend it, no other devices are tried."""
    choices = [("a", {"count": 20}), ("b", {"count": 21})]
    wanted = claim(request("s", count=13), either("r", *choices))
    assert got(many(100), claim(request("s", count=1), either("r", *choices))) is not None
    budget = Budget(1000)
    with pytest.raises(AllocationError):
        got(many(100), wanted, budget=budget)
    alternatives = claim(either("s", ("x", {"count": 16}), ("y", {**EVERYTHING})), either("r", *choices))
    assert got(many(100), alternatives, budget=budget) is None
    assert budget.steps is not None
    assert budget.steps > 900


def test_the_search_ends() -> None:
    """What would take astronomically many choices is given up."""
    impossible = claim(request(count=16), constraints=[{"matchAttribute": NUMA}], name="c")
    slices = [offer(*(device(f"d{i:02}", attributes={"numa": i % 4}) for i in range(60)))]
    budget = Budget(5000)
    with pytest.raises(OutOfBudgetError):
        got(slices, impossible, budget=budget)
    assert budget.steps == 0


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (
            claim(request(selectors=[cel("device.nope")])),
            "claim default/c: selector #0: CEL compile error: compilation failed: ERROR: <input>:1:7: undefined field",
        ),
        (
            claim(request(selectors=[cel(f'device.attributes["{DRIVER}"].nope == 1')])),
            f"claim default/c: selector #0 on device {DRIVER}/n/a: CEL runtime error: no such key: nope. Consider",
        ),
        (claim(request(deviceClassName="broken")), "class broken: selector #0: CEL compile error: compilation failed"),
        (
            claim(request(deviceClassName="none")),
            "claim default/c, request r: could not retrieve device class none: deviceclass.resource.k8s.io \"none\" not"
            " found",
        ),
        (claim(request(allocationMode="Some")), "claim default/c, request r: unsupported count mode Some"),
        (claim(request(), constraints=[{}]), "claim default/c, constraint #0: empty constraint"),
        (
            claim(request(**EVERYTHING), constraints=[{"matchAttribute": NUMA}]),
            f"claim default/c, request r: cannot add device {DRIVER}/n/a because a claim constraint would not be",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_claim(wanted: Any, why: str) -> None:
    """No other node would mend it, so it is said, in upstream's words."""
    with pytest.raises(AllocationError) as told:
        got(TWO, wanted)
    assert str(told.value).startswith(why)


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        ([offer(device("a"), count=2)], "is currently being updated"),
        ([offer(device("a"), device("a"))], "is currently invalid"),
    ],
)
def test_all_of_a_pool_that_is_not_whole(slices: Any, why: str) -> None:
    """Nobody knows what all is; a single device of such a pool is not given away either."""
    with pytest.raises(AllocationError, match=f"asks for all devices, but resource pool {DRIVER}/n {why}"):
        got(slices, claim(request(**EVERYTHING)))
    assert got(slices, claim(request())) is None
