"""The pools of a node: by node, generation and completeness; and counters that belong to a pool."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.devices.pools import gather_pools
from minik8s.scheduler.devices.slices import Slice
from tests.scheduler.devices.builders import DRIVER, allocation, claim, device, got, offer, request

ZONE_A = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}


def pools(*slices: Any, node: str = "n", labels: Any = None) -> list[str]:
    """As text: name, and its devices or what is wrong with it."""
    parsed = [Slice(each) for each in slices]
    siblings = {each.pool: [other for other in parsed if other.pool == each.pool] for each in parsed}
    found = gather_pools(parsed, siblings, node, labels or {})
    return [
        f"{p.id.pool}: {'incomplete' if p.is_incomplete else p.why_invalid or ' '.join(d.id.device for d in p.devices)}"
        for p in found
    ]


@pytest.mark.parametrize(
    ("slices", "found"),
    [
        ([offer(device("a")), offer(device("b"), node="m")], ["n: a"]),
        ([offer(device("a"), pool="p", allNodes=True)], ["p: a"]),
        ([offer(device("a"), pool="p", nodeSelector=ZONE_A)], ["p: a"]),
        ([offer(device("a"), pool="p", nodeSelector={"nodeSelectorTerms": [{}]})], []),
        (
            [
                offer(
                    device("a", nodeName="n"), device("b", nodeName="m"), device("c", allNodes=True),
                    device("d", nodeSelector=ZONE_A), pool="p", perDeviceNodeSelection=True,
                )
            ],
            ["p: a b c d"],
        ),
        ([offer(device("a", nodeName="m"), pool="p", perDeviceNodeSelection=True)], []),
        ([offer(device("a")), offer(device("b"), generation=2)], ["n: b"]),
        ([offer(device("a"), count=2)], ["n: incomplete"]),
        ([offer(device("b"), name="2", count=2), offer(device("a"), name="1", count=2)], ["n: a b"]),
        ([offer(device("a"), name="1", count=2), offer(device("b"), name="2", node="m", pool="n", count=2)], ["n: a"]),
        ([offer(device("a"), pool="p"), offer(device("b"), node="m", pool="p", generation=2)], []),
        ([offer(device("a"), device("a"))], ["n: duplicate device name a"]),
        ([offer(device("z"), pool="y"), offer(device("a"), pool="x")], ["x: a", "y: z"]),
        (
            [
                offer(device("z", bindingConditions=["C"], bindingFailureConditions=["F"]), pool="a"),
                offer(device("a"), pool="b"),
            ],
            ["b: a", "a: z"],
        ),
    ],
)  # fmt: skip
def test_pools(slices: Any, found: list[str]) -> None:
    """What the node reaches of the newest generation; nothing of a pool that is not whole or not sound."""
    assert pools(*slices, labels={"zone": "a"}) == found


def test_devices_that_choose_their_nodes() -> None:
    """Of a slice whose devices say themselves where they are, a node gets its own."""
    slices = [offer(device("a", nodeName="m"), device("b", nodeName="n"), pool="p", perDeviceNodeSelection=True)]
    assert got(slices, claim(request())) == ["r b"]
    assert got(slices, claim(request()), node="m") == ["r a"]


def counter_set(amount: str, name: str = "gpu-0") -> Any:
    return offer(name="counters", count=2, devices=[], sharedCounters=[counters(amount, name, key="name")])


def counters(amount: str, name: str = "gpu-0", key: str = "counterSet") -> Any:
    return {key: name, "counters": {"memory": {"value": amount}}}


def part(name: str, amount: str, **fields: Any) -> Any:
    return device(name, consumesCounters=[counters(amount)], **fields)


HALVES = [counter_set("10Gi"), offer(part("a", "5Gi"), part("b", "5Gi"), part("all", "10Gi"), name="parts", count=2)]


@pytest.mark.parametrize(
    ("count", "used", "found"),
    [
        (1, None, ["r a"]),
        (2, None, ["r a", "r b"]),
        (3, None, None),
        (1, allocation(("n", "a")), ["r b"]),
        (2, allocation(("n", "a")), None),
        (1, allocation(("n", "all")), None),
    ],
)
def test_partitions(count: int, used: Any, found: list[str] | None) -> None:
    """Devices that draw on the same counters exclude each other as soon as these are drawn."""
    assert got(HALVES, claim(request(count=count)), used=used) == found


def test_partitions_on_other_nodes() -> None:
    """A counter is the pool's: what is drawn on another node is drawn."""
    slices = [
        offer(name="counters", pool="p", count=3, devices=[], sharedCounters=[counters("10Gi", key="name")]),
        offer(part("a", "6Gi"), name="here", pool="p", count=3),
        offer(part("b", "6Gi"), name="there", pool="p", node="m", count=3),
    ]
    assert got(slices, claim(request())) == ["r a"]
    assert got(slices, claim(request()), used=allocation(("p", "b"))) is None


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        ([counter_set("1"), offer(part("a", "1"), name="x", count=2)], "n: a"),
        ([counter_set("1", "other"), offer(part("a", "1"), name="x", count=2)], "n: counter set gpu-0 not found"),
        (
            [
                counter_set("1"),
                offer(
                    device("a", consumesCounters=[{"counterSet": "gpu-0", "counters": {"cores": {"value": "1"}}}]),
                    name="x",
                    count=2,
                ),
            ],
            "n: counter cores not found in counter set gpu-0",
        ),
        (
            [
                offer(
                    name="x", devices=[], sharedCounters=[counters("1", key="name"), counters("2", key="name")]
                )
            ],
            "n: duplicate counter set name gpu-0",
        ),
    ],
)  # fmt: skip
def test_counters_that_do_not_fit_together(slices: Any, why: str) -> None:
    """A pool whose devices draw on what is not there is not used at all."""
    assert pools(*slices) == [why]


def test_drivers_are_told_apart() -> None:
    """Two drivers may have pools, and devices, of the same name."""
    slices = [offer(device("a")), offer(device("a"), name="x", driver="b.example.com")]
    assert len(pools(*slices)) == 2
    taken = {"devices": {"results": [{"request": "r", "driver": "b.example.com", "pool": "n", "device": "a"}]}}
    assert got(slices, claim(request()), used=taken) == ["r a"]
    assert DRIVER != "b.example.com"
