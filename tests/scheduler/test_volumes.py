"""Pods with claims: where they may go, what they wait for, and that no volume is promised twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from minik8s.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES
from minik8s.api.volumes import SELECTED_NODE
from minik8s.cluster import Cluster
from minik8s.machinery.meta import find_condition

pytestmark = pytest.mark.anyio
BINDERS = ("serviceaccount", "persistentvolume-binder")


@asynccontextmanager
async def cluster(*controllers: str, nodes: int = 2) -> AsyncIterator[Cluster]:
    """A control plane, and nodes by name only."""
    with anyio.fail_after(20):
        async with Cluster(
            nodes=0, serve=False, proxy=False, controllers=controllers or BINDERS, freeze=True, seed=1
        ) as up:
            for number in range(1, nodes + 1):
                name = f"node-{number}"
                labels = {"kubernetes.io/hostname": name}
                await up.client.create(NODES, {"metadata": {"name": name, "labels": labels}})
                room = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}
                await up.client.patch(NODES, name, room, subresource="status")
            yield up


async def add_class(up: Cluster, name: str, provisioner: str, mode: str = "WaitForFirstConsumer") -> None:
    await up.client.create(
        STORAGE_CLASSES, {"metadata": {"name": name}, "provisioner": provisioner, "volumeBindingMode": mode}
    )


async def add_claim(up: Cluster, name: str, storage_class: str, mode: str = "ReadWriteOnce") -> None:
    spec: Any = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    spec["storageClassName"] = storage_class
    await up.client.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def add_volume(up: Cluster, name: str, node: str, storage_class: str, size: str = "1Gi") -> None:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec: Any = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": size},
        "storageClassName": storage_class,
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    await up.client.create(PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": spec})


async def add_pod(up: Cluster, name: str, *claims: str) -> None:
    volumes = [{"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in claims]
    spec: Any = {"containers": [{"name": "c", "image": "x"}], "volumes": volumes}
    await up.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def bound(up: Cluster, name: str) -> str:
    pod = await up.wait_for(PODS, name, lambda p: bool(p["spec"].get("nodeName")), timeout=10)
    return str(pod["spec"]["nodeName"])


async def refused(up: Cluster, name: str, reason: str) -> None:
    """Waits until the pod's condition gives that reason."""

    def says(pod: Any) -> bool:
        condition = find_condition(pod["status"].get("conditions"), "PodScheduled")
        return condition is not None and reason in condition.get("message", "")

    says.__name__ = reason
    await up.wait_for(PODS, name, says, timeout=10)


async def test_a_pod_waits_for_its_claim() -> None:
    """A claim that is missing, and one that is not bound, keep a pod waiting with upstream's words; then it goes on."""
    async with cluster() as up:
        await add_pod(up, "p", "data")
        await refused(up, "p", '0/2 nodes are available: persistentvolumeclaim "data" not found. not found')
        await add_claim(up, "data", "")
        await refused(up, "p", "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found")
        await add_volume(up, "v", "node-2", "")
        assert await bound(up, "p") == "node-2"


async def test_a_volume_is_chosen_with_the_node() -> None:
    """Delayed claims get volumes that the node reaches; pods that are decided in one breath never share one."""
    async with cluster() as up:
        await add_class(up, "local", "kubernetes.io/no-provisioner")
        for number in (1, 2):
            await add_volume(up, f"v{number}", f"node-{number}", "local")
        for number in (1, 2, 3):
            await add_claim(up, f"c{number}", "local")
            await add_pod(up, f"p{number}", f"c{number}")
        nodes = [await bound(up, "p1"), await bound(up, "p2")]
        assert sorted(nodes) == ["node-1", "node-2"]
        await refused(up, "p3", "2 node(s) didn't find available persistent volumes to bind")
        await add_volume(up, "v3", "node-1", "local")
        assert await bound(up, "p3") == "node-1"


async def test_provisioning_waits_for_nobody_else() -> None:
    """A claim that a provisioner has to serve gets its node's name; meanwhile other pods are bound."""
    async with cluster() as up:
        await add_class(up, "cloud", "example.com/disk")
        for number in range(20):
            await add_claim(up, f"c{number}", "cloud")
            await add_pod(up, f"slow{number}", f"c{number}")
        selected = [SELECTED_NODE in (c["metadata"].get("annotations") or {}) for c in await claims(up)]
        while not all(selected):
            await anyio.lowlevel.checkpoint()
            selected = [SELECTED_NODE in (c["metadata"].get("annotations") or {}) for c in await claims(up)]
        await add_pod(up, "quick")
        assert await bound(up, "quick")
        pod: Any = await up.client.get(PODS, "slow0", namespace="default")
        assert not pod["spec"].get("nodeName"), "a pod is bound once its claims are"


async def claims(up: Cluster) -> list[Any]:
    return list((await up.client.list(PERSISTENT_VOLUME_CLAIMS, namespace="default")).items)


async def test_a_whole_delayed_provisioning() -> None:
    """With the provisioner of a cluster, a pod and its claim of the default class come together by themselves."""
    async with cluster(*BINDERS, "hostpath-provisioner") as up:
        await add_claim(up, "data", "standard")
        await add_pod(up, "p", "data")
        node = await bound(up, "p")
        (claim,) = await claims(up)
        assert claim["status"]["phase"] == "Bound"
        assert claim["metadata"]["annotations"][SELECTED_NODE] == node


async def test_one_pod_at_a_time() -> None:
    """A ReadWriteOncePod claim keeps the second pod waiting until the first is gone."""
    async with cluster(*BINDERS, "hostpath-provisioner") as up:
        await add_claim(up, "data", "standard", "ReadWriteOncePod")
        await add_pod(up, "first", "data")
        await bound(up, "first")
        await add_pod(up, "second", "data")
        in_use = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
        await refused(up, "second", f"2 {in_use}")
        await up.client.delete(PODS, "first", namespace="default", grace_period=0)
        assert await bound(up, "second")
