"""Scores by resources: golden values of every strategy, worked out by hand from upstream's formulas."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.scheduler.framework import SKIP, CycleState
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.plugins.noderesources import (
    BalancedAllocation,
    Fit,
    least_allocated,
    most_allocated,
    requested_to_capacity,
)
from minik8s.scheduler.plugins.registry import Tools, make

BIN_PACKING = requested_to_capacity([(0, 0), (100, 10)])
HILL = requested_to_capacity([(10, 2), (50, 10), (90, 4)])


def a_node(pod: Any, **allocatable: str) -> NodeInfo:
    """A node of 4 cores and 8 GiB on which 1 core and 4 GiB are taken."""
    info = NodeInfo("a")
    status = {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "9", **allocatable}}
    info.set_node({"metadata": {"name": "a"}, "status": status})
    info.add_pod(PodInfo(pod("old", requests={"cpu": "1", "memory": "4Gi"})))
    return info


@pytest.mark.parametrize(
    ("strategy", "rows"),
    [
        (least_allocated, [(0, 100), (1, 99), (50, 50), (100, 0), (120, 0)]),
        (most_allocated, [(0, 0), (1, 1), (50, 50), (100, 100), (120, 100)]),
        (BIN_PACKING, [(0, 0), (1, 1), (50, 50), (100, 100), (120, 100)]),
        (HILL, [(0, 20), (10, 20), (30, 60), (50, 100), (70, 70), (90, 40), (100, 40)]),
    ],
)
def test_strategies(strategy: Any, rows: list[tuple[int, int]]) -> None:
    """Percent used -> points."""
    assert [(used, strategy(used, 100)) for used, _ in rows] == rows


@pytest.mark.parametrize(
    ("args", "requests", "points"),
    [
        ({}, {"cpu": "1", "memory": "2Gi"}, (50 + 25) // 2),
        ({}, {}, ((4000 - 1100) * 100 // 4000 + (8192 - 4296) * 100 // 8192) // 2),
        ({"type": "MostAllocated"}, {"cpu": "1", "memory": "2Gi"}, (50 + 75) // 2),
        ({"resources": [{"name": "cpu", "weight": 3}, {"name": "memory", "weight": 1}]}, {"cpu": "1", "memory": "2Gi"},
         (3 * 50 + 25) // 4),
        ({"type": "MostAllocated", "resources": [{"name": "x.io/gpu", "weight": 5}, {"name": "cpu"}]},
         {"cpu": "1", "x.io/gpu": "1"}, (5 * 25 + 50) // 6),
        ({"type": "MostAllocated", "resources": [{"name": "x.io/gpu", "weight": 5}, {"name": "cpu"}]},
         {"cpu": "1"}, 50),
        ({"type": "MostAllocated", "resources": [{"name": "ephemeral-storage"}]}, {"ephemeral-storage": "2Gi"}, 50),
        ({"type": "RequestedToCapacityRatio",
          "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]}},
         {"cpu": "1", "memory": "2Gi"}, 63),
    ],
)  # fmt: skip
def test_scoring(pod: Any, args: Any, requests: Any, points: int) -> None:
    """What a configuration makes of a node, for a pod; an extended resource counts only for who wants it."""
    plugin: Any = make("NodeResourcesFit", {"scoringStrategy": args}, Tools())
    node = a_node(pod, **{"x.io/gpu": "4", "ephemeral-storage": "4Gi"})
    assert plugin.score(CycleState(), PodInfo(pod("p", requests=requests)), node) == points


@pytest.mark.parametrize(
    ("requests", "points"),
    [
        ({"cpu": "1"}, 50 + (50 + 100 - 87) // 2),
        ({"memory": "4Gi"}, 50 + int((50 + 62 - 87) / 2)),
        ({"cpu": "1", "memory": "2Gi"}, 50 + int((50 + 87 - 87) / 2)),
    ],
)
def test_balance(pod: Any, requests: Any, points: int) -> None:
    """A pod that evens the shares out is worth more than one that parts them further."""
    assert BalancedAllocation().score(CycleState(), PodInfo(pod("p", requests=requests)), a_node(pod)) == points


@given(*[st.integers(0, 9000)] * 4, st.integers(1, 8000), st.integers(1, 8000))
def test_the_short_cut_balances_alike(a: int, b: int, c: int, d: int, cpu: int, memory: int) -> None:
    """Written out for cpu and memory, the balance is what the general way gives."""
    node = NodeInfo("a")
    node.cpu, node.memory, node.requested_cpu, node.requested_memory = cpu, memory, a, b
    pod: Any = SimpleNamespace(cpu=c, memory=d, requests={"cpu": c, "memory": d})
    short, long = BalancedAllocation(), BalancedAllocation()
    long._plain = False
    assert short.score(CycleState(), pod, node) == long.score(CycleState(), pod, node)


def test_balance_of_three(pod: Any) -> None:
    """With more than two resources the deviation is that of all shares; a pod without requests is not scored."""
    plugin: Any = make(
        "NodeResourcesBalancedAllocation", {"resources": [{"name": n} for n in ("cpu", "memory", "x.io/gpu")]}, Tools()
    )
    node = a_node(pod, **{"x.io/gpu": "4"})
    wanted = PodInfo(pod("p", requests={"x.io/gpu": "4"}))
    assert plugin.score(CycleState(), wanted, node) == 50 + int((50 + 68 - 79) / 2)
    empty: Any = None
    assert plugin.pre_score(CycleState(), PodInfo(pod("q")), empty, []) is SKIP


def test_ignored_resources(pod: Any) -> None:
    """Extended resources that others look after are not asked for, by name or by group; native ones always are."""
    node = a_node(pod)
    for ignored in ({"ignoredResources": ["x.io/gpu"]}, {"ignoredResourceGroups": ["x.io"]}):
        plugin: Any = make("NodeResourcesFit", ignored, Tools())
        assert plugin.filter(CycleState(), PodInfo(pod("p", requests={"x.io/gpu": "1"})), node) is None
        assert plugin.filter(CycleState(), PodInfo(pod("p", requests={"cpu": "9"})), node) is not None
    assert Fit().filter(CycleState(), PodInfo(pod("p", requests={"x.io/gpu": "1"})), node) is not None
