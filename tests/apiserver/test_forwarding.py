"""port-forward at the server: three protocols, many connections, and ends of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from minik8s.api.resources import PODS
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.upgrade.spdy import Spdy, StreamData, StreamEnded, StreamOpened
from minik8s.apiserver.upgrade.websocket import Closed, Piece, WebSocket

pytestmark = pytest.mark.anyio
LIMIT = 20
PATH = "/api/v1/namespaces/default/pods/p/portforward"
UPGRADE = f"POST {PATH} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: SPDY/3.1\n"


class Nodes:
    """A connector whose pods serve what `handler` does; port 81 is closed."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def port_forward(self, pod: Any, port: int) -> SocketStream:
        if port == 81:
            raise OSError("dial tcp 10.0.0.1:81: connect: connection refused")
        return await anyio.connect_tcp("127.0.0.1", self.port)


@asynccontextmanager
async def forwarding(server: Any, handler: Callable[[SocketStream], Awaitable[None]], request: str) -> Any:
    """A client's connection to a server whose pod runs `handler`, upgraded."""
    pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": {"nodeName": "n", "containers": []}}
    pod["spec"]["containers"] = [{"name": "c", "image": "i"}]  # type: ignore[index]
    await server.client.create(PODS, pod)
    sock = listen("127.0.0.1", 0)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    with anyio.fail_after(LIMIT):
        async with listener, anyio.create_task_group() as group, serve(HttpApp(server.ctx), sock, None):
            server.ctx.connector = Nodes(listener.extra(anyio.abc.SocketAttribute.local_port))
            group.start_soon(listener.serve, handler)
            async with await anyio.connect_tcp("127.0.0.1", sock.getsockname()[1]) as stream:
                await stream.send(request.replace("\n", "\r\n").encode() + b"\r\n")
                received = b""
                while b"\r\n\r\n" not in received:
                    received += await stream.receive()
                assert received.startswith(b"HTTP/1.1 101 "), received
                yield Client(stream, received.partition(b"\r\n\r\n")[2])
            group.cancel_scope.cancel()


class Client:
    """A SPDY client, as it is or inside a WebSocket."""

    def __init__(self, stream: SocketStream, ahead: bytes) -> None:
        self.stream, self.ahead = stream, ahead
        self.spdy = Spdy(client=True)
        self.socket: WebSocket | None = None
        self.events: list[Any] = []

    async def send(self, data: bytes) -> None:
        await self.stream.send(self.socket.send(data) if self.socket else data)

    async def open(self, request: int, port: int) -> tuple[int, int]:
        """A connection's error and data streams."""
        numbers = []
        for kind in ("error", "data"):
            number, frame = self.spdy.open({"streamType": kind, "port": str(port), "requestID": str(request)})
            await self.send(frame)
            numbers.append(number)
        await self.send(self.spdy.send(numbers[0], b"", fin=True))
        return numbers[0], numbers[1]

    async def read(self) -> None:
        data = await self.stream.receive()
        if self.socket is not None:
            pieces = list(self.socket.receive(data))
            data = b"".join(p.data for p in pieces if isinstance(p, Piece) and isinstance(p.data, bytes))
        self.events += self.spdy.receive(data)

    async def until(self, event: Any) -> None:
        while event not in self.events:
            await self.read()

    def data(self, stream: int) -> bytes:
        return b"".join(e.data for e in self.events if isinstance(e, StreamData) and e.stream == stream)


async def shout(stream: SocketStream) -> None:
    """Answers in capital letters when the input has ended."""
    async with stream:
        received = b"".join([data async for data in stream])
        await stream.send(received.upper())


async def hold(stream: SocketStream) -> None:
    """Reads a little, then nothing, and stays."""
    async with stream:
        await stream.receive()
        await anyio.sleep_forever()


def tunnelled(client: Client) -> Client:
    client.socket = WebSocket(client=True)
    return client


WEBSOCKET = f"GET {PATH} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\n"
WEBSOCKET += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n"
TUNNEL = WEBSOCKET + "Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io\n"


@pytest.mark.parametrize("request_", [UPGRADE, TUNNEL], ids=["spdy", "tunnel"])
async def test_many_connections(server: Any, request_: str) -> None:
    """Each pair of streams is a connection with ends of its own; both of them end in good order."""
    async with forwarding(server, shout, request_) as client:
        if request_ is TUNNEL:
            tunnelled(client)
        pairs = [await client.open(request, 80) for request in range(20)]
        for index, (_, data) in enumerate(pairs):
            await client.send(client.spdy.send(data, b"request %d" % index))
        for _, data in pairs:
            await client.send(client.spdy.send(data, b"", fin=True))
        for index, (error, data) in enumerate(pairs):
            await client.until(StreamEnded(data))
            await client.until(StreamEnded(error))
            assert client.data(data) == b"REQUEST %d" % index
            assert client.data(error) == b""


async def test_a_closed_port(server: Any) -> None:
    """The reason comes on the error stream, and other connections go on."""
    async with forwarding(server, shout, UPGRADE) as client:
        good, bad = await client.open(0, 80), await client.open(1, 81)
        await client.until(StreamEnded(bad[0]))
        text = client.data(bad[0]).decode()
        assert text.startswith("error forwarding port 81 to pod p, uid ")
        assert text.endswith(": dial tcp 10.0.0.1:81: connect: connection refused")
        await client.send(client.spdy.send(good[1], b"x", fin=True))
        await client.until(StreamEnded(good[1]))
        assert client.data(good[1]) == b"X"


async def test_a_reset(server: Any) -> None:
    """A client that wants nothing more of a connection has it closed at once, though the pod would go on."""
    closed = anyio.Event()

    async def watch(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")
            assert [data async for data in stream] == []
            closed.set()

    async with forwarding(server, watch, UPGRADE) as client:
        _, data = await client.open(0, 80)
        while client.data(data) != b"hello":
            await client.read()
        await client.send(client.spdy.reset(data))
        await closed.wait()


@pytest.mark.parametrize("goodbye", ["vanish", "goaway", "nonsense"])
async def test_a_client_that_goes(server: Any, goodbye: str) -> None:
    """Its connections go with it."""
    closed = anyio.Event()

    async def watch(stream: SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")
            assert [data async for data in stream] == []
            closed.set()

    async with forwarding(server, watch, UPGRADE) as client:
        _, data = await client.open(0, 80)
        while client.data(data) != b"hello":
            await client.read()
        if goodbye == "vanish":
            await client.stream.aclose()
        else:
            await client.send(client.spdy.goaway() if goodbye == "goaway" else b"\xff\xff\xff\xff\xff\xff\xff\xff")
        await closed.wait()


async def test_a_pod_that_does_not_read(server: Any) -> None:
    """The server takes no more than it can hold: at some point the client waits."""
    async with forwarding(server, hold, UPGRADE) as client:
        _, data = await client.open(0, 80)
        sent = 0
        with anyio.move_on_after(1):
            while sent < 200 << 20:
                await client.send(client.spdy.send(data, bytes(1 << 16)))
                sent += 1 << 16
        assert sent < 50 << 20


async def test_streams_that_belong_nowhere(server: Any) -> None:
    """They are reset, and the connection goes on."""
    async with forwarding(server, shout, UPGRADE) as client:
        number, frame = client.spdy.open({"streamType": "stdin", "port": "80"})
        await client.send(frame)
        while client.spdy.is_open(number):
            await client.read()
        _, data = await client.open(0, 80)
        await client.send(client.spdy.send(data, b"x", fin=True))
        await client.until(StreamEnded(data))
        assert not any(isinstance(event, StreamOpened) for event in client.events)


async def messages(client: Client, socket: WebSocket) -> AsyncIterator[bytes | Closed]:
    """Whole messages, then the close."""
    message, data = b"", client.ahead
    while True:
        for event in socket.receive(data):
            if isinstance(event, Closed):
                yield event
                return
            assert isinstance(event.data, bytes)
            message += event.data
            if event.last:
                yield message
                message = b""
        data = await client.stream.receive()


async def test_channels(server: Any) -> None:
    """The older protocol: two channels a port, each beginning with the port; it ends with the last connection."""
    request = WEBSOCKET.replace(PATH, PATH + "?ports=80&ports=81") + "Sec-WebSocket-Protocol: v5.channel.k8s.io\n"
    async with forwarding(server, shout, request) as client:
        socket = WebSocket(client=True)
        await client.stream.send(socket.send(b"\x00hi") + socket.send(b"\xff\x00"))
        received = [message async for message in messages(client, socket)]
    assert received[-1] == Closed(1000)
    by_channel: dict[int, bytes] = {}
    for message in received[:-1]:
        assert isinstance(message, bytes)
        by_channel[message[0]] = by_channel.get(message[0], b"") + message[1:]
    assert by_channel[0] == b"\x50\x00HI"
    assert by_channel[1] == b"\x50\x00"
    assert by_channel[2] == b"\x51\x00"
    assert by_channel[3].startswith(b"\x51\x00error forwarding port 81 to pod p, uid ")


@pytest.mark.parametrize(
    ("query", "message"),
    [("", 'query parameter "port" is required'), ("?ports=x", 'unable to parse "x" as a port')],
)
async def test_channels_need_ports(server: Any, query: str, message: str) -> None:
    """A query without ports is refused before the upgrade; who is no upgrade at all is refused for that."""
    spec = {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}
    await server.client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": spec})
    headers = dict(line.split(": ") for line in WEBSOCKET.splitlines()[2:])
    await server.refused("GET", PATH + query, 400, "BadRequest", message, headers=headers)
    await server.refused("GET", PATH + query, 400, "BadRequest", "Upgrade request required")
