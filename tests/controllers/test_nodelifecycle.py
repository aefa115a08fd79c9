"""Nodes that fall silent, and pods that nobody will finish, against a real API server and with the test as kubelet."""

from __future__ import annotations

from typing import Any

from minik8s.api.resources import LEASES, NODES, PODS
from minik8s.controllers.nodelifecycle import NodeLifecycleController
from minik8s.controllers.podgc import PodGCController
from minik8s.controllers.podgc_plan import surplus
from minik8s.controllers.tainteviction import TaintEvictionController
from minik8s.machinery.meta import find_condition, is_terminating, rfc3339_micro

TOLERANT = [{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]


async def add_node(world: Any, name: str, **metadata: Any) -> None:
    """A node that is ready and renews its Lease once."""
    ready = {"type": "Ready", "status": "True"}
    await world.add("nodes", name, metadata=metadata)
    await world.client.patch(NODES, name, {"status": {"conditions": [ready]}}, subresource="status")
    await world.add("leases", name, "kube-node-lease", spec={"renewTime": rfc3339_micro(world.clock.now())})


async def renew(world: Any, *names: str, seconds: int) -> None:
    """Lets time pass in which only these nodes are alive."""
    for _ in range(seconds // 10):
        for name in names:
            patch = {"spec": {"renewTime": rfc3339_micro(world.clock.now())}}
            await world.client.patch(LEASES, name, patch, namespace="kube-node-lease")
        await world.clock.sleep(10)


async def add_pod(world: Any, name: str, node: str = "", **spec: Any) -> None:
    """A pod that runs, ready, on that node."""
    spec = {"containers": [{"name": "c", "image": "x"}], **({"nodeName": node} if node else {}), **spec}
    await world.add("pods", name, "default", spec=spec)
    if node:
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        await world.client.patch(PODS, name, {"status": status}, namespace="default", subresource="status")


def taints(node: Any) -> set[tuple[str, str]]:
    return {(t["key"].removeprefix("node.kubernetes.io/"), t["effect"]) for t in node["spec"].get("taints") or ()}


def condition(obj: Any, type_: str) -> Any:
    return find_condition(obj["status"]["conditions"], type_)


def test_a_silent_node(virtual: Any, start: Any) -> None:
    """Silence of 50 s makes a node Unknown and unreachable; its pods are taken out of service, then deleted."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController, TaintEvictionController) as world:
            await add_node(world, "dead")
            await add_node(world, "alive")
            await add_pod(world, "patient", "dead", tolerations=TOLERANT)
            await add_pod(world, "elsewhere", "alive", tolerations=TOLERANT)
            await renew(world, "alive", seconds=40)
            assert condition(await world.get("nodes", "dead"), "Ready")["status"] == "True"
            await renew(world, "alive", seconds=20)
            dead = await world.get("nodes", "dead")
            assert condition(dead, "Ready")["status"] == "Unknown"
            assert condition(dead, "Ready")["reason"] == "NodeStatusUnknown"
            assert taints(dead) == {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
            pod = await world.get("pods", "patient", "default")
            assert condition(pod, "Ready")["status"] == "False"
            assert not is_terminating(pod)
            await renew(world, "alive", seconds=40)
            pod = await world.get("pods", "patient", "default")
            assert is_terminating(pod)
            assert condition(pod, "DisruptionTarget")["reason"] == "DeletionByTaintManager"
            assert taints(await world.get("nodes", "alive")) == set()
            assert not is_terminating(await world.get("pods", "elsewhere", "default"))
            messages = {e["involvedObject"]["kind"]: e["message"] for e in await world.events("NodeNotReady")}
            assert messages == {"Node": "Node dead status is now: NodeNotReady", "Pod": "Node is not ready"}
            [event] = await world.events("TaintManagerEviction")
            assert event["message"] == "Marking for deletion Pod default/patient"

    virtual(body)


def test_a_node_that_comes_back(virtual: Any, start: Any) -> None:
    """When the kubelet reports again the taints go, and pods that were still tolerated stay."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController) as world:
            await add_node(world, "n1")
            await add_node(world, "n2")
            await add_pod(world, "p", "n1", tolerations=TOLERANT)
            await renew(world, "n2", seconds=70)
            assert taints(await world.get("nodes", "n1"))
            ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:02:00Z"}
            await world.client.patch(NODES, "n1", {"status": {"conditions": [ready]}}, subresource="status")
            await renew(world, "n1", "n2", seconds=60)
            assert taints(await world.get("nodes", "n1")) == set()
            assert not is_terminating(await world.get("pods", "p", "default"))

    virtual(body)


def test_when_all_are_silent(virtual: Any, start: Any) -> None:
    """If every node is lost it is rather the network: nodes are marked, pods are not driven away."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController) as world:
            await add_node(world, "n1")
            await add_node(world, "n2")
            await add_pod(world, "p", "n1")
            await world.quiet(600)
            assert taints(await world.get("nodes", "n1")) == {("unreachable", "NoSchedule")}
            assert not is_terminating(await world.get("pods", "p", "default"))

    virtual(body)


def test_a_taint_by_hand(virtual: Any, start: Any) -> None:
    """A NoExecute taint that somebody sets drives away what does not tolerate it; cordoning is a taint too."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController, TaintEvictionController) as world:
            await add_node(world, "n1")
            await add_pod(world, "stays", "n1", tolerations=[{"key": "dedicated", "operator": "Exists"}])
            await add_pod(world, "goes", "n1")
            await world.quiet()
            spec = {"unschedulable": True, "taints": [{"key": "dedicated", "value": "x", "effect": "NoExecute"}]}
            await world.client.patch(NODES, "n1", {"spec": spec})
            await world.quiet()
            assert is_terminating(await world.get("pods", "goes", "default"))
            assert not is_terminating(await world.get("pods", "stays", "default"))
            node = await world.get("nodes", "n1")
            assert ("unschedulable", "NoSchedule") in taints(node)
            await world.client.patch(NODES, "n1", {"spec": {"unschedulable": None}})
            await world.quiet()
            assert ("unschedulable", "NoSchedule") not in taints(await world.get("nodes", "n1"))

    virtual(body)


def test_node_events(virtual: Any, start: Any) -> None:
    """A node is welcomed once and taken leave of."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController) as world:
            await add_node(world, "n1")
            await world.quiet()
            await world.client.delete(NODES, "n1")
            await world.quiet()
            [registered] = await world.events("RegisteredNode")
            assert registered["message"] == "Node n1 event: Registered Node n1 in Controller"
            assert registered["source"] == {"component": "node-controller"}
            assert registered["metadata"]["namespace"] == "default"
            [removed] = await world.events("RemovingNode")
            assert removed["message"] == "Node n1 event: Removing Node n1 from Controller"

    virtual(body)


def test_pods_of_vanished_nodes(virtual: Any, start: Any) -> None:
    """Pods of a node that has been missing for 40 s are failed and removed; those of present nodes stay."""

    async def body(clock: Any) -> None:
        async with start(clock, PodGCController) as world:
            await add_node(world, "n1")
            await add_node(world, "n2")
            await add_pod(world, "lost", "n1")
            await add_pod(world, "fine", "n2")
            last: list[Any] = []

            async def follow() -> None:
                async for event in world.client.watch(PODS, namespace="default"):
                    if event.object["metadata"]["name"] == "lost":
                        last.append(event)

            world.group.start_soon(follow)
            await world.quiet()
            await world.client.delete(NODES, "n1")
            await world.quiet(39)
            assert await world.get("pods", "lost", "default")
            await world.quiet(30)
            assert await world.get("pods", "lost", "default") is None
            assert await world.get("pods", "fine", "default")
            assert last[-1].type == "DELETED"
            assert last[-1].object["status"]["phase"] == "Failed"
            found = condition(last[-1].object, "DisruptionTarget")
            assert (found["reason"], found["message"]) == ("DeletionByPodGC", "PodGC: node no longer exists")

    virtual(body)


def test_a_node_that_is_back_in_time(virtual: Any, start: Any) -> None:
    """A node that returns within the quarantine keeps its pods."""

    async def body(clock: Any) -> None:
        async with start(clock, PodGCController) as world:
            await add_node(world, "n1")
            await add_pod(world, "p", "n1")
            await world.quiet()
            await world.client.delete(NODES, "n1")
            await world.quiet(30)
            await world.add("nodes", "n1")
            await world.quiet(300)
            assert await world.get("pods", "p", "default")

    virtual(body)


def test_out_of_service(virtual: Any, start: Any) -> None:
    """Terminating pods of a node that is declared out of service and not ready are removed; running ones stay."""

    async def body(clock: Any) -> None:
        async with start(clock, PodGCController) as world:
            await world.add("nodes", "n1")
            await add_pod(world, "terminating", "n1")
            await add_pod(world, "running", "n1")
            await world.client.delete(PODS, "terminating", namespace="default")
            await world.quiet(60)
            assert await world.get("pods", "terminating", "default")
            taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
            await world.client.patch(NODES, "n1", {"spec": {"taints": [taint]}})
            await world.until_gone("pods", "terminating", "default")
            assert await world.get("pods", "running", "default")

    virtual(body)


def test_surplus() -> None:
    """Beyond the threshold the oldest finished pods go, those that were evicted before all others."""
    pods = [{"metadata": {"name": str(n), "creationTimestamp": f"2026-01-0{n}T00:00:00Z"}} for n in (3, 1, 2)]
    assert surplus(pods, threshold=3) == []
    assert [pod["metadata"]["name"] for pod in surplus(pods, threshold=1)] == ["1", "2"]
    evicted = {**pods[0], "status": {"phase": "Failed", "reason": "Evicted"}}
    assert [pod["metadata"]["name"] for pod in surplus([evicted, *pods[1:]], threshold=1)] == ["3", "1"]


def test_a_taint_that_goes_in_time(virtual: Any, start: Any) -> None:
    """Pods that were to be deleted stay, and hear of it."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController, TaintEvictionController) as world:
            await add_node(world, "n1")
            await add_pod(world, "patient", "n1", tolerations=TOLERANT)
            taint = {"key": "k", "effect": "NoExecute"}
            await world.client.patch(NODES, "n1", {"spec": {"taints": [taint]}})
            await world.quiet(20)
            await world.client.patch(NODES, "n1", {"spec": {"taints": None}})
            await world.quiet(40)
            assert await world.get("pods", "patient", "default")
            [said] = await world.events("TaintManagerEviction")
            assert said["message"] == "Cancelling deletion of Pod default/patient"
            assert said["source"]["component"] == "taint-eviction-controller"

    virtual(body)


def test_nobody_is_evicted_without_the_taint_eviction_controller(virtual: Any, start: Any) -> None:
    """Pods stay on a tainted node: another may decide about them."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController) as world:
            await add_node(world, "n1")
            await add_pod(world, "impatient", "n1")
            await world.client.patch(NODES, "n1", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
            await world.quiet(20)
            assert not is_terminating(await world.get("pods", "impatient", "default"))

    virtual(body)


def test_seconds_of_toleration_count_from_the_node_not_from_the_creation(virtual: Any, start: Any) -> None:
    """A pod that waited long for its node has all its seconds there, and its eviction is said once."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController, TaintEvictionController) as world:
            await add_node(world, "n1")
            await world.client.patch(NODES, "n1", {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}})
            await add_pod(world, "gated", tolerations=TOLERANT)
            await world.quiet(100)
            binding = {"metadata": {"name": "gated"}, "target": {"kind": "Node", "name": "n1"}}
            await world.client.create(PODS, binding, namespace="default", name="gated", subresource="binding")
            await world.quiet(29)
            assert not is_terminating(await world.get("pods", "gated", "default"))
            await world.quiet(2)
            assert is_terminating(await world.get("pods", "gated", "default"))
            await world.quiet(60)
            said = [e["message"] for e in await world.events("TaintManagerEviction")]
            assert said == ["Marking for deletion Pod default/gated"]

    virtual(body)


def test_a_controller_that_takes_over_goes_on_with_the_seconds(virtual: Any, start: Any) -> None:
    """What the taint and the pod say of their times counts for the next one: a restart gives nobody more time."""

    async def body(clock: Any) -> None:
        async with start(clock, NodeLifecycleController) as world:
            await add_node(world, "n1")
            await add_node(world, "alive")
            await add_pod(world, "patient", tolerations=TOLERANT)
            binding = {"metadata": {"name": "patient"}, "target": {"kind": "Node", "name": "n1"}}
            await world.client.create(PODS, binding, namespace="default", name="patient", subresource="binding")
            await renew(world, "alive", seconds=80)  # n1 is tainted after 50 s to 60
            assert ("unreachable", "NoExecute") in taints(await world.get("nodes", "n1"))
            world.group.start_soon(TaintEvictionController(world.context).run)
            await renew(world, "alive", seconds=20)
            assert is_terminating(await world.get("pods", "patient", "default"))

    virtual(body)
