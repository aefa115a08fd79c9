"""What a failed test's report leaves out; what it has is seen in `test_plugin`."""

from __future__ import annotations

import pytest

from minik8s import Cluster
from minik8s.testing.builders import config_map
from minik8s.testing.report import LastWrites, describe

pytestmark = pytest.mark.anyio


async def test_heartbeats() -> None:
    """Hours of leases and nodes' statuses do not push out what the test wrote before them."""
    async with Cluster(clock="virtual", runtime="simulated", serve=False, proxy=False) as cluster:
        writes = LastWrites(cluster)
        await cluster.apply(config_map("mine"))
        await cluster.advance(hours=3)
        told = describe(cluster.world, writes)
    assert ": patch configmaps default/mine -> 201" in told
    assert "by node" not in told
    assert "kubelet" not in told.partition("last writes:")[2]
