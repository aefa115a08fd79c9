"""What probes do to pods, in virtual time."""

from __future__ import annotations

from typing import Any

from minik8s.kubelet.runtime.behaviour import Behaviour
from tests.kubelet.podspecs import condition, container


def test_a_sidecar_with_a_startup_probe_holds_the_rest_back(play: Any) -> None:
    """The next container starts when a sidecar has started, which its startup probe says."""

    async def scenario(world: Any) -> None:
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 5, "failureThreshold": 10}
        sidecar = container("s", restartPolicy="Always", startupProbe=probe)
        await world.run_pod({"initContainers": [sidecar], "containers": [container()]})
        await world.until_phase("Running")
        assert world.elapsed >= 15

    play(scenario, {"s": Behaviour(ready_seconds=12)})


def test_liveness_restarts(play: Any) -> None:
    """Three failed liveness probes kill the container, which is restarted with fresh probe results."""

    async def scenario(world: Any) -> None:
        probe = {"exec": {"command": ["true"]}, "periodSeconds": 10}
        await world.run_pod({"containers": [container(livenessProbe=probe)]})
        await world.until(lambda: world.pod()["status"].get("containerStatuses"))
        await world.until(lambda: world.status("c")["restartCount"] == 1)
        assert world.recorder.messages("Unhealthy") == ["Liveness probe failed: simulated probe failure"] * 3
        assert world.recorder.messages("Killing") == ["Container c failed liveness probe, will be restarted"]
        assert round(world.elapsed) == 40
        assert world.status("c")["lastState"]["terminated"]["exitCode"] == 143

    play(scenario, {"c": Behaviour(unready_seconds=15)})


def test_readiness_gates_traffic(play: Any) -> None:
    """A container is ready once its readiness probe has passed, and the pod's conditions follow."""

    async def scenario(world: Any) -> None:
        probe = {"httpGet": {"port": 80}, "initialDelaySeconds": 3, "periodSeconds": 2}
        await world.run_pod({"containers": [container(readinessProbe=probe)]})
        await world.until_phase("Running")
        assert world.status("c")["started"] is True
        assert world.status("c")["ready"] is False
        assert condition(world.pod(), "Ready")["message"] == "containers with unready status: [c]"
        await world.until(lambda: condition(world.pod(), "Ready")["status"] == "True")
        assert round(world.elapsed) == 7

    play(scenario, {"c": Behaviour(ready_seconds=6)})


def test_startup_probe_holds_liveness_back(play: Any) -> None:
    """Until the startup probe has passed the container is not started, and liveness is not asked."""

    async def scenario(world: Any) -> None:
        check = {"exec": {"command": ["true"]}, "periodSeconds": 1}
        probes = {"startupProbe": {**check, "failureThreshold": 30}, "livenessProbe": {**check, "failureThreshold": 1}}
        await world.run_pod({"containers": [container(**probes)]})
        await world.until_phase("Running")
        assert world.status("c")["started"] is False
        await world.until(lambda: world.status("c")["started"])
        assert round(world.elapsed) == 20
        assert world.recorder.messages("Killing") == []

    play(scenario, {"c": Behaviour(ready_seconds=20)})
