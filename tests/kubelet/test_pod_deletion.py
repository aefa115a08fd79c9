"""How pods end, in virtual time: graceful, hastened and forced deletions, deadlines, processes that do not obey."""

from __future__ import annotations

import os
import stat
from typing import Any

from minik8s.api.resources import PODS
from minik8s.kubelet.runtime.behaviour import Behaviour
from minik8s.kubelet.volumes.memory import SHARED
from tests.kubelet.podspecs import container

HAS_MEMORY = os.path.ismount(SHARED) and os.access(SHARED, os.W_OK)


def test_graceful_deletion(play: Any) -> None:
    """Deleting a pod stops its container, writes the last status, and only then removes the object."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        began = world.elapsed
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)
        last = [e.object for _, name, e in world.api.log if name == "pods"][-1]
        assert last["status"]["phase"] == "Failed"
        assert last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143
        assert world.elapsed - began == 3
        assert world.recorder.messages("Killing") == ["Stopping container c"]

    play(scenario, {"c": Behaviour(stop_seconds=3)})


def test_a_process_that_ignores_sigterm(play: Any) -> None:
    """SIGKILL comes after the grace period, and the exit code is 137."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"terminationGracePeriodSeconds": 7, "containers": [container()]})
        await world.until_phase("Running")
        began = world.elapsed
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)
        assert round(world.elapsed - began) == 7
        assert world.last("p")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137

    play(scenario, {"c": Behaviour(ignore_sigterm=True)})


def test_pre_stop_eats_the_grace_period(play: Any) -> None:
    """preStop counts against the grace period, but two seconds stay for the stop signal."""

    async def scenario(world: Any) -> None:
        hook = {"preStop": {"sleep": {"seconds": 60}}}
        await world.run_pod({"terminationGracePeriodSeconds": 7, "containers": [container(lifecycle=hook)]})
        await world.until_phase("Running")
        began = world.elapsed
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)
        assert round(world.elapsed - began) == 9
        assert world.recorder.messages("FailedPreStopHook") == ["PreStopHook failed"]

    play(scenario, {"c": Behaviour(ignore_sigterm=True)})


def test_a_second_delete_hastens_the_end(play: Any) -> None:
    """A shorter grace period moves the deadline closer; a longer one would not move it."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"terminationGracePeriodSeconds": 100, "containers": [container()]})
        await world.until_phase("Running")
        began = world.elapsed
        await world.client.delete(PODS, "p", namespace="default")
        await world.clock.sleep(5)
        await world.client.delete(PODS, "p", namespace="default", grace_period=3)
        await world.until(lambda: world.pod() is None)
        assert round(world.elapsed - began) == 8

    play(scenario, {"c": Behaviour(ignore_sigterm=True)})


def test_forced_deletion(play: Any) -> None:
    """A pod deleted by force is gone at once; its process is killed within two seconds and its files go."""

    async def scenario(world: Any) -> None:
        volumes = [{"name": "v", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
        mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("v", "m")]
        await world.run_pod({"containers": [container(volumeMounts=mounts)], "volumes": volumes})
        await world.until_phase("Running")
        [worker] = world.kubelet.workers.values()
        plain, in_memory = (worker.keeper.volumes._places[name].path for name in ("v", "m"))
        assert stat.S_IMODE(plain.stat().st_mode) == stat.S_IMODE(in_memory.stat().st_mode) == 0o777
        assert in_memory.is_relative_to(SHARED if HAS_MEMORY else world.kubelet.node.directory)
        await world.client.delete(PODS, "p", namespace="default", grace_period=0)
        assert world.pod() is None
        await world.clock.sleep(3)
        assert worker.ended
        assert not world.kubelet.workers
        assert not worker.directory.exists()
        assert not in_memory.exists()
        world.kubelet.node.memory.close()

    play(scenario, {"c": Behaviour(ignore_sigterm=True)})


def test_deleted_before_it_could_start(play: Any) -> None:
    """A pod deleted while its image cannot be had ends Failed, its container of unknown status."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container(image="nope:1")]})
        await world.until(lambda: world.recorder.messages("BackOff"))
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)
        status = world.last("p")["status"]
        assert status["phase"] == "Failed"
        assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"

    play(scenario, missing=("nope:1",))


def test_active_deadline(play: Any) -> None:
    """activeDeadlineSeconds ends the pod as Failed with DeadlineExceeded."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"activeDeadlineSeconds": 20, "containers": [container()]})
        await world.until_phase("Failed")
        status = world.pod()["status"]
        assert status["reason"] == "DeadlineExceeded"
        assert world.recorder.messages("DeadlineExceeded") == [status["message"]]
        assert status["message"] == "Pod was active on the node longer than the specified deadline"
        assert round(world.elapsed) == 20

    play(scenario)


def test_terminal_pods_that_are_deleted(play: Any) -> None:
    """A pod that has finished goes as soon as it is deleted; its logs were there until then."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "containers": [container()]})
        await world.until_phase("Succeeded")
        await world.clock.sleep(60)
        assert b"simulated exit" in b"".join([chunk async for chunk in world.kubelet.logs(world.pod(), "c")])
        await world.client.delete(PODS, "p", namespace="default")
        await world.until(lambda: world.pod() is None)
        await world.clock.sleep(1)
        assert not world.kubelet.workers

    play(scenario, {"c": Behaviour(run_seconds=5)})
