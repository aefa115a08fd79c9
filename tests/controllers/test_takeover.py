"""Two controller managers with caches of their own: one works, and when it is gone the other goes on from there."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.resources import LEASES, PODS
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.client.leaderelection import Election, LeaderElector, LeadershipLost
from minik8s.cluster import Cluster
from minik8s.controllers import controllers
from minik8s.controllers.manager import run_controllers
from minik8s.controllers.runtime import Context

NAMES = ("deployment", "replicaset")


class Cable:
    """A transport that somebody can cut."""

    def __init__(self, transport: Any) -> None:
        self._transport, self.cut = transport, False

    def __getattr__(self, verb: str) -> Any:
        if self.cut:
            raise ConnectionError("cut")
        return getattr(self._transport, verb)


async def manager(cluster: Cluster, name: str, working: list[str], cable: Any = None) -> None:
    """A process of its own in all but memory: its caches, its recorder, its candidacy."""
    client, clock, rng = cluster.client, cluster.clock, Random(name)
    client = client if cable is None else Client(cable, in_process=True)
    informers, recorders = Informers(client, clock, rng), Recorders(client, clock, rng)

    async def lead() -> None:
        working.append(name)
        async with anyio.create_task_group() as group:
            group.start_soon(informers.run)
            group.start_soon(recorders.run)
            await run_controllers(Context(client, informers, clock, rng, recorders, strict=True), controllers(NAMES))

    election = Election(name="kube-controller-manager", identity=name)
    await LeaderElector(client, clock, rng, election, recorders.recorder("kube-controller-manager")).run(lead)


def web(replicas: int) -> Any:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def test_the_second_takes_over(virtual: Any) -> None:
    """One that is cut off is followed when its Lease has run out, and has ended by then; nothing is forgotten."""

    async def body(clock: Any) -> None:
        options: Any = {"runtime": "simulated", "serve": False, "proxy": False, "controllers": ("serviceaccount",)}
        async with Cluster(clock=clock, nodes=0, seed=1, **options) as cluster, anyio.create_task_group() as group:
            working: list[str] = []
            cable = Cable(cluster.client._transport)

            async def first() -> None:
                with pytest.raises(LeadershipLost):
                    await manager(cluster, "first", working, cable)
                working.append("ended")

            async def pods() -> int:
                await clock.sleep(5)
                return len((await cluster.client.list(PODS, namespace="default")).items)

            group.start_soon(first)
            await clock.sleep(1)
            group.start_soon(manager, cluster, "second", working)
            await cluster.apply(web(3))
            assert await pods() == 3
            cable.cut = True
            await cluster.apply(web(5))
            assert await pods() == 3, "the Lease is still good"
            assert working == ["first"]
            await clock.sleep(20)
            assert working == ["first", "ended", "second"], "the one gives up before the other begins"
            assert await pods() == 5
            lease = await cluster.client.get(LEASES, "kube-controller-manager", namespace="kube-system")
            assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("second", 1)
            group.cancel_scope.cancel()

    virtual(body)
