"""Quotas say what is used, of exactly what they count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s import Cluster
from minik8s.api.resources import BUILTIN, CONFIG_MAPS, PODS, RESOURCE_QUOTAS
from minik8s.controllers.resourcequota import ResourceQuotaController, counted_resources, plan
from minik8s.machinery.errors import Forbidden
from minik8s.testing import builders

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
REQUESTS = {"requests": {"cpu": "250m", "memory": "64Mi"}, "limits": {"cpu": "1"}}


def pod(phase: str = "Running", resources: Any = REQUESTS) -> Any:
    return {
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
        "status": {"phase": phase},
    }


def quota(hard: Any, **spec: Any) -> Any:
    return {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard, **spec}}


@pytest.mark.parametrize(
    ("name", "resource"),
    [
        ("pods", "pods"),
        ("limits.memory", "pods"),
        ("requests.example.com/gpu", "pods"),
        ("services.nodeports", "services"),
        ("requests.storage", "persistentvolumeclaims"),
        ("gold.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims"),
        ("secrets", "secrets"),
        ("count/deployments.apps", "deployments.apps"),
    ],
)
def test_names_lead_to_resources(name: str, resource: str) -> None:
    """Every name that a quota may have belongs to the kind whose objects it counts."""
    assert [found.group_resource for found in counted_resources([name], BUILTIN)] == [resource]


def test_sums() -> None:
    """Pods that have ended count for nothing but themselves as objects; amounts add up exactly."""
    hard = {"pods": "10", "requests.cpu": "2", "limits.cpu": "4", "configmaps": "5", "count/pods": "9"}
    objects = [(PODS, pod()), (PODS, pod()), (PODS, pod("Succeeded")), (CONFIG_MAPS, {"metadata": {}})]
    status, _ = plan(quota(hard), objects, NOW)
    assert status["hard"] == hard
    assert status["used"] == {
        "pods": "2",
        "requests.cpu": "500m",
        "limits.cpu": "2",
        "configmaps": "1",
        "count/pods": "3",
    }


@pytest.mark.parametrize(("minute", "used", "recheck"), [(0, "1", 61), (1, "1", 1), (2, "0", 300)])
def test_pods_that_overstay_their_deletion(minute: int, used: str, recheck: float) -> None:
    """A pod that is there a grace period after it should have gone counts no more; until then it is looked at again."""
    leaving = pod()
    leaving["metadata"] |= {"deletionTimestamp": "2026-01-01T12:00:00Z", "deletionGracePeriodSeconds": 60}
    status, again = plan(quota({"pods": "9", "count/pods": "9"}), [(PODS, leaving)], NOW + timedelta(minutes=minute))
    assert (status["used"], again) == ({"pods": used, "count/pods": "1"}, recheck)


def test_scopes() -> None:
    """A quota with scopes counts only the pods in them."""
    objects = [(PODS, pod()), (PODS, pod(resources={}))]
    status, _ = plan(quota({"pods": "10"}, scopes=["BestEffort"]), objects, NOW)
    assert status["used"] == {"pods": "1"}


def test_status_follows_the_namespace(virtual: Any, start: Any) -> None:
    """The status is there at once, and moves with what is created and deleted, of this namespace only."""

    async def body(clock: Any) -> None:
        async with start(clock, ResourceQuotaController) as world:
            await world.add("resourcequotas", "q", "default", spec={"hard": {"configmaps": "5", "pods": "2"}})

            async def used() -> Any:
                found = await world.get("resourcequotas", "q", "default")
                return (found.get("status") or {}).get("used")

            async def becomes(expected: Any) -> None:
                async def holds() -> bool:
                    return bool(await used() == expected)

                await world.until(holds)

            await becomes({"configmaps": "0", "pods": "0"})
            await world.add("configmaps", "one", "default")
            await world.add("configmaps", "elsewhere", "kube-system")
            await world.add("pods", "p", "default", spec={"containers": [{"name": "c", "image": "i"}]})
            await becomes({"configmaps": "1", "pods": "1"})
            await world.client.delete(CONFIG_MAPS, "one", namespace="default")
            await becomes({"configmaps": "0", "pods": "1"})

    virtual(body)


@pytest.mark.anyio
@pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False, nodes=2)
async def test_a_lost_node_holds_no_quota(cluster: Cluster) -> None:
    """What cannot end on a lost node takes room of its quota for two grace periods; then others may have it."""
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}
    await cluster.apply(quota)
    await cluster.apply(builders.pod("first", terminationGracePeriodSeconds=30))
    node = (await cluster.wait_for(PODS, "first", "Ready"))["spec"]["nodeName"]
    with cluster.faults.node(node).partition():
        await cluster.client.delete(PODS, "first", namespace="default")
        await cluster.advance(seconds=59)
        with pytest.raises(Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"):
            await cluster.apply(builders.pod("second"))
        await cluster.advance(seconds=3)
        assert (await cluster.client.get(RESOURCE_QUOTAS, "q", namespace="default"))["status"]["used"] == {"pods": "0"}
        await cluster.apply(builders.pod("second"))
