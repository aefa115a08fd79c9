"""Memory limits as a user sees them: OOMKilled, in the pod's status and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import PODS, Cluster

pytestmark = pytest.mark.anyio
VIRTUAL: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "seed": 5}
USES_200MI = {"simulated.minik8s.dev/memory-bytes": str(200 << 20)}


def pod(limit: str = "", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"memory": "1Mi"}, "limits": {"memory": limit}} if limit else {}
    spec = {"containers": [{"name": "c", "image": "busybox", "resources": resources}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "annotations": USES_200MI}, "spec": spec}


async def container_status(cluster: Cluster) -> Any:
    found: Any = await cluster.client.get(PODS, "p", namespace="default")
    return found["status"]["containerStatuses"][0]


async def test_a_container_that_holds_too_much() -> None:
    """It ends with 137, OOMKilled, and is restarted with back-off; with a higher limit it lives."""
    async with Cluster(**VIRTUAL) as cluster:
        await cluster.apply(pod("100Mi"))
        await cluster.advance(seconds=5)
        status = await container_status(cluster)
        ended = status["lastState"]["terminated"]
        assert (ended["exitCode"], ended["reason"], ended["signal"]) == (137, "OOMKilled", 9)
        assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        more = {"spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "300Mi"}}}]}}
        await cluster.client.patch(PODS, "p", more, namespace="default", type="strategic", subresource="resize")
        await cluster.advance(minutes=1)
        assert "running" in (await container_status(cluster))["state"]


async def test_a_limit_of_the_pod() -> None:
    """A container without a limit of its own is held to its pod's; without restarts the pod has failed."""
    async with Cluster(**VIRTUAL) as cluster:
        limited = {"requests": {"memory": "1Mi"}, "limits": {"memory": "100Mi"}}
        await cluster.apply(pod(resources=limited, restartPolicy="Never"))
        await cluster.advance(seconds=5)
        assert (await container_status(cluster))["state"]["terminated"]["reason"] == "OOMKilled"
        found: Any = await cluster.client.get(PODS, "p", namespace="default")
        assert found["status"]["phase"] == "Failed"
