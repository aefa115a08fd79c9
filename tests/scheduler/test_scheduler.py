"""The scheduler against a real API server: what it binds, what it says, and what wakes a pod that had to wait."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from minik8s.api.resources import EVENTS, NODES, PODS, PRIORITY_CLASSES
from minik8s.client.events import Recorders
from minik8s.clock import RealClock, TimerHandle
from minik8s.cluster import Cluster
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import find_condition
from minik8s.scheduler.framework import Code, CycleState, Status
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaultbinder import DefaultBinder
from minik8s.scheduler.plugins.registry import default_plugins
from minik8s.scheduler.profile import Profile, Weighted
from minik8s.scheduler.scheduler import Scheduler

pytestmark = pytest.mark.anyio


class HastyClock(RealClock):
    """A hundred times as fast, so that back-off takes no time worth mentioning."""

    def monotonic(self) -> float:
        return super().monotonic() * 100

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return super().call_later(seconds / 100, callback)


@asynccontextmanager
async def cluster(**options: Any) -> AsyncIterator[Cluster]:
    """A control plane without nodes or controllers: nothing runs the pods."""
    with anyio.fail_after(20):
        async with Cluster(
            nodes=0, serve=False, proxy=False, controllers=("serviceaccount",), freeze=True, seed=1, **options
        ) as up:
            yield up


async def add_node(up: Cluster, node: Any) -> None:
    await up.client.create(NODES, {"apiVersion": "v1", "kind": "Node", **node})
    name, status = node["metadata"]["name"], {"status": node["status"]}
    await up.client.patch(NODES, name, status, subresource="status")
    taints = node.get("spec", {}).get("taints")
    await up.client.patch(NODES, name, {"spec": {"taints": taints}})  # without the one that new nodes get


async def add_pod(up: Cluster, pod: Any) -> Any:
    meta = {key: value for key, value in pod["metadata"].items() if key != "uid"} | {"namespace": "default"}
    return await up.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod["spec"]})


async def bound(up: Cluster, name: str) -> str:
    """The node's name, once there is one."""
    pod = await up.wait_for(PODS, name, lambda p: bool(p["spec"].get("nodeName")), timeout=10)
    return str(pod["spec"]["nodeName"])


async def refused(up: Cluster, name: str) -> Any:
    """The PodScheduled condition, once it says False."""

    def says_no(pod: Any) -> bool:
        found = find_condition(pod["status"].get("conditions"), "PodScheduled")
        return found is not None and found["status"] == "False"

    pod = await up.wait_for(PODS, name, says_no, timeout=10)
    return find_condition(pod["status"]["conditions"], "PodScheduled")


async def event(up: Cluster, reason: str) -> Any:
    """The first event with that reason."""
    async for found in up.client.watch(EVENTS, namespace="default"):
        if found.object["reason"] == reason:
            return found.object
    raise AssertionError("the watch ended")


async def test_binds_and_says_so(node: Any, pod: Any) -> None:
    """A pod gets the node that has room, its condition turns True, and an event tells."""
    async with cluster() as up:
        await add_node(up, node("small", cpu="1"))
        await add_node(up, node("large"))
        await add_pod(up, pod("p", requests={"cpu": "2"}))
        assert await bound(up, "p") == "large"
        told = await event(up, "Scheduled")
        assert (told["type"], told["message"]) == ("Normal", "Successfully assigned default/p to large")
        assert (told["reportingComponent"], told["action"]) == ("default-scheduler", "Binding")


async def test_unschedulable_until_a_node_comes(node: Any, pod: Any) -> None:
    """Condition and event carry upstream's sentence; a fitting node wakes the pod."""
    async with cluster() as up:
        await add_pod(up, pod("p", requests={"cpu": "2"}))
        condition = await refused(up, "p")
        assert (condition["reason"], condition["message"]) == ("Unschedulable", "no nodes available to schedule pods")
        await add_node(up, node("small", cpu="1"))
        sentence = (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "
            "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
        )

        def says(found: Any) -> bool:
            condition = find_condition(found["status"]["conditions"], "PodScheduled")
            return condition is not None and condition.get("message") == sentence

        await up.wait_for(PODS, "p", says, timeout=10)
        await add_node(up, node("large"))
        assert await bound(up, "p") == "large"
        told = await event(up, "FailedScheduling")
        assert (told["type"], told["message"]) == ("Warning", "no nodes available to schedule pods")


async def test_a_pod_that_ends_makes_room(node: Any, pod: Any) -> None:
    """A pod waits while another holds the cpu, and is bound when that one has finished."""
    async with cluster() as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("first", requests={"cpu": "3"}))
        await bound(up, "first")
        await add_pod(up, pod("second", requests={"cpu": "3"}))
        await refused(up, "second")
        done = {"status": {"phase": "Succeeded"}}
        await up.client.patch(PODS, "first", done, namespace="default", subresource="status")
        assert await bound(up, "second") == "a"


async def test_gates_and_foreign_schedulers_are_respected(node: Any, pod: Any) -> None:
    """A gated pod and one of another scheduler are left alone; removing the gate lets the first go."""
    async with cluster() as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("gated", schedulingGates=[{"name": "x"}]))
        await add_pod(up, pod("foreign", schedulerName="mine"))
        await add_pod(up, pod("plain"))
        await bound(up, "plain")
        for name in ("gated", "foreign"):
            found = await up.client.get(PODS, name, namespace="default")
            assert "nodeName" not in found["spec"]
        remove = [{"op": "remove", "path": "/spec/schedulingGates"}]
        await up.client.patch(PODS, "gated", remove, namespace="default", type="json")
        assert await bound(up, "gated") == "a"


async def test_preemption_makes_room(node: Any, pod: Any) -> None:
    """The less important pod is told why and deleted; the important one is nominated and gets the room."""
    async with cluster() as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("low", requests={"cpu": "3"}, priority=0))
        await bound(up, "low")
        high = pod("high", requests={"cpu": "3"}, priorityClassName="system-node-critical", priority=2_000_001_000)
        await add_pod(up, high)
        victim = await up.wait_for(PODS, "low", lambda p: "deletionTimestamp" in p["metadata"], timeout=10)
        target = find_condition(victim["status"]["conditions"], "DisruptionTarget")
        assert target is not None
        assert target["reason"] == "PreemptionByScheduler"
        nominated = await up.client.get(PODS, "high", namespace="default")
        assert nominated["status"]["nominatedNodeName"] == "a"
        await up.client.delete(PODS, "low", namespace="default", grace_period=0)
        assert await bound(up, "high") == "a"
        told = await event(up, "Preempted")
        assert told["message"] == f"Preempted by pod {nominated['metadata']['uid']} on node a"
        assert (told["action"], told["related"]["name"]) == ("Preempting", "high")


async def test_the_more_important_takes_the_room(node: Any, pod: Any) -> None:
    """Room that is being made for one pod goes to a more important one that comes meanwhile: the first loses its
    nomination, and waits again."""
    async with cluster() as up:
        await add_node(up, node("a"))
        for name, value in (("mid", 10), ("top", 20)):
            await up.client.create(PRIORITY_CLASSES, {"metadata": {"name": name}, "value": value})
        await add_pod(up, pod("low", requests={"cpu": "3"}))
        await bound(up, "low")
        for name in ("mid", "top"):
            await add_pod(up, pod(name, requests={"cpu": "3"}, priorityClassName=name))
            await up.wait_for(PODS, name, lambda p: p["status"].get("nominatedNodeName") == "a", timeout=10)
        await up.wait_for(PODS, "mid", lambda p: "nominatedNodeName" not in p["status"], timeout=10)
        await up.client.delete(PODS, "low", namespace="default", grace_period=0)
        assert await bound(up, "top") == "a"


class Reluctant(DefaultBinder):
    """Fails once."""

    failed = False

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        if not self.failed:
            self.failed = True
            return Status(Code.ERROR, ("the network is down",), self.name)
        return await super().bind(state, pod, node)


async def test_a_failed_binding_is_tried_again(node: Any, pod: Any) -> None:
    """The room is given back, the error is said, and after its back-off the pod is bound."""
    async with cluster(scheduler=False) as up:
        profile = Profile("default-scheduler", [*default_plugins(), Weighted(Reluctant(up.client))])
        clock = HastyClock()
        recorders = Recorders(up.client, clock, up.rng)
        scheduler = Scheduler(up.client, up.informers, clock, up.rng, recorders, profiles=[profile])
        async with anyio.create_task_group() as group:
            group.start_soon(recorders.run)
            group.start_soon(scheduler.run)
            await add_node(up, node("a"))
            await add_pod(up, pod("p", requests={"cpu": "3"}))
            assert await bound(up, "p") == "a"
            assert (await event(up, "FailedScheduling"))[
                "message"
            ] == 'running Bind plugin "DefaultBinder": the network is down'
            assert scheduler.statistics.errors == 1
            info = scheduler.cache.node("a")
            assert info is not None
            assert info.requested_cpu == 3000
            group.cancel_scope.cancel()


async def test_explain_tells_why_a_pod_waits(node: Any, pod: Any) -> None:
    """The diagnosis is kept as data for as long as the pod waits."""
    async with cluster(scheduler=False) as up:
        recorders = Recorders(up.client, up.clock, up.rng)
        scheduler = Scheduler(up.client, up.informers, up.clock, up.rng, recorders)
        async with anyio.create_task_group() as group:
            group.start_soon(scheduler.run)
            await add_node(up, node("a", unschedulable=True))
            created = await add_pod(up, pod("p"))
            await refused(up, "p")
            why: Any = scheduler.explain(created["metadata"]["uid"])
            assert why.reasons == {"node(s) were unschedulable": 1}
            assert why.plugins == {"NodeUnschedulable"}
            await up.client.patch(NODES, "a", {"spec": {"unschedulable": None}})
            await bound(up, "p")
            await up.client.delete(PODS, "p", namespace="default", grace_period=0)
            with pytest.raises(NotFound):
                await up.client.get(PODS, "p", namespace="default")
            assert scheduler.explain(created["metadata"]["uid"]) is None
            group.cancel_scope.cancel()


async def test_many_pods_fill_the_nodes_exactly(node: Any, pod: Any) -> None:
    """Pods bound side by side never overfill a node; the surplus is refused."""
    async with cluster() as up:
        for i in range(5):
            await add_node(up, node(f"n{i}", pods="4"))
        for i in range(22):
            await add_pod(up, pod(f"p{i}"))

        where: dict[str, str] = {}
        refused: set[str] = set()
        async for change in up.client.watch(PODS, namespace="default"):
            found, name = change.object, change.object["metadata"]["name"]
            condition = find_condition(found["status"].get("conditions"), "PodScheduled")
            if target := found["spec"].get("nodeName"):
                where[name] = target
                refused.discard(name)
            elif condition is not None and condition["message"].startswith("0/5 nodes are available: 5 Too many pods."):
                refused.add(name)
            if len(where) + len(refused) == 22:
                break
        assert len(refused) == 2
        assert sorted(Counter(where.values()).values()) == [4, 4, 4, 4, 4]


class Fussy:
    """Takes no node but one, and prefers nothing."""

    name = "Fussy"
    local = True

    def filter(self, state: CycleState, pod: PodInfo, node: Any) -> Status | None:
        return (
            None if node.name == "second" else Status(Code.UNSCHEDULABLE, ("node(s) are not to its taste",), self.name)
        )


async def test_plugins_of_somebody_elses(node: Any, pod: Any) -> None:
    """Plugins that a cluster is given join the default profile: their verdicts count, and their words are shown."""
    async with cluster(scheduler=(Fussy(),)) as up:
        await add_node(up, node("first"))
        await add_pod(up, pod("p"))
        assert "1 node(s) are not to its taste" in (await refused(up, "p"))["message"]
        await add_node(up, node("second"))
        assert await bound(up, "p") == "second"


async def test_plugins_that_cannot_be(node: Any) -> None:
    """A plugin without a name, and one whose name is taken, are refused when the cluster starts."""
    nameless, twin = SimpleNamespace(filter=print), SimpleNamespace(name="NodeName", filter=print)
    for plugin, says in ((nameless, "every plugin needs a name"), (twin, "needs a name of its own; 'NodeName' is not")):
        with pytest.raises(ValueError, match=says):
            async with cluster(scheduler=(plugin,)):
                pytest.fail("it started")
