"""Shows how to test an async script in the loop of `cluster`, and how to wait for what follows with `eventually`."""

from __future__ import annotations

from typing import Any

import kr8s.asyncio
import night_shift
import pytest

from minik8s import PODS
from minik8s.cluster import Cluster
from minik8s.testing.eventually import eventually


def deployment(name: str, **labels: str) -> dict[str, Any]:
    app = {"app": name}
    labels = {f"example.com/{key}": value for key, value in labels.items()}
    pod = {"metadata": {"labels": app}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": app}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": spec}


@pytest.mark.minik8s(runtime="simulated")
# kr8s says that it has not been tested with 1.36
@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_scales_down(cluster: Cluster) -> None:
    """Only what is labelled loses its pods, and a second run has nothing to do."""
    await cluster.apply([deployment("shop", nights="off"), deployment("database")])
    await eventually(cluster, PODS, lambda pods: len(pods) == 2, namespace="default")
    api = await kr8s.asyncio.api(kubeconfig=str(cluster.kubeconfig), namespace="default")
    try:
        assert await night_shift.sleep_tight(api) == ["shop"]
        await eventually(
            cluster,
            PODS,
            lambda pods: [p["metadata"]["labels"]["app"] for p in pods] == ["database"],
            namespace="default",
        )
        assert await night_shift.sleep_tight(api) == []
    finally:
        await api._session.aclose()
