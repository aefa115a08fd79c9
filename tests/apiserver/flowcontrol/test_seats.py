"""How seats are divided among priority levels, lent and borrowed, and how long the refused stay away."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.flowcontrol import defaults
from minik8s.apiserver.flowcontrol.limits import Bounds, Claim, Demand, allocate, bounds, list_width
from minik8s.apiserver.flowcontrol.retryafter import RetryAfter

DEFAULTS = {key[2]: doc["spec"] for key, doc in defaults().items() if key[0].startswith("priority")}


def limited(shares: int, *, hand: int = 0, **more: int) -> dict[str, Any]:
    response = {"type": "Queue", "queuing": {"queues": 64, "handSize": hand, "queueLengthLimit": 50}} if hand else {}
    return {"type": "Limited", "limited": {"nominalConcurrencyShares": shares, "limitResponse": response, **more}}


def test_the_default_levels() -> None:
    """Upstream's figures for its default of 400 and 200 requests."""
    found = bounds(DEFAULTS, 600)
    assert {name: (b.nominal, b.lowest, b.highest) for name, b in found.items()} == {
        "exempt": (0, 0, 600),
        "catch-all": (13, 13, 613),
        "system": (74, 50, 674),
        "node-high": (98, 73, 698),
        "leader-election": (25, 25, 625),
        "workload-high": (98, 49, 698),
        "workload-low": (245, 24, 845),
        "global-default": (49, 24, 649),
    }
    assert {name: b.widest for name, b in found.items() if b.widest < 10} == {"leader-election": 4, "global-default": 8}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (limited(10), Bounds(100, 100, 200, 10)),
        (limited(10, lendablePercent=25), Bounds(100, 75, 200, 10)),
        (limited(10, borrowingLimitPercent=50), Bounds(100, 100, 150, 10)),
        (limited(10, borrowingLimitPercent=0), Bounds(100, 100, 100, 10)),
        (limited(10, hand=50), Bounds(100, 100, 200, 2)),
        ({"exempt": {"nominalConcurrencyShares": 10, "lendablePercent": 50}}, Bounds(100, 50, 200, 10)),
    ],
)  # fmt: skip
def test_a_levels_bounds(spec: dict[str, Any], expected: Bounds) -> None:
    """Alone among 100 seats: what it lends, what it may borrow, how much one request may take."""
    assert bounds({"only": spec}, 100) == {"only": expected}


def test_nobody_has_shares() -> None:
    """Then nobody has seats."""
    assert bounds({"a": limited(0)}, 100)["a"].nominal == 0


@pytest.mark.parametrize(
    ("total", "claims", "given"),
    [
        (100, [(50, 0, 100), (50, 0, 100)], [50, 50]),
        (100, [(75, 0, 100), (25, 0, 100)], [75, 25]),
        (100, [(75, 0, 100), (25, 25, 100)], [75, 25]),
        (100, [(200, 0, 60), (1, 0, 100)], [60, 40]),
        (100, [(1, 30, 100), (200, 0, 100)], [30, 70]),
        (100, [(0, 0, 100), (0, 0, 100)], [50, 50]),
        (100, [(50, 50, 100), (50, 50, 100)], [50, 50]),
        (100, [(10, 0, 20), (10, 0, 20)], [20, 20]),
        (0, [(10, 0, 20)], [0]),
        (90, [(10, 10, 100), (20, 0, 25), (30, 0, 100)], [16.25, 25, 48.75]),
    ],
)
def test_allocation(total: float, claims: list[tuple[float, float, float]], given: list[float]) -> None:
    """The same multiple of each one's target, within bounds; together it is the total, where bounds allow it."""
    assert allocate(total, [Claim(*claim) for claim in claims]) == pytest.approx(given)


def test_demand_is_what_there_was_over_time() -> None:
    """Highest, average and deviation of a period; the next begins with what there is."""
    demand = Demand(0.0)
    demand.note(2.0, 10)
    demand.note(4.0, 0)
    demand.note(8.0, 5)
    demand.settle(10.0)
    assert demand.last.highest == 10
    assert demand.last.average == pytest.approx(3.0)
    assert demand.last.deviation == pytest.approx(4.0)
    assert demand.smoothed == pytest.approx(7.0)
    demand.settle(20.0)
    assert (demand.last.highest, demand.last.average, demand.last.deviation) == (5, 5.0, 0.0)
    assert demand.smoothed == pytest.approx(0.977 * 7.0 + 0.023 * 5.0)


def test_demand_fades() -> None:
    """A hundred periods that nobody looked at are as good as a hundred looks; no time at all changes nothing."""
    watched, forgotten = Demand(0.0), Demand(0.0)
    for demand in (watched, forgotten):
        demand.note(0.0, 10)
        demand.settle(10.0)
        demand.note(10.0, 0)
    for second in range(20, 1011, 10):
        watched.settle(second)
    forgotten.settle(1010.0)
    assert forgotten.smoothed == pytest.approx(watched.smoothed)
    forgotten.settle(1010.0)
    assert forgotten.smoothed == pytest.approx(watched.smoothed)


def test_a_claim() -> None:
    """What was asked for belongs to a level up to its nominal limit; what it lends it keeps a part of."""
    limits, demand = Bounds(50, 20, 100, 1), Demand(0.0)
    assert demand.claim(limits) == Claim(20, 20, 100)
    demand.note(0.0, 80)
    demand.settle(10.0)
    assert demand.claim(limits) == Claim(80, 50, 100)


@pytest.mark.parametrize(
    ("objects", "limit", "widest", "width"),
    [(0, 0, 10, 1), (100, 0, 10, 1), (101, 0, 10, 2), (5000, 0, 10, 10), (5000, 500, 10, 5), (5000, 0, 3, 3),
     (50, 500, 10, 1)],
)  # fmt: skip
def test_the_width_of_a_list(objects: int, limit: int, widest: int, width: int) -> None:
    """A seat for every hundred objects that are read, up to what the level allows."""
    assert list_width(objects, limit, widest) == width


def test_retry_after_grows_and_shrinks() -> None:
    """Doubled while three a second are refused, to 32; a second less for each second with fewer than one."""
    refusals = RetryAfter()
    assert refusals.seconds == 1
    seen = []
    for second in range(1000, 1070):
        for _ in range(3):
            refusals.refused(second)
        seen.append(refusals.seconds)
    assert seen[:5] == [1, 2, 2, 4, 4]
    assert max(seen) == seen[-1] == 32
    for number in range(40):
        refusals.refused(2000 + 100 * number)
    assert refusals.seconds == 1
