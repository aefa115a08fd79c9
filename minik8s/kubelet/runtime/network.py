"""The pods' network of the sandbox runtime, as the host's process sees it: where sockets come from.

The process cannot enter a network that its own user namespace does not own, and need not: a socket belongs to the
network that it was made in, whoever uses it. So one helper in the fabric (`spawner.namespaces`) makes sockets and
passes them on, a handful at a time, and the loop binds, connects and watches them like any other.

What the proxy relays for a pod comes from that pod's address, as upstream, where addresses are translated in packets.
Only what a pod sends to itself through a Service comes from the gateway: a pod takes no packet from its own address.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import socket
import sys
from collections import deque
from ipaddress import ip_address, ip_network

from minik8s.kubelet.runtime.processes import Spawner

BATCH = 8
"""Sockets that one request brings; what is left over is for the next to ask."""
ANSWER_SECONDS = 5.0
"""The loop waits for the helper (some 50 us); one that does not answer is an error, not a hang."""
RELAYED_PORTS = (61000, 65534)
"""The first and the last port of connections relayed under a pod's address: above those that pods' own begin at."""
_IP_BIND_ADDRESS_NO_PORT, _IP_LOCAL_PORT_RANGE = 24, 51
RESERVED = 1
"""Addresses at the beginning of the pods' range that are not for pods: the gateway."""


class PodNetwork:
    """Addresses of pods and Services, and sockets that reach them."""

    def __init__(self, spawner: Spawner, pod_cidr: str, service_cidr: str) -> None:
        self._spawner = spawner
        self._pods, self._services = ip_network(pod_cidr), ip_network(service_cidr)
        self.gateway = str(self._pods[RESERVED])
        self._control: socket.socket | None = None
        self._fabric = -1
        self._spare: dict[tuple[int, int], deque[socket.socket]] = {}

    async def open(self) -> None:
        """Makes the network. Raises OSError."""
        spec = {
            "gateway": self.gateway,
            "pods": str(self._pods),
            "ports": RELAYED_PORTS,
            "services": str(self._services),
        }
        self._control, (self._fabric,) = await self._spawner.make(b"f", spec)
        self._control.settimeout(ANSWER_SECONDS)

    def check(self) -> None:
        """Raises OSError when the fork server was killed: another has no power over what is left of this network."""
        poll = select.poll()
        if self._control is not None:
            poll.register(self._control, 0)
        if self._control is None or poll.poll(0):
            raise OSError("the process that held the pods' networks was killed; the cluster has to be started anew")

    def close(self) -> None:
        for spare in self._spare.values():
            for sock in spare:
                sock.close()
        self._spare.clear()
        if self._control is not None:
            self._control.close()
            os.close(self._fabric)
            self._control = None

    def has(self, address: str) -> bool:
        """Whether an address is a pod's or a Service's."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return parsed in self._pods or parsed in self._services

    def make_socket(self, address: str, family: int, kind: int, source: str = "") -> socket.socket:
        """A socket to be bound to `address` or connected to it: one of its network. Raises OSError.

        If `source` is another pod's address, it is that pod's as far as the peer can see; where the kernel does not
        have that, it is the gateway's.
        """
        if not self.has(address):
            return socket.socket(family, kind)
        spare = self._spare.setdefault((family, kind), deque())
        if not spare:
            spare.extend(self._request(family, kind))
        sock = spare.popleft()
        if source and source != address and source != self.gateway and ip_address(source) in self._pods:
            with contextlib.suppress(OSError):
                _take_address(sock, source)
        return sock

    def _request(self, family: int, kind: int) -> list[socket.socket]:
        if self._control is None:
            raise OSError("the pods' network is gone")
        self._control.send(marshal.dumps((int(family), int(kind), BATCH)))
        answer, made, _, _ = socket.recv_fds(self._control, 64, BATCH)
        if answer != b"0":
            number = int(answer or b"0")
            raise OSError(number, os.strerror(number) if number else "the pods' network is gone")
        return [socket.socket(fileno=fd) for fd in made]

    async def add_pod(self, address: str, hostname: str) -> list[int]:
        """Descriptors of a new pod's namespaces; without an address it has the host's network. Raises OSError."""
        spec = {"address": address, "gateway": self.gateway, "hostname": hostname}
        control, made = await self._spawner.make(b"p", spec, [self._fabric])
        control.close()
        return made


def _take_address(sock: socket.socket, address: str) -> None:
    """Binds an address that is a pod's; the kernel chooses the port when the peer is known. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    with contextlib.suppress(OSError):  # before Linux 6.3 it is the range of all sockets in the fabric
        first, last = RELAYED_PORTS
        sock.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, (last << 16 | first).to_bytes(4, sys.byteorder))
    sock.bind((address, 0))
