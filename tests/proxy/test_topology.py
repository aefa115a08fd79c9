"""Endpoints by the client's place: hints and the Local internal policy."""

import asyncio
from typing import Any

import pytest

from minik8s.proxy.servicemap import Frontend, Place, endpoints_for, frontends_of
from tests.proxy.world import OwnNetwork, World, backends, greeting, service, slice_of

pytestmark = pytest.mark.anyio


def endpoint(address: str, node: str, *, zones: str = "", nodes: str = "", **conditions: bool) -> dict[str, Any]:
    """`zones` and `nodes` are the hints, a letter each."""
    hints: dict[str, Any] = {}
    if zones:
        hints["forZones"] = [{"name": zone} for zone in zones]
    if nodes:
        hints["forNodes"] = [{"name": name} for name in nodes]
    return {"addresses": [address], "nodeName": node, "conditions": {"ready": True} | conditions, "hints": hints}


LEAVING = {"ready": False, "serving": True, "terminating": True}
SILENT = {"ready": False, "serving": False}
TABLE: dict[str, tuple[list[dict[str, Any]], bool, str]] = {
    "without hints": ([endpoint("1", "a"), endpoint("2", "b")], False, "12"),
    "the zone's": ([endpoint("1", "a", zones="z"), endpoint("2", "b", zones="y")], False, "1"),
    "one without a hint": ([endpoint("1", "a", zones="z"), endpoint("2", "b")], False, "12"),
    "nobody's zone": ([endpoint("1", "a", zones="x"), endpoint("2", "b", zones="y")], False, "12"),
    "the node's": (
        [endpoint("1", "a", zones="z", nodes="a"), endpoint("2", "b", zones="z", nodes="b")],
        False,
        "1",
    ),
    "no node's, then the zone's": (
        [endpoint("1", "b", zones="z", nodes="b"), endpoint("2", "c", zones="y", nodes="c")],
        False,
        "1",
    ),
    "only ready ones are asked for hints": (
        [endpoint("1", "a", zones="z"), endpoint("2", "b", **SILENT), endpoint("3", "b", zones="y")],
        False,
        "1",
    ),
    "all are leaving": ([endpoint("1", "a", zones="y", **LEAVING), endpoint("2", "b", **LEAVING)], False, "12"),
    "local": ([endpoint("1", "a"), endpoint("2", "b"), endpoint("3", "a", **LEAVING)], True, "1"),
    "local ones are leaving": ([endpoint("1", "b"), endpoint("3", "a", **LEAVING)], True, "3"),
    "none is local": ([endpoint("1", "b", nodes="a")], True, ""),
}


@pytest.mark.parametrize(("endpoints", "local", "expected"), TABLE.values(), ids=TABLE)
def test_choices_on_node_a_in_zone_z(endpoints, local, expected):
    """Whom a client gets to by upstream's rules; where no place matters the Service has no candidates at all."""
    svc = service(80, **({"internalTrafficPolicy": "Local"} if local else {}))
    found = frontends_of(svc, [slice_of(1) | {"endpoints": endpoints}], nodes=None, node_ports={})
    port = found[Frontend("TCP", "127.96.0.10", 80)]
    chosen = endpoints_for(port, Place("a", "z")) if port.candidates else port.endpoints
    assert "".join(endpoint.address for endpoint in chosen) == expected


async def heard(port: int, client: str) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.96.0.10", port, local_addr=(client, 0))
    except ConnectionResetError:
        return "reset"
    try:
        return (await reader.readline()).decode().strip()
    except ConnectionResetError:
        return "reset"
    finally:
        writer.close()


async def test_pods_get_to_their_own_node(port):
    """A known pod gets to its node's endpoint and is reset where there is none; of a stranger nothing is known."""
    servers = ("127.64.0.2", "127.64.0.3")
    async with (
        backends(*servers) as backend,
        World(network=OwnNetwork()).running() as world,
    ):
        for name, address in (("a", "127.64.1.1"), ("b", "127.64.1.2"), ("c", "127.64.1.3")):
            world.nodes.put({"metadata": {"name": name}})
            world.pods.put(
                {
                    "metadata": {"name": name, "namespace": "default", "uid": name},
                    "spec": {"nodeName": name, "containers": []},
                    "status": {"phase": "Running", "podIPs": [{"ip": address}]},
                }
            )
        world.services.put(service(port, internalTrafficPolicy="Local"))
        placed = [endpoint(address, node) for address, node in zip(servers, "ab", strict=True)]
        world.slices.put(slice_of(backend) | {"endpoints": placed})
        await world.done()
        got = [await heard(port, client) for client in ("127.64.1.1", "127.64.1.2", "127.64.1.1", "127.64.1.3")]
        assert got == ["127.64.0.2", "127.64.0.3", "127.64.0.2", "reset"]
        assert {await heard(port, "127.64.9.9") for _ in range(2)} == set(servers)
        world.slices.put(slice_of(backend) | {"endpoints": [endpoint(servers[1], "a")]})
        await world.done()
        assert await heard(port, "127.64.1.1") == servers[1]


async def test_node_ports_of_each_node(port):
    """Each node's address has its node ports; those of a Local policy lead to its own pods, the machine's to all."""
    servers = ("127.64.0.2", "127.64.0.3")
    network = OwnNetwork("127.65.0.1", "127.65.0.2")
    async with backends(*servers) as backend, World(network=network).running() as world:
        placed = [endpoint(address, node) for address, node in zip(servers, "ab", strict=True)]
        world.slices.put(slice_of(backend) | {"endpoints": placed})
        web = service(1, type="NodePort", externalTrafficPolicy="Local")
        web["spec"]["ports"][0]["nodePort"] = port
        world.services.put(web)
        for name, address in (("a", "127.65.0.1"), ("b", "127.65.0.2"), ("stranger", "192.0.2.9")):
            world.nodes.put(node(name, address))
        await world.done()
        assert await greeting(("127.65.0.1", port)) == servers[0]
        assert await greeting(("127.65.0.2", port)) == servers[1]
        assert {await greeting(("127.0.0.1", port)) for _ in range(2)} == set(servers)
        world.nodes.remove(node("b", "127.65.0.2"))
        await world.done()
        with pytest.raises(ConnectionRefusedError):
            await greeting(("127.65.0.2", port))
        assert not [event for event in world.recorder.events if str(port) in event[3]]


async def test_load_balancers_inside(port):
    """Where pods have a network of their own, a load balancer's address is listened on there, too, by its sockets."""
    network = OwnNetwork()
    async with backends("127.64.0.2") as backend, World(network=network).running() as world:
        world.slices.put(slice_of(backend, "127.64.0.2"))
        balancer = service(port, type="LoadBalancer")
        balancer["status"] = {"loadBalancer": {"ingress": [{"ip": "127.160.0.9"}]}}
        world.services.put(balancer)
        await world.done()
        assert network.inside == ["127.160.0.9"]
        assert await greeting(("127.160.0.9", port)) == "127.64.0.2"


def node(name: str, address: str) -> Any:
    addresses = [{"type": "InternalIP", "address": address}]
    return {"metadata": {"name": name}, "status": {"addresses": addresses}}
