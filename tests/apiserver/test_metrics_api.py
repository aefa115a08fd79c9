"""metrics.k8s.io: what is measured when it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.metrics import NODE_METRICS, POD_METRICS
from minik8s.api.resources import PODS
from minik8s.cluster import Cluster
from minik8s.machinery.errors import MethodNotAllowed, NotFound
from minik8s.machinery.quantity import parse_quantity

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(nodes=2, runtime="simulated", serve=False, proxy=False)]


async def run_pod(cluster: Cluster, name: str, cores: str, **labels: str) -> None:
    annotations = {"simulated.minik8s.dev/cpu-cores": cores, "simulated.minik8s.dev/memory-bytes": "1048576"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    }
    await cluster.apply(pod)
    await cluster.wait_for(PODS, name, "Ready")


async def test_pods(cluster: Cluster) -> None:
    """A running pod has usage per container, found by name, namespace and label; another has none."""
    await run_pod(cluster, "a", "0.5", app="x")
    await run_pod(cluster, "b", "0.25", app="y")
    found: Any = await cluster.client.get(POD_METRICS, "a", namespace="default")
    (usage,) = found["containers"]
    assert (usage["name"], usage["usage"]["memory"]) == ("c", "1024Ki")
    assert parse_quantity(usage["usage"]["cpu"]).milli() == pytest.approx(500, abs=2)  # of a clock that is not exact
    assert found["metadata"]["labels"] == {"app": "x"}
    listed = await cluster.client.list(POD_METRICS, namespace="default", label_selector="app=y")
    assert [item["metadata"]["name"] for item in listed.items] == ["b"]  # type: ignore[typeddict-item]
    for name in ("none", "a"):
        with pytest.raises(NotFound):
            await cluster.client.get(POD_METRICS, name, namespace="kube-system")


async def test_nodes(cluster: Cluster) -> None:
    """A node uses what its pods use; an idle one uses nothing, and is there."""
    await run_pod(cluster, "a", "0.5")
    listed: Any = (await cluster.client.list(NODE_METRICS)).items
    assert [node["metadata"]["name"] for node in listed] == ["node-1", "node-2"]
    assert sorted(node["usage"]["memory"] for node in listed) == ["0Ki", "1024Ki"]


async def test_nothing_else_can_be_done(cluster: Cluster) -> None:
    """Metrics are read-only."""
    with pytest.raises(MethodNotAllowed):
        await cluster.client.delete(POD_METRICS, "a", namespace="default")
    answer = await cluster.http.get("/apis/metrics.k8s.io/v1beta1")
    assert {entry["name"]: entry["verbs"] for entry in answer.json()["resources"]} == {
        "nodes": ["get", "list"],
        "pods": ["get", "list"],
    }
