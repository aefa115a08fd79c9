"""The TCP relay: connections between clients and endpoints; `side` carries the bytes, without looking at them.

Plain non-blocking sockets over a `Poller` instead of asyncio's transports, because a connection's cost is what a
Service adds to every request (poller.py has the figures), and because a half-close is then one `shutdown` call and no
transport's opinion. An endpoint is connected before the client's first byte is read, so trying another one loses
nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from errno import EINPROGRESS, EMFILE, ENFILE
from functools import partial
from typing import Protocol

from minik8s.clock import Clock, TimerHandle
from minik8s.logs import get_logger
from minik8s.proxy.networks import Bind, Sockets, bind, is_connected, plain, to_endpoint
from minik8s.proxy.poller import READ, WRITE, Poller
from minik8s.proxy.servicemap import Endpoint, Place
from minik8s.proxy.side import Side
from minik8s.proxy.splicing import Pipes

CONNECT_SECONDS = 5.0
"""How long an endpoint may take to answer before the next one is tried."""
ACCEPT_PAUSE_SECONDS = 1.0
"""How long no connection is accepted when the process has run out of descriptors (asyncio's own figure)."""
BACKLOG = 1024
ACCEPT_BATCH = 64
Choose = Callable[[str, list[Endpoint]], Endpoint | None]
"""(client address, endpoints already tried) -> the endpoint to connect to; None: nobody is (left) there."""


class Clients(Protocol):
    """What is known of those who connect, by their address."""

    def allows(self, client: str, protocol: str, endpoint: Endpoint) -> bool:
        """Whether a client may connect to an endpoint."""
        ...

    def place_of(self, client: str) -> Place | None:
        """Where a client is, None where that is not known."""
        ...


class Anybody:
    """Where pods share the machine's network, and their connections come from the machine."""

    def allows(self, client: str, protocol: str, endpoint: Endpoint) -> bool:
        return True

    def place_of(self, client: str) -> Place | None:
        return None


_log = get_logger(__name__)
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close answers with RST


class Connections:
    """Every relayed connection of a proxy, and what they share; they outlive the listeners that accepted them."""

    def __init__(self, poller: Poller, clock: Clock, sockets: Sockets = plain, clients: Clients | None = None) -> None:
        self.poller = poller
        self.clock = clock
        self.sockets = sockets
        self.clients = clients or Anybody()
        self.pipes = Pipes()
        self.living: set[Connection] = set()

    def close(self) -> None:
        """Ends all of them at once."""
        for connection in list(self.living):
            connection.abort()
        self.pipes.close()


class TcpListener:
    """A bound address that accepts connections while `listening` is on and refuses them while it is off."""

    def __init__(
        self, sock: socket.socket, connections: Connections, choose: Choose, binder: Bind | None = None
    ) -> None:
        """Takes over `sock`, which is bound and does not listen yet; `binder` made it."""
        self._bind = binder or partial(bind, sockets=connections.sockets)
        self._connections = connections
        self._choose = choose
        self._listening = False
        self._pause: TimerHandle | None = None
        self._take(sock)
        self.address: tuple[str, int] = sock.getsockname()[:2]

    def set_listening(self, on: bool) -> None:
        """Raises OSError when somebody else has taken the address meanwhile; established connections do not notice.

        A socket cannot stop listening, so turning it off puts another, merely bound one in its place: the address
        stays ours and the kernel refuses connections to it.
        """
        if on == self._listening:
            return
        if on:
            self._socket.listen(BACKLOG)
            self._watch()
        else:
            self.close()
            self._take(self._bind(*self.address, self._socket.family, socket.SOCK_STREAM))
        self._listening = on

    def _take(self, sock: socket.socket) -> None:
        self._socket = sock
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        if self._socket.fileno() >= 0:
            self._connections.poller.forget(self._socket.fileno())
            self._socket.close()

    def _watch(self) -> None:
        self._pause = None
        self._connections.poller.watch(self._socket.fileno(), READ, self._accept)

    def _accept(self, _events: int) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                client, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            client.setblocking(False)
            Connection(client, address[0], self._connections, self._choose).connect()

    def _rest(self, error: OSError) -> None:
        if error.errno not in (EMFILE, ENFILE):
            _log.warning("accept failed", address=self.address, error=str(error))
        else:
            _log.warning("out of file descriptors", address=self.address)
        self._connections.poller.forget(self._socket.fileno())
        self._pause = self._connections.clock.call_later(ACCEPT_PAUSE_SECONDS, self._watch)


class Connection:
    """A client, then a client and an endpoint, until both have said all they had to say."""

    __slots__ = ("_choose", "_client", "_connections", "_host", "_sides", "_timer", "_tried", "_upstream")

    def __init__(self, client: socket.socket, host: str, connections: Connections, choose: Choose) -> None:
        self._client = client
        self._host = host
        self._connections = connections
        self._choose = choose
        self._tried: list[Endpoint] = []
        self._upstream: socket.socket | None = None
        self._timer: TimerHandle | None = None
        self._sides: tuple[Side, Side] | None = None
        connections.living.add(self)

    def connect(self) -> None:
        """Tries endpoint after endpoint; the client is reset when none answers."""
        while (endpoint := self._choose(self._host, self._tried)) is not None:
            self._tried.append(endpoint)
            try:
                sock = self._upstream = to_endpoint(self._connections.sockets, endpoint, socket.SOCK_STREAM, self._host)
            except OSError as error:
                _log.warning("no socket for an endpoint", endpoint=endpoint, error=str(error))
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _start_connect(sock, endpoint):
                if is_connected(sock):  # over loopback usually at once
                    self._join()
                elif not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._connections.poller.watch(sock.fileno(), WRITE, self._answered)
                    self._timer = self._connections.clock.call_later(CONNECT_SECONDS, self._next)
                else:
                    sock.close()
                    continue
                return
            sock.close()
        self._upstream = None
        self.abort()

    def abort(self) -> None:
        """Ends the connection on both sides with a reset."""
        for sock in (self._client, self._upstream):
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Lets go of both sockets; harmless when that has happened."""
        self._stop_timer()
        for sock in (self._client, self._upstream):
            if sock is not None and sock.fileno() >= 0:
                self._connections.poller.forget(sock.fileno())
                sock.close()
        if self._sides is not None:  # they know each other: leave no cycle to the collector
            for side in self._sides:
                side.unlink()
            self._sides = None
        self._connections.living.discard(self)

    def _answered(self, _events: int) -> None:
        assert self._upstream is not None
        if is_connected(self._upstream):
            self._stop_timer()
            self._connections.poller.forget(self._upstream.fileno())
            self._join()
        elif self._upstream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._next()

    def _next(self) -> None:
        """Gives up on the endpoint that is being connected."""
        assert self._upstream is not None
        self._stop_timer()
        self._connections.poller.forget(self._upstream.fileno())
        self._upstream.close()
        self.connect()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _join(self) -> None:
        assert self._upstream is not None
        shared = self._connections
        near = Side(self._client, shared.poller, shared.pipes, self)
        far = Side(self._upstream, shared.poller, shared.pipes, self)
        near.peer, far.peer = far, near
        self._sides = (near, far)
        near.want(READ)
        far.want(READ)


def _start_connect(sock: socket.socket, endpoint: Endpoint) -> bool:
    try:
        return sock.connect_ex(endpoint) in (0, EINPROGRESS)
    except OSError:  # not an address
        return False
