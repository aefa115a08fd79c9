"""exec and attach at the server: what is refused before the upgrade, and conversations with clients good and bad."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from minik8s.apiserver.authorization import AccessAttributes, Decision
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.upgrade.spdy import Spdy, StreamData, StreamEnded
from minik8s.apiserver.upgrade.websocket import Closed, WebSocket
from tests.apiserver.nodes import (
    EXEC,
    LIMIT,
    Cat,
    Nodes,
    Nothing,
    connected,
    head_of,
    make_pods,
    messages,
    websocket,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def nodes(server: Any) -> AsyncIterator[Nodes]:
    """Pods that one can be connected to, and others."""
    await make_pods(server)
    server.ctx.connector = Nodes()
    yield server.ctx.connector
    server.ctx.connector.session.pipe.close()


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("pods/zz/exec?command=ls&stdout=true", 404, 'pods "zz" not found'),
        (
            "pods/p/exec?command=ls&stdout=true",
            400,
            "a container name must be specified for pod p, choose one of: [a b]",
        ),
        ("pods/p/exec?command=ls&stdout=true&container=c", 400, "container c is not valid for pod p"),
        ("pods/p/exec?stdout=true&container=a", 400, "you must specify at least 1 command for the container"),
        ("pods/p/exec?command=ls&container=a", 400, "you must specify at least one of stdin, stdout, stderr"),
        (
            "pods/p/exec?command=%00&stdout=1&container=a",
            400,
            "an argument of the command is too long or contains a NUL byte",
        ),
        ("pods/p/exec?command=ls&stdout=true&container=a", 400, "Upgrade request required"),
        ("pods/p/attach?stdout=true&container=a", 400, "Upgrade request required"),
        ("pods/unbound/attach?stdout=true&container=a", 400, "pod unbound does not have a host assigned"),
        (
            "pods/done/exec?command=ls&stdout=true&container=a",
            400,
            "cannot exec into a container in a completed pod; current phase is Succeeded",
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_refusals(server: Any, nodes: Nodes, method: str, path: str, code: int, message: str) -> None:
    """What cannot be connected is refused as a Status, in whatever way it is asked for; nothing is started."""
    await server.refused(method, path, code, "NotFound" if code == 404 else "BadRequest", message)
    assert nodes.asked == []


async def test_get_needs_the_right_to_create(server: Any, nodes: Nodes) -> None:
    """A WebSocket upgrade is a GET, but somebody who may only get pods/exec may not use it."""
    asked: list[str] = []

    class OnlyGet:
        def authorize(self, attributes: AccessAttributes) -> Decision:
            asked.append(attributes.verb)
            return Decision(attributes.verb == "get")

    server.ctx.authorizer = OnlyGet()
    path = "pods/p/exec?command=ls&stdout=true&container=a"
    details = await server.refused(
        "GET",
        path,
        403,
        "Forbidden",
        'pods "p" is forbidden: User "jane" cannot create resource "pods/exec" in API group "" '
        'in the namespace "default"',
        headers={"impersonate-user": "jane"},
    )
    assert details["kind"] == "pods"
    assert asked[-2:] == ["get", "create"]


async def test_a_conversation(server: Any, nodes: Nodes) -> None:
    """Input comes back as output; the Status with the exit code follows the last output, then the close."""
    async with connected(server, websocket(EXEC)) as stream:
        head, rest = await head_of(stream)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        client = WebSocket(client=True)
        await stream.send(
            client.send(b'\x04{"Width":80,"Height":25}') + client.send(b"\x00hello") + client.send(b"\xff\x00")
        )
        received = [message async for message in messages(stream, client, rest)]
        await stream.send(client.outgoing())
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
    assert received[0] == b"\x01hello"
    last = received[1]
    assert isinstance(last, bytes)
    assert last[:1] == b"\x03"
    status = json.loads(last[1:])
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert (status["reason"], status["status"]) == ("NonZeroExitCode", "Failure")
    assert status["message"].endswith(", exit code 3")
    assert received[2] == Closed(1000)
    assert nodes.asked == [("a", ["cat"], True, False)]
    assert nodes.session.sizes == [(80, 25)]
    assert nodes.session.closed.is_set()


@pytest.mark.parametrize("protocol", ["channel.k8s.io", ""])
async def test_old_protocols(server: Any, nodes: Nodes, protocol: str) -> None:
    """Before v4 a failure is told as text."""
    await nodes.session.stdin.aclose()
    async with connected(server, websocket(EXEC, protocol)) as stream:
        _, rest = await head_of(stream)
        client = WebSocket(client=True)
        received = [message async for message in messages(stream, client, rest)]
        assert (
            received[0] == b"\x03command terminated with non-zero exit code: error executing command [cat], exit code 3"
        )


async def test_input_that_came_ahead(server: Any, nodes: Nodes) -> None:
    """What a client sends without waiting for the answer is not lost."""
    client = WebSocket(client=True)
    ahead = client.send(b"\x00early") + client.send(b"\xff\x00")
    request = websocket(EXEC)
    sock = listen("127.0.0.1", 0)
    with anyio.fail_after(LIMIT):
        async with (
            serve(HttpApp(server.ctx), sock, None),
            await anyio.connect_tcp("127.0.0.1", sock.getsockname()[1]) as stream,
        ):
            await stream.send(request.replace("\n", "\r\n").encode() + b"\r\n\r\n" + ahead)
            _, rest = await head_of(stream)
            received = [message async for message in messages(stream, client, rest)]
    assert received[0] == b"\x01early"


@pytest.mark.parametrize("goodbye", [b"", b"\x88\x80\x00\x00\x00\x00", b"\xff\xff\xff"])
async def test_clients_that_go(server: Any, nodes: Nodes, goodbye: bytes) -> None:
    """Whoever vanishes, says goodbye in the middle or talks nonsense: the session is closed at once."""
    async with connected(server, websocket(EXEC)) as stream:
        await head_of(stream)
        if goodbye:
            await stream.send(goodbye)
        else:
            await stream.aclose()
        await nodes.session.closed.wait()


async def test_a_command_may_finish_what_it_was_told(server: Any, nodes: Nodes) -> None:
    """A client that says something and goes is heard out: its input ends, and the session is closed after that."""

    class Slow(Cat):
        async def wait(self) -> int:
            heard.extend([data async for data in self.pipe])
            heard.append(b"closed too early" if self.closed.is_set() else b"its end")
            return 0

    heard: list[bytes] = []
    nodes.session.pipe.close()
    session = nodes.session = Slow()
    session.stdout = Nothing()
    async with connected(server, websocket(EXEC)) as stream:
        await head_of(stream)
        await stream.send(WebSocket(client=True).send(b"\x00do it"))
        await stream.aclose()
        await session.closed.wait()
    assert heard[:2] == [b"do it", b"its end"]
    assert b"closed too early" not in heard


async def test_shutdown(server: Any, nodes: Nodes) -> None:
    """A server that ends does not wait for conversations."""
    async with connected(server, websocket(EXEC)) as stream:
        await head_of(stream)
    assert nodes.session.closed.is_set()


async def test_a_conversation_in_spdy(server: Any, nodes: Nodes) -> None:
    """The same over SPDY/3.1: every stream is answered, output ends before the Status comes on the error stream."""
    request = f"POST {EXEC} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: SPDY/3.1"
    async with connected(server, request + "\nX-Stream-Protocol-Version: v4.channel.k8s.io") as stream:
        head, rest = await head_of(stream)
        assert b"\r\nX-Stream-Protocol-Version: v4.channel.k8s.io" in head
        client = Spdy(client=True)
        numbers = {}
        for name in ("error", "stdin", "stdout"):
            numbers[name], frame = client.open({"streamType": name})
            await stream.send(frame)
        await stream.send(client.send(numbers["stdin"], b"hello") + client.send(numbers["stdin"], b"", fin=True))
        events: list[Any] = list(client.receive(rest))
        while StreamEnded(numbers["error"]) not in events:
            events += client.receive(await stream.receive())
        await stream.send(client.goaway())
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
    assert events[:2] == [StreamData(numbers["stdout"], b"hello"), StreamEnded(numbers["stdout"])]
    status = json.loads(events[2].data)
    assert (events[2].stream, status["details"]["causes"][0]["message"]) == (numbers["error"], "3")


async def test_a_spdy_client_that_opens_nothing_useful(server: Any, nodes: Nodes) -> None:
    """A client that speaks no SPDY, or goes away before its streams are open, gets nothing and holds nothing."""
    request = f"POST {EXEC} HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: SPDY/3.1"
    for said in (b"\x80\x02\x00\x01\x00\x00\x00\x00", Spdy(client=True).goaway()):
        nodes.session.pipe.close()
        nodes.session = Cat()
        async with connected(server, request) as stream:
            await head_of(stream)
            await stream.send(said)
            await nodes.session.closed.wait()
