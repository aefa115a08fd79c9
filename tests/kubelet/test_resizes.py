"""In-place resize as a user sees it: granted, refused, deferred until there is room, carried out, told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import EVENTS
from minik8s.machinery.meta import find_condition

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def started(**options: Any) -> AsyncIterator[Cluster]:
    """A cluster whose node has 8 CPUs and 32 GiB."""
    given: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True}
    async with Cluster(**{**given, "seed": 5, **options}) as cluster:
        await cluster.settle()
        yield cluster


def container(cpu: str, limit: str = "", **fields: Any) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": {"cpu": cpu}}
    if limit:
        resources["requests"]["memory"], resources["limits"] = "10Mi", {"memory": limit}
    return {"name": "c", "image": "busybox", "resources": resources, **fields}


async def run(cluster: Cluster, name: str, spec: dict[str, Any], **meta: Any) -> None:
    await cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": spec})
    await cluster.settle()


async def resize(cluster: Cluster, name: str, cpu: str = "", limit: str = "") -> None:
    resources: dict[str, Any] = {"requests": {"cpu": cpu}} if cpu else {}
    if limit:
        resources["limits"] = {"memory": limit}
    patch = {"spec": {"containers": [{"name": "c", "resources": resources}]}}
    await cluster.client.patch(PODS, name, patch, namespace="default", type="strategic", subresource="resize")


async def state(cluster: Cluster, name: str) -> tuple[Any, str, str]:
    """Conditions of the resize by type, and the cpu that the container was allocated and has."""
    status: Any = (await cluster.client.get(PODS, name, namespace="default"))["status"]
    found = {t: find_condition(status["conditions"], f"PodResize{t}") for t in ("Pending", "InProgress")}
    held = status["containerStatuses"][0]
    return found, held["allocatedResources"]["cpu"], held["resources"]["requests"]["cpu"]


async def events(cluster: Cluster, name: str) -> list[tuple[str, str]]:
    items: list[Any] = [e for e in (await cluster.client.list(EVENTS)).items if e["involvedObject"]["name"] == name]
    return [(event["reason"], event["message"]) for event in items]


async def test_a_resize_is_carried_out_and_told() -> None:
    """A container has what it was granted once that is in effect, without a restart; the pod's status says how far."""
    async with started() as cluster:
        slow = {"simulated.minik8s.dev/resize-seconds": "5"}
        await run(cluster, "p", {"containers": [container("1")]}, annotations=slow)
        await resize(cluster, "p", "2")
        await cluster.settle()
        conditions, allocated, actual = await state(cluster, "p")
        assert conditions["InProgress"]["observedGeneration"] == 2
        assert conditions["Pending"] is None
        assert (allocated, actual) == ("2", "1")
        status: Any = (await cluster.client.get(PODS, "p", namespace="default"))["status"]
        assert (status["allocatedResources"], status["resources"]) == ({"cpu": "2"}, {"requests": {"cpu": "1"}})
        await cluster.advance(seconds=6)
        assert await state(cluster, "p") == ({"Pending": None, "InProgress": None}, "2", "2")
        after: Any = await cluster.client.get(PODS, "p", namespace="default")
        assert after["status"]["containerStatuses"][0]["restartCount"] == 0
        assert after["status"]["observedGeneration"] == after["metadata"]["generation"] == 2
        told = [(reason, text) for reason, text in await events(cluster, "p") if reason.startswith("Resize")]
        summary = '{"containers":[{"name":"c","resources":{"requests":{"cpu":"2"}}}],"generation":2}'
        started_, completed = ("ResizeStarted", "Pod resize started: "), ("ResizeCompleted", "Pod resize completed: ")
        assert told == [(reason, text + summary) for reason, text in (started_, completed)]


async def test_what_a_node_never_has_is_infeasible() -> None:
    """The container keeps what it has; the wish does not count for the scheduler, and can be taken back."""
    async with started() as cluster:
        await run(cluster, "p", {"containers": [container("1")]})
        await resize(cluster, "p", "9")
        await cluster.settle()
        conditions, allocated, actual = await state(cluster, "p")
        pending = conditions["Pending"]
        assert pending["reason"] == "Infeasible"
        assert pending["message"] == "Node didn't have enough capacity: cpu, requested: 9000, capacity: 8000"
        assert (allocated, actual) == ("1", "1")
        await run(cluster, "q", {"containers": [container("7")]})
        other: Any = await cluster.client.get(PODS, "q", namespace="default")
        assert other["status"]["phase"] == "Running", "an infeasible wish takes no room"
        await resize(cluster, "p", "1")
        await cluster.settle()
        assert await state(cluster, "p") == ({"Pending": None, "InProgress": None}, "1", "1")


async def test_resizes_wait_for_room_and_get_it_in_turn() -> None:
    """What others have of the node comes to the more important pod first, as soon as they have gone."""
    async with started() as cluster:
        for name, priority in (("low", 1), ("high", 2)):
            kind = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
            await cluster.apply({**kind, "value": priority})
            await run(cluster, name, {"containers": [container("1")], "priorityClassName": name})
        await run(cluster, "other", {"containers": [container("6")], "terminationGracePeriodSeconds": 1})
        for name in ("low", "high"):
            await resize(cluster, name, "5")
            await cluster.settle()
            conditions, allocated, _ = await state(cluster, name)
            text = "Node didn't have enough resource: cpu, requested: 5000, used: 7000, capacity: 8000"
            assert (conditions["Pending"]["reason"], conditions["Pending"]["message"]) == ("Deferred", text)
            assert allocated == "1"
        await cluster.client.delete(PODS, "other", namespace="default")
        await cluster.advance(seconds=10)
        assert (await state(cluster, "high"))[1:] == ("5", "5")
        conditions, allocated, _ = await state(cluster, "low")
        assert (conditions["Pending"]["reason"], allocated) == ("Deferred", "1")
        told = [reason for reason, _ in await events(cluster, "low") if reason.startswith("Resize")]
        assert told == ["ResizeDeferred"] * 2, "it is told once that others use the node, and once that another does"


async def test_a_restart_where_the_policy_wants_one() -> None:
    """A container whose resizePolicy says RestartContainer starts anew, at once; the pod stays."""
    async with started() as cluster:
        policy = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
        await run(cluster, "p", {"containers": [container("1", "1Gi", resizePolicy=policy)]})
        await resize(cluster, "p", limit="2Gi")
        await cluster.advance(seconds=5)
        pod: Any = await cluster.client.get(PODS, "p", namespace="default")
        status = pod["status"]["containerStatuses"][0]
        assert status["restartCount"] == 1
        assert status["resources"]["limits"] == {"memory": "2Gi"}
        assert find_condition(pod["status"]["conditions"], "PodResizeInProgress") is None
        told = [text for reason, text in await events(cluster, "p") if reason == "Killing"]
        assert told == ["Container c resize requires restart"]


async def test_a_limit_below_what_is_used() -> None:
    """A memory limit is not lowered below what the container uses; the pod says so, and it is tried again."""
    async with started() as cluster:
        uses = {"simulated.minik8s.dev/memory-bytes": str(100 << 20)}
        await run(cluster, "p", {"containers": [container("1", "1Gi")]}, annotations=uses)
        await resize(cluster, "p", limit="50Mi")
        await cluster.advance(seconds=30)
        conditions, _, _ = await state(cluster, "p")
        progress = conditions["InProgress"]
        text = 'attempting to set container "c" memory limit (52428800) below current usage (104857600)'
        assert (progress["reason"], progress["message"]) == ("Error", f"cannot decrease memory limits: {text}")
        assert [reason for reason, _ in await events(cluster, "p")].count("ResizeError") == 1
        await resize(cluster, "p", limit="200Mi")
        await cluster.settle()
        assert (await state(cluster, "p"))[0] == {"Pending": None, "InProgress": None}


async def test_a_kubelet_that_starts_again_keeps_what_it_had_granted() -> None:
    """A deferred resize stays deferred over a restart of the node, and its pod runs with what it had."""
    async with started() as cluster:
        await run(cluster, "p", {"containers": [container("1")]})
        await run(cluster, "q", {"containers": [container("6")]})
        await resize(cluster, "p", "3")
        await cluster.settle()
        cluster.faults.node("node-1").restart(seconds=5)
        await cluster.advance(minutes=2)
        conditions, allocated, actual = await state(cluster, "p")
        assert (conditions["Pending"]["reason"], allocated, actual) == ("Deferred", "1", "1")
