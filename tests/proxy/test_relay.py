"""The TCP relay over real loopback sockets, on both pollers."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from minik8s.clock import RealClock
from minik8s.proxy.networks import bind
from minik8s.proxy.poller import LoopPoller, make_poller
from minik8s.proxy.relay import Connections, TcpListener
from minik8s.proxy.servicemap import Endpoint
from minik8s.proxy.splicing import SIZE

pytestmark = pytest.mark.anyio
LINUX = sys.platform == "linux"
POLLERS = pytest.mark.parametrize("poller", [make_poller, LoopPoller])
Server = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def backend(handler: Server) -> AsyncIterator[Endpoint]:
    """A TCP server; every handler it started is over when the context ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint(*server.sockets[0].getsockname()[:2])
    finally:
        server.close()


@asynccontextmanager
async def relay(poller, *endpoints: Endpoint) -> AsyncIterator[tuple[TcpListener, Connections]]:
    """A listening relay that tries the endpoints in order, and nothing left of it afterwards."""
    with anyio.fail_after(10):
        connections = Connections(poller(asyncio.get_running_loop()), RealClock())
        listener = TcpListener(
            bind("127.0.0.1", 0, socket.AF_INET, socket.SOCK_STREAM),
            connections,
            lambda _client, tried: next((e for e in endpoints if e not in tried), None),
        )
        listener.set_listening(True)
        try:
            yield listener, connections
        finally:
            listener.close()
            connections.close()
            connections.poller.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it gets, until the end."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def nobody() -> Endpoint:
    """An address that refuses connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Endpoint(*sock.getsockname())


@POLLERS
async def test_bytes_pass_both_ways_until_both_have_ended(poller):
    """What a client sends arrives, what the endpoint answers comes back, and the connection is gone after both ends."""
    async with backend(echo) as endpoint, relay(poller, endpoint) as (listener, connections):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
        assert not connections.living


@POLLERS
async def test_a_client_that_has_ended_still_gets_its_answer(poller):
    """Half-close is relayed: the endpoint sees the end of the request and answers after it."""

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"%d" % len(await reader.read()))

    async with backend(count) as endpoint, relay(poller, endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000"
        writer.close()


@POLLERS
async def test_an_endpoint_that_has_ended_still_gets_the_rest(poller):
    """Half-close is relayed in the other direction too."""
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def greet_and_listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.write_eof()
        received.set_result(await reader.read())

    async with backend(greet_and_listen) as endpoint, relay(poller, endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        assert await reader.read() == b"bye"
        writer.write(b"late")
        writer.write_eof()
        assert await received == b"late"
        writer.close()


@POLLERS
async def test_a_slow_receiver_slows_the_sender_and_loses_nothing(poller):
    """With nobody reading, the relay takes a bounded amount; once reading starts, every byte arrives in order."""
    payload = bytes(range(256)) * 4096 * 16  # 16 MiB, more than all buffers between the two hold
    async with backend(echo) as endpoint, relay(poller, endpoint) as (listener, connections):
        reader, writer = await asyncio.open_connection(*listener.address, limit=65536)
        writer.write(payload)
        await anyio.wait_all_tasks_blocked()
        (connection,) = connections.living
        held = sum(len(side.pending or b"") for side in connection._sides)
        assert held <= 2 * SIZE
        received = await reader.readexactly(len(payload))
        assert received == payload
        assert len(connections.pipes) in ((1, 2) if LINUX else (0,)), "bulk goes by pipes, one a direction"
        writer.close()


@POLLERS
async def test_a_refusing_endpoint_is_passed_over(poller):
    """A connection that one endpoint refuses is made to the next, and the client notices nothing."""
    async with backend(echo) as endpoint, relay(poller, nobody(), nobody(), endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"hi")
        assert await reader.readexactly(2) == b"hi"
        writer.close()


@POLLERS
async def test_when_every_endpoint_refuses_the_client_is_reset(poller):
    """The client is not left hanging and not told a clean end."""
    async with relay(poller, nobody()) as (listener, connections):
        with socket.create_connection(listener.address) as client:
            client.setblocking(False)
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_recv(client, 1)
        assert not connections.living


@POLLERS
async def test_a_reset_is_passed_on(poller):
    """An endpoint that aborts makes the client see an abort, not an end of data."""

    async def abort(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with backend(abort) as endpoint, relay(poller, endpoint) as (listener, connections):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        assert not connections.living


@POLLERS
async def test_what_an_endpoint_said_before_it_stopped_listening_is_delivered(poller):
    """An answer to half a request reaches the client although the rest of the request cannot be delivered."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"too large")
        await writer.drain()

    async with backend(refuse) as endpoint, relay(poller, endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"x")
        assert await reader.readexactly(9) == b"too large"
        writer.close()


@POLLERS
async def test_a_listener_that_is_off_refuses_and_comes_back(poller):
    """Off, connections are refused at the same address while established ones go on; on again, they are accepted."""
    async with backend(echo) as endpoint, relay(poller, endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        listener.set_listening(False)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*listener.address)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        listener.set_listening(True)
        _, other = await asyncio.open_connection(*listener.address)
        other.close()
        writer.close()


@POLLERS
async def test_closing_the_listener_leaves_established_connections_alone(poller):
    """A removed Service refuses new connections and lets the old ones finish."""
    async with backend(echo) as endpoint, relay(poller, endpoint) as (listener, _):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*listener.address)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        writer.close()


@POLLERS
async def test_closing_the_connections_resets_every_client(poller):
    """At the end nothing is left open."""
    async with backend(echo) as endpoint, relay(poller, endpoint) as (listener, connections):
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(b"1")
        assert await reader.readexactly(1) == b"1"
        connections.close()
        assert not connections.living
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_an_endpoint_that_never_answers_is_given_up():
    """An endpoint whose accept queue is full costs the connect time-out and then the next one is tried."""

    class Impatient(RealClock):
        def call_later(self, seconds, callback):
            return super().call_later(0.01, callback)

    with anyio.fail_after(10), socket.socket() as full, socket.socket() as filler, socket.socket() as more:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for sock in (filler, more):
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        async with backend(echo) as endpoint:
            connections = Connections(make_poller(asyncio.get_running_loop()), Impatient())
            order = [Endpoint(*full.getsockname()), endpoint]
            listener = TcpListener(
                bind("127.0.0.1", 0, socket.AF_INET, socket.SOCK_STREAM),
                connections,
                lambda _client, tried: next((e for e in order if e not in tried), None),
            )
            listener.set_listening(True)
            reader, writer = await asyncio.open_connection(*listener.address)
            writer.write(b"hi")
            assert await reader.readexactly(2) == b"hi"
            writer.close()
            listener.close()
            connections.close()
            connections.poller.close()
