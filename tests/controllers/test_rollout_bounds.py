"""Rollouts keep their bounds at every revision of the store: the watch log is replayed, nothing is polled.

A set of workloads is rolled out in virtual time on simulated nodes while one watch takes down every change of a pod.
Afterwards the changes are put one on the other, and each state that the store has ever been in is held against what
the strategy promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anyio
import attrs
import pytest

from minik8s import Cluster
from minik8s.api.pods import is_pod_ready
from minik8s.api.request import WatchEvent
from minik8s.api.resource import Resource
from minik8s.api.resources import DAEMON_SETS, DEPLOYMENTS, PODS, STATEFUL_SETS
from minik8s.controllers.pods import is_active
from minik8s.machinery.meta import Doc

pytestmark = pytest.mark.anyio
LABELS = {"app": "web"}
SIMULATED: dict[str, Any] = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "seed": 1}


@attrs.frozen
class Seen:
    """How many pods, of those that are not leaving, there are after one revision, are ready, and are new."""

    present: int
    ready: int
    new: int


def states(changes: list[WatchEvent], image: str) -> Iterator[Seen]:
    """Every state of the store, change by change."""
    pods: dict[str, tuple[bool, bool, bool]] = {}
    for change in changes:
        pod = change.object
        pods.pop(pod["metadata"]["uid"], None)
        if change.type != "DELETED" and is_active(pod):
            new = pod["spec"]["containers"][0]["image"] == image
            pods[pod["metadata"]["uid"]] = True, is_pod_ready(pod), new
        yield Seen(*(sum(column) for column in zip(*pods.values(), strict=True))) if pods else Seen(0, 0, 0)


def template(image: str) -> Any:
    """Pods that take a while to come, to be ready and to go."""
    marks = {"start-seconds": "2", "ready-seconds": "3", "stop-seconds": "1"}
    annotations = {f"simulated.minik8s.dev/{name}": value for name, value in marks.items()}
    container = {"name": "c", "image": image, "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}
    return {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": {"containers": [container]}}


def workload(kind: str, **spec: Any) -> Any:
    body = {"selector": {"matchLabels": LABELS}, "template": template("one"), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "default"}, "spec": body}


def rolled_out(obj: Doc) -> bool:
    """Whether the present generation is all there is, and available."""
    status, size = obj["status"], obj["spec"].get("replicas")
    if status.get("observedGeneration") != obj["metadata"]["generation"]:
        return False
    if size is None:
        counts = [status.get(n, 0) for n in ("updatedNumberScheduled", "numberAvailable", "currentNumberScheduled")]
        return bool(status["desiredNumberScheduled"]) and set(counts) == {status["desiredNumberScheduled"]}
    return {status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")} == {size}


async def roll_out(resource: Resource[Any], document: Any, nodes: int) -> tuple[list[WatchEvent], list[WatchEvent]]:
    """The changes of pods until the workload stood, and those of its rollout to another image."""
    changes: list[WatchEvent] = []

    async def take_down(cluster: Cluster) -> None:
        async for change in cluster.client.watch(PODS, namespace="default"):
            changes.append(change)

    async with Cluster(nodes=nodes, **SIMULATED) as cluster, anyio.create_task_group() as group:
        group.start_soon(take_down, cluster)
        await cluster.apply(document)
        await cluster.wait_for(resource, "web", rolled_out, timeout=3600)
        await cluster.settle()
        before = len(changes)
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}
        await cluster.client.patch(resource, "web", patch, namespace="default", type="strategic")
        await cluster.wait_for(resource, "web", rolled_out, timeout=3600 * 8)
        await cluster.advance(seconds=60)
        group.cancel_scope.cancel()
    return changes[:before], changes[before:]


def strategy(field: str, **bounds: Any) -> Any:
    return {field: {"type": "RollingUpdate", "rollingUpdate": bounds}}


CASES: list[Any] = [
    # name, resource, document, nodes, pods, the most that may be there, the fewest that must be ready
    ("deployment", DEPLOYMENTS, workload("Deployment", replicas=100), 4, 100, 125, 75),
    (
        "deployment without surge",
        DEPLOYMENTS,
        workload("Deployment", replicas=30, **strategy("strategy", maxSurge=0, maxUnavailable=7)),
        4,
        30,
        30,
        23,
    ),
    (
        "deployment that is always all there",
        DEPLOYMENTS,
        workload("Deployment", replicas=40, minReadySeconds=2, **strategy("strategy", maxSurge="9%", maxUnavailable=0)),
        4,
        40,
        44,
        40,
    ),
    ("statefulset", STATEFUL_SETS, workload("StatefulSet", replicas=8), 4, 8, 8, 7),
    (
        "statefulset with maxUnavailable",
        STATEFUL_SETS,
        workload(
            "StatefulSet",
            replicas=20,
            podManagementPolicy="Parallel",
            **strategy("updateStrategy", maxUnavailable="20%"),
        ),
        4,
        20,
        20,
        16,
    ),
    ("daemonset", DAEMON_SETS, workload("DaemonSet", **strategy("updateStrategy", maxUnavailable=3)), 12, 12, 12, 9),
    (
        "daemonset with surge",
        DAEMON_SETS,
        workload("DaemonSet", **strategy("updateStrategy", maxUnavailable=0, maxSurge="25%")),
        12,
        12,
        15,
        12,
    ),
]


@pytest.mark.parametrize(
    ("resource", "document", "nodes", "pods", "most", "fewest"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
async def test_bounds_hold_at_every_revision(
    resource: Any, document: Any, nodes: int, pods: int, most: int, fewest: int
) -> None:
    """Never more pods than the surge allows, never fewer ready ones than maxUnavailable leaves; and both are used."""
    first, rollout = await roll_out(resource, document, nodes)
    assert max(seen.present for seen in states(first, "two")) == pods, "the first rollout makes no pod too many"
    seen = list(states(first + rollout, "two"))[len(first) :]
    assert seen[-1] == Seen(pods, pods, pods)
    assert max(s.present for s in seen) <= most
    assert min(s.ready for s in seen) >= fewest
    assert (max(s.present for s in seen), min(s.ready for s in seen)) == (most, fewest), "the bounds are made use of"


def test_the_replay_sees_what_polling_would_not() -> None:
    """A pod that was unready for one revision only is seen: the replay misses no state."""

    def pod(uid: str, ready: str) -> Any:
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}
        return {"metadata": {"uid": uid}, "spec": {"containers": [{"image": "two"}]}, "status": status}

    kinds: list[tuple[str, str]] = [("ADDED", "True"), ("MODIFIED", "False"), ("MODIFIED", "True"), ("DELETED", "True")]
    changes = [WatchEvent(kind, pod("a", ready)) for kind, ready in kinds]
    assert [seen.ready for seen in states(changes, "two")] == [1, 0, 1, 0]


async def test_a_smaller_size_in_the_middle_of_a_stuck_rollout() -> None:
    """What is available stays within the bounds of the new size, though the old set's status is of before."""
    bounds = strategy("strategy", maxSurge=3, maxUnavailable=2)
    async with Cluster(nodes=2, **SIMULATED) as cluster:
        await cluster.apply(workload("Deployment", replicas=10, **bounds))
        await cluster.wait_for(DEPLOYMENTS, "web", rolled_out, timeout=3600)
        nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"there": "none"}}}}}
        await cluster.client.patch(DEPLOYMENTS, "web", nowhere, namespace="default")
        await cluster.advance(seconds=60)
        changes: list[WatchEvent] = []
        before = (await cluster.client.list(PODS, namespace="default")).items
        first = [WatchEvent("ADDED", pod) for pod in before]

        async def take_down() -> None:
            async for change in cluster.client.watch(PODS, namespace="default"):
                changes.append(change)

        async with anyio.create_task_group() as group:
            group.start_soon(take_down)
            await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 5}}, namespace="default")
            await cluster.advance(seconds=60)
            group.cancel_scope.cancel()
    seen = list(states([*first, *changes], "two"))[len(first) :]
    assert min(state.ready for state in seen) == 3
    assert seen[-1].present == 8
