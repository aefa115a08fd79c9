"""Whole lives of pods, in virtual time with simulated containers."""

from __future__ import annotations

from typing import Any

from minik8s.kubelet.runtime.simulated import Behaviour


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", **fields}


def condition(pod: Any, type_: str) -> Any:
    return next(c for c in pod["status"]["conditions"] if c["type"] == type_)


def test_a_pod_comes_to_run(play: Any) -> None:
    """A pod bound to the node runs, is ready, has addresses, and its events tell how it got there."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        pod = world.pod()
        status = world.status("c")
        assert status["ready"] is True
        assert status["started"] is True
        assert status["restartCount"] == 0
        assert status["containerID"].startswith("minik8s-simulated://")
        assert condition(pod, "Ready")["status"] == "True"
        assert pod["status"]["hostIP"] == "10.0.0.1"
        assert pod["status"]["podIPs"] == [{"ip": pod["status"]["podIP"]}]
        assert pod["status"]["observedGeneration"] == 1
        reasons = [r for r in world.recorder.reasons() if not r.startswith(("Node", "Starting"))]
        assert reasons == ["Pulling", "Pulled", "Created", "Started"]
        assert world.recorder.paths["Started"] == "spec.containers{c}"

    play(scenario)


def test_graceful_deletion(play: Any) -> None:
    """Deleting a pod stops its container, writes the last status, and only then removes the object."""

    async def scenario(world: Any) -> None:
        from minik8s.api.resources import PODS

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
