"""Host ports of pods, with real sockets; the pods share the machine's network or have one of their own."""

import socket
from typing import Any

import pytest

from minik8s.proxy.hostports import frontends_of_pod
from minik8s.proxy.servicemap import Frontend
from tests.proxy.world import OwnNetwork, World, backends, greeting

pytestmark = pytest.mark.anyio


def pod(*ports: dict[str, Any], name: str = "web", phase: str = "Running", ip: str = "127.64.0.2", **spec: Any) -> Any:
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "main", "ports": list(ports)}], **spec},
        "status": {"phase": phase, "podIP": ip, "podIPs": [{"ip": ip}]},
    }


def host_port(number: int, container: int, **more: Any) -> dict[str, Any]:
    return {"hostPort": number, "containerPort": container, "protocol": "TCP", **more}


@pytest.mark.parametrize(
    ("given", "frontends"),
    [
        (pod(host_port(80, 8080)), [("TCP", "127.0.0.1", 80)]),
        (pod(host_port(80, 8080, hostIP="0.0.0.0")), [("TCP", "127.0.0.1", 80)]),
        (pod(host_port(80, 8080, hostIP="127.0.0.9")), [("TCP", "127.0.0.9", 80)]),
        (pod(host_port(53, 53), host_port(53, 53, protocol="UDP")), [(p, "127.0.0.1", 53) for p in ("TCP", "UDP")]),
        (pod(host_port(80, 8080), hostNetwork=True), []),
        (pod(host_port(80, 8080), phase="Pending"), []),
        (pod(host_port(80, 8080), phase="Succeeded"), []),
        (pod({"containerPort": 8080}), []),
    ],
)
def test_what_is_served(given, frontends):
    """The ports of running pods with a network of their own, on the addresses they name or on all of the node's."""
    served = frontends_of_pod(given, ["127.0.0.1"], beside=False)
    assert list(served) == [Frontend(*frontend) for frontend in frontends]
    assert all(port.endpoints[0].address == "127.64.0.2" for port in served.values())


@pytest.mark.parametrize(
    ("given", "frontends"),
    [
        (pod(host_port(80, 8080)), ["127.0.0.1", "10.244.0.2"]),
        (pod(host_port(80, 8080, hostIP="127.0.0.1")), ["127.0.0.1"]),
        (pod(host_port(80, 8080, hostIP="10.244.0.2")), ["10.244.0.2"]),
        (pod(host_port(80, 80), ip="10.244.0.2", hostNetwork=True), ["127.0.0.1"]),
        (pod(host_port(80, 80, hostIP="10.244.0.2"), ip="10.244.0.2", hostNetwork=True), []),
    ],
)
def test_what_is_served_where_nodes_have_addresses(given, frontends):
    """A node's address beside the machine's; what the pod has bound itself, in its node's network, is not taken."""
    given["status"]["hostIP"] = "10.244.0.2"
    served = frontends_of_pod(given, ["127.0.0.1"], beside=True)
    assert [frontend.address for frontend in served] == frontends
    assert all(port.endpoints[0].address == given["status"]["podIP"] for port in served.values())


@pytest.mark.parametrize("network", [None, OwnNetwork()])
async def test_a_pod_answers_at_its_host_port(port, network):
    """From Running to its end, whoever connects to the host's port gets to the pod; then it is refused."""
    async with (
        backends("127.64.0.2") as backend,
        World(network=network, host_ports=True).running() as world,
    ):
        running = pod(host_port(port, backend))
        world.pods.put(running)
        await world.done()
        assert await greeting(("127.0.0.1", port)) == "127.64.0.2"
        world.pods.put(pod(host_port(port, backend), phase="Succeeded"))
        await world.done()
        with pytest.raises(ConnectionRefusedError):
            await greeting(("127.0.0.1", port))
        assert world.recorder.events == []


async def test_a_process_may_take_the_port_first(port):
    """In the machine's network nothing is bound before the process listens, and nothing at all if it does itself."""
    async with World(host_ports=True).running() as world:
        world.pods.put(pod(host_port(port, port)))
        await world.done()
        with socket.create_server(("0.0.0.0", port)):
            world.clock.fire()
            await world.done()
            assert [status.problem for status in world.proxier.statuses()] == [""]
        assert world.recorder.events == []


async def test_a_port_of_the_process_alone_is_served_when_it_listens(port):
    """A process that binds its pod's address is found by the next look."""
    async with World(host_ports=True).running() as world:
        world.pods.put(pod(host_port(port, port)))
        await world.done()
        assert world.proxier.statuses()[0].address is None
        with socket.create_server(("127.64.0.2", port)):
            world.clock.fire()
            await world.done()
            assert world.proxier.statuses()[0].address == ("127.0.0.1", port)


async def test_collisions_are_told_on_the_pod(port):
    """Of two pods with one port the second is told who has it; so is one whose UDP port may be its process's own."""
    async with World(network=OwnNetwork(), host_ports=True).running() as world:
        world.pods.put(pod(host_port(port, 1), name="first"))
        world.pods.put(pod(host_port(port, 1), name="second", ip="127.64.0.3"))
        await world.done()
        ((name, _, _, message),) = world.recorder.events
        assert name == "second"
        assert "the address is taken by Pod default/first" in message
    async with World(host_ports=True).running() as world:
        world.pods.put(pod(host_port(port, port, protocol="UDP")))
        await world.done()
        ((_, _, _, message),) = world.recorder.events
        assert "may bind it itself" in message


async def test_policies_are_asked(port):
    """With networks of their own, pods are known by their addresses: who may not connect is reset."""
    async with (
        backends("127.64.0.2") as backend,
        World(network=OwnNetwork(), host_ports=True).running() as world,
    ):
        world.pods.put(pod(host_port(port, backend)))
        await world.done()
        policy = {
            "metadata": {"name": "deny", "namespace": "default"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        }
        world.policies.put(policy)
        with pytest.raises(ConnectionResetError):
            await greeting(("127.0.0.1", port))
        block = {"ipBlock": {"cidr": "127.0.0.0/8"}}
        world.policies.put(policy | {"spec": policy["spec"] | {"ingress": [{"from": [block]}]}})
        assert await greeting(("127.0.0.1", port)) == "127.64.0.2"
        world.policies.remove(policy)
        assert await greeting(("127.0.0.1", port)) == "127.64.0.2"
