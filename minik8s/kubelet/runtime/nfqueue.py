"""Packets that the kernel asks about before it passes them on: the messages of nfnetlink_queue, and a reader of them.

A rule of the pods' network sends the first packet of each connection here, and a verdict sends it on or drops it; what
follows is the kernel's alone. `packets` and `verdict` are bytes in, bytes out; `Queue` is the netlink socket. Upstream:
<linux/netfilter/nfnetlink_queue.h>.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator

import attrs

NETLINK_NETFILTER = 12
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = (_SUBSYSTEM | number for number in range(3))
_REQUEST = 1
_CFG_COMMAND, _CFG_PARAMETERS, _CFG_LENGTH = 1, 2, 3
_BIND, _COPY_PACKET = 1, 2
_PACKET_HEADER, _VERDICT_HEADER, _PAYLOAD = 1, 2, 10
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")
KEPT = 96
"""Bytes of a packet that are looked at: the longest IPv4 header and the ports after it."""
LONGEST = 4096
"""Packets that may wait for a verdict; further ones are dropped."""
BATCH = 64
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 132: "SCTP"}


@attrs.frozen
class Packet:
    """The first of a connection. `protocol` is Kubernetes' name for it, or a number; `port` is 0 where it has none."""

    id: int
    source: str
    destination: str
    protocol: str
    port: int


Allows = Callable[[Packet], bool]


def bind(queue: int) -> bytes:
    """The messages by which a netlink socket becomes the reader of a queue."""
    return b"".join(
        _message(_CONFIG, queue, _attribute(kind, data))
        for kind, data in (
            (_CFG_COMMAND, struct.pack(">BxH", _BIND, 0)),
            (_CFG_PARAMETERS, struct.pack(">IB", KEPT, _COPY_PACKET)),
            (_CFG_LENGTH, struct.pack(">I", LONGEST)),
        )
    )


def verdict(queue: int, packet: int, allowed: bool) -> bytes:
    """The message that lets a packet pass (NF_ACCEPT is 1) or drops it (NF_DROP is 0)."""
    return _message(_VERDICT, queue, _attribute(_VERDICT_HEADER, struct.pack(">II", int(allowed), packet)))


def packets(data: bytes) -> Iterator[Packet | int]:
    """What a datagram of the kernel's brings: packets to judge, or the ids of those that cannot be read."""
    while len(data) >= _HEADER.size:
        size, kind, _, _, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= size <= len(data):
            return
        if kind == _PACKET:
            found = dict(_attributes(data[_HEADER.size + _FAMILY.size : size]))
            if len(header := found.get(_PACKET_HEADER, b"")) >= 4:
                identity = int.from_bytes(header[:4], "big")
                yield _parse(identity, found.get(_PAYLOAD, b"")) or identity
        data = data[_aligned(size) :]


def complaint(data: bytes) -> int:
    """The error number in a datagram of the kernel's, 0 for none."""
    if len(data) >= _HEADER.size + 4 and _HEADER.unpack_from(data)[1] == _ERROR:
        return -int(struct.unpack_from("=i", data, _HEADER.size)[0])
    return 0


def _parse(identity: int, data: bytes) -> Packet | None:
    """An IPv4 packet; None for anything else."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    protocol, after = data[9], (data[0] & 0xF) * 4
    has_port = protocol in (6, 17, 132)
    if after < 20 or (has_port and len(data) < after + 4):
        return None
    port = int.from_bytes(data[after + 2 : after + 4], "big") if has_port else 0
    source, destination = socket.inet_ntoa(data[12:16]), socket.inet_ntoa(data[16:20])
    return Packet(identity, source, destination, PROTOCOLS.get(protocol, str(protocol)), port)


def _message(kind: int, queue: int, attributes: bytes) -> bytes:
    body = _FAMILY.pack(socket.AF_UNSPEC, 0, queue) + attributes
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST, 0, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(size, kind) + data + bytes(_aligned(size) - size)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= size <= len(data):
            return
        yield kind & 0x3FFF, data[_ATTRIBUTE.size : size]
        data = data[_aligned(size) :]


def _aligned(size: int) -> int:
    return (size + 3) & ~3


class Queue:
    """Judges what comes in a queue of the network that a netlink socket is of; closes the socket."""

    def __init__(self, sock: socket.socket, allows: Allows, number: int = 0) -> None:
        """Raises OSError when the kernel does not let us."""
        self._socket, self._allows, self._number = sock, allows, number
        sock.setblocking(False)
        sock.send(bind(number))
        try:
            if error := complaint(sock.recv(LONGEST)):
                raise OSError(error, "the kernel gives us no queue of packets")
        except BlockingIOError:
            pass  # it answers at once, and complaints only
        asyncio.get_running_loop().add_reader(sock.fileno(), self._judge)

    def _judge(self) -> None:
        for _ in range(BATCH):
            try:
                data = self._socket.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: some were lost, and are sent again by who sent them
                continue
            for packet in packets(data):
                allowed = isinstance(packet, Packet) and self._allows(packet)
                identity = packet.id if isinstance(packet, Packet) else packet
                self._socket.send(verdict(self._number, identity, allowed))

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
