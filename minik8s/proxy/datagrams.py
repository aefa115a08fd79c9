"""The UDP relay: a flow per client address, because datagrams have no connection to tie them together.

A flow is what the kernel's connection tracking would remember: a socket connected to one endpoint, through which the
answers come back. It ends when it has been idle for `IDLE_SECONDS`, when its endpoint is gone, and, so that a flood
of client ports cannot exhaust descriptors, when `MAX_FLOWS` others are fresher.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from minik8s.clock import Clock, TimerHandle
from minik8s.proxy.networks import Bind, Sockets, bind, plain, to_endpoint
from minik8s.proxy.poller import READ, Poller
from minik8s.proxy.servicemap import Endpoint

IDLE_SECONDS = 30.0
"""Linux' nf_conntrack_udp_timeout."""
MAX_FLOWS = 1024
BATCH = 64
LARGEST = 65535

Client = tuple[Any, ...]
"""A socket address as the kernel gives it: (host, port) or IPv6's four values."""
Choose = Callable[[str, list[Endpoint]], Endpoint | None]
"""As for TCP: (client address, endpoints already tried) -> endpoint or None."""


@attrs.define(eq=False)
class _Flow:
    client: Client
    endpoint: Endpoint
    socket: socket.socket
    used: float


class UdpListener:
    """A bound address whose datagrams go to endpoints and whose endpoints' answers go back."""

    def __init__(
        self,
        sock: socket.socket,
        poller: Poller,
        clock: Clock,
        choose: Choose,
        sockets: Sockets = plain,
        binder: Bind | None = None,
    ) -> None:
        """Takes over `sock`, which is bound; `binder` made it."""
        self._bind = binder or partial(bind, sockets=sockets)
        sock.setblocking(False)
        self._sockets = sockets
        self._socket = sock
        self._listening = True
        self._poller = poller
        self._clock = clock
        self._choose = choose
        self._flows: OrderedDict[Client, _Flow] = OrderedDict()  # least recently used first
        self._timer: TimerHandle | None = None
        self.address: tuple[str, int] = sock.getsockname()[:2]
        poller.watch(sock.fileno(), READ, self._from_clients)

    def __len__(self) -> int:
        """The number of flows."""
        return len(self._flows)

    def keep_only(self, endpoints: Callable[[Endpoint], bool]) -> None:
        """Ends the flows to endpoints that are no more, as kube-proxy clears their connection tracking entries."""
        for flow in list(self._flows.values()):
            if not endpoints(flow.endpoint):
                self._end(flow)

    def set_listening(self, on: bool) -> None:
        """Raises OSError when somebody else has taken the address meanwhile.

        Off, the socket is connected to itself: the kernel answers everybody else that nobody is there, at once.
        """
        if on == self._listening:
            return
        self.close()
        self._socket = self._bind(*self.address, self._socket.family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        if on:
            self._poller.watch(self._socket.fileno(), READ, self._from_clients)
        else:
            self._socket.connect(self._socket.getsockname())
        self._listening = on

    def close(self) -> None:
        for flow in list(self._flows.values()):
            self._end(flow)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket.fileno() >= 0:
            self._poller.forget(self._socket.fileno())
            self._socket.close()

    def _from_clients(self, _events: int) -> None:
        for _ in range(BATCH):
            try:
                data, client = self._socket.recvfrom(LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # an ICMP error for an earlier answer
                continue
            flow = self._flows.get(client) or self._begin(client)
            if flow is None:
                continue  # nobody is there: the datagram is lost, as datagrams may be
            self._flows.move_to_end(client)
            flow.used = self._clock.monotonic()
            try:
                flow.socket.send(data)
            except (BlockingIOError, InterruptedError):
                continue
            except OSError:
                self._end(flow)

    def _begin(self, client: Client) -> _Flow | None:
        endpoint = self._choose(client[0], [])
        if endpoint is None:
            return None
        try:
            sock = to_endpoint(self._sockets, endpoint, socket.SOCK_DGRAM, client[0])
        except OSError:
            return None
        try:
            sock.connect(endpoint)
        except OSError:
            sock.close()
            return None
        if len(self._flows) >= MAX_FLOWS:
            self._end(next(iter(self._flows.values())))
        flow = self._flows[client] = _Flow(client, endpoint, sock, self._clock.monotonic())
        self._poller.watch(sock.fileno(), READ, lambda _events: self._from_endpoint(flow))
        if self._timer is None:
            self._timer = self._clock.call_later(IDLE_SECONDS, self._sweep)
        return flow

    def _from_endpoint(self, flow: _Flow) -> None:
        for _ in range(BATCH):
            try:
                data = flow.socket.recv(LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # "port unreachable": the client's next datagram begins a new flow
                self._end(flow)
                return
            flow.used = self._clock.monotonic()
            self._flows.move_to_end(flow.client)
            try:
                self._socket.sendto(data, flow.client)
            except OSError:
                return  # the client is not reachable now; datagrams may be lost

    def _sweep(self) -> None:
        """One timer per listener, armed for the time at which its oldest flow may end."""
        self._timer = None
        now = self._clock.monotonic()
        while self._flows:
            oldest = next(iter(self._flows.values()))
            remaining = oldest.used + IDLE_SECONDS - now
            if remaining > 0:
                self._timer = self._clock.call_later(remaining, self._sweep)
                return
            self._end(oldest)

    def _end(self, flow: _Flow) -> None:
        if self._flows.pop(flow.client, None) is None:
            return
        self._poller.forget(flow.socket.fileno())
        flow.socket.close()
