"""Claims and volumes go once nobody uses them, against a real API server."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from minik8s.controllers.volume_protection import PVCProtectionController, PVProtectionController

CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
VOLUME = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/tmp"}}


@pytest.mark.parametrize("node", ["", "node-1"])
def test_a_claim_waits_for_the_pods_that_use_it(virtual: Any, start: Any, node: str) -> None:
    """A deleted claim goes at once unless a scheduled pod names it, and then with that pod."""

    async def body(clock: Any) -> None:
        async with start(clock, PVCProtectionController) as world:
            await world.add("persistentvolumeclaims", "data", "default", spec=CLAIM)
            volume = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
            spec = {"containers": [{"name": "c", "image": "x"}], "volumes": [volume]}
            await world.add("pods", "p", "default", spec=spec | ({"nodeName": node} if node else {}))
            await world.quiet()
            await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", namespace="default")
            await world.quiet()
            left = await world.get("persistentvolumeclaims", "data", "default")
            assert (left is not None) == bool(node)
            await world.client.delete(PODS, "p", namespace="default", grace_period=0)
            await world.until_gone("persistentvolumeclaims", "data", "default")

    virtual(body)


def test_a_volume_waits_while_it_is_bound(virtual: Any, start: Any) -> None:
    """A deleted volume goes at once unless it is bound, and then when it is released."""

    async def body(clock: Any) -> None:
        async with start(clock, PVProtectionController) as world:
            for name in ("free", "taken"):
                await world.add("persistentvolumes", name, spec=VOLUME)
            bound = {"status": {"phase": "Bound"}}
            await world.client.patch(PERSISTENT_VOLUMES, "taken", bound, subresource="status")
            for name in ("free", "taken"):
                await world.client.delete(PERSISTENT_VOLUMES, name)
            await world.until_gone("persistentvolumes", "free")
            await world.quiet()
            assert await world.get("persistentvolumes", "taken") is not None
            released = {"status": {"phase": "Released"}}
            await world.client.patch(PERSISTENT_VOLUMES, "taken", released, subresource="status")
            await world.until_gone("persistentvolumes", "taken")

    virtual(body)
