"""The DNS server: answers for the cluster's zone from the caches, and asks this machine's resolver about other names.

It listens on a port of 127.0.0.1, UDP and TCP, and is the endpoint of the Service `kube-dns`, at the tenth ClusterIP,
where pods expect it. Upstream: CoreDNS with its `kubernetes` and `forward` plugins.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import SocketStream, TaskGroup

from minik8s.api.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.dns.records import TTL, Answer, Record, Zone, service_of
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, Obj, namespace_of

if TYPE_CHECKING:
    import dns.message

DOMAIN = "cluster.local"
NAME, NAMESPACE = "kube-dns", "kube-system"
MAX_LOOKUPS = 64
"""Questions about other names that may be under way; further ones are told to try again."""
IDLE_SECONDS = 10.0
"""How long a TCP connection may be silent."""
_UDP_SIZE = 1232
"""Bytes: what fits into any datagram (DNS flag day 2020); a longer answer is cut, and asked for again over TCP."""


class Listers:
    """The caches as `records.World`."""

    def __init__(self, informers: Informers) -> None:
        self._informers = (informers(NAMESPACES), informers(SERVICES), informers(ENDPOINT_SLICES))
        namespaces, services, slices = self._informers
        slices.add_index("dns-service", lambda found: [f"{namespace_of(found)}/{service_of(found)}"])
        self._namespaces, self._services, self._slices = namespaces.lister, services.lister, slices.lister

    async def synced(self) -> None:
        for informer in self._informers:
            await informer.synced()

    def service(self, namespace: str, name: str) -> Doc | None:
        return self._services.get(name, namespace)

    def services(self) -> Iterable[Doc]:
        return self._services.all()

    def slices(self, namespace: str, service: str) -> Iterable[Doc]:
        return self._slices.by_index("dns-service", f"{namespace}/{service}")

    def has_namespace(self, name: str) -> bool:
        return self._namespaces.get(name) is not None


class DnsServer:
    """Serves one cluster; `address` is where it listens, once it does."""

    def __init__(self, client: Client, informers: Informers, cluster_ip: str) -> None:
        self.address: tuple[str, int] = ("127.0.0.1", 0)
        self.ready = anyio.Event()
        self._client, self._cluster_ip = client.as_agent("coredns"), cluster_ip
        self._listers = Listers(informers)
        self._zone = Zone(self._listers, DOMAIN)
        self._lookups = anyio.CapacityLimiter(MAX_LOOKUPS)

    async def run(self) -> None:
        """Serves until cancelled."""
        await self._listers.synced()
        tcp, udp = _sockets()
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
        if query is None:
            return
        if (response := self._local(query)) is not None:
            await _send(datagrams, wire(response, _UDP_SIZE), client)
            return

        async def later() -> None:
            await _send(datagrams, wire(await self._remote(query), _UDP_SIZE), client)

        group.start_soon(later, name="dns look-up")

    async def _conversation(self, stream: SocketStream) -> None:
        """Messages with their length before them, one after the other."""
        from anyio.streams.buffered import BufferedByteReceiveStream

        buffered = BufferedByteReceiveStream(stream)
        async with stream:
            with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
                while True:
                    with anyio.move_on_after(IDLE_SECONDS) as scope:
                        size = int.from_bytes(await buffered.receive_exactly(2), "big")
                        query = parse(await buffered.receive_exactly(size))
                    if scope.cancelled_caught or query is None:
                        return
                    response = self._local(query) or await self._remote(query)
                    data = wire(response, 65535)
                    await stream.send(len(data).to_bytes(2, "big") + data)

    def _local(self, query: dns.message.Message) -> dns.message.Message | None:
        """The answer, if it does not depend on anybody else."""
        import dns.opcode
        import dns.rcode
        import dns.rdatatype

        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            return refusal(query, dns.rcode.NOTIMP)
        question = query.question[0]
        name = question.name.to_text()
        if not self._zone.covers(name):
            return None
        return respond(query, self._zone.answer(name, dns.rdatatype.to_text(question.rdtype)))

    async def _remote(self, query: dns.message.Message) -> dns.message.Message:
        """What this machine's resolver says about a name outside of the cluster: addresses, nothing else."""
        import dns.rcode
        import dns.rdatatype

        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        if question.rdtype not in (dns.rdatatype.A, dns.rdatatype.AAAA, dns.rdatatype.CNAME):
            return refusal(query, dns.rcode.REFUSED)
        place = object()
        try:
            self._lookups.acquire_on_behalf_of_nowait(place)
        except anyio.WouldBlock:
            return refusal(query, dns.rcode.SERVFAIL)
        try:
            found = await anyio.getaddrinfo(name, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return respond(query, Answer(False))
        finally:
            self._lookups.release_on_behalf_of(place)
        wanted = question.rdtype == dns.rdatatype.A
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found) if wanted else ()
        return respond(query, Answer(True, tuple(Record(f"{name}.", "A", address) for address in addresses)))

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


async def _send(datagrams: Any, data: bytes, client: Any) -> None:
    with suppress(OSError):  # whoever asked is gone
        await datagrams.sendto(data, *client)


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A TCP and a UDP socket on one free port of 127.0.0.1."""
    for _ in range(16):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
            continue
        return tcp, udp
    raise OSError("no port of 127.0.0.1 is free for both TCP and UDP")


def parse(data: bytes) -> dns.message.Message | None:
    """A query; None for what is none."""
    import dns.exception
    import dns.flags
    import dns.message

    try:
        message = dns.message.from_wire(data)
    except (dns.exception.DNSException, ValueError):
        return None
    return None if message.flags & dns.flags.QR else message


def refusal(query: dns.message.Message, code: int) -> dns.message.Message:
    import dns.message
    import dns.rcode

    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.Rcode(code))
    return response


def respond(query: dns.message.Message, answer: Answer) -> dns.message.Message:
    """An answer as a message."""
    import dns.flags
    import dns.message
    import dns.rcode
    import dns.rrset

    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    if not answer.exists:
        response.set_rcode(dns.rcode.NXDOMAIN)
    for section, records in ((response.answer, answer.records), (response.additional, answer.additional)):
        for record in records:
            section.append(dns.rrset.from_text(record.name, TTL, "IN", record.type, record.data))
    return response


def wire(message: dns.message.Message, size: int) -> bytes:
    """The message in at most so many bytes: an answer that does not fit is left out, and marked as cut."""
    import dns.exception
    import dns.flags

    try:
        return bytes(message.to_wire(max_size=size))
    except dns.exception.TooBig:
        message.answer, message.additional = [], []
        message.flags |= dns.flags.TC
        return bytes(message.to_wire(max_size=size))
