"""The node and its pods: registration, heartbeat, admission, restarts of the agent, logs."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import CONFIG_MAPS, NODES, PODS
from minik8s.config import VERSION
from minik8s.kubelet.runtime.behaviour import Behaviour
from minik8s.machinery.errors import BadRequest


def container(name: str = "c", **fields: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", **fields}


def node(world: Any) -> Any:
    return world.api.objects["nodes", "", "n1"]


def lease(world: Any) -> Any:
    return world.api.objects["leases.coordination.k8s.io", "kube-node-lease", "n1"]


async def text(chunks: Any) -> str:
    return b"".join([chunk async for chunk in chunks]).decode()


def test_registration(play: Any) -> None:
    """A kubelet creates its Node with labels, resources, healthy conditions, addresses and versions, and a Lease."""

    async def scenario(world: Any) -> None:
        assert node(world)["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
        status = node(world)["status"]
        assert status["allocatable"]["pods"] == "110"
        assert [(c["type"], c["status"]) for c in status["conditions"]] == [
            ("MemoryPressure", "False"),
            ("DiskPressure", "False"),
            ("PIDPressure", "False"),
            ("Ready", "True"),
        ]
        assert status["addresses"][0] == {"type": "InternalIP", "address": "10.0.0.1"}
        assert status["nodeInfo"]["kubeletVersion"] == VERSION
        await world.until(lambda: lease(world))
        assert lease(world)["metadata"]["ownerReferences"][0]["uid"] == node(world)["metadata"]["uid"]
        assert world.recorder.reasons()[0] == "Starting"
        assert "NodeReady" in world.recorder.reasons()

    play(scenario)


def test_adoption(play: Any) -> None:
    """An existing Node of that name keeps what others wrote and gets this kubelet's labels and status."""

    async def scenario(world: Any) -> None:
        old = {"metadata": {"name": "n1", "labels": {"mine": "1"}}, "spec": {"unschedulable": True}}
        await world.add(NODES, old)
        async with world.running():
            labels = node(world)["metadata"]["labels"]
            assert labels["mine"] == "1"
            assert labels["kubernetes.io/hostname"] == "n1"
            assert node(world)["spec"]["unschedulable"] is True

    play(scenario, started=False)


def test_heartbeat(play: Any) -> None:
    """The Lease is renewed every ten seconds, the status written every five minutes."""

    async def scenario(world: Any) -> None:
        await world.until(lambda: lease(world))
        before, heard = lease(world)["spec"]["renewTime"], node(world)["status"]["conditions"][0]
        await world.clock.sleep(11)
        assert before < lease(world)["spec"]["renewTime"]
        assert node(world)["status"]["conditions"][0] == heard
        await world.clock.sleep(300)
        now = node(world)["status"]["conditions"][0]
        assert now["lastHeartbeatTime"] > heard["lastHeartbeatTime"]
        assert now["lastTransitionTime"] == heard["lastTransitionTime"]

    play(scenario)


def test_cordon_is_told(play: Any) -> None:
    """Cordoning and uncordoning the node make events."""

    async def scenario(world: Any) -> None:
        for value in (True, False):
            await world.client.patch(NODES, "n1", {"spec": {"unschedulable": value}})
            await world.clock.sleep(1)
        assert world.recorder.messages("NodeNotSchedulable") == ["Node n1 status is now: NodeNotSchedulable"]
        assert world.recorder.messages("NodeSchedulable") == ["Node n1 status is now: NodeSchedulable"]

    play(scenario)


def test_extended_resources_by_hand(play: Any) -> None:
    """What somebody writes into a node's capacity is allocatable with the next heartbeat, and no more once it goes.

    Of a resource that the node has never heard of it does not judge, as its scheduler's extenders may.
    """

    async def scenario(world: Any) -> None:
        def allocatable() -> Any:
            return node(world)["status"]["allocatable"].get("example.com/dongle")

        for amount, pod in (("5", "fits"), ("4", "does-not"), (None, "unheard-of")):
            patch = {"status": {"capacity": {"example.com/dongle": amount}}}
            await world.client.patch(NODES, "n1", patch, subresource="status")
            await world.clock.sleep(11)
            assert (allocatable(), node(world)["status"]["allocatable"]["pods"]) == (amount, "110")
            resources = {"requests": {"example.com/dongle": "3"}, "limits": {"example.com/dongle": "3"}}
            await world.run_pod({"containers": [container(resources=resources)]}, pod)
        await world.until_phase("Running", "fits")
        await world.until_phase("Failed", "does-not")
        await world.until_phase("Running", "unheard-of")
        assert world.pod("does-not")["status"]["reason"] == "OutOfexample.com/dongle"

    play(scenario)


def test_a_pod_too_large(play: Any) -> None:
    """A pod that does not fit is Failed with OutOfcpu, an event, and its numbers."""

    async def scenario(world: Any) -> None:
        resources = {"requests": {"cpu": "5"}}
        await world.run_pod({"containers": [container(resources=resources)]}, "first")
        await world.until_phase("Running", "first")
        await world.run_pod({"containers": [container(resources=resources)]}, "second")
        await world.until_phase("Failed", "second")
        status = world.pod("second")["status"]
        message = "Node didn't have enough resource: cpu, requested: 5000, used: 5000, capacity: 8000"
        assert (status["reason"], status["message"]) == ("OutOfcpu", f"Pod was rejected: {message}")
        assert world.recorder.messages("OutOfcpu") == [message]
        await world.client.delete(PODS, "second", namespace="default")
        await world.until(lambda: world.pod("second") is None)
        await world.client.delete(PODS, "first", namespace="default", grace_period=0)
        await world.run_pod({"containers": [container(resources=resources)]}, "third")
        await world.until_phase("Running", "third")  # what is gone by force counts no more, though it may still run

    play(scenario)


def test_pods_of_other_nodes_are_left_alone(play: Any) -> None:
    """A kubelet runs the pods bound to its node, also when they are bound after their creation."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"nodeName": "n2", "containers": [container()]}, "other")
        await world.run_pod({"nodeName": "", "containers": [container()]}, "late")
        await world.clock.sleep(5)
        assert not world.kubelet.workers
        await world.client.patch(PODS, "late", {"spec": {"nodeName": "n1"}}, namespace="default")
        await world.until_phase("Running", "late")
        assert world.pod("other")["status"]["phase"] == "Pending"

    play(scenario)


def test_a_restarted_kubelet(play: Any) -> None:
    """Containers of an earlier life are lost: they are restarted by policy, and never forgotten."""

    async def scenario(world: Any) -> None:
        async with world.running():
            await world.run_pod({"containers": [container()]}, "again")
            await world.run_pod({"restartPolicy": "Never", "containers": [container()]}, "never")
            await world.until_phase("Running", "again")
            await world.until_phase("Running", "never")
        world.runtime = world.new_runtime({})
        second = world.new_kubelet()
        async with world.running(second):
            await world.until_phase("Failed", "never")
            await world.until(lambda: world.status("c", "again")["restartCount"] == 1)
            lost = world.status("c", "again")["lastState"]["terminated"]
            assert (lost["exitCode"], lost["reason"]) == (137, "ContainerStatusUnknown")
            assert "SandboxChanged" in world.recorder.reasons()

    play(scenario, started=False)


def test_a_pod_deleted_while_its_kubelet_was_away(play: Any) -> None:
    """A terminating pod that a new kubelet finds is reported ended and removed."""

    async def scenario(world: Any) -> None:
        async with world.running():
            await world.run_pod({"containers": [container()]})
            await world.until_phase("Running")
        await world.client.delete(PODS, "p", namespace="default")
        world.runtime = world.new_runtime({})
        async with world.running(world.new_kubelet()):
            await world.until(lambda: world.pod() is None)
        assert world.last("p")["status"]["phase"] == "Failed"

    play(scenario, started=False)


def test_a_namesake(play: Any) -> None:
    """A pod created under the name of one that is still dying is another pod."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        await world.client.delete(PODS, "p", namespace="default", grace_period=0)
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        await world.clock.sleep(10)
        assert len(world.kubelet.workers) == 1
        assert world.pod()["status"]["containerStatuses"][0]["restartCount"] == 0

    play(scenario, {"c": Behaviour(ignore_sigterm=True)})


def test_logs(play: Any) -> None:
    """The current and the previous run's logs can be read; what is not there is refused with upstream's texts."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        with pytest.raises(BadRequest, match='previous terminated container "c" in pod "p" not found'):
            world.kubelet.logs(world.pod(), "c", previous=True)
        assert "attempt 0" in await text(world.kubelet.logs(world.pod(), "c"))
        await world.until(lambda: world.status("c")["restartCount"] == 2)
        await world.until(lambda: "running" in world.status("c")["state"])
        assert "attempt 2" in await text(world.kubelet.logs(world.pod(), "c", tail_lines=2))
        previous = await text(world.kubelet.logs(world.pod(), "c", previous=True))
        assert "attempt 1" in previous
        assert "exit with code 1" in previous

    play(scenario, {"c": Behaviour(run_seconds=30, exit_code=1)})


def test_logs_of_a_container_that_waits(play: Any) -> None:
    """A container that has not started has no log, and the answer says what it waits for."""

    async def scenario(world: Any) -> None:
        mounted = container(volumeMounts=[{"name": "v", "mountPath": "/v"}])
        await world.run_pod({"volumes": [{"name": "v", "secret": {"secretName": "s"}}], "containers": [mounted]})
        await world.until(lambda: world.status("c"))
        with pytest.raises(BadRequest, match='container "c" in pod "p" is waiting to start: ContainerCreating'):
            world.kubelet.logs(world.pod(), "c")

    play(scenario)


def test_following_a_log_ends_with_the_container(play: Any) -> None:
    """`follow` returns everything and ends when that run has ended."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        assert "exit with code 0" in await text(world.kubelet.logs(world.pod(), "c", follow=True))

    play(scenario, {"c": Behaviour(run_seconds=30)})


def test_a_kubelet_without_files(play: Any) -> None:
    """For a runtime without processes no file is written and no token asked for; missing objects still count."""

    async def scenario(world: Any) -> None:
        token = {"serviceAccountToken": {"path": "token"}}
        volumes = [{"name": "t", "projected": {"sources": [token, {"configMap": {"name": "x"}}]}}]
        volumes.append({"name": "e", "emptyDir": {}})
        async with world.running(world.new_kubelet(files=False)):
            mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("t", "e")]
            await world.run_pod({"volumes": volumes, "containers": [container(volumeMounts=mounts)]})
            await world.until(lambda: world.recorder.messages("FailedMount"))
            await world.add(CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "default"}})
            await world.until_phase("Running")
        assert world.api.tokens == 0
        assert list(world.directory.iterdir()) == []

    play(scenario, started=False)


def test_a_server_that_keeps_statuses_in_another_form(play: Any) -> None:
    """What the server leaves out of a status is not written again and again."""

    async def scenario(world: Any) -> None:
        store = world.api.store

        def forgetful(key: Any, obj: Any, type_: Any) -> Any:
            for status in obj.get("status", {}).get("containerStatuses", []):
                status.pop("imageID", None)
            return store(key, obj, type_)

        world.api.store = forgetful
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        await world.clock.sleep(60)
        assert world.kubelet.node.statuses.writes == 1

    play(scenario)


def test_conditions_of_others_are_corrected(play: Any) -> None:
    """When somebody else makes a running pod unready, its kubelet says again what is so."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        patch = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        await world.client.patch(PODS, "p", patch, namespace="default", type="strategic", subresource="status")
        await world.clock.sleep(1)
        ready = next(c for c in world.pod()["status"]["conditions"] if c["type"] == "Ready")
        assert ready["status"] == "True"

    play(scenario)


def test_the_running_container_for_exec(play: Any) -> None:
    """Exec and attach get a running container with its sandbox, and a refusal for any other."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "containers": [container()]})
        await world.until_phase("Running")
        sandbox, running = world.kubelet.running_container(world.pod(), "c")
        assert sandbox.address == world.pod()["status"]["podIP"]
        assert world.status("c")["containerID"].endswith(running.id)
        with pytest.raises(BadRequest, match="container not found"):
            world.kubelet.running_container(world.pod(), "other")
        await world.until_phase("Succeeded")
        with pytest.raises(BadRequest, match="container not found"):
            world.kubelet.running_container(world.pod(), "c")

    play(scenario, {"c": Behaviour(run_seconds=30)})
