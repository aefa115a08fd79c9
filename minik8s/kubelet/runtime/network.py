"""The pods' network of the sandbox runtime, as the host's process sees it: where sockets come from.

The process cannot enter a network that its own user namespace does not own, and need not: a socket belongs to the
network that it was made in, whoever uses it. So one helper in the fabric (`spawner.namespaces`) makes sockets and
passes them on, a handful at a time, and the loop binds, connects and watches them like any other. It is replaced when
it is killed, and the networks outlive it: this process holds them.

What the proxy relays for a pod comes from that pod's address, as upstream, where addresses are translated in packets.
Only what a pod sends to itself through a Service comes from the gateway: a pod takes no packet from its own address.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import select
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

import anyio

from minik8s.clock import Clock
from minik8s.config import BALANCERS, SANDBOX_NODES
from minik8s.kubelet.runtime.packetfilter import NETLINK, Allows, PacketFilter
from minik8s.kubelet.runtime.processes import Spawner
from minik8s.kubelet.runtime.wayout import WayOut
from minik8s.logs import get_logger

BATCH = 8
"""Sockets that one request brings; what is left over is for the next to ask."""
ANSWER_SECONDS = 5.0
"""The loop waits for the helper (some 50 us); one that does not answer is an error, not a hang."""
RETRY_SECONDS = 1.0
RELAYED_PORTS = (61000, 65534)
"""The first and the last port of connections relayed under a pod's address: above those that pods' own begin at."""
_IP_BIND_ADDRESS_NO_PORT, _IP_LOCAL_PORT_RANGE = 24, 51
RESERVED = 255
"""Addresses at the beginning of the pods' range that are not for pods: `Plan` says for what."""

_log = get_logger(__name__)


class Plan:
    """Who has which address: the first is the gateway's, the next are nodes', then come the way out's, then pods'.

    `machine` is this machine where there is a way out, `resolver` a name server that asks the machine's own.
    """

    def __init__(self, pod_cidr: str) -> None:
        self.pods = IPv4Network(pod_cidr)
        self.gateway = str(self.pods[1])
        outside = IPv4Network((self.pods[128], 25))  # slirp4netns takes no less, and chooses the second and the third
        self.outside, self.machine, self.resolver = str(outside), str(outside[2]), str(outside[3])

    def node(self, index: int) -> str:
        """The address of one of so many nodes. Raises OSError when there is none left."""
        if index >= SANDBOX_NODES:
            raise OSError(f"the pods' network has addresses for {SANDBOX_NODES} nodes only")
        return str(self.pods[2 + index])


class NodeNetwork:
    """A node in the pods' network: its address, and the network and host name that pods with hostNetwork share."""

    def __init__(self, network: PodNetwork, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._network = network
        self._namespaces: list[int] = []

    async def open(self) -> None:
        """Makes it, once. Raises OSError."""
        if not self._namespaces:
            self._namespaces = await self._network.add_pod(self.address, self.name, ipc=False)

    def namespaces(self) -> list[int]:
        """Descriptors of its host name and its network, for somebody else to close. Raises OSError."""
        return [os.dup(fd) for fd in self._namespaces]

    def bindable(self, family: int, kind: int) -> socket.socket:
        """A socket of the node's own. Raises OSError."""
        if not self._namespaces:
            raise OSError(f'node "{self.name}" has no network yet')
        return self._network.socket_in(self._namespaces[-1], family, kind)

    def reach(self, address: str, family: int, kind: int) -> socket.socket:
        """A socket that reaches what the node reaches: by a loopback address itself. Raises OSError."""
        if ip_address(address).is_loopback:
            return self.bindable(family, kind)
        return self._network.make_socket(address, family, kind)

    def close(self) -> None:
        while self._namespaces:
            os.close(self._namespaces.pop())


class PodNetwork:
    """Addresses of pods, nodes and Services, and sockets that reach them."""

    def __init__(self, spawner: Spawner, pod_cidr: str, service_cidr: str, balancers: str = BALANCERS) -> None:
        """`balancers` are load balancers' addresses, which are this machine's and which pods are to reach as well."""
        self.plan = Plan(pod_cidr)
        self._balancers = balancers
        self._spawner = spawner
        self._services = ip_network(service_cidr)
        self._control: socket.socket | None = None
        self._fabric = -1
        self._any_address = False
        self._nodes: dict[str, NodeNetwork] = {}
        self._spare: dict[tuple[int, int], deque[socket.socket]] = {}
        self._lock = anyio.Lock()
        self._lost = anyio.Event()
        self._way_out: WayOut | None = None
        self.why_closed = "it has not been opened"
        """Why pods do not reach hosts outside; "" when they do."""
        self._filter = PacketFilter(self._run, lambda: self._request(*NETLINK, 1)[0])

    async def open(self) -> None:
        """Makes the network, or gets the helper back that was lost. Raises OSError."""
        async with self._lock:
            if self._control is not None:
                poll = select.poll()
                poll.register(self._control, 0)
                if not poll.poll(0):
                    return
                self._lose()  # before the loop has noticed
            spec = {
                "gateway": self.plan.gateway,
                "pods": str(self.plan.pods),
                "ports": RELAYED_PORTS,
                "services": str(self._services),
                "balancers": self._balancers,
                "any_address": self._any_address,
            }
            known = [self._fabric] if self._fabric >= 0 else []
            made = await self._spawner.make(b"f", spec, known)
            [fabric] = made.fds
            if known:
                os.close(fabric)
            else:
                self._fabric, self._any_address = fabric, made.note == b"1"
            self._control = made.control
            self._control.settimeout(ANSWER_SECONDS)
            self._lost = anyio.Event()
            asyncio.get_running_loop().add_reader(self._control.fileno(), self._lose)

    async def filter(self, allows: Allows | None) -> None:
        """Asks about each connection that pods begin by address, or does not any more. Raises OSError."""
        await self._filter.set(allows)

    async def _run(self, argv: Sequence[str], text: str) -> None:
        made = await self._spawner.make(b"r", {"argv": list(argv), "text": text}, [self._fabric])
        made.control.close()

    async def open_way_out(self) -> None:
        """Lets pods reach hosts outside, where this machine has what it takes."""
        self._way_out = WayOut(self._fabric, self._spawner.users, self.plan.outside)
        try:
            await self._way_out.open()
            self.why_closed = ""
        except OSError as error:
            self._way_out.close()
            self.why_closed = str(error)

    async def run(self, clock: Clock) -> None:
        """Replaces what is lost, until cancelled."""
        async with anyio.create_task_group() as group:
            if self._way_out is not None and not self.why_closed:
                group.start_soon(self._way_out.run, clock, name="way out")
            await self._keep_helper(clock)

    async def _keep_helper(self, clock: Clock) -> None:
        while True:
            await self._lost.wait()
            try:
                await self.open()
            except OSError as error:
                _log.warning("the pods' network cannot be had back yet", error=str(error))
                await clock.sleep(RETRY_SECONDS)

    def _lose(self) -> None:
        """The helper has ended, or does not keep to the protocol. Sockets that it made are good as ever."""
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
            self._lost.set()

    def close(self) -> None:
        if self._way_out is not None:
            self._way_out.close()
        self._filter.close()
        self._lose()
        for spare in self._spare.values():
            for sock in spare:
                sock.close()
        self._spare.clear()
        for node in self._nodes.values():
            node.close()
        if self._fabric >= 0:
            os.close(self._fabric)
            self._fabric = -1

    def node(self, name: str) -> NodeNetwork:
        """A node's part, to be opened. Raises OSError when there are too many."""
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = NodeNetwork(self, name, self.plan.node(len(self._nodes)))
        return found

    def is_node(self, address: str) -> bool:
        """Whether an address is that of a node of this network."""
        return any(node.address == address for node in self._nodes.values())

    def is_pod(self, address: str) -> bool:
        """Whether an address is one that pods of this network have."""
        parsed = ip_address(address)
        return isinstance(parsed, IPv4Address) and parsed in self.plan.pods and parsed > self.plan.pods[RESERVED]

    def has(self, address: str) -> bool:
        """Whether an address is a pod's, a node's or a Service's."""
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return parsed in self.plan.pods or parsed in self._services

    def make_socket(
        self, address: str, family: int, kind: int, source: str = "", *, listening: bool = False
    ) -> socket.socket:
        """A socket to be connected to `address`, or bound to it if it is to be `listening`. Raises OSError.

        If `source` is another pod's address, it is that pod's as far as the peer can see; where the kernel does not
        have that, it is the gateway's.
        """
        if not self.has(address):
            return socket.socket(family, kind)
        if listening:
            for node in self._nodes.values():
                if node.address == address:
                    return node.bindable(family, kind)
        return self.make_inside(address, family, kind, source)

    def make_inside(
        self, address: str, family: int, kind: int, source: str = "", *, listening: bool = False
    ) -> socket.socket:
        """The same, of the pods' network whatever the address."""
        spare = self._spare.setdefault((family, kind), deque())
        if not spare:
            spare.extend(self._request(family, kind, 0, BATCH))
        sock = spare.popleft()
        if source and source not in (address, self.plan.gateway) and ip_address(source) in self.plan.pods:
            with contextlib.suppress(OSError):
                _take_address(sock, source)
        return sock

    def socket_in(self, namespace: int, family: int, kind: int) -> socket.socket:
        """A socket of the network behind a descriptor. Raises OSError."""
        return self._request(family, kind, 0, 1, [namespace])[0]

    def _request(
        self, family: int, kind: int, protocol: int, count: int, network: Sequence[int] = ()
    ) -> list[socket.socket]:
        if self._control is None:
            raise OSError("the process that makes the pods' sockets was lost")
        try:
            socket.send_fds(self._control, [marshal.dumps((int(family), int(kind), protocol, count))], network)
            answer, made, _, _ = socket.recv_fds(self._control, 64, BATCH)
        except OSError:
            self._lose()
            raise
        if answer != b"0":
            number = int(answer or b"0")
            raise OSError(number, os.strerror(number) if number else "the process that makes the pods' sockets ended")
        return [socket.socket(fileno=fd) for fd in made]

    async def add_pod(
        self, address: str, hostname: str, sysctls: Mapping[str, str] | None = None, *, ipc: bool = True
    ) -> list[int]:
        """Descriptors of a new pod's namespaces: ipc if it is wanted, and with an address host name and network.

        Raises OSError.
        """
        await self.open()
        spec = {
            "address": address,
            "gateway": self.plan.gateway,
            "hostname": hostname,
            "balancers": self._balancers,
            "ipc": ipc,
            "sysctls": dict(sysctls or {}),
        }
        made = await self._spawner.make(b"p", spec, [self._fabric])
        made.control.close()
        return made.fds


def _take_address(sock: socket.socket, address: str) -> None:
    """Binds an address that is a pod's; the kernel chooses the port when the peer is known. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    with contextlib.suppress(OSError):  # before Linux 6.3 it is the range of all sockets in the fabric
        first, last = RELAYED_PORTS
        sock.setsockopt(socket.IPPROTO_IP, _IP_LOCAL_PORT_RANGE, (last << 16 | first).to_bytes(4, sys.byteorder))
    sock.bind((address, 0))
