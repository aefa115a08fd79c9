"""Assertions about what a cluster comes to, in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s import DEPLOYMENTS, PODS, Cluster
from minik8s.testing.eventually import consistently, eventually, never

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False, proxy=False, seed=1),
]
LABELS = {"app": "web"}


async def deploy(cluster: Cluster, replicas: int) -> None:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    await cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})


def all_running(pods: list[Any]) -> bool:
    """three pods run"""
    return len(pods) == 3 and all(pod["status"].get("phase") == "Running" for pod in pods)


async def test_eventually(cluster: Cluster) -> None:
    """It answers the objects of the first state in which the condition held."""
    await deploy(cluster, 3)
    pods = await eventually(cluster, PODS, all_running, label_selector="app=web", namespace="default")
    assert len(pods) == 3


async def test_not_in_time(cluster: Cluster) -> None:
    """Who waits in vain is told for what, for how long, and what there was."""
    await deploy(cluster, 2)
    with pytest.raises(AssertionError, match=r"not within 60 s: three pods run; last there were 2 pods: web-\S+ \(Run"):
        await eventually(cluster, PODS, all_running, timeout=60, namespace="default")
    with pytest.raises(AssertionError, match="no pods"):
        await eventually(cluster, PODS, all_running, timeout=1, namespace="kube-system")


async def test_no_state_goes_unseen(cluster: Cluster) -> None:
    """A state that lasts for one revision breaks `never` and `consistently`, though nobody could have polled it."""
    await deploy(cluster, 1)
    await cluster.settle()

    def is_two(deployments: list[Any]) -> bool:
        return any(deployment["spec"]["replicas"] == 2 for deployment in deployments)

    def is_one(deployments: list[Any]) -> bool:
        return not is_two(deployments)

    async def failure(check: Any, condition: Any) -> str:
        """What the check says while the Deployment blinks."""
        said: list[str] = []

        async def run() -> None:
            try:
                await check(cluster, DEPLOYMENTS, condition, seconds=30)
            except AssertionError as error:
                said.append(str(error))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await cluster.settle()
            for replicas in (2, 1):
                await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": replicas}}, namespace="default")
        return "".join(said)

    assert (await failure(never, is_two)).startswith("held, and never should: is_two; there were 1 deployments: web")
    assert (await failure(consistently, is_one)).startswith("did not hold: is_one; there were 1 deployments: web")


async def test_what_stays(cluster: Cluster) -> None:
    """`consistently` and `never` return after their time when nothing speaks against it."""
    await deploy(cluster, 1)
    before = cluster.clock.monotonic()
    await consistently(cluster, DEPLOYMENTS, lambda found: len(found) == 1, seconds=600, namespace="default")
    await never(cluster, PODS, lambda pods: len(pods) > 1, seconds=600, namespace="default")
    assert cluster.clock.monotonic() - before == pytest.approx(1200, abs=1)
