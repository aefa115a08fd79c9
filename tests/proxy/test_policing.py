"""NetworkPolicies for what does not pass the proxy: when a network has to ask, and what it hears."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s.proxy.guard import Guard
from minik8s.proxy.networkpolicy import Party
from minik8s.proxy.policing import Policing
from minik8s.proxy.servicemap import Endpoint, Frontend
from tests.proxy.world import OwnNetwork, World

pytestmark = pytest.mark.anyio


def pod(name: str, address: str, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": labels},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIPs": [{"ip": address}]},
    }


def policy(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "default"}, "spec": {"podSelector": {}, **spec}}


DENY = policy(policyTypes=["Ingress", "Egress"])
A, B, OUTSIDE, NODE = "127.64.0.1", "127.64.0.2", "192.0.2.1", "127.65.0.1"


class Police:
    """A policing of a world in which pods a and b are."""

    def __init__(self, **stand_ins: Any) -> None:
        self.world, self.network = World(), OwnNetwork(NODE)
        self.served: set[Frontend] = set()
        world = self.world
        for name, address in (("a", A), ("b", B)):
            world.pods.put(pod(name, address, app=name))
        world.namespaces.put({"metadata": {"name": "default"}})
        informers: Any = world.informers
        guard = Guard(informers, **stand_ins)
        self.policing = Policing(informers, world.clock, guard, self.network, self.served.__contains__)

    def allows(self, source: str, destination: str, port: int = 80) -> bool:
        return self.policing.allows(source, destination, "TCP", port)


async def test_it_asks_while_there_are_policies() -> None:
    """The network asks from the first policy to the last one; what a machine refuses is tried again."""
    police = Police()
    async with anyio.create_task_group() as group:
        group.start_soon(police.policing.run)
        await anyio.wait_all_tasks_blocked()
        assert police.network.allows is None
        police.world.policies.put(DENY)
        assert police.policing.busy
        await anyio.wait_all_tasks_blocked()
        assert not police.policing.busy
        assert police.network.allows is not None
        assert not police.network.allows(A, B, "TCP", 80)
        police.world.policies.remove(DENY)
        await anyio.wait_all_tasks_blocked()
        assert police.network.allows is None
        group.cancel_scope.cancel()


async def test_what_may_begin() -> None:
    """Pods and blocks as policies have them; what the proxy serves is its own to ask about; strangers have to wait."""
    police = Police()
    police.world.policies.put(
        policy(
            policyTypes=["Egress"],
            egress=[
                {"to": [{"podSelector": {"matchLabels": {"app": "b"}}}], "ports": [{"port": 80}]},
                {"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.9/32"]}}]},
            ],
        )
    )
    assert police.allows(A, B)
    assert not police.allows(A, B, 81)
    assert not police.allows(B, A)
    assert police.allows(A, OUTSIDE)
    assert not police.allows(A, "192.0.2.9")
    assert not police.allows(A, NODE, 30080)
    police.served.add(Frontend("TCP", NODE, 30080))
    assert police.allows(A, NODE, 30080)
    assert not police.allows("127.64.0.3", OUTSIDE), "a pod that has not told its address yet"
    assert not police.allows(A, "127.64.0.3")


async def test_stand_ins_are_taken_for_pods() -> None:
    """Cluster DNS is no pod here; policies that name its labels and its port mean it all the same."""
    stand_in = pod("coredns", "10.96.0.10", app="dns")
    asked = Endpoint("127.0.0.1", 4711)
    police = Police(stand_ins=lambda: {asked: (Party("10.96.0.10", stand_in), 53)})
    guard = police.policing._guard
    to = [{"podSelector": {"matchLabels": {"app": "dns"}}}]
    police.world.policies.put(policy(policyTypes=["Egress"], egress=[{"to": to, "ports": [{"port": 53}]}]))
    assert guard.allows(A, "TCP", asked)
    assert not guard.allows(A, "UDP", asked), "a port without a protocol is TCP's"
    assert not guard.allows(A, "TCP", Endpoint("127.0.0.1", 4712))
