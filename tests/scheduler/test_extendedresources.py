"""Pods that ask for extended resources where devices stand for them: no claim in the manifest, one in the cluster."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.api.resources import DEVICE_CLASSES, NODES, PODS, RESOURCE_CLAIMS
from minik8s.cluster import Cluster
from minik8s.machinery.errors import Invalid
from minik8s.scheduler.framework import Code, CycleState, Status
from minik8s.scheduler.info import PodInfo
from tests.scheduler.test_dynamicresources import add_slice, bound, cluster, refused

pytestmark = pytest.mark.anyio
GPU = "example.com/gpu"
MARK = {"resource.kubernetes.io/extended-resource-claim": "true"}


async def add_class(up: Cluster, resource: str = GPU) -> None:
    await up.client.patch(DEVICE_CLASSES, "gpu", {"spec": {"extendedResourceName": resource}})


async def add_pod(up: Cluster, name: str, resource: str = GPU, **spec: Any) -> Any:
    container = {"name": "c", "image": "busybox", "resources": {"limits": {"cpu": "1", resource: "1"}}}
    metadata = {"name": name, "namespace": "default"}
    return await up.client.create(PODS, {"metadata": metadata, "spec": {"containers": [container], **spec}})


async def claims(up: Cluster) -> list[Any]:
    return list((await up.client.list(RESOURCE_CLAIMS, namespace="default")).items)


async def test_one_device_each() -> None:
    """Three pods, two nodes with a device: the third waits until one goes, and its claim with it."""
    with anyio.fail_after(30):
        async with Cluster(nodes=2, runtime="simulated", serve=False, proxy=False, seed=1) as up:
            spec = {"extendedResourceName": GPU}
            await up.client.create(DEVICE_CLASSES, {"metadata": {"name": "gpu"}, "spec": spec})
            for node in ("node-1", "node-2"):
                await add_slice(up, node)
            for name in ("a", "b"):
                await add_pod(up, name)
            nodes = [await bound(up, "a"), await bound(up, "b")]
            assert sorted(nodes) == ["node-1", "node-2"]
            await add_pod(up, "c")
            await refused(
                up,
                "c",
                "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, "
                "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            )
            await up.wait_for(PODS, "a", "Ready", timeout=10)
            [gone] = [c["metadata"]["name"] for c in await claims(up) if c["metadata"]["name"].startswith("a-")]
            await up.client.delete(PODS, "a", namespace="default")
            assert await bound(up, "c") == nodes[0]
            await up.wait_for(PODS, "c", "Ready", timeout=10)
            await up.wait_for(RESOURCE_CLAIMS, gone, "Deleted", timeout=10)
            holders = [holder["name"] for c in await claims(up) for holder in c["status"]["reservedFor"]]
            assert sorted(holders) == ["b", "c"]


async def test_what_is_written() -> None:
    """A claim of the pod, allocated and reserved, and in the pod's status which container's resource it has."""
    async with cluster(nodes=1) as up:
        await add_class(up)
        await add_slice(up, "node-1")
        pod = await add_pod(up, "p")
        assert await bound(up, "p") == "node-1"
        [claim] = await claims(up)
        assert claim["metadata"]["generateName"] == "p-extended-resources-"
        assert claim["metadata"]["annotations"] == MARK
        assert [owner["uid"] for owner in claim["metadata"]["ownerReferences"]] == [pod["metadata"]["uid"]]
        exactly = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
        assert claim["spec"]["devices"]["requests"] == [{"name": "container-0-request-1", "exactly": exactly}]
        assert claim["status"]["allocation"]["devices"]["results"][0]["device"] == "gpu-0"
        assert claim["status"]["reservedFor"][0]["name"] == "p"
        status = (await up.client.get(PODS, "p", namespace="default"))["status"]["extendedResourceClaimStatus"]
        mapping = {"containerName": "c", "resourceName": GPU, "requestName": "container-0-request-1"}
        assert status == {"resourceClaimName": claim["metadata"]["name"], "requestMappings": [mapping]}


async def test_nodes_that_have_it_themselves() -> None:
    """There it is an ordinary resource, and no claim is made."""
    async with cluster(nodes=2) as up:
        await add_class(up)
        await up.client.patch(NODES, "node-2", {"status": {"allocatable": {GPU: "1"}}}, subresource="status")
        await add_pod(up, "p")
        assert await bound(up, "p") == "node-2"
        assert await claims(up) == []
        await add_pod(up, "q")
        await refused(up, "q", "0/2 nodes are available: 1 Insufficient example.com/gpu, 1 cannot allocate all claims.")


async def test_a_class_comes_later() -> None:
    """Until a class stands for the resource nobody has it; then pods alike are decided anew."""
    async with cluster(nodes=2) as up:
        await add_slice(up, "node-1")
        await add_slice(up, "node-2")
        for name in ("p", "q"):
            await add_pod(up, name)
            await refused(up, name, "0/2 nodes are available: 2 Insufficient example.com/gpu.")
        await add_class(up)
        assert {await bound(up, "p"), await bound(up, "q")} == {"node-1", "node-2"}


async def test_every_class_has_a_resource_of_its_name() -> None:
    """deviceclass.resource.kubernetes.io/<class> needs no extendedResourceName."""
    async with cluster(nodes=1) as up:
        await add_slice(up, "node-1")
        await add_pod(up, "p", "deviceclass.resource.kubernetes.io/gpu")
        assert await bound(up, "p") == "node-1"
        assert len(await claims(up)) == 1


class FailsOnce:
    """Fails the binding of a pod after its claims have been written."""

    name = "FailsOnce"
    local = True

    def __init__(self) -> None:
        self.failures = 0

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        self.failures += 1
        return Status(Code.ERROR, ("not today",)) if self.failures == 1 else None


async def test_a_binding_that_fails() -> None:
    """The claim that was made is deleted, and its device free for the next attempt."""
    plugin = FailsOnce()
    async with cluster(nodes=1, scheduler=[plugin]) as up:
        await add_class(up)
        await add_slice(up, "node-1")
        await add_pod(up, "p")
        await refused(up, "p", "not today")
        assert await bound(up, "p") == "node-1"
        assert plugin.failures == 2
        pod = await up.client.get(PODS, "p", namespace="default")
        name = pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"]
        assert [claim["metadata"]["name"] for claim in await claims(up)] == [name]


async def test_a_claim_of_an_earlier_attempt() -> None:
    """What a scheduler has left behind is deleted before the pod is tried again."""
    async with cluster(nodes=1) as up:
        await add_class(up)
        await add_slice(up, "node-1")
        pod = await add_pod(up, "p", schedulingGates=[{"name": "wait"}])
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod["metadata"]["uid"], "controller": True}
        metadata = {"name": "left", "namespace": "default", "annotations": MARK, "ownerReferences": [owner]}
        requests = [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]
        left = {"metadata": metadata, "spec": {"devices": {"requests": requests}}}
        await up.client.create(RESOURCE_CLAIMS, left)
        await up.client.patch(PODS, "p", {"spec": {"schedulingGates": None}}, namespace="default")
        await refused(
            up,
            "p",
            "0/1 nodes are available: 1 cannot schedule extended resource claim. deletion of ResourceClaim completed",
        )
        assert await bound(up, "p") == "node-1"
        [claim] = await claims(up)
        assert claim["metadata"]["name"].startswith("p-extended-resources-")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"requestMappings": []}, "requestMappings: Required value: at least one request mapping is required"),
        ({"containerName": "d"}, 'containerName: Invalid value: "d": must match the name of an entry in'),
        ({"resourceName": "x.io/y"}, 'resourceName: Invalid value: "x.io/y": must match the extended resource name'),
        ({"requestName": "A"}, 'extendedResourceClaimStatus.requestName: Invalid value: "A"'),
        ({"resourceClaimName": "A_"}, 'extendedResourceClaimStatus.resourceClaimName: Invalid value: "A_"'),
        ({"twice": True}, 'requestMappings[1].containerName: Duplicate value: "c"'),
    ],
)
async def test_statuses_that_are_refused(change: dict[str, Any], why: str) -> None:
    """A pod's status names containers, resources and requests that there are."""
    async with cluster(nodes=0) as up:
        await add_pod(up, "p")
        mapping = {"containerName": "c", "resourceName": GPU, "requestName": "r"}
        mapping |= {key: value for key, value in change.items() if key in mapping}
        mappings = change.get("requestMappings", [mapping, mapping] if "twice" in change else [mapping])
        status = {"resourceClaimName": change.get("resourceClaimName", "x"), "requestMappings": mappings}
        body = {"status": {"extendedResourceClaimStatus": status}}
        with pytest.raises(Invalid) as refusal:
            await up.client.patch(PODS, "p", body, namespace="default", subresource="status")
        assert why in str(refusal.value)
