"""Lives that need a task only while something is to be done: whether they rest, wake, and lose nothing in between."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from minik8s.api.resources import CONFIG_MAPS, PODS
from minik8s.kubelet.led import Led
from minik8s.kubelet.runtime.behaviour import Behaviour
from tests.kubelet.podspecs import container

pytestmark = pytest.mark.anyio
MOUNT = {"name": "v", "mountPath": "/v"}


class Life(Led):
    """Rests as often as it may, and ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.led = 0
        self.is_over = False
        self.woken: list[Any] = []
        self.led_by(self.woken.append)

    async def _lead(self) -> None:
        self.led += 1
        self._rested = self._may_rest and not self.is_over
        if not self._rested:
            await anyio.lowlevel.checkpoint()

    async def run(self) -> bool:
        return await self._led()


async def test_a_life_rests_until_it_is_woken() -> None:
    """It is handed over to be led again, once for any number of calls, and goes on until it is over."""
    life = Life()
    assert await life.run()
    life.wake()
    life.wake()
    assert life.woken == [life]
    life.is_over = True
    assert not await life.run()
    assert life.led == 2


async def test_what_is_to_be_done_beside_is_done_after_waking() -> None:
    """Nothing is lost that is spawned while it rests, and it does not rest while something is done."""
    life, done = Life(), []

    async def something() -> None:
        await anyio.lowlevel.checkpoint()
        done.append(life.led)

    assert not life.spawn(something), "it has not begun"
    assert await life.run()
    assert life.spawn(something)
    assert life.woken == [life]
    life.is_over = True
    life._lead = waiting(life, done)  # type: ignore[method-assign]
    assert not await life.run()
    assert done == [1]
    assert not life.spawn(something), "it is over"


def waiting(life: Life, done: list[int]) -> Any:
    async def lead() -> None:
        life._rested = False
        assert not life._may_rest
        while not done:
            await anyio.lowlevel.checkpoint()

    return lead


async def test_who_is_woken_while_lying_down_gets_up() -> None:
    """A call between the decision to rest and the rest itself is heard."""
    life = Life()

    async def lead() -> None:
        life.led += 1
        life._rested = life.led < 3
        life.wake()

    life._lead = lead  # type: ignore[method-assign]
    assert not await life.run()
    assert (life.led, life.woken) == (3, [])


async def test_nobody_rests_who_would_not_be_led_again() -> None:
    """Without a leader it stays, as pods of a kubelet on its own would."""
    assert not Led()._may_rest


def test_pods_that_run_need_no_task(play: Any) -> None:
    """A hundred pods at rest are as many tasks as one; they still end, restart and are deleted as they should."""

    async def scenario(world: Any) -> None:
        async def started(first: int, last: int) -> int:
            for number in range(first, last):
                await world.run_pod({"containers": [container("a"), container("b")]}, name=f"p{number}")
            await world.until(lambda: all(world.pod(f"p{n}")["status"].get("phase") == "Running" for n in range(last)))
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            return len(asyncio.all_tasks())

        assert await started(0, 1) == await started(1, 100)
        await world.client.delete(PODS, "p7", namespace="default")
        await world.until(lambda: world.pod("p7") is None)
        world.kubelet.kill_container(world.pod("p8"), "a")
        await world.until(lambda: world.status("a", "p8")["restartCount"] == 1)
        assert world.status("a", "p8")["lastState"]["terminated"]["exitCode"] == 137
        assert world.status("b", "p8")["restartCount"] == 0

    play(scenario)


def test_a_container_may_rest_while_another_comes_and_goes(play: Any) -> None:
    """Each end is seen when it comes, with the back-off that follows from it."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container("stays"), container("goes")]})
        await world.until(lambda: world.status("goes")["restartCount"] == 3)
        assert 3 * 60 + 10 <= world.elapsed <= 4 * 60 + 60
        assert world.status("stays")["restartCount"] == 0
        assert "running" in world.status("stays")["state"]

    play(scenario, {"goes": Behaviour(run_seconds=60)})


def test_a_pod_at_rest_hears_of_its_objects_and_its_deadline(play: Any) -> None:
    """Volumes are brought up to date, and activeDeadlineSeconds ends it."""

    async def scenario(world: Any) -> None:
        await world.add(CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "1"}})
        volume = {"name": "v", "configMap": {"name": "cm"}}
        await world.run_pod(
            {"containers": [container(volumeMounts=[MOUNT])], "volumes": [volume], "activeDeadlineSeconds": 100}
        )
        await world.until_phase("Running")
        await world.clock.sleep(5)
        cm = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"k": "2"}}
        await world.client.update(CONFIG_MAPS, cm)
        [worker] = world.kubelet.workers.values()
        path = worker.directory / "volumes" / "kubernetes.io~configmap" / "v" / "k"
        await world.clock.sleep(1)
        assert path.read_text() == "2"
        await world.until_phase("Failed")
        assert world.pod()["status"]["reason"] == "DeadlineExceeded"
        assert 100 <= world.elapsed <= 135

    play(scenario)


def test_a_node_that_ends_leaves_nobody_listening(play: Any) -> None:
    """Pods at rest have no task that could clean up after them: their kubelet does."""

    async def scenario(world: Any) -> None:
        volume = {"name": "v", "configMap": {"name": "cm", "optional": True}}
        await world.run_pod({"containers": [container(volumeMounts=[MOUNT])], "volumes": [volume]})
        await world.until_phase("Running")
        await world.clock.sleep(5)
        assert world.kubelet.node.dispatch.config_maps.listeners == 1
        world.kubelet.stop()
        await world.kubelet.ended.wait()
        assert world.kubelet.node.dispatch.config_maps.listeners == 0

    play(scenario)
