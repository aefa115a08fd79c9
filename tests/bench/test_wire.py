"""The load generator's HTTP: kept connections, every kind of answer, and nobody answering."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from minik8s.api.resources import CONFIG_MAPS
from minik8s.bench.wire import WireTransport
from minik8s.client.client import Client
from minik8s.client.http import HttpTransport
from minik8s.client.kubeconfig import ClientConfig
from minik8s.machinery.errors import InternalError, NotFound

pytestmark = pytest.mark.anyio

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + b'{"metadata": {"name": "one"}}\n'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n'
STATUS = b'{"kind":"Status","reason":"NotFound","message":"no such"}'
GONE = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(STATUS) + STATUS
LATER = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
CLOSING = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)


class Server:
    """Answers each request with the next of its answers, and remembers what was asked on which connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        async with stream:
            try:
                while self.answers:
                    self.asked.append(await stream.receive())
                    answer = self.answers.pop(0)
                    half = len(answer) // 2
                    for part in (answer[:half], answer[half:]):
                        if part:
                            await stream.send(part)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return


async def ask(server: Server, work: Callable[[Client], Awaitable[Any]], **config: Any) -> Any:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, server.handle)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        transport = WireTransport.of(ClientConfig(server=f"http://127.0.0.1:{port}/base", **config))
        try:
            return await work(Client(transport))
        finally:
            await transport.aclose()
            group.cancel_scope.cancel()


async def get(client: Client) -> Any:
    return await client.get(CONFIG_MAPS, "one", namespace="a b")


async def test_answers() -> None:
    """Bodies of a length and chunked ones come on one connection; a 429 is asked again, a Status becomes its error."""
    server = Server(GOOD, CHUNKED, LATER, GOOD, GONE, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{")

    async def work(client: Client) -> list[Any]:
        found = [await get(client), await get(client), await get(client)]
        with pytest.raises(NotFound, match="no such"):
            await get(client)
        with pytest.raises(InternalError, match="not JSON"):
            await get(client)
        return found

    one = {"metadata": {"name": "one"}}
    assert await ask(server, work, token="t0p") == [one, {"a": 1}, one]
    assert server.connections == 1
    assert server.asked[0].startswith(b"GET /base/api/v1/namespaces/a%20b/configmaps/one HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer t0p\r\n" in server.asked[0]


async def test_bodies() -> None:
    """A write is sent whole, with its type, length, options and the user's name and password."""
    server = Server(GOOD)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}}
    await ask(server, lambda c: c.create(CONFIG_MAPS, body, namespace="x", dryRun="All"), username="u", password="p")
    head, _, sent = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/api/v1/namespaces/x/configmaps?dryRun=All HTTP/1.1")
    assert b"\r\nContent-Type: application/json\r\n" in head
    assert b"\r\nAuthorization: Basic dTpw\r\n" in head
    assert f"Content-Length: {len(sent)}".encode() in head


async def test_connections_that_end() -> None:
    """One that the server closes is not used again; no answer, or one that is not HTTP, is a ConnectionError."""
    server = Server(CLOSING, GOOD, b"hello\r\n\r\n", b"")

    async def work(client: Client) -> None:
        await get(client)
        await get(client)
        with pytest.raises(ConnectionError, match="is not HTTP"):
            await get(client)
        with pytest.raises(ConnectionError, match="closed the connection"):
            await get(client)

    await ask(server, work)
    assert server.connections == 3


async def test_nobody_there() -> None:
    """A port on which nobody listens is an OSError; a proxy is httpx's affair."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
    transport = WireTransport.of(ClientConfig(server=f"http://127.0.0.1:{port}"))
    with pytest.raises(OSError, match=r"failed|refused"):
        await get(Client(transport))
    await transport.aclose()
    detour = WireTransport.of(ClientConfig(server="http://127.0.0.1:1", proxy="http://127.0.0.1:2"))
    assert type(detour) is HttpTransport
    await detour.aclose()
