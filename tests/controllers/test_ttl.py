"""Nodes say how long their kubelets may cache: by the size of the cluster, with room at the bounds."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import NODES
from minik8s.controllers.ttl import ANNOTATION, STEPS, TTLController, step_after


@pytest.mark.parametrize(
    ("step", "nodes", "seconds"),
    [
        (0, 1, 0),
        (0, 100, 0),
        (0, 101, 15),
        (1, 90, 15),
        (1, 89, 0),
        (0, 1500, 60),
        (4, 1799, 60),
        (4, 3, 0),
        (3, 2001, 300),
    ],
)
def test_steps(step: int, nodes: int, seconds: int) -> None:
    """A bound is passed upwards later than downwards."""
    assert STEPS[step_after(step, nodes)][2] == seconds


def test_nodes_are_told(virtual: Any, start: Any) -> None:
    """Every node has the annotation soon, and again when somebody took it away."""

    async def body(clock: Any) -> None:
        async with start(clock, TTLController) as world:
            await world.add("nodes", "n1")

            async def told() -> bool:
                node = await world.get("nodes", "n1")
                return (node["metadata"].get("annotations") or {}).get(ANNOTATION) == "0"

            await world.until(told, 60)
            await world.client.patch(NODES, "n1", {"metadata": {"annotations": {ANNOTATION: None}}})
            assert not await told()
            await world.until(told, 60)

    virtual(body)
