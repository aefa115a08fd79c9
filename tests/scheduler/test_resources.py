"""What a pod asks for."""

from typing import Any

import pytest

from minik8s.scheduler.resources import ASSUMED, pod_amounts


def container(policy: str = "", **requests: str) -> Any:
    doc: Any = {"resources": {"requests": requests}}
    return {**doc, "restartPolicy": policy} if policy else doc


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [container(cpu="100m"), container(cpu="0.2")]}, 300),
        ({"containers": [container(cpu="100m")], "initContainers": [container(cpu="1")]}, 1000),
        ({"containers": [container(cpu="100m")], "initContainers": [container("Always", cpu="1")]}, 1100),
        (
            {"containers": [container(cpu="1")], "initContainers": [container("Always", cpu="1"), container(cpu="5")]},
            6000,
        ),
        ({"containers": [container(cpu="1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [container(cpu="1")], "resources": {"requests": {"cpu": "3"}}}, 3000),
    ],
)
def test_cpu_requests(spec: Any, cpu: int) -> None:
    """Containers add up, init containers peak, sidecars stay, overhead comes on top, pod-level requests win."""
    assert pod_amounts(spec)[0]["cpu"] == cpu


def test_scoring_assumes_something_of_containers_without_requests() -> None:
    """A container that requests nothing still counts for the spreading score, and only there."""
    requests, cpu, memory = pod_amounts({"containers": [container(), container(cpu="1")]})
    assert requests == {"cpu": 1000}
    assert (cpu, memory) == (1000 + ASSUMED["cpu"].milli(), 2 * ASSUMED["memory"].value())
