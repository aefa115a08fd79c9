"""The DNS server: answers for the cluster's zone from the caches, and asks this machine's resolver about other names.

It listens on a port of 127.0.0.1, UDP and TCP, and is the endpoint of the Service `kube-dns`, at the tenth ClusterIP,
where pods expect it. Upstream: CoreDNS with its `kubernetes`, `loadbalance` and `forward` plugins.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from anyio.abc import SocketStream, TaskGroup

from minik8s.api.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.dns import NAME, NAMESPACE
from minik8s.dns.messages import TCP_SIZE, objection, parse, respond, udp_size, wire
from minik8s.dns.outside import Outside, Server, machine_servers
from minik8s.dns.records import Answer, Zone, addresses_of, service_of
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, Obj, namespace_of

if TYPE_CHECKING:
    import dns.message

HOST = "127.0.0.1"
DOMAIN = "cluster.local"
IDLE_SECONDS = 10.0
"""How long a TCP connection may be silent."""
MAX_CONVERSATIONS = 256
"""TCP connections at once; further ones are closed."""


class Listers:
    """The caches as `records.World`."""

    def __init__(self, informers: Informers) -> None:
        self._informers = (informers(NAMESPACES), informers(SERVICES), informers(ENDPOINT_SLICES))
        namespaces, services, slices = self._informers
        slices.add_index("dns-service", lambda found: [f"{namespace_of(found)}/{service_of(found)}"])
        slices.add_index("dns-address", addresses_of)
        services.add_index("dns-address", lambda found: found["spec"].get("clusterIPs") or ())
        self._namespaces, self._services, self._slices = namespaces.lister, services.lister, slices.lister

    async def synced(self) -> None:
        for informer in self._informers:
            await informer.synced()

    def service(self, namespace: str, name: str) -> Doc | None:
        return self._services.get(name, namespace)

    def services_at(self, address: str) -> Iterable[Doc]:
        return self._services.by_index("dns-address", address)

    def slices(self, namespace: str, service: str) -> Iterable[Doc]:
        return self._slices.by_index("dns-service", f"{namespace}/{service}")

    def slices_at(self, address: str) -> Iterable[Doc]:
        return self._slices.by_index("dns-address", address)

    def has_namespace(self, name: str) -> bool:
        return self._namespaces.get(name) is not None

    def serial(self) -> int:
        return max(self._services.revision, self._slices.revision)


class DnsServer:
    """Serves one cluster; `address` is where it listens, once it does.

    `port` 0 takes a free one. `servers` are asked for names outside, but for `hosts`, whose addresses are given.
    """

    def __init__(
        self,
        client: Client,
        informers: Informers,
        cluster_ip: str,
        *,
        port: int = 0,
        servers: Callable[[], Sequence[Server]] = machine_servers,
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        self.address: tuple[str, int] = (HOST, port)
        self.ready = anyio.Event()
        self._client, self._cluster_ip = client.as_agent("coredns"), cluster_ip
        self._listers = Listers(informers)
        self._zone = Zone(self._listers, DOMAIN)
        self._outside = Outside(servers, hosts)
        self._conversations = 0
        self._turn = 0
        self._sending = anyio.Lock()  # answers that others had to be asked for come when they will

    async def run(self) -> None:
        """Serves until cancelled. Raises OSError when the port is taken."""
        await self._listers.synced()
        tcp, udp = _sockets(self.address[1])
        self.address = udp.getsockname()[:2]
        await self._publish()
        listener = await anyio.abc.SocketListener.from_socket(tcp)
        datagrams = await anyio.abc.UDPSocket.from_socket(udp)
        async with listener, datagrams, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._conversation, name="dns tcp")
            self.ready.set()
            async for data, client in datagrams:
                await self._received(group, datagrams, data, client)

    async def _received(self, group: TaskGroup, datagrams: Any, data: bytes, client: Any) -> None:
        """Answers a datagram at once where the caches do, later where others have to be asked."""
        query = parse(data)
        if query is None or isinstance(query, bytes):
            if query:
                await self._send(datagrams, query, client)
            return
        size = udp_size(query)
        response, begun = self._local(query)
        if response is not None:
            await self._send(datagrams, wire(response, size), client)
            return

        async def later() -> None:
            await self._send(datagrams, wire(await self._remote(query, begun), size), client)

        group.start_soon(later, name="dns look-up")

    async def _send(self, datagrams: Any, data: bytes, client: Any) -> None:
        """One at a time: a socket that is busy refuses a second sender."""
        async with self._sending:
            with suppress(OSError):  # whoever asked is gone
                await datagrams.sendto(data, *client)

    async def _conversation(self, stream: SocketStream) -> None:
        """Messages with their length before them, one after the other."""
        async with stream:
            if self._conversations >= MAX_CONVERSATIONS:
                return
            self._conversations += 1
            try:
                with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                    await self._converse(stream)
            finally:
                self._conversations -= 1

    async def _converse(self, stream: SocketStream) -> None:
        from anyio.streams.buffered import BufferedByteReceiveStream

        buffered = BufferedByteReceiveStream(stream)
        while True:
            with anyio.move_on_after(IDLE_SECONDS) as scope:
                size = int.from_bytes(await buffered.receive_exactly(2), "big")
                query = parse(await buffered.receive_exactly(size))
            if scope.cancelled_caught or query is None:
                return
            data = query if isinstance(query, bytes) else await self._whole(query)
            with anyio.move_on_after(IDLE_SECONDS) as scope:
                await stream.send(len(data).to_bytes(2, "big") + data)
            if scope.cancelled_caught:  # it asks, but does not read
                return

    async def _whole(self, query: dns.message.Message) -> bytes:
        response, begun = self._local(query)
        return wire(response or await self._remote(query, begun), TCP_SIZE)

    def _local(self, query: dns.message.Message) -> tuple[dns.message.Message | None, Answer | None]:
        """The response, if it does not depend on anybody else; else an answer for them to complete, if it has begun."""
        import dns.rdatatype

        if (refused := objection(query)) is not None:
            return refused, None
        question = query.question[0]
        name = question.name.to_text()
        if not self._zone.covers(name):
            return None, None
        answer = self._zone.answer(name, dns.rdatatype.to_text(question.rdtype))
        if answer.elsewhere:
            return None, answer
        return respond(query, self._turned(answer), self._zone.start_of_authority()), None

    async def _remote(self, query: dns.message.Message, answer: Answer | None) -> dns.message.Message:
        """The response for which somebody else has to be asked."""
        import dns.rdatatype

        if answer is None:
            return await self._outside.ask(query)
        response = respond(query, answer)
        await self._outside.complete(response, answer.elsewhere, dns.rdatatype.to_text(query.question[0].rdtype))
        return response

    def _turned(self, answer: Answer) -> Answer:
        """Addresses begin with another one every time, for those who take the first (CoreDNS' loadbalance)."""
        if len(answer.records) < 2 or answer.records[0].type not in ("A", "AAAA"):
            return answer
        self._turn += 1
        first = self._turn % len(answer.records)
        return attrs.evolve(answer, records=answer.records[first:] + answer.records[:first])

    async def _publish(self) -> None:
        """Tells the cluster where the server is."""
        host, port = self.address
        labels = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
        ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
        metadata: Obj = {"name": NAME, "namespace": NAMESPACE}
        service: Obj = {
            "metadata": {**metadata, "labels": labels},
            "spec": {"clusterIP": self._cluster_ip, "ports": ports},
        }
        slice_: Obj = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": [{**entry, "port": port} for entry in ports],
        }
        with suppress(AlreadyExists):
            await self._client.create(SERVICES, service)
        await self._client.apply(ENDPOINT_SLICES, slice_)


def _sockets(port: int) -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket on one port of 127.0.0.1, a free one for 0. Raises OSError."""
    for _ in range(16):
        tcp = socket.create_server((HOST, port))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            if port:
                raise
            continue
        return tcp, udp
    raise OSError(f"no port of {HOST} is free for both TCP and UDP")
