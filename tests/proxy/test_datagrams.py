"""The UDP relay over real loopback sockets, with a clock under the test's control."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from minik8s.clock import RealClock
from minik8s.proxy import datagrams
from minik8s.proxy.datagrams import IDLE_SECONDS, UdpListener
from minik8s.proxy.poller import make_poller
from minik8s.proxy.relay import bind
from minik8s.proxy.servicemap import Endpoint
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio


@contextmanager
def udp() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@contextmanager
def relay(clock: RealClock, *pods: socket.socket) -> Iterator[UdpListener]:
    """Pods take turns."""
    turns = iter([Endpoint(*pod.getsockname()) for pod in pods] * 100)
    poller = make_poller(asyncio.get_running_loop())
    sock = bind("127.0.0.1", 0, socket.AF_INET, socket.SOCK_DGRAM)
    listener = UdpListener(sock, poller, clock, lambda _client, _tried: next(turns, None))
    yield listener
    listener.close()
    poller.close()


async def receive(sock: socket.socket) -> tuple[bytes, Any]:
    with anyio.fail_after(5):
        return await asyncio.get_running_loop().sock_recvfrom(sock, 65535)


async def test_datagrams_go_to_one_endpoint_and_answers_come_back():
    """A client's datagrams form a flow to one endpoint, whose answers come from the address the client sent to."""
    with udp() as one, udp() as two, udp() as client, relay(RealClock(), one, two) as listener:
        for payload in (b"a", b"", b"b" * 9000):
            client.sendto(payload, listener.address)
            data, flow = await receive(one)
            assert data == payload
            one.sendto(b"re:" + data, flow)
            assert await receive(client) == (b"re:" + payload, listener.address)
        assert len(listener) == 1


async def test_every_client_has_a_flow_of_its_own():
    """Two clients are balanced separately and get their own answers."""
    with udp() as one, udp() as two, udp() as x, udp() as y, relay(RealClock(), one, two) as listener:
        x.sendto(b"x", listener.address)
        assert (await receive(one))[0] == b"x"
        y.sendto(b"y", listener.address)
        data, flow = await receive(two)
        two.sendto(data, flow)
        assert (await receive(y))[0] == b"y"


async def test_an_idle_flow_ends_and_a_used_one_does_not():
    """After the idle time a client's next datagram is balanced anew; traffic in either direction prolongs a flow."""
    clock = ManualClock()
    with udp() as one, udp() as two, udp() as client, relay(clock, one, two) as listener:
        client.sendto(b"1", listener.address)
        _, flow = await receive(one)
        clock.advance(IDLE_SECONDS - 1)
        one.sendto(b"late answer", flow)
        await receive(client)
        clock.advance(IDLE_SECONDS - 1)
        assert len(listener) == 1
        clock.advance(1)
        assert len(listener) == 0
        assert not clock.pending
        client.sendto(b"2", listener.address)
        assert (await receive(two))[0] == b"2"


async def test_flows_to_endpoints_that_are_gone_end():
    """A client that keeps sending from one port is moved to a living endpoint."""
    with udp() as one, udp() as two, udp() as client, relay(RealClock(), one, two) as listener:
        client.sendto(b"1", listener.address)
        await receive(one)
        listener.keep_only(lambda endpoint: endpoint == Endpoint(*two.getsockname()))
        client.sendto(b"2", listener.address)
        assert (await receive(two))[0] == b"2"


async def test_a_refusing_endpoint_loses_its_flow():
    """A "port unreachable" ends the flow, so that the next datagram goes elsewhere."""
    with udp() as dead, udp() as alive, udp() as client, relay(RealClock(), dead, alive) as listener:
        dead.close()
        client.sendto(b"lost", listener.address)
        with anyio.fail_after(5):
            while not len(listener):
                await anyio.lowlevel.checkpoint()
            while len(listener):
                await anyio.lowlevel.checkpoint()
        client.sendto(b"2", listener.address)
        assert (await receive(alive))[0] == b"2"


async def test_without_endpoints_datagrams_are_lost():
    """Nobody to send to: no flow and no error."""
    with udp() as client, relay(RealClock()) as listener:
        client.sendto(b"1", listener.address)
        await anyio.wait_all_tasks_blocked()
        assert len(listener) == 0


async def test_the_least_recently_used_flow_gives_way(monkeypatch):
    """A flood of client ports cannot exhaust descriptors: the number of flows is bounded."""
    monkeypatch.setattr(datagrams, "MAX_FLOWS", 2)
    with udp() as one, udp() as x, udp() as y, udp() as z, relay(RealClock(), one) as listener:
        flows = {}
        for client in (x, y, x, z):
            client.sendto(b"?", listener.address)
            flows[client] = (await receive(one))[1]
        assert len(listener) == 2
        for client in (x, z):
            one.sendto(b"!", flows[client])
            assert (await receive(client))[0] == b"!"
