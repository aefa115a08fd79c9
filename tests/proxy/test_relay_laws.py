"""Laws of a relayed connection, whatever its two ends do and in which order: what arrives is what was sent."""

import asyncio
import contextlib
import random
import socket

import anyio
import pytest

from minik8s.clock import RealClock
from minik8s.proxy.networks import bind
from minik8s.proxy.poller import LoopPoller, make_poller
from minik8s.proxy.relay import Connections, TcpListener
from minik8s.proxy.servicemap import Endpoint
from tests.proxy.world import open_descriptors

pytestmark = pytest.mark.anyio
RESET = b"\1\0\0\0\0\0\0\0"
STREAM = random.Random(1).randbytes(2**22)
RUNS, STEPS = 40, 12


class End:
    """A client or an endpoint: sends a known stream, remembers what it got, and how it ended."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sent = 0
        self.got = bytearray()
        self.shut = self.closed = self.at_end = False

    def send(self, size: int) -> None:
        if not self.shut and not self.closed:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self.sent += self.sock.send(STREAM[self.sent : self.sent + size])

    def read(self) -> None:
        if self.closed or self.at_end:
            return
        with contextlib.suppress(BlockingIOError):
            while data := self.sock.recv(2**18):
                self.got += data
            self.at_end = True

    def shutdown(self) -> None:
        if not self.shut and not self.closed:
            with contextlib.suppress(OSError):  # reset meanwhile
                self.sock.shutdown(socket.SHUT_WR)
            self.shut = True

    def close(self, *, reset: bool = False) -> None:
        if not self.closed:
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.sock.close()
            self.closed = True


async def pump(rounds: int) -> None:
    for _ in range(rounds):
        await anyio.lowlevel.checkpoint()


async def live(rng: random.Random, client: End, endpoint: End) -> None:
    """A dozen things that two ends may do."""
    for _ in range(STEPS):
        end = rng.choice((client, endpoint))
        match rng.randrange(12):
            case 0:
                end.shutdown()
            case 1 if rng.random() < 0.3:
                end.close(reset=rng.random() < 0.5)
            case 2 | 3 | 4:
                with contextlib.suppress(ConnectionError):
                    end.read()
            case _:
                end.send(rng.choice((1, 1000, 2**16, 2**20, 2**22)))
        await pump(rng.randrange(8))


async def finish(client: End, endpoint: End) -> bool:
    """Both end in an orderly way, if they have not ended yet; whether everything could be heard."""
    orderly = not client.closed and not endpoint.closed
    client.shutdown()
    endpoint.shutdown()
    while not all(end.at_end or end.closed for end in (client, endpoint)):
        for end in (client, endpoint):
            try:
                end.read()
            except ConnectionError:
                end.at_end = True
                orderly = False
        await pump(1)
    return orderly


@pytest.mark.parametrize("poller", [make_poller, LoopPoller])
async def test_what_arrives_is_what_was_sent(poller):
    """A prefix in any case, all of it when both ends are orderly; nothing is left of a connection that has ended."""
    before = open_descriptors()
    loop = asyncio.get_running_loop()
    connections = Connections(poller(loop), RealClock())
    heard = 0
    with anyio.fail_after(60), socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        endpoint_at = Endpoint(*server.getsockname())
        listener = TcpListener(
            bind("127.0.0.1", 0, socket.AF_INET, socket.SOCK_STREAM),
            connections,
            lambda _client, tried: None if tried else endpoint_at,
        )
        listener.set_listening(True)
        for seed in range(RUNS):
            rng = random.Random(seed)
            client = End(socket.create_connection(listener.address))
            accepted, _ = await loop.sock_accept(server)
            endpoint = End(accepted)
            for end in (client, endpoint):
                end.sock.setblocking(False)
            await live(rng, client, endpoint)
            orderly = await finish(client, endpoint)
            for end, other in ((client, endpoint), (endpoint, client)):
                assert STREAM.startswith(end.got), seed
                assert len(end.got) <= other.sent, seed
                assert not orderly or len(end.got) == other.sent, seed
            heard += orderly
            client.close()
            endpoint.close()
            while connections.living:
                await pump(1)
        listener.close()
        connections.close()
        connections.poller.close()
    assert 0 < heard < RUNS, "both kinds of end are tried"
    assert open_descriptors() == before
