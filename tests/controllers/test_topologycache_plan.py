"""Hints of topology-mode Auto: endpoints are shared out by the CPUs of zones, or there are none and it is said why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from minik8s import DEPLOYMENTS, NODES, Cluster
from minik8s.api.resources import ENDPOINT_SLICES, EVENTS, SERVICES
from minik8s.controllers import topologycache_plan as topology
from minik8s.testing import builders


def node(zone: str, cpu: str | None = "2", *labels: str, ready: bool = True) -> Any:
    zoned = {"topology.kubernetes.io/zone": zone} if zone else {}
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    allocatable = {} if cpu is None else {"cpu": cpu}
    return {
        "metadata": {"name": "n", "labels": {**zoned, **dict.fromkeys(labels, "")}},
        "status": {"allocatable": allocatable, "conditions": conditions},
    }


@pytest.mark.parametrize(
    ("nodes", "ratios"),
    [
        ([node("a"), node("b", "6000m")], {"a": 0.25, "b": 0.75}),
        ([node("a"), node("a"), node("b", "4")], {"a": 0.5, "b": 0.5}),
        ([node("a"), node("b", ready=False)], None),
        ([node("a"), node("b"), node("", ready=False)], {"a": 0.5, "b": 0.5}),
        ([node("a"), node("b"), node("c", "2", "node-role.kubernetes.io/control-plane")], {"a": 0.5, "b": 0.5}),
        ([node("a"), node("b"), node("")], None),
        ([node("a"), node("b"), node("b", None)], None),
        ([], None),
    ],
)
def test_parts_of_zones(nodes: Any, ratios: Any) -> None:
    """By the CPUs of ready nodes; nothing if one of them does not say enough, or for less than two zones."""
    assert topology.cpu_ratios(nodes) == ratios


def endpoints(*zones: str, ready: bool = True) -> list[Any]:
    return [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, **({"zone": z} if z else {})} for z in zones]


def hints(slices: Any) -> list[str]:
    """Of which zone each endpoint is and for which it is meant, as `ab`."""
    found = []
    for endpoint in (e for slice_ in slices for e in slice_["endpoints"]):
        meant = [zone["name"] for zone in endpoint.get("hints", {}).get("forZones", ())] or ["-"]
        found.append(endpoint.get("zone", "") + "".join(meant))
    return sorted(found)


HALVES = {"a": 0.5, "b": 0.5}
THIRDS = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


@pytest.mark.parametrize(
    ("ratios", "zones", "expected"),
    [
        (HALVES, "ab", ["aa", "bb"]),
        (HALVES, "aaab", ["aa", "aa", "ab", "bb"]),
        (HALVES, "aaaa", ["aa", "aa", "ab", "ab"]),
        (HALVES, "aaaabb", ["aa", "aa", "aa", "ab", "bb", "bb"]),
        (THIRDS, "aaabbc", ["aa", "aa", "ac", "bb", "bb", "cc"]),
        ({"a": 0.75, "b": 0.25}, "aabb", ["aa", "aa", "ba", "bb"]),
    ],
)
def test_shares(ratios: Any, zones: str, expected: list[str]) -> None:
    """Endpoints stay with their zone as far as shares allow; the others go where there are too few."""
    made = topology.add_hints([{"endpoints": endpoints(*zones)}], [], ratios)
    assert hints(made.slices) == expected
    assert made.zones == Counter(pair[1] for pair in expected)


@pytest.mark.parametrize(
    ("ratios", "slices", "why"),
    [
        (None, "ab", "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"),
        (THIRDS, "ab", "Insufficient number of endpoints (2 endpoints, 3 zones)"),
        (
            {"a": 0.8, "b": 0.2},
            "ab",
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            "(2 endpoints, 2 zones)",
        ),
        (
            HALVES,
            "aaabb",
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold "
            "(5 endpoints, 2 zones)",
        ),
        (HALVES, ["a", ""], "One or more endpoints do not have a zone specified"),
    ],
)
def test_no_hints(ratios: Any, slices: Any, why: str) -> None:
    """Hints that were there go, and the reason is upstream's sentence."""
    old = [{**endpoint, "hints": {"forZones": [{"name": "a"}]}} for endpoint in endpoints("a")]
    made = topology.add_hints([{"endpoints": endpoints(*slices)}], [], ratios)
    assert (made.zones, made.why) == (None, why)
    assert not any("hints" in e for s in made.slices for e in s["endpoints"])
    unchanged = topology.add_hints([], [{"endpoints": old}], None)
    assert hints(unchanged.updated) == ["a-"]


def test_slices_that_do_not_change_keep_valid_hints() -> None:
    """One whose hints leave everybody his share is not written; one without hints, or of a zone that is gone, is."""

    def meant(*pairs: str) -> Any:
        made = endpoints(*(pair[0] for pair in pairs))
        return {"endpoints": [{**e, "hints": {"forZones": [{"name": p[1]}]}} for e, p in zip(made, pairs, strict=True)]}

    assert topology.add_hints([], [meant("ab", "aa")], HALVES).updated == []
    assert hints(topology.add_hints([], [meant("ac", "aa")], HALVES).updated) == ["aa", "ab"]
    assert hints(topology.add_hints([], [meant("aa", "aa", "ba", "bb")], HALVES).updated) == ["aa", "aa", "bb", "bb"]
    bare = {"endpoints": endpoints("a", "b")}
    assert hints(topology.add_hints([], [bare, meant("aa", "bb")], HALVES).updated) == ["aa", "bb"]


def test_endpoints_that_are_not_ready_count_for_nothing() -> None:
    """They get no hint and do not fill a zone's share."""
    mixed = {"endpoints": [*endpoints("a", "b"), *endpoints("b", ready=False)]}
    made = topology.add_hints([mixed], [], HALVES)
    assert hints(made.slices) == ["aa", "b-", "bb"]
    assert made.zones == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("zones", "ratios", "overloaded"),
    [
        ({"a": 2, "b": 2}, HALVES, False),
        ({"a": 3, "b": 1}, HALVES, True),
        ({"a": 2, "b": 2}, THIRDS, True),
        ({"a": 2}, None, True),
        ({}, None, False),
    ],
)
def test_overload(zones: Any, ratios: Any, overloaded: bool) -> None:
    """A zone has too few endpoints if each would get more than a fifth above its share."""
    assert topology.is_overloaded(zones, ratios) is overloaded


async def meant_for(cluster: Cluster) -> Counter[str]:
    slices = (await cluster.client.list(ENDPOINT_SLICES, namespace="default", label_selector="app=web")).items
    return Counter(pair[-1] for pair in hints(slices))


async def said(cluster: Cluster) -> list[str]:
    events = (await cluster.client.list(EVENTS, namespace="default")).items
    return [e["message"] for e in events if e["reason"].startswith("TopologyAwareHints")]


@pytest.mark.anyio
@pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False, nodes=4)
async def test_a_service_with_topology_mode_auto(cluster: Cluster) -> None:
    """Hints come with zones, follow nodes that leave, go with the annotation; each turn has its Event."""
    for number in range(1, 5):
        zone = "a" if number < 3 else "b"
        await cluster.client.patch(
            NODES, f"node-{number}", {"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}}
        )
    auto = {"service.kubernetes.io/topology-mode": "Auto"}
    await cluster.apply(
        [
            builders.deployment("web", replicas=8),
            builders.service("web", port=80, labels={"app": "web"}, annotations=auto),
        ]
    )
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    await cluster.settle()
    assert await meant_for(cluster) == {"a": 4, "b": 4}
    assert (await said(cluster))[-1] == "Topology Aware Hints has been enabled, addressType: IPv4"
    await cluster.client.patch(NODES, "node-4", {"metadata": {"labels": {"topology.kubernetes.io/zone": "c"}}})
    await cluster.settle()
    assert await meant_for(cluster) == {"a": 4, "b": 2, "c": 2}
    off = {"metadata": {"annotations": {"service.kubernetes.io/topology-mode": None}}}
    await cluster.client.patch(SERVICES, "web", off, namespace="default")
    await cluster.settle()
    assert await meant_for(cluster) == {"-": 8}
    assert (await said(cluster))[-1] == "Topology Aware Hints has been disabled, addressType: IPv4"
