"""One frontend that is kept open: its listener, its ring of endpoints, and what is wrong when it cannot be had.

Binding an address is where user space shows: a port may be privileged, taken, or the address not this machine's. Then
the frontend gets a stand-in on 127.0.0.1 and says so; it never pretends.
"""

from __future__ import annotations

import socket
from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, EPERM
from ipaddress import ip_address
from pathlib import Path
from typing import TypeAlias

import attrs

from minik8s.proxy.balancer import Balancer
from minik8s.proxy.datagrams import UdpListener
from minik8s.proxy.health import HealthListener
from minik8s.proxy.networks import Bind, bind, is_connected, plain
from minik8s.proxy.relay import Connections, TcpListener
from minik8s.proxy.servicemap import Endpoint, Frontend, Place, ServicePort, endpoints_for

STAND_IN_HOST = "127.0.0.1"
KINDS = {"TCP": socket.SOCK_STREAM, "UDP": socket.SOCK_DGRAM}

Listener: TypeAlias = TcpListener | UdpListener | HealthListener


@attrs.frozen
class Status:
    """What became of a frontend. `address` is where it answers: its own, its stand-in's, or None (nowhere)."""

    frontend: Frontend
    port: ServicePort
    address: tuple[str, int] | None
    problem: str = ""


class Served:
    """Open as long as its Service wants it; `problem` is "" while the frontend itself is served."""

    def __init__(self, frontend: Frontend, port: ServicePort, connections: Connections, binder: Bind = bind) -> None:
        self.frontend = frontend
        self.port = port
        self.problem = ""
        self._connections = connections
        self._bind = binder
        self._balancer = Balancer(port.endpoints, port.affinity)
        self._balancers: dict[Place, Balancer] = {}
        self._listener: Listener | None = None

    @property
    def status(self) -> Status:
        address = None if self._listener is None else self._listener.address
        return Status(self.frontend, self.port, address, self.problem)

    @property
    def is_foreign(self) -> bool:
        """Whether the frontend is an address of somebody else, of which there is nothing to complain.

        A loopback address is never somebody else's, even where only 127.0.0.1 can be bound.
        """
        outside = self.port.kind in ("LoadBalancer", "ExternalIP") and self.problem == NOT_LOCAL
        return outside and not ip_address(self.frontend.address).is_loopback

    @property
    def is_early(self) -> bool:
        """Whether nobody listens behind a host port yet: soon there will be."""
        return self.problem == NOT_YET

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to tell anybody."""
        return not self.problem or self.is_foreign or self.is_early

    def open(self, taken_by: str = "") -> None:
        """Tries to serve the frontend itself; `problem` says whether that went well, and a stand-in serves if not.

        `taken_by` names who holds the address, in which case it is not tried.
        """
        if taken_by:
            self._fail(f"the address is taken by {taken_by}")
            return
        if self.frontend.protocol not in KINDS:
            self.problem = f"{self.frontend.protocol} is not relayed"
            return
        if self.port.kind == "HostPort" and (problem := self._collision()):
            self.problem = problem
            return
        try:
            listener = self._listen(self.frontend.address, self.frontend.port)
        except OSError as error:
            if error.errno == EADDRINUSE and self._is_own_port:
                self.problem = ""  # its process listens on every address of the machine
                return
            self._fail(explain(error, self.frontend))
            return
        self.close()
        self._listener, self.problem = listener, ""

    def update(self, port: ServicePort) -> None:
        """Takes other endpoints; established TCP connections keep theirs."""
        self.port = port
        self._balancer.update(port.endpoints, port.affinity)
        for place, balancer in self._balancers.items():
            balancer.update(endpoints_for(port, place), port.affinity)
        if isinstance(self._listener, UdpListener):
            self._listener.keep_only(self._balancer.__contains__)
        if self._listener is not None:
            try:
                self._listener.set_listening(bool(port.endpoints))
            except OSError as error:  # somebody else took the address while there was nobody to listen for
                self.close()
                self._fail(explain(error, self.frontend))

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _fail(self, problem: str) -> None:
        self.problem = problem
        if self._listener is None and not self.is_foreign and not self.frontend.inside:
            try:
                self._listener = self._listen(STAND_IN_HOST, 0)
            except OSError as error:
                self.problem = f"{problem}; {STAND_IN_HOST}: {error.strerror}"

    def _listen(self, host: str, port: int) -> Listener:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = self._bind(host, port, family, KINDS[self.frontend.protocol])
        connections = self._connections
        if self.port.kind == "HealthCheck":
            return HealthListener(sock, connections, lambda: self.port)
        listener: Listener
        if self.frontend.protocol == "UDP":
            listener = UdpListener(
                sock, connections.poller, connections.clock, self._choose, connections.sockets, self._bind
            )
        else:
            listener = TcpListener(sock, connections, self._choose, self._bind)
        try:
            listener.set_listening(bool(self.port.endpoints))
        except OSError:
            listener.close()
            raise
        return listener

    def _choose(self, client: str, tried: list[Endpoint]) -> Endpoint | None:
        if self.port.sources and not any(ip_address(client) in network for network in self.port.sources):
            return None
        balancer, clients = self._balancer_for(client), self._connections.clients
        endpoint = balancer.pick(client, self._connections.clock.monotonic(), tried)
        if endpoint is None or clients.allows(client, self.frontend.protocol, endpoint):
            return endpoint
        return None

    def _balancer_for(self, client: str) -> Balancer:
        """The ring that is for the client's place, where places differ and it is known."""
        if not self.port.candidates or (place := self._connections.clients.place_of(client)) is None:
            return self._balancer
        found = self._balancers.get(place)
        if found is None:
            found = self._balancers[place] = Balancer(endpoints_for(self.port, place), self.port.affinity)
        return found

    @property
    def _is_own_port(self) -> bool:
        """Whether a pod that shares the machine's network asks for the port that it listens on."""
        return (
            self.port.kind == "HostPort"
            and self._connections.sockets is plain
            and self.port.endpoints[0].port == self.frontend.port
        )

    def _collision(self) -> str:
        """Why a host port is not to be taken yet: a process without a network of its own may be about to bind it."""
        if not self._is_own_port:
            return ""
        if self.frontend.protocol == "UDP":
            return "a pod without a network of its own may bind it itself"
        with plain(STAND_IN_HOST, socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(self.port.endpoints[0])
            except BlockingIOError:
                pass
            except OSError:
                return NOT_YET
            return "" if is_connected(probe) else NOT_YET


NOT_YET = "nobody listens behind it yet"
NOT_LOCAL = "it is not an address of this machine"


def explain(error: OSError, frontend: Frontend) -> str:
    """Why an address could not be bound, in words that say what to do about it."""
    if error.errno == EADDRNOTAVAIL:
        return NOT_LOCAL
    if error.errno == EADDRINUSE:
        return "another process listens there"
    if error.errno in (EACCES, EPERM):
        start = _first_unprivileged_port()
        if frontend.port < start:
            return (
                f"ports below {start} need a privilege that this process does not have"
                f" (sysctl net.ipv4.ip_unprivileged_port_start={frontend.port} gives it to everybody)"
            )
    return error.strerror or str(error)


def _first_unprivileged_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):  # not Linux
        return 1024
