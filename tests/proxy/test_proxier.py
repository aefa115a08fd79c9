"""The proxier with real sockets, fed by caches that the test fills."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from minik8s.api.resources import ENDPOINT_SLICES, SERVICES
from minik8s.client.lister import Indexer, key_of
from minik8s.clock import RealClock
from minik8s.proxy.proxier import Proxier
from minik8s.proxy.relay import bind

pytestmark = pytest.mark.anyio


class Cache:
    """An informer that the test tells what happened."""

    def __init__(self) -> None:
        self.lister: Indexer[Any] = Indexer()
        self.add_index = self.lister.add_index
        self.handlers: list[Callable[[Any, Any], None]] = []

    async def synced(self) -> None:
        await anyio.lowlevel.checkpoint()

    def add_handler(self, handler: Callable[[Any, Any], None]) -> Callable[[], None]:
        for obj in self.lister.all():
            handler(None, obj)
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)

    def put(self, obj: dict[str, Any]) -> None:
        old = self.lister.put(obj)
        for handler in self.handlers:
            handler(old, obj)

    def remove(self, obj: dict[str, Any]) -> None:
        self.lister.remove(key_of(obj))
        for handler in self.handlers:
            handler(obj, None)


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, str]] = []

    def recorder(self, component: str, host: str = "") -> "Recorder":
        assert component == "kube-proxy"
        return self

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append((obj["metadata"]["name"], type, reason, message))


class ManualTimers(RealClock):
    """Timers of this clock fire when the test says so."""

    def __init__(self) -> None:
        self.pending: list[Callable[[], object]] = []

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Any:
        self.pending.append(callback)
        pending = self.pending

        class Handle:
            def cancel(self) -> None:
                if callback in pending:
                    pending.remove(callback)

        return Handle()

    def fire(self) -> None:
        due, self.pending[:] = list(self.pending), []
        for callback in due:
            callback()


class World:
    """A running proxier and what surrounds it."""

    def __init__(self, binder: Any = bind) -> None:
        self.services, self.slices, self.recorder, self.clock = Cache(), Cache(), Recorder(), ManualTimers()
        caches = {SERVICES: self.services, ENDPOINT_SLICES: self.slices}
        self.proxier = Proxier(caches.__getitem__, self.clock, self.recorder, binder=binder)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(self.proxier.run)
                await self.done()
                yield self
                group.cancel_scope.cancel()

    async def done(self) -> None:
        await anyio.wait_all_tasks_blocked()
        while self.proxier.busy:
            await anyio.wait_all_tasks_blocked()


def open_descriptors() -> set[int]:
    """Every descriptor of this process that `fstat` knows."""
    found = set()
    for fd in range(256):
        with contextlib.suppress(OSError):
            os.fstat(fd)
            found.add(fd)
    return found


@pytest.fixture
def port() -> int:
    """A port that is free on every loopback address a test uses."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        return sock.getsockname()[1]


def service(port: int, name: str = "web", address: str = "127.96.0.10", **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "protocol": "TCP", "port": port, "targetPort": 1}]
    spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports} | spec
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def slice_of(port: int, *addresses: str, service: str = "web", protocol: str = "TCP") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{service}-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": protocol, "port": port}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


@asynccontextmanager
async def backends(*addresses: str) -> AsyncIterator[int]:
    """Servers on one port of several addresses; each greets with its address and echoes lines."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(writer.get_extra_info("sockname")[0].encode() + b"\n")
        try:
            while line := await reader.readline():
                writer.write(line)
        except ConnectionResetError:
            pass
        writer.close()

    servers = [await asyncio.start_server(serve, addresses[0], 0)]
    number = servers[0].sockets[0].getsockname()[1]
    servers += [await asyncio.start_server(serve, address, number) for address in addresses[1:]]
    try:
        yield number
    finally:
        for server in servers:
            server.close()


async def greeting(address: tuple[str, int]) -> str:
    reader, writer = await asyncio.open_connection(*address)
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return line.decode().strip()


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
