"""A proxier with real sockets in a world that the test tells what happened."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from minik8s.api.resources import ENDPOINT_SLICES, NAMESPACES, NETWORK_POLICIES, NODES, PODS, SERVICES
from minik8s.client.lister import Indexer, key_of
from minik8s.clock import RealClock
from minik8s.proxy.guard import Guard
from minik8s.proxy.networks import bind, plain
from minik8s.proxy.proxier import Proxier


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


class OwnNetwork:
    """Stands for a network that pods have of their own; `nodes` are addresses of nodes in it."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = nodes
        self.inside: list[str] = []
        self.allows: Any = None

    def make_socket(self, *asked: Any, listening: bool = False) -> socket.socket:
        return plain(*asked)

    def make_inside(self, address: str, *asked: Any, listening: bool = False) -> socket.socket:
        self.inside.append(address)
        return plain(address, *asked)

    def is_node(self, address: str) -> bool:
        return address in self.nodes

    def is_pod(self, address: str) -> bool:
        return address.startswith("127.64.")

    async def filter(self, allows: Any) -> None:
        self.allows = allows


class World:
    """A running proxier and what surrounds it."""

    def __init__(self, binder: Any = bind, **options: Any) -> None:
        self.services, self.slices, self.recorder, self.clock = Cache(), Cache(), Recorder(), ManualTimers()
        self.pods, self.policies, self.namespaces, self.nodes = Cache(), Cache(), Cache(), Cache()
        caches = {
            SERVICES: self.services,
            ENDPOINT_SLICES: self.slices,
            PODS: self.pods,
            NETWORK_POLICIES: self.policies,
            NAMESPACES: self.namespaces,
            NODES: self.nodes,
        }
        self.informers: Any = caches.__getitem__
        if "network" in options and options["network"] is not None:
            options.setdefault("guard", Guard(self.informers))
        self.proxier = Proxier(self.informers, self.clock, self.recorder, binder=binder, **options)

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
