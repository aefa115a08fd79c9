"""Nodes whose one command is cat, and clients that upgrade: what the tests of exec and port-forward talk with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, SocketStream

from minik8s.api.resources import PODS
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.upgrade.websocket import Closed, Piece, WebSocket

LIMIT = 10

EXEC = "/api/v1/namespaces/default/pods/p/exec?command=cat&container=a&stdin=true&stdout=true"

SUCCESS = {"metadata": {}, "status": "Success"}


class Pipe(ByteReceiveStream, ByteSendStream):
    """What is sent can be received, one message at a time."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[bytes](1)

    async def send(self, item: bytes) -> None:
        await self._send.send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self._send.close()

    def close(self) -> None:
        self._send.close()
        self._receive.close()


class Nothing(ByteReceiveStream):
    """Ends at once."""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        return


class Cat:
    """A session that gives back what it gets, and ends with exit code 3 when that ends."""

    def __init__(self) -> None:
        pipe = Pipe()
        self.stdin: ByteSendStream = pipe
        self.stdout: ByteReceiveStream = pipe
        self.stderr = None
        self.pipe = pipe
        self.sizes: list[tuple[int, int]] = []
        self.closed = anyio.Event()

    def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def wait(self) -> int | None:
        return 3

    async def aclose(self) -> None:
        self.pipe.close()
        self.closed.set()


class Nodes:
    """A connector with one session for everybody."""

    def __init__(self) -> None:
        self.session = Cat()
        self.asked: list[Any] = []

    async def exec(self, pod: Any, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Cat:
        self.asked.append((container, list(command), stdin, tty))
        return self.session

    async def attach(self, pod: Any, container: str) -> Cat:
        return self.session


async def make_pods(server: Any) -> None:
    for name, node, phase in (("p", "n", "Running"), ("unbound", "", "Pending"), ("done", "n", "Succeeded")):
        containers = [{"name": c, "image": "i"} for c in ("a", "b")]
        spec = {"containers": containers, **({"nodeName": node} if node else {})}
        pod = await server.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        await server.client.update_status(PODS, {**pod, "status": {**pod["status"], "phase": phase}})


@asynccontextmanager
async def connected(server: Any, request: str) -> AsyncIterator[SocketStream]:
    """A connection on which a request has been sent, ended by an empty line."""
    sock = listen("127.0.0.1", 0)
    with anyio.fail_after(LIMIT):
        async with (
            serve(HttpApp(server.ctx), sock, None),
            await anyio.connect_tcp("127.0.0.1", sock.getsockname()[1]) as stream,
        ):
            await stream.send(request.replace("\n", "\r\n").encode() + b"\r\n\r\n")
            yield stream


def websocket(path: str, protocol: str = "v5.channel.k8s.io") -> str:
    head = f"GET {path} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13"
    head += "\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return head + (f"\nSec-WebSocket-Protocol: {protocol}" if protocol else "")


async def head_of(stream: SocketStream) -> tuple[bytes, bytes]:
    """An answer's head, and what has come behind it."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, rest = received.partition(b"\r\n\r\n")
    return head, rest


async def messages(stream: SocketStream, socket: WebSocket, first: bytes) -> AsyncIterator[bytes | Closed]:
    """The messages that come, up to the close."""
    data, message = first, b""
    while True:
        for event in socket.receive(data):
            if isinstance(event, Closed):
                yield event
                return
            assert isinstance(event, Piece)
            assert isinstance(event.data, bytes)
            message += event.data
            if event.last:
                yield message
                message = b""
        data = await stream.receive()
