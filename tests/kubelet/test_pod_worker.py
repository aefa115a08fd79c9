"""Whole lives of pods, in virtual time with simulated containers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minik8s.api.resources import CONFIG_MAPS, PODS
from minik8s.kubelet.runtime.behaviour import Behaviour
from minik8s.machinery.errors import NotFound
from tests.kubelet.podspecs import condition, container

TOKEN_MOUNT = {"name": "v", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


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


def test_containers_side_by_side(play: Any) -> None:
    """All containers of a pod run at once, started in the order of the spec."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container("a"), container("b"), container("c")]})
        await world.until_phase("Running")
        assert [world.status(name)["ready"] for name in "abc"] == [True, True, True]
        started = [world.status(name)["state"]["running"]["startedAt"] for name in "abc"]
        assert started == sorted(started)

    play(scenario)


def test_completion_without_restart(play: Any) -> None:
    """With restartPolicy Never, exit 0 of every container is Succeeded, with the conditions of a completed pod."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "containers": [container()]})
        await world.until_phase("Succeeded")
        pod = world.pod()
        assert condition(pod, "Ready")["reason"] == "PodCompleted"
        assert condition(pod, "Initialized")["status"] == "True"
        await world.until(lambda: condition(world.pod(), "PodReadyToStartContainers")["status"] == "False")
        terminated = world.status("c")["state"]["terminated"]
        assert (terminated["exitCode"], terminated["reason"]) == (0, "Completed")
        assert world.pod()["status"]["podIP"]

    play(scenario, {"c": Behaviour(run_seconds=5)})


def test_crash_loop(play: Any) -> None:
    """The first restart is immediate, then 10, 20 and 40 s lie between exit and start, with the loop's texts."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]}, uid="u1")
        starts: list[float] = []
        for count in range(5):
            await world.until(lambda n=count: len(world.recorder.messages("Started")) > n)
            starts.append(world.elapsed)
            if count == 2:
                await world.until(lambda: "waiting" in world.status("c")["state"])
                assert world.status("c")["state"]["waiting"] == {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off 20s restarting failed container=c pod=p_default(u1)",
                }
                assert world.status("c")["lastState"]["terminated"]["exitCode"] == 3
                assert world.pod()["status"]["phase"] == "Running"
        assert [round(b - a) for a, b in pairwise(starts)] == [1, 11, 21, 41]
        await world.until(lambda: world.status("c")["restartCount"] == 4)
        text = "Back-off restarting failed container c in pod p_default(u1)"
        assert set(world.recorder.messages("BackOff")) == {text}

    play(scenario, {"c": Behaviour(run_seconds=1, exit_code=3)})


def test_init_containers_in_order(play: Any) -> None:
    """Init containers run one after the other, and app containers wait as PodInitializing."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"initContainers": [container("i1"), container("i2")], "containers": [container()]})
        await world.until(lambda: "running" in world.status("i2")["state"])
        assert world.status("i1")["ready"] is True
        assert world.status("i1")["state"]["terminated"]["reason"] == "Completed"
        assert world.status("c")["state"] == {"waiting": {"reason": "PodInitializing"}}
        initialized = condition(world.pod(), "Initialized")
        assert initialized["reason"] == "ContainersNotInitialized"
        assert initialized["message"] == "containers with incomplete status: [i2]"
        assert world.pod()["status"]["phase"] == "Pending"
        await world.until_phase("Running")
        assert world.elapsed >= 9

    play(scenario, {"i1": Behaviour(run_seconds=4), "i2": Behaviour(run_seconds=5)})


def test_failed_init_container(play: Any) -> None:
    """With restartPolicy Never a failing init container fails the pod; no app container starts."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "initContainers": [container("i")], "containers": [container()]})
        await world.until_phase("Failed")
        assert len(world.recorder.messages("Started")) == 1
        assert "waiting" in world.status("c")["state"]

    play(scenario, {"i": Behaviour(run_seconds=1, exit_code=1)})


def test_sidecars_outlive_the_apps(play: Any) -> None:
    """Sidecars start before the apps and are ended after them, the last one first."""

    async def scenario(world: Any) -> None:
        sidecars = [container(name, restartPolicy="Always") for name in ("s1", "s2")]
        await world.run_pod({"restartPolicy": "Never", "initContainers": sidecars, "containers": [container()]})
        await world.until_phase("Running")
        assert condition(world.pod(), "Ready")["status"] == "True"
        await world.until_phase("Succeeded")
        ends = {name: world.status(name)["state"]["terminated"]["finishedAt"] for name in ("s1", "s2", "c")}
        assert sorted(ends, key=lambda name: ends[name]) == ["c", "s2", "s1"]

    stop = Behaviour(stop_seconds=2)
    play(scenario, {"c": Behaviour(run_seconds=5), "s1": stop, "s2": stop})


def test_unknown_image(play: Any) -> None:
    """An image that nobody has is ErrImagePull, then ImagePullBackOff with 10 s, 20 s and so on between tries."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container(image="nope:1")]})
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "ErrImagePull")
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "ImagePullBackOff")
        message = world.status("c")["state"]["waiting"]["message"]
        assert message.startswith('Back-off pulling image "nope:1": ErrImagePull: ')
        assert world.recorder.messages("Failed")[1:3] == ["Error: ErrImagePull", "Error: ImagePullBackOff"]
        assert world.recorder.messages("BackOff") == ['Back-off pulling image "nope:1"']
        await world.until(lambda: len(world.recorder.messages("BackOff")) == 2)
        assert round(world.elapsed) == 11
        await world.until(lambda: len(world.recorder.messages("BackOff")) == 3)
        assert round(world.elapsed) == 31
        assert world.pod()["status"]["phase"] == "Pending"

    play(scenario, missing=("nope:1",))


def test_image_that_must_not_be_pulled(play: Any) -> None:
    """imagePullPolicy Never with an absent image waits as ErrImageNeverPull."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container(imagePullPolicy="Never")]})
        await world.until(lambda: "reason" in world.status("c")["state"]["waiting"] and world.recorder.events)
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "ErrImageNeverPull")
        text = 'Container image "busybox" is not present with pull policy of Never'
        assert world.status("c")["state"]["waiting"]["message"] == text

    play(scenario)


def test_missing_config_map_in_env(play: Any) -> None:
    """A missing ConfigMap is CreateContainerConfigError, and the container starts as soon as it exists."""

    async def scenario(world: Any) -> None:
        env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "k"}}}]
        await world.run_pod({"containers": [container(env=env)]})
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "CreateContainerConfigError")
        assert world.status("c")["state"]["waiting"]["message"] == 'configmap "x" not found'
        assert world.recorder.messages("Failed") == ['Error: configmap "x" not found']
        began = world.elapsed
        await world.add(CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "default"}, "data": {"k": "v"}})
        await world.until_phase("Running")
        assert world.elapsed - began < 1
        assert world.runtime_env("c")["A"] == "v"

    play(scenario)


def test_missing_config_map_in_a_volume(play: Any) -> None:
    """A missing ConfigMap keeps the pod in ContainerCreating with FailedMount, tried again with back-off."""

    async def scenario(world: Any) -> None:
        volumes = [{"name": "v", "configMap": {"name": "x"}}]
        mounts = [{"name": "v", "mountPath": "/etc/v", "readOnly": True}]
        await world.run_pod({"volumes": volumes, "containers": [container(volumeMounts=mounts)]})
        await world.until(lambda: "containerStatuses" in world.pod()["status"])
        assert world.status("c")["state"]["waiting"]["reason"] == "ContainerCreating"
        await world.clock.sleep(4)
        text = 'MountVolume.SetUp failed for volume "v" : configmap "x" not found'
        assert world.recorder.messages("FailedMount") == [text] * 4
        await world.add(CONFIG_MAPS, {"metadata": {"name": "x", "namespace": "default"}, "data": {"k": "v"}})
        await world.until_phase("Running")
        [mount] = world.runs("c")[0].config.mounts
        assert (mount.host_path / "k").read_text() == "v"
        assert mount.read_only
        shown = world.status("c")["volumeMounts"]
        assert shown == [{"name": "v", "mountPath": "/etc/v", "readOnly": True, "recursiveReadOnly": "Disabled"}]
        updated = {"metadata": {"name": "x", "namespace": "default"}, "data": {"k": "w"}}
        await world.client.update(CONFIG_MAPS, updated)
        await world.clock.sleep(1)
        assert (mount.host_path / "k").read_text() == "w"

    play(scenario)


def test_service_account_token(play: Any) -> None:
    """A projected token is requested for the pod and replaced when 80 % of its life are over."""

    async def scenario(world: Any) -> None:
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}}
        volumes = [{"name": "v", "projected": {"sources": [token]}}]
        await world.run_pod({"volumes": volumes, "containers": [container(volumeMounts=[TOKEN_MOUNT])]})
        await world.until_phase("Running")
        path = world.runs("c")[0].config.mounts[0].host_path / "token"
        assert path.read_text() == "token-1"
        await world.clock.sleep(795)
        assert path.read_text() == "token-1"
        await world.clock.sleep(10)
        assert path.read_text() == "token-2"

    play(scenario)


def test_a_token_that_cannot_be_renewed(play: Any) -> None:
    """It serves while it is good, and the server is asked once a minute; one that is over is told of."""

    async def scenario(world: Any) -> None:
        token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}}
        volumes = [{"name": "v", "projected": {"sources": [token]}}]
        await world.run_pod({"volumes": volumes, "containers": [container(volumeMounts=[TOKEN_MOUNT])]})
        await world.until_phase("Running")
        path = world.runs("c")[0].config.mounts[0].host_path / "token"
        create, asked = world.api.create, 0

        def refuse(request: Any) -> Any:
            nonlocal asked
            if request.subresource == "token":
                asked += 1
                raise NotFound("no such account")
            return create(request)

        world.api.create = refuse
        await world.clock.sleep(990)
        assert (path.read_text(), asked) == ("token-1", 4)
        assert not world.recorder.messages("FailedMount")
        await world.clock.sleep(100)
        text = 'MountVolume.SetUp failed for volume "v" : token expired and refresh failed'
        assert set(world.recorder.messages("FailedMount")) == {text}
        assert asked < 8
        world.api.create = create
        await world.clock.sleep(61)
        assert path.read_text() == "token-2"

    play(scenario)


def test_failed_post_start(play: Any) -> None:
    """A failing postStart hook kills the container, and the restart policy applies."""

    async def scenario(world: Any) -> None:
        hook = {"postStart": {"exec": {"command": ["false"]}}}
        await world.run_pod({"containers": [container(lifecycle=hook)]})
        await world.until(lambda: world.recorder.messages("BackOff"))
        assert world.recorder.messages("FailedPostStartHook") == ["PostStartHook failed"] * 2

    play(scenario, {"c": Behaviour(ready_seconds=1000)})


def test_a_changed_image_restarts_the_container(play: Any) -> None:
    """A new image in the spec kills the container and starts it anew, whatever the restart policy; nobody sees the pod
    without it, as the agent tells of the end and of what took its place at once."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "containers": [container()]})
        await world.until_phase("Running")
        written = len(world.api.log)
        patch = {"spec": {"containers": [{"name": "c", "image": "busybox:2"}]}}
        await world.client.patch(PODS, "p", patch, namespace="default", type="strategic")
        await world.until(lambda: world.status("c")["restartCount"] == 1)
        assert world.status("c")["image"] == "docker.io/library/busybox:2"
        assert world.recorder.messages("Killing") == ["Container c definition changed, will be restarted"]
        assert world.pod()["status"]["phase"] == "Running"
        seen = [event.object["status"] for _, kind, event in world.api.log[written:] if kind == "pods"]
        assert [status["containerStatuses"][0]["ready"] for status in seen] == [True] * len(seen)
        assert "terminated" in world.status("c")["lastState"]

    play(scenario, {"c": Behaviour(start_seconds=1)})


def test_ephemeral_container(play: Any) -> None:
    """An ephemeral container added to a running pod is started and never restarted; nobody calls it ready."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container()]})
        await world.until_phase("Running")
        patch = {"spec": {"ephemeralContainers": [container("e")]}}
        await world.client.patch(PODS, "p", patch, namespace="default", type="strategic")
        await world.until(lambda: world.pod()["status"].get("ephemeralContainerStatuses"))
        await world.until(lambda: "running" in world.status("e")["state"])
        assert world.status("e")["ready"] is False
        assert "started" not in world.status("e")
        await world.until(lambda: "terminated" in world.status("e")["state"])
        assert world.recorder.paths["Started"] == "spec.ephemeralContainers{e}"
        assert world.pod()["status"]["phase"] == "Running"

    play(scenario, {"e": Behaviour(run_seconds=5)})


def test_restart_all_containers(play: Any) -> None:
    """The RestartAllContainers rule ends every container and starts the pod over, init containers first."""

    async def scenario(world: Any) -> None:
        rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
        crashing = container("a", restartPolicy="Never", restartPolicyRules=[rule])
        spec = {"initContainers": [container("i")], "containers": [crashing, container("b")]}
        await world.run_pod({**spec, "ephemeralContainers": [container("e")]})
        await world.until_phase("Running")
        restarting = "AllContainersRestarting"
        assert condition(world.pod(), restarting)["status"] == "False"
        await world.until(lambda: condition(world.pod(), restarting)["status"] == "True")
        assert condition(world.pod(), restarting)["reason"] == "RestartAllContainersStarted"
        await world.until(lambda: world.status("b")["restartCount"] == 1)
        assert world.status("i")["restartCount"] == 1
        assert world.recorder.messages("Killing")[0] == "Stopping container b"
        status = world.pod()["status"]
        assert (status["phase"], condition(world.pod(), "Initialized")["status"]) == ("Running", "True")
        assert world.status("b")["lastState"]["terminated"]["reason"] == "RestartingAllContainers"
        seen = [e.object["status"].get("containerStatuses") for _, kind, e in world.api.log if kind == "pods"]
        waiting = [s["state"]["waiting"] for statuses in seen for s in statuses or () if "waiting" in s["state"]]
        assert {"RestartingAllContainers"} <= {state["reason"] for state in waiting}
        assert world.status("e")["restartCount"] == 0
        assert "running" in world.status("e")["state"], "who debugs is left alone"

    slow = Behaviour(stop_seconds=3)
    play(scenario, {"i": Behaviour(run_seconds=1), "a": Behaviour(run_seconds=60, exit_code=42), "b": slow})


def test_a_name_that_is_no_image(play: Any) -> None:
    """It is InvalidImageName, and nobody is said to pull it."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"containers": [container(image="Nope", imagePullPolicy="Always")]})
        await world.until(lambda: world.status("c")["state"]["waiting"]["reason"] == "InvalidImageName")
        assert world.recorder.reasons()[-2:] == ["InspectFailed", "Failed"]
        assert "Pulling" not in world.recorder.reasons()

    play(scenario)


def test_a_process_that_cannot_be_executed(play: Any) -> None:
    """A failing start is an exit with 128 StartError, told in a Failed event, and restarted by policy."""

    async def scenario(world: Any) -> None:
        await world.run_pod({"restartPolicy": "Never", "containers": [container()]})
        await world.until_phase("Failed")
        terminated = world.status("c")["state"]["terminated"]
        assert (terminated["exitCode"], terminated["reason"], terminated["message"]) == (128, "StartError", "no way")
        assert world.recorder.messages("Failed") == ["Error: no way"]

    play(scenario, {"c": Behaviour(start_error="no way")})
