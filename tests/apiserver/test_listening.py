"""Watches and logs over WebSocket: one message an event, the exact bytes of a log, and what is refused before."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from minik8s.api.resources import CONFIG_MAPS
from minik8s.apiserver.upgrade.websocket import Closed, Piece, WebSocket
from minik8s.machinery.errors import BadRequest
from tests.apiserver.conftest import TOKEN
from tests.apiserver.nodes import connected, head_of, make_pods, websocket

pytestmark = pytest.mark.anyio

WATCH = "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0"
LOG = "/api/v1/namespaces/default/pods/p/log?container=a"
CREDENTIALS = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(TOKEN.encode()).decode().rstrip("=")


class Logs:
    """A connector whose containers have said two things; one who follows waits for more."""

    def __init__(self) -> None:
        self.left = anyio.Event()

    async def logs(self, pod: Any, container: str, *, follow: bool, **options: Any) -> AsyncIterator[bytes]:
        if container == "b":
            raise BadRequest('container "b" in pod "p" is waiting to start: ContainerCreating')
        yield b"one\n"
        yield b"two\xff\n"
        try:
            if follow:
                await anyio.sleep_forever()
        finally:
            self.left.set()


@pytest.fixture
async def logs(server: Any) -> Logs:
    await make_pods(server)
    server.ctx.connector = Logs()
    found: Logs = server.ctx.connector
    return found


async def said(stream: Any, client: WebSocket, data: bytes) -> AsyncIterator[bytes | str | Closed]:
    """The messages that come, as text or as bytes, up to the close."""
    while True:
        for event in client.receive(data):
            if isinstance(event, Closed):
                yield event
                return
            assert isinstance(event, Piece)
            assert event.first
            assert event.last
            yield event.data
        data = await stream.receive()


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("binary.k8s.io", [b"", b"one\n", b"two\xff\n"]),
        ("", [b"", b"one\n", b"two\xff\n"]),
        ("other, base64.binary.k8s.io", ["", *(base64.b64encode(data).decode() for data in (b"one\n", b"two\xff\n"))]),
    ],
)
async def test_a_log(server: Any, logs: Logs, protocol: str, expected: list[bytes | str]) -> None:
    """An empty message, the bytes as they are (or in base64, for who reads text), and an orderly end."""
    async with connected(server, websocket(LOG, protocol)) as stream:
        head, rest = await head_of(stream)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        agreed = protocol.split(", ")[-1].encode()
        assert (b"Sec-WebSocket-Protocol: " + agreed in head) == bool(agreed)
        received = [message async for message in said(stream, WebSocket(client=True), rest)]
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
    assert received == [*expected, Closed(1000)]
    assert logs.left.is_set()


async def test_who_follows_may_leave(server: Any, logs: Logs) -> None:
    """What the client says is ignored, but for its pings and its going, which ends the reading of the log."""
    async with connected(server, websocket(f"{LOG}&follow=true", "binary.k8s.io")) as stream:
        _, rest = await head_of(stream)
        client = WebSocket(client=True)
        received = said(stream, client, rest)
        assert [await anext(received) for _ in range(3)] == [b"", b"one\n", b"two\xff\n"]
        await stream.send(client.send("nobody listens") + client.close())
        assert await anext(received) == Closed(1000)
        await logs.left.wait()


@pytest.mark.parametrize(
    ("path", "protocol", "code", "message"),
    [
        (LOG.replace("container=a", "container=b"), "binary.k8s.io", b"400", "is waiting to start"),
        (LOG.replace("pods/p", "pods/zz"), "binary.k8s.io", b"404", 'pods "zz" not found'),
        (LOG, "v5.channel.k8s.io", b"403", "requested protocol(s) are not supported: [v5.channel.k8s.io]"),
        (f"{WATCH}&fieldSelector=a", "", b"400", "invalid selector"),
    ],
)
async def test_refusals(server: Any, logs: Logs, path: str, protocol: str, code: bytes, message: str) -> None:
    """What there is nothing to hear of is refused as ever, before the connection stops being HTTP."""
    async with connected(server, websocket(path, protocol)) as stream:
        head, body = await head_of(stream)
        while True:
            try:
                body += await stream.receive()
            except anyio.EndOfStream:
                break
    assert head.split()[1] == code
    assert message in json.loads(body)["message"]


@pytest.mark.parametrize("protocol", ["", "base64.binary.k8s.io", f"{CREDENTIALS}, base64.binary.k8s.io"])
async def test_a_watch(server: Any, protocol: str) -> None:
    """Each event is a message of text; a subprotocol that is offered is taken, credentials are none."""
    await server.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    async with connected(server, websocket(WATCH, protocol)) as stream:
        head, rest = await head_of(stream)
        assert (b"Sec-WebSocket-Protocol: base64.binary.k8s.io" in head) == bool(protocol)
        received = said(stream, WebSocket(client=True), rest)
        first = await anext(received)
        await server.client.delete(CONFIG_MAPS, "a", namespace="default")
        second = await anext(received)
    assert isinstance(first, str)
    assert isinstance(second, str)
    found = [json.loads(message) for message in (first, second)]
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in found] == [
        ("ADDED", "a"),
        ("DELETED", "a"),
    ]


async def test_a_watch_in_protobuf(server: Any) -> None:
    """The message is the event itself, without the length by which frames of a stream are told apart."""
    await server.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
    request = websocket(WATCH, "") + "\nAccept: application/vnd.kubernetes.protobuf;stream=watch"
    async with connected(server, request) as stream:
        _, rest = await head_of(stream)
        message = await anext(said(stream, WebSocket(client=True), rest))
    assert isinstance(message, bytes)
    assert message[:7] == b"\n\x05ADDED"
    assert b"k8s\x00" in message


async def test_a_watch_that_ends(server: Any) -> None:
    """The time for which a watch was asked holds for listeners too; then the connection is closed in order."""
    async with connected(server, websocket(f"{WATCH}&timeoutSeconds=1", "")) as stream:
        _, rest = await head_of(stream)
        server.clock.advance(1)
        assert [m async for m in said(stream, WebSocket(client=True), rest)] == [Closed(1000)]
