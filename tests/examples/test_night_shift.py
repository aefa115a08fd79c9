"""Shows how to test an async script in the loop of `cluster`, and how to wait for what follows with `eventually`."""

from __future__ import annotations

import kr8s.asyncio
import night_shift
import pytest

from minik8s import PODS
from minik8s.cluster import Cluster
from minik8s.testing.builders import deployment
from minik8s.testing.eventually import eventually


@pytest.mark.minik8s(runtime="simulated")
# kr8s says that it has not been tested with 1.36
@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_scales_down(cluster: Cluster) -> None:
    """Only what is labelled loses its pods, and a second run has nothing to do."""
    await cluster.apply(
        [deployment("shop", {"metadata": {"labels": {"example.com/nights": "off"}}}), deployment("database")]
    )
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
