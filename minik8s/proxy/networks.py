"""Where the proxy's sockets come from: the machine's network, or also one that pods have of their own.

A socket belongs to the network that it was made in, so all that the proxy needs of a pods' network is sockets to bind
and to connect. ClusterIPs are addresses of that network then, and not of this machine: each gets an *alias*, the
loopback address with the same host part (10.96.0.10 is 127.96.0.10), so that Services answer on the machine as well.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from typing import Protocol

from minik8s.proxy.servicemap import Endpoint, Frontend, ServiceMap


class Sockets(Protocol):
    """Where sockets come from."""

    def __call__(
        self, address: str, family: int, kind: int, source: str = "", *, listening: bool = False
    ) -> socket.socket:
        """A socket to be connected to `address`, or bound to it to be `listening`; for whom, `source` says.

        Raises OSError.
        """


class Network(Protocol):
    """A network that pods have of their own."""

    @property
    def make_socket(self) -> Sockets:
        """Its sockets, and the machine's for other addresses."""

    @property
    def make_inside(self) -> Sockets:
        """Its sockets, whatever the address."""

    def is_node(self, address: str) -> bool:
        """Whether an address is a node's, where the proxy can listen."""

    def is_pod(self, address: str) -> bool:
        """Whether an address is one that pods have, now or another time."""

    async def filter(self, allows: Callable[[str, str, str, int], bool] | None) -> None:
        """Asks (source, destination, protocol, port) about each connection that pods begin by address, or no more.

        Raises OSError where the machine has not what it takes.
        """


def plain(address: str, family: int, kind: int, source: str = "", *, listening: bool = False) -> socket.socket:
    """A socket of the network that this process is in, under this machine's address."""
    return socket.socket(family, kind)


def to_endpoint(sockets: Sockets, endpoint: Endpoint, kind: int, client: str) -> socket.socket:
    """A non-blocking socket that is to be connected to an endpoint for a client's address. Raises OSError."""
    sock = sockets(endpoint.address, socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET, kind, client)
    sock.setblocking(False)
    return sock


def bind(host: str, port: int, family: int, kind: int, sockets: Sockets = plain) -> socket.socket:
    """A bound socket that does not listen. Raises OSError: EACCES, EADDRINUSE, EADDRNOTAVAIL."""
    sock = sockets(host, family, kind, listening=True)
    try:
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


Bind = Callable[[str, int, int, int], socket.socket]
"""(host, port, family, kind) -> a bound socket; raises OSError."""


def is_connected(sock: socket.socket) -> bool:
    """Whether a connection has been made."""
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def alias_of(address: str) -> str:
    """The loopback address that stands for a ClusterIP on the machine; "" for none (IPv6)."""
    parsed = ip_address(address)
    if not isinstance(parsed, IPv4Address):
        return ""
    return str(IPv4Address((127 << 24) | (int(parsed) & 0xFFFFFF)))


def with_aliases(services: ServiceMap) -> ServiceMap:
    """The map with an alias before each ClusterIP, where whoever asks for an address on this machine finds it.

    Load balancers' addresses are the machine's; pods find the same in their network.
    """
    result: ServiceMap = {}
    for frontend, port in services.items():
        if port.kind == "ClusterIP" and (alias := alias_of(frontend.address)):
            result[Frontend(frontend.protocol, alias, frontend.port)] = port
        result[frontend] = port
        if port.kind == "LoadBalancer":
            result[frontend._replace(inside=True)] = port
    return result
