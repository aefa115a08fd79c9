"""Leases of a cluster's nodes: how often they are renewed, and when a node that does not is lost."""

from __future__ import annotations

import pytest

from minik8s import Cluster
from minik8s.api.resources import LEASES, NODES
from minik8s.machinery.meta import find_condition

pytestmark = pytest.mark.anyio


async def ready(cluster: Cluster, name: str) -> str:
    node = await cluster.client.get(NODES, name)
    condition = find_condition(node["status"]["conditions"], "Ready")
    assert condition is not None
    return str(condition["status"])


@pytest.mark.parametrize(("seconds", "renewals"), [(40, 6), (400, 0)])
async def test_longer_leases(seconds: int, renewals: int) -> None:
    """A quarter of the duration between renewals, and a quarter more until a silent node is lost; others stay ready."""
    async with Cluster(
        nodes=2, runtime="simulated", serve=False, proxy=False, clock="virtual", seed=1, lease_seconds=seconds
    ) as cluster:
        before = await cluster.client.get(LEASES, "node-1", namespace="kube-node-lease")
        await cluster.advance(seconds=63)
        after = await cluster.client.get(LEASES, "node-1", namespace="kube-node-lease")
        assert after["spec"]["leaseDurationSeconds"] == seconds
        assert (before["spec"]["renewTime"] < after["spec"]["renewTime"]) is bool(renewals)
        await cluster.advance(seconds=seconds * 1.5)
        cluster.nodes.lose("node-1")
        await cluster.advance(seconds=seconds * 0.95)
        assert await ready(cluster, "node-1") == "True"
        await cluster.advance(seconds=seconds * 0.5)
        assert (await ready(cluster, "node-1"), await ready(cluster, "node-2")) == ("Unknown", "True")
