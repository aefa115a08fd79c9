"""Health checks of Services with `externalTrafficPolicy: Local`: an HTTP answer by which load balancers choose nodes.

200 while this machine has a ready endpoint of the Service, 503 while it has none, whatever is asked. Upstream:
pkg/proxy/healthcheck/service_health.go.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from functools import partial

import attrs

from minik8s.clock import TimerHandle
from minik8s.proxy.poller import READ
from minik8s.proxy.relay import Connections
from minik8s.proxy.servicemap import ServicePort

BACKLOG = 64
ACCEPT_BATCH = 16
LONGEST_REQUEST = 8192
PATIENCE_SECONDS = 5.0
"""How long a client may take to ask."""
_END = b"\r\n\r\n"


def answer(port: ServicePort) -> bytes:
    """The response to every request."""
    count = len(port.endpoints)
    body = json.dumps(
        {
            "service": {"namespace": port.namespace, "name": port.service},
            "localEndpoints": count,
            "serviceProxyHealthy": True,
        },
        indent="\t",
    ).encode()
    head = (
        f"HTTP/1.1 {'200 OK' if count else '503 Service Unavailable'}\r\nContent-Type: application/json\r\n"
        f"X-Content-Type-Options: nosniff\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@attrs.frozen(eq=False)
class _Asker:
    timer: TimerHandle
    request: bytearray = attrs.field(factory=bytearray)


class HealthListener:
    """A bound address that answers every request and closes."""

    def __init__(self, sock: socket.socket, connections: Connections, port: Callable[[], ServicePort]) -> None:
        """Takes over `sock`, which is bound. Raises OSError."""
        sock.setblocking(False)
        sock.listen(BACKLOG)
        self._socket, self._connections, self._port = sock, connections, port
        self._askers: dict[socket.socket, _Asker] = {}
        self.address: tuple[str, int] = sock.getsockname()[:2]
        connections.poller.watch(sock.fileno(), READ, self._accept)

    def set_listening(self, on: bool) -> None:
        """It listens in any case: that nobody is there is what it has to say."""

    def close(self) -> None:
        for asker in list(self._askers):
            self._end(asker)
        if self._socket.fileno() >= 0:
            self._connections.poller.forget(self._socket.fileno())
            self._socket.close()

    def _accept(self, _events: int) -> None:
        for _ in range(ACCEPT_BATCH):
            try:
                asker, _address = self._socket.accept()
            except OSError:  # none left, gone again, or no descriptor: a load balancer asks again
                return
            asker.setblocking(False)
            timer = self._connections.clock.call_later(PATIENCE_SECONDS, partial(self._end, asker))
            self._askers[asker] = _Asker(timer)
            self._connections.poller.watch(asker.fileno(), READ, partial(self._asked, asker))

    def _asked(self, asker: socket.socket, _events: int) -> None:
        request = self._askers[asker].request
        try:
            data = asker.recv(LONGEST_REQUEST)
            request += data
            if data and _END not in request and len(request) < LONGEST_REQUEST:
                return
            if data:
                asker.send(answer(self._port()))  # shorter than any send buffer
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self._end(asker)

    def _end(self, asker: socket.socket) -> None:
        found = self._askers.pop(asker, None)
        if found is not None:
            found.timer.cancel()
            self._connections.poller.forget(asker.fileno())
            asker.close()
