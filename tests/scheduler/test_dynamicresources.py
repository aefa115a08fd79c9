"""Pods with resource claims in a cluster: what they get, what they wait for, and that no device is given twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from minik8s.api.resourceclaims import FINALIZER
from minik8s.api.resources import (
    DEVICE_CLASSES,
    EVENTS,
    NODES,
    PODS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_SLICES,
)
from minik8s.cluster import Cluster
from minik8s.machinery.meta import find_condition
from tests.scheduler.devices.builders import DRIVER, allocation, cel, claim, device, either, offer, request

pytestmark = pytest.mark.anyio
NEED = "serviceaccount", "resourceclaim"


@asynccontextmanager
async def cluster(nodes: int = 2, **more: Any) -> AsyncIterator[Cluster]:
    """A control plane with the class `gpu`, and nodes by name only."""
    with anyio.fail_after(20):
        async with Cluster(nodes=0, serve=False, proxy=False, controllers=NEED, freeze=True, seed=1, **more) as up:
            for number in range(1, nodes + 1):
                name = f"node-{number}"
                await up.client.create(NODES, {"metadata": {"name": name, "labels": {"name": name}}})
                room = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}}}
                await up.client.patch(NODES, name, room, subresource="status")
            await up.client.create(DEVICE_CLASSES, {"metadata": {"name": "gpu"}, "spec": {}})
            yield up


async def add_slice(up: Cluster, node: str, *devices: Any, **more: Any) -> None:
    document = offer(*(devices or (device("gpu-0"),)), node=node, **more)
    del document["metadata"]["resourceVersion"]
    await up.client.create(RESOURCE_SLICES, document)


async def add_claim(up: Cluster, name: str, *requests: Any, **devices: Any) -> Any:
    document = claim(*(requests or (request(),)), name=name, **devices)
    document["metadata"] = {"name": name, "namespace": "default"}
    return await up.client.create(RESOURCE_CLAIMS, document)


async def add_template(up: Cluster, name: str, *requests: Any) -> None:
    spec = {"spec": claim(*(requests or (request(),)))["spec"]}
    await up.client.create(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def add_pod(up: Cluster, name: str, *claims: str, template: str = "", **spec: Any) -> None:
    references = [{"name": each, "resourceClaimName": each} for each in claims]
    if template:
        references.append({"name": "made", "resourceClaimTemplateName": template})
    spec = {"containers": [{"name": "c", "image": "busybox"}], "resourceClaims": references, **spec}
    await up.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def bound(up: Cluster, name: str) -> str:
    pod = await up.wait_for(PODS, name, lambda p: bool(p["spec"].get("nodeName")), timeout=10)
    return str(pod["spec"]["nodeName"])


async def refused(up: Cluster, name: str, message: str) -> None:
    """Waits until the pod's condition says that."""

    def says(pod: Any) -> bool:
        condition = find_condition(pod["status"].get("conditions"), "PodScheduled")
        return condition is not None and message in condition.get("message", "")

    says.__name__ = message
    await up.wait_for(PODS, name, says, timeout=10)


async def held(up: Cluster, name: str) -> Any:
    """A claim once it is allocated."""
    return await up.wait_for(
        RESOURCE_CLAIMS, name, lambda c: bool((c.get("status") or {}).get("allocation")), timeout=10
    )


async def test_one_device_each() -> None:
    """Three pods want one device each, two nodes have one: the third waits, and runs as soon as one is done."""
    with anyio.fail_after(30):
        async with Cluster(nodes=2, runtime="simulated", serve=False, proxy=False, seed=1) as up:
            await up.client.create(DEVICE_CLASSES, {"metadata": {"name": "gpu"}, "spec": {}})
            for node in ("node-1", "node-2"):
                await add_slice(up, node)
            await add_template(up, "one")
            for name in ("a", "b"):
                await add_pod(up, name, template="one")
            nodes = [await bound(up, "a"), await bound(up, "b")]
            assert sorted(nodes) == ["node-1", "node-2"]
            await add_pod(up, "c", template="one")
            await refused(
                up,
                "c",
                "0/2 nodes are available: 2 cannot allocate all claims. still not schedulable, "
                "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            )
            await up.wait_for(PODS, "a", "Ready", timeout=10)
            await up.client.delete(PODS, "a", namespace="default")
            assert await bound(up, "c") == nodes[0]
            await up.wait_for(PODS, "c", "Ready", timeout=10)
            claims = (await up.client.list(RESOURCE_CLAIMS, namespace="default")).items
            holders = [holder["name"] for c in claims for holder in c["status"].get("reservedFor", ())]
            assert sorted(holders) == ["b", "c"]


async def test_what_is_written() -> None:
    """The claim is protected, says what it has and since when, and for whom."""
    async with cluster() as up:
        await add_slice(up, "node-2")
        await add_claim(up, "c")
        await add_pod(up, "p", "c")
        assert await bound(up, "p") == "node-2"
        pod: Any = await up.client.get(PODS, "p", namespace="default")
        found = await held(up, "c")
        assert found["metadata"]["finalizers"] == [FINALIZER]
        assert found["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": pod["metadata"]["uid"]}]
        has = dict(found["status"]["allocation"])
        assert has.pop("allocationTimestamp")
        field = {"key": "metadata.name", "operator": "In", "values": ["node-2"]}
        assert has == {
            "devices": {"results": [{"request": "r", "driver": DRIVER, "pool": "node-2", "device": "gpu-0"}]},
            "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
        }


async def test_pods_that_share_a_claim() -> None:
    """They are where its devices are; when the last is gone the claim has nothing, and others may."""
    async with cluster() as up:
        await add_slice(up, "node-1")
        await add_claim(up, "c")
        for name in ("a", "b"):
            await add_pod(up, name, "c")
        assert [await bound(up, "a"), await bound(up, "b")] == ["node-1", "node-1"]
        await add_claim(up, "d")
        await add_pod(up, "other", "d")
        await refused(up, "other", "2 cannot allocate all claims")
        for name in ("a", "b"):
            await up.client.delete(PODS, name, namespace="default", grace_period=0)
        assert await bound(up, "other") == "node-1"
        free: Any = await up.client.get(RESOURCE_CLAIMS, "c", namespace="default")
        assert not free["status"].get("allocation")
        assert not free["metadata"].get("finalizers")


async def test_a_pod_waits_for_its_claims() -> None:
    """Without its claim a pod is not tried at all; it is as soon as the claim is there. A class may come later, too."""
    async with cluster() as up:
        await add_slice(up, "node-1")
        await add_pod(up, "p", "c")
        await up.settle()
        pod: Any = await up.client.get(PODS, "p", namespace="default")
        assert not pod["status"].get("conditions")
        assert not (await up.client.list(EVENTS, namespace="default")).items
        await add_claim(up, "c", request(deviceClassName="later"))
        await refused(
            up,
            "p",
            "0/2 nodes are available: request r: device class later does not exist. no new claims to deallocate, "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
        )
        await up.client.create(DEVICE_CLASSES, {"metadata": {"name": "later"}, "spec": {}})
        assert await bound(up, "p") == "node-1"


async def test_devices_may_come_later() -> None:
    """A slice that comes, or changes, wakes the pods that wait for devices."""
    async with cluster() as up:
        await add_claim(up, "c", request(count=2))
        await add_pod(up, "p", "c")
        await refused(up, "p", "2 cannot allocate all claims")
        await add_slice(up, "node-2")
        await up.settle()
        found: Any = await up.client.get(RESOURCE_SLICES, "node-2-1")
        found = {**found, "spec": {**found["spec"], "devices": [device("gpu-0"), device("gpu-1")]}}
        await up.client.update(RESOURCE_SLICES, found)
        assert await bound(up, "p") == "node-2"


async def test_an_allocation_in_the_way() -> None:
    """A claim that nobody uses, with devices on a node where the pod cannot go, is given others."""
    async with cluster() as up:
        for node in ("node-1", "node-2"):
            await add_slice(up, node)
        found = await add_claim(up, "c")
        selector = {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "name", "operator": "In", "values": ["node-1"]}]}]
        }
        has = {**allocation(("node-1", "gpu-0")), "nodeSelector": selector}
        await up.client.update_status(RESOURCE_CLAIMS, {**found, "status": {"allocation": has}})
        await add_pod(up, "p", "c", nodeSelector={"name": "node-2"})
        assert await bound(up, "p") == "node-2"
        [result] = (await held(up, "c"))["status"]["allocation"]["devices"]["results"]
        assert result["pool"] == "node-2"
        messages = [e["message"] for e in (await up.client.list(EVENTS, namespace="default")).items]
        assert (
            "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 resourceclaim not "
            "available on the node. deallocation of ResourceClaim completed, preemption: 0/2 nodes are available: "
            "2 Preemption is not helpful for scheduling."
        ) in messages


async def test_others_write_to_the_claim() -> None:
    """A conflict is benign: the write is made again, and the pod is bound in its first attempt."""
    async with cluster() as up:
        await add_slice(up, "node-1")
        await add_claim(up, "c")
        with up.faults.refuse(409, verb="update", resource="resourceclaims.resource.k8s.io", times=2):
            await add_pod(up, "p", "c")
            assert await bound(up, "p") == "node-1"
        reasons = [e["reason"] for e in (await up.client.list(EVENTS, namespace="default")).items]
        assert "FailedScheduling" not in reasons


async def test_what_cannot_be_written() -> None:
    """The pod is told, and tried again; meanwhile nothing is lost, neither devices nor claims."""
    async with cluster(nodes=1) as up:
        await add_slice(up, "node-1")
        await add_claim(up, "c")
        with up.faults.refuse(403, verb="update", resource="resourceclaims.resource.k8s.io", times=1):
            await add_pod(up, "p", "c")
            await refused(up, "p", 'running PreBind plugin "DynamicResources": add finalizer to claim default/c: ')
        assert await bound(up, "p") == "node-1"


async def test_a_binding_that_fails() -> None:
    """The claim loses the pod again, so that it can be had by others; the pod gets it in its next attempt."""
    async with cluster(nodes=1) as up:
        await add_slice(up, "node-1")
        await add_claim(up, "c")
        with up.faults.refuse(403, verb="create", resource="pods", subresource="binding", times=1):
            await add_pod(up, "p", "c")
            await refused(up, "p", 'running Bind plugin "DefaultBinder"')
        assert await bound(up, "p") == "node-1"
        [holder] = (await held(up, "c"))["status"]["reservedFor"]
        assert holder["name"] == "p"


async def test_a_selector_that_fails() -> None:
    """It is nobody's node that is wrong: the pod is told what is."""
    async with cluster() as up:
        await add_slice(up, "node-1")
        await add_claim(up, "c", request(selectors=[cel(f'device.attributes["{DRIVER}"].nope == 1')]))
        await add_pod(up, "p", "c")
        await refused(
            up,
            "p",
            f'running "DynamicResources" filter plugin: claim default/c: selector #0 on device {DRIVER}/node-1/gpu-0: '
            "CEL runtime error: no such key: nope. Consider using CEL optional chaining (?), has() macro, or orValue() "
            "for optional fields",
        )


async def test_the_better_alternative() -> None:
    """Of several nodes the one is taken that can give what was named first."""
    async with cluster() as up:
        await add_slice(up, "node-1")
        await add_slice(up, "node-2", device("gpu-0"), device("gpu-1"))
        await add_claim(up, "c", either("r", ("two", {"count": 2}), ("one", {})))
        await add_pod(up, "p", "c")
        assert await bound(up, "p") == "node-2"


async def test_a_scheduler_that_begins_anew() -> None:
    """It knows from the claims what is given away."""
    async with cluster(nodes=1) as up:
        await add_slice(up, "node-1")
        for name in ("c", "d"):
            await add_claim(up, name)
        await add_pod(up, "p", "c")
        await bound(up, "p")
        up.faults.component("scheduler").restart()
        await add_pod(up, "q", "d")
        await refused(up, "q", "0/1 nodes are available: 1 cannot allocate all claims.")


CONDITIONS = {"bindingConditions": ["Attached"], "bindingFailureConditions": ["Failed"]}


async def say(up: Cluster, condition: str, pool: str) -> None:
    """What a driver writes about the device of the claim `c`."""
    found = await held(up, "c")
    told = {
        "type": condition,
        "status": "True",
        "reason": "R",
        "message": "M",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    device = {"driver": DRIVER, "pool": pool, "device": "gpu-0", "conditions": [told]}
    await up.client.update_status(RESOURCE_CLAIMS, {**found, "status": {**found["status"], "devices": [device]}})


async def test_devices_that_have_to_be_made_ready() -> None:
    """The pod is bound when the driver says so; when it says that it failed, other devices are tried."""
    async with cluster() as up:
        await add_slice(up, "node-1", device("gpu-0", **CONDITIONS))
        await add_claim(up, "c")
        await add_pod(up, "p", "c")
        await held(up, "c")
        await up.settle()
        pod: Any = await up.client.get(PODS, "p", namespace="default")
        assert not pod["spec"].get("nodeName")
        [pending] = [e for e in (await up.client.list(EVENTS, namespace="default")).items if e["type"] == "Normal"]
        assert (pending["reason"], pending["message"]) == (
            "BindingConditionsPending", "waiting for binding conditions for device on node node-1",
        )  # fmt: skip
        await add_slice(up, "node-2", device("gpu-0", **CONDITIONS))
        await say(up, "Failed", "node-1")
        await refused(up, "p", 'device binding failed: claim=c, reason=R, message="M"')
        found = await up.wait_for(RESOURCE_CLAIMS, "c", lambda c: "node-2" in str(c.get("status")), timeout=10)
        assert found["status"]["allocation"]["devices"]["results"][0]["pool"] == "node-2"
        await say(up, "Attached", "node-2")
        assert await bound(up, "p") == "node-2"
