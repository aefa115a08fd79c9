"""Pods whose claims have devices: without drivers on the node, processes wait and simulated containers run."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.api.resources import PODS, RESOURCE_CLAIMS
from minik8s.kubelet.devices import REASON
from tests.kubelet.podspecs import container

SPEC = {
    "containers": [container()],
    "resourceClaims": [{"name": "a", "resourceClaimName": "empty"}, {"name": "b", "resourceClaimName": "gpu"}],
}


def claim(name: str, *drivers: str) -> Any:
    results = [{"request": "r", "driver": driver, "pool": "p", "device": "d"} for driver in drivers]
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": {"name": name, "namespace": "default"},
        "status": {"allocation": {"devices": {"results": results}}},
    }


def test_processes_wait_for_drivers(play: Any) -> None:
    """The pod stays in ContainerCreating, says which driver is missing ever less often, and can be deleted."""

    async def scenario(world: Any) -> None:
        await world.add(RESOURCE_CLAIMS, claim("empty"))
        await world.add(RESOURCE_CLAIMS, claim("gpu", "gpu.example.com"))
        await world.run_pod(SPEC)
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "ContainerCreating")
        await anyio.sleep(10)
        told = world.recorder.messages(REASON)
        why = "prepare dynamic resources: DRA driver gpu.example.com is not registered"
        assert set(told) == {f"Failed to prepare dynamic resources: {why}"}
        assert len(told) == 5  # after 0, 0.5, 1.5, 3.5 and 7.5 seconds
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)

    play(scenario)


def test_a_claim_that_is_gone(play: Any) -> None:
    """The pod says so, and waits."""

    async def scenario(world: Any) -> None:
        await world.add(RESOURCE_CLAIMS, claim("empty"))
        await world.run_pod(SPEC)
        await world.until(lambda: world.recorder.messages(REASON))
        [text, *_] = world.recorder.messages(REASON)
        assert text.endswith(': resourceclaims.resource.k8s.io "gpu" not found')

    play(scenario)


@pytest.mark.parametrize("options", [{"files": False}, {}])
def test_who_runs(play: Any, options: Any) -> None:
    """Simulated containers run whatever their claims have; processes do when there is nothing to prepare."""

    async def scenario(world: Any) -> None:
        world.kubelet = world.new_kubelet(**options)
        drivers = () if options == {} else ("gpu.example.com",)
        for name in ("empty", "gpu"):
            await world.add(RESOURCE_CLAIMS, claim(name, *drivers))
        async with world.running(world.kubelet):
            await world.run_pod(SPEC)
            await world.until_phase("Running")
        assert not world.recorder.messages(REASON)

    play(scenario, started=False)
