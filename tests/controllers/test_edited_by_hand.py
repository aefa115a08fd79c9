"""Workloads whose objects are edited under their controllers' hands, or claimed by several: they come back to rest.

Each case lets a cluster settle in virtual time, does something that nobody should, and lets it settle again. At rest
means that nothing is written any more but heartbeats, and that what the user asked for is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from minik8s import Cluster
from minik8s.api.resources import (
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from minik8s.machinery.errors import Invalid
from minik8s.machinery.meta import controller_of, is_terminating, labels_of, name_of, uid_of

pytestmark = pytest.mark.anyio
LABELS = {"app": "web"}
SIMULATED: dict[str, Any] = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "seed": 1}
PARTS = (PODS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS, CONTROLLER_REVISIONS)
Deed = Callable[[Cluster], Awaitable[Any]]


def template(image: str = "busybox", **labels: str) -> Any:
    spec = {"containers": [{"name": "c", "image": image}], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"labels": {**LABELS, **labels}}, "spec": spec}


def workload(kind: str, name: str = "web", image: str = "busybox", **spec: Any) -> Any:
    body = {"selector": {"matchLabels": LABELS}, "template": template(image), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": body}


async def the(cluster: Cluster, resource: Any) -> Any:
    """The only object of that resource that controllers keep, or the first of several."""
    return (await cluster.client.list(resource, namespace="default")).items[0]


async def patch(cluster: Cluster, resource: Any, obj: Any, body: Any) -> None:
    await cluster.client.patch(resource, name_of(obj), body, namespace="default")


async def living(cluster: Cluster) -> list[Any]:
    pods = (await cluster.client.list(PODS, namespace="default")).items
    return [pod for pod in pods if not is_terminating(pod)]


async def versions(cluster: Cluster) -> dict[str, str]:
    """The version of every object that a workload consists of."""
    lists = [await cluster.client.list(resource, namespace="default") for resource in PARTS]
    return {uid_of(obj): obj["metadata"]["resourceVersion"] for found in lists for obj in found.items}


async def at_rest(cluster: Cluster) -> None:
    """Lets everything happen that will, and makes sure that then nothing happens."""
    await cluster.advance(minutes=2)
    before = await versions(cluster)
    await cluster.advance(minutes=3)
    assert await versions(cluster) == before


async def scale_set(cluster: Cluster) -> None:
    await patch(cluster, REPLICA_SETS, await the(cluster, REPLICA_SETS), {"spec": {"replicas": 7}})


async def disown_set(cluster: Cluster) -> None:
    await patch(cluster, REPLICA_SETS, await the(cluster, REPLICA_SETS), {"metadata": {"ownerReferences": None}})


async def unannotate_set(cluster: Cluster) -> None:
    await patch(cluster, REPLICA_SETS, await the(cluster, REPLICA_SETS), {"metadata": {"annotations": None}})


async def delete_set(cluster: Cluster) -> None:
    await cluster.client.delete(REPLICA_SETS, name_of(await the(cluster, REPLICA_SETS)), namespace="default")


async def disown_pod(cluster: Cluster) -> None:
    await patch(cluster, PODS, await the(cluster, PODS), {"metadata": {"ownerReferences": None}})


async def delete_pods(cluster: Cluster) -> None:
    await cluster.client.delete_all(PODS, namespace="default")


async def delete_history(cluster: Cluster) -> None:
    await cluster.client.delete_all(CONTROLLER_REVISIONS, namespace="default")


async def fail_pod(cluster: Cluster) -> None:
    name = name_of(await the(cluster, PODS))
    await cluster.client.patch(PODS, name, {"status": {"phase": "Failed"}}, namespace="default", subresource="status")


async def forget_status(cluster: Cluster) -> None:
    for resource in (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS):
        for obj in (await cluster.client.list(resource, namespace="default")).items:
            await cluster.client.update_status(resource, {**obj, "status": {}})


DEEDS: list[tuple[str, list[Deed]]] = [
    (
        "Deployment",
        [scale_set, disown_set, unannotate_set, delete_set, disown_pod, delete_pods, fail_pod, forget_status],
    ),
    ("StatefulSet", [disown_pod, delete_pods, delete_history, fail_pod, forget_status]),
    ("DaemonSet", [disown_pod, delete_pods, delete_history, fail_pod, forget_status]),
]


@pytest.mark.parametrize(("kind", "deeds"), DEEDS, ids=[kind for kind, _ in DEEDS])
async def test_everything_is_put_back(kind: str, deeds: list[Deed]) -> None:
    """Whatever is done to its parts, the workload has its two pods again, each its own, and is at rest."""
    resource = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFUL_SETS, "DaemonSet": DAEMON_SETS}[kind]
    size = {} if kind == "DaemonSet" else {"replicas": 2}
    async with Cluster(nodes=2, freeze=True, strict=True, **SIMULATED) as cluster:
        await cluster.apply(workload(kind, **size))
        await at_rest(cluster)
        for deed in deeds:
            await deed(cluster)
            await at_rest(cluster)
            pods = await living(cluster)
            assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 2, deed.__name__
            owners = {(controller_of(pod) or {}).get("kind") for pod in pods}
            assert owners == {"ReplicaSet" if kind == "Deployment" else kind}, deed.__name__
            status = (await the(cluster, resource))["status"]
            assert 2 in (status.get("availableReplicas"), status.get("numberAvailable")), deed.__name__
            assert status["observedGeneration"] == 1


async def test_overlapping_selectors() -> None:
    """Controllers with one selector own by reference, so each keeps its size; a stray pod gets exactly one owner."""
    async with Cluster(nodes=2, freeze=True, strict=True, **SIMULATED) as cluster:
        await cluster.apply([
            workload("Deployment", "one", replicas=2),
            workload("Deployment", "two", "nginx", replicas=3),
            workload("ReplicaSet", "three", replicas=2),
            workload("StatefulSet", "four", replicas=2),
        ])  # fmt: skip
        await at_rest(cluster)
        stray = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "labels": LABELS}}
        await cluster.apply({**stray, "spec": template()["spec"]})
        await at_rest(cluster)
        owners = [(controller_of(pod) or {})["uid"] for pod in await living(cluster)]
        assert sorted(owners.count(uid) for uid in set(owners)) == [2, 2, 2, 3]


async def test_impossible_selectors() -> None:
    """A selector that its own template cannot meet is refused; a DaemonSet that fits no node is content."""
    never = [{"key": "app", "operator": "NotIn", "values": ["web"]}]
    async with Cluster(nodes=1, freeze=True, strict=True, **SIMULATED) as cluster:
        for kind in ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"):
            for selector in ({"matchLabels": LABELS, "matchExpressions": never}, {"matchLabels": {"b": "c"}}, {}):
                with pytest.raises(Invalid, match=r"spec\.(selector|template\.metadata\.labels)"):
                    await cluster.apply(workload(kind, selector=selector))
        made = workload("DaemonSet")
        made["spec"]["template"]["spec"]["nodeSelector"] = {"no": "where"}
        await cluster.apply(made)
        await at_rest(cluster)
        status = (await the(cluster, DAEMON_SETS))["status"]
        assert (status["desiredNumberScheduled"], status["currentNumberScheduled"]) == (0, 0)
        assert await living(cluster) == []


async def test_labels_that_are_taken_away() -> None:
    """A pod that no longer matches is let go and replaced; it lives on without an owner."""
    async with Cluster(nodes=2, freeze=True, strict=True, **SIMULATED) as cluster:
        await cluster.apply(workload("Deployment", replicas=2))
        await at_rest(cluster)
        freed = await the(cluster, PODS)
        await patch(cluster, PODS, freed, {"metadata": {"labels": {"app": "debug"}}})
        await at_rest(cluster)
        pods = {uid_of(pod): pod for pod in await living(cluster)}
        assert len(pods) == 3
        assert controller_of(pods[uid_of(freed)]) is None
        assert sum(labels_of(pod)["app"] == "web" for pod in pods.values()) == 2
