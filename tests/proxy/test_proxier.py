"""The proxier with real sockets, fed by caches that the test fills."""

import asyncio
import errno
import os
import socket

import anyio
import pytest

from minik8s.proxy.networks import bind
from tests.proxy.world import World, backends, greeting, open_descriptors, service, slice_of

pytestmark = pytest.mark.anyio


async def test_a_service_answers_at_its_cluster_ip_and_balances(port):
    """Connections to ClusterIP:port go to the ready endpoints in turn, and `address_of` names that address."""
    async with backends("127.64.0.2", "127.64.0.3") as backend, World().running() as world:
        world.services.put(service(port))
        world.slices.put(slice_of(backend, "127.64.0.2", "127.64.0.3"))
        await world.done()
        assert world.proxier.address_of("default", "web", "http") == ("127.96.0.10", port)
        assert world.proxier.address_of("default", "web", port) == ("127.96.0.10", port)
        got = [await greeting(("127.96.0.10", port)) for _ in range(4)]
        assert sorted(got) == ["127.64.0.2", "127.64.0.2", "127.64.0.3", "127.64.0.3"]
        assert world.recorder.events == []


async def test_a_service_without_endpoints_refuses(port):
    """With nobody behind it, the Service's address is refused at once, as kube-proxy rejects it."""
    async with backends("127.64.0.2") as backend, World().running() as world:
        world.services.put(service(port))
        await world.done()
        with pytest.raises(ConnectionRefusedError):
            await greeting(("127.96.0.10", port))
        world.slices.put(slice_of(backend, "127.64.0.2"))
        await world.done()
        assert await greeting(("127.96.0.10", port)) == "127.64.0.2"
        world.slices.put(slice_of(backend))
        await world.done()
        with pytest.raises(ConnectionRefusedError):
            await greeting(("127.96.0.10", port))


async def test_established_connections_outlive_their_endpoint_and_their_service(port):
    """Neither the endpoint's removal nor the Service's touches a connection that stands."""
    async with backends("127.64.0.2", "127.64.0.3") as backend, World().running() as world:
        world.services.put(service(port))
        world.slices.put(slice_of(backend, "127.64.0.2"))
        await world.done()
        reader, writer = await asyncio.open_connection("127.96.0.10", port)
        assert await reader.readline() == b"127.64.0.2\n"
        world.slices.put(slice_of(backend, "127.64.0.3"))
        await world.done()
        assert await greeting(("127.96.0.10", port)) == "127.64.0.3"
        world.services.remove(service(port))
        await world.done()
        with pytest.raises(ConnectionRefusedError):
            await greeting(("127.96.0.10", port))
        writer.write(b"still here\n")
        assert await reader.readline() == b"still here\n"
        writer.close()


async def test_node_ports_answer_too(port):
    """A NodePort is one more address of the same Service."""
    async with backends("127.64.0.2") as backend, World().running() as world:
        ports = [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": port}]
        world.services.put(service(80, type="NodePort", ports=ports))
        world.slices.put(slice_of(backend, "127.64.0.2"))
        await world.done()
        assert await greeting(("127.0.0.1", port)) == "127.64.0.2"


async def test_udp_services_are_relayed(port):
    """A UDP port passes datagrams there and back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pod, socket.socket(type=socket.SOCK_DGRAM) as client:
        pod.bind(("127.64.0.2", 0))
        pod.setblocking(False)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        async with World().running() as world:
            world.services.put(service(port, ports=[{"name": "http", "protocol": "UDP", "port": port}]))
            world.slices.put(slice_of(pod.getsockname()[1], "127.64.0.2", protocol="UDP"))
            await world.done()
            await loop.sock_sendto(client, b"ping", ("127.96.0.10", port))
            data, flow = await loop.sock_recvfrom(pod, 100)
            await loop.sock_sendto(pod, data + b" pong", flow)
            assert await loop.sock_recvfrom(client, 100) == (b"ping pong", ("127.96.0.10", port))


async def test_a_udp_service_without_endpoints_refuses(port):
    """The sender is told at once that nobody is there, first and last; in between datagrams pass."""
    with socket.socket(type=socket.SOCK_DGRAM) as client, socket.socket(type=socket.SOCK_DGRAM) as pod:
        pod.bind(("127.64.0.2", 0))
        pod.setblocking(False)
        client.setblocking(False)
        loop = asyncio.get_running_loop()

        async def refused() -> None:
            await loop.sock_sendall(client, b"ping")
            with pytest.raises(ConnectionRefusedError):
                await loop.sock_recv(client, 100)

        async with World().running() as world:
            world.services.put(service(port, ports=[{"name": "http", "protocol": "UDP", "port": port}]))
            await world.done()
            client.connect(("127.96.0.10", port))
            await refused()
            slice_ = slice_of(pod.getsockname()[1], "127.64.0.2", protocol="UDP")
            world.slices.put(slice_)
            await world.done()
            await loop.sock_sendall(client, b"ping")
            assert await loop.sock_recv(pod, 100) == b"ping"
            world.slices.put(slice_ | {"endpoints": []})
            await world.done()
            await refused()


class Denied:
    """Binding some addresses fails until `errno` is 0."""

    def __init__(self, number: int, host: str = "127.96.0.10") -> None:
        self.errno, self.host = number, host

    def __call__(self, host: str, port: int, family: int, kind: int) -> socket.socket:
        if host == self.host and self.errno:
            raise OSError(self.errno, os.strerror(self.errno))
        return bind(host, port, family, kind)


async def test_an_address_that_cannot_be_bound_gets_a_stand_in_and_an_event(port):
    """The Event says what is wrong and where the Service answers instead; once it works, it says so and moves back."""
    denied = Denied(errno.EADDRNOTAVAIL)
    async with backends("127.64.0.2") as backend, World(denied).running() as world:
        world.services.put(service(port))
        world.slices.put(slice_of(backend, "127.64.0.2"))
        await world.done()
        host, number = world.proxier.address_of("default", "web", "http")
        assert host == "127.0.0.1"
        assert await greeting((host, number)) == "127.64.0.2"
        failure = (
            "web",
            "Warning",
            "FailedToListen",
            f'Cannot listen on 127.96.0.10:{port}/TCP for port "http": it is not an address of this machine. '
            f"127.0.0.1:{number} stands in for it.",
        )
        assert world.recorder.events == [failure]

        world.clock.fire()
        await world.done()
        assert world.recorder.events == [failure], "a failure that goes on is not told again"
        assert world.proxier.address_of("default", "web", "http") == (host, number)

        denied.errno = 0
        world.clock.fire()
        await world.done()
        assert world.recorder.events[1:] == [
            ("web", "Normal", "Listening", f'Listening on 127.96.0.10:{port}/TCP for port "http"')
        ]
        assert await greeting(("127.96.0.10", port)) == "127.64.0.2"
        assert world.clock.pending == []


async def test_a_privileged_port_is_explained():
    """Without the privilege for low ports, the Event names the system setting that would give it."""
    async with World(Denied(errno.EACCES)).running() as world:
        world.services.put(service(1))
        await world.done()
        ((_, _, _, message),) = world.recorder.events
        assert "need a privilege that this process does not have" in message
        assert "net.ipv4.ip_unprivileged_port_start=1" in message


async def test_an_address_in_use_by_another_process_is_explained(port):
    """A listener that is not ours keeps its address; the Service gets its stand-in."""
    with socket.socket() as other:
        other.bind(("127.96.0.10", port))
        other.listen()
        async with World().running() as world:
            world.services.put(service(port))
            world.slices.put(slice_of(1, "127.64.0.2"))
            await world.done()
            ((_, _, _, message),) = world.recorder.events
            assert "another process listens there" in message
            assert world.proxier.address_of("default", "web", port)[0] == "127.0.0.1"


async def test_two_services_with_one_external_ip_do_not_share_it(port):
    """The first holds the address, the second is told by whom it is taken, and gets it when the first is gone."""
    async with backends("127.64.0.2") as backend, World().running() as world:
        first = service(port, externalIPs=["127.9.9.9"])
        world.services.put(first)
        await world.done()
        world.services.put(service(port, "other", "127.96.0.11", externalIPs=["127.9.9.9"]))
        world.slices.put(slice_of(backend, "127.64.0.2", service="other"))
        await world.done()
        ((name, _, _, message),) = world.recorder.events
        assert name == "other"
        assert "the address is taken by Service default/web" in message
        world.services.remove(first)
        world.clock.fire()
        await world.done()
        assert await greeting(("127.9.9.9", port)) == "127.64.0.2"


async def test_addresses_of_other_machines_are_no_failure(port):
    """A load balancer's or external address that is not local concerns somebody else: no Event, no stand-in."""
    async with World(Denied(errno.EADDRNOTAVAIL, "192.0.2.1")).running() as world:
        svc = service(port, type="LoadBalancer", externalIPs=["192.0.2.1"])
        world.services.put(svc | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}})
        await world.done()
        assert world.recorder.events == []
        assert [s.address for s in world.proxier.statuses()] == [("127.96.0.10", port), None]
        assert world.clock.pending == []


async def test_sctp_is_refused_in_words(port):
    """A protocol that is not relayed is told in an Event, not silently ignored."""
    async with World().running() as world:
        world.services.put(service(port, ports=[{"name": "http", "protocol": "SCTP", "port": port}]))
        await world.done()
        ((_, type_, _, message),) = world.recorder.events
        assert type_ == "Warning"
        assert "SCTP is not relayed" in message
        with pytest.raises(LookupError):
            world.proxier.address_of("default", "web", "http")


async def test_a_port_can_pass_from_one_service_to_another_in_one_batch(port):
    """What is closed is closed before anything is opened, whatever the order of the changes."""
    async with World().running() as world:
        old = service(port)
        world.services.put(old)
        await world.done()
        world.services.put(service(port, "new"))
        world.services.remove(old)
        await world.done()
        assert world.recorder.events == []
        assert world.proxier.address_of("default", "new", port) == ("127.96.0.10", port)


async def test_source_ranges_keep_others_out(port):
    """A client outside loadBalancerSourceRanges is reset; the ClusterIP stays open to all."""
    async with backends("127.64.0.2") as backend, World().running() as world:
        svc = service(port, type="LoadBalancer", loadBalancerSourceRanges=["10.0.0.0/8"])
        world.services.put(svc | {"status": {"loadBalancer": {"ingress": [{"ip": "127.8.8.8"}]}}})
        world.slices.put(slice_of(backend, "127.64.0.2"))
        await world.done()
        with pytest.raises(ConnectionResetError):
            await greeting(("127.8.8.8", port))
        assert await greeting(("127.96.0.10", port)) == "127.64.0.2"


async def test_nothing_is_left_when_the_proxier_ends(port):
    """Cancelled in the middle of traffic, it leaves no socket, no timer and no handler."""
    before = open_descriptors()
    async with backends("127.64.0.2") as backend:
        world = World(Denied(errno.EADDRNOTAVAIL, "127.96.0.99"))
        async with world.running():
            world.services.put(service(port))
            world.services.put(service(port, "broken", "127.96.0.99"))
            world.slices.put(slice_of(backend, "127.64.0.2"))
            await world.done()
            reader, writer = await asyncio.open_connection("127.96.0.10", port)
            await reader.readline()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
    await anyio.wait_all_tasks_blocked()
    assert world.clock.pending == []
    assert world.services.handlers == world.slices.handlers == []
    assert world.proxier.statuses() == []
    assert open_descriptors() == before
