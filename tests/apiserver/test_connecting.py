"""exec and attach at the server: what is refused before the upgrade, and conversations with clients good and bad."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from anyio.abc import ByteReceiveStream, ByteSendStream, SocketStream

from minik8s.api.resources import PODS
from minik8s.apiserver.authorization import AccessAttributes, Decision
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.upgrade.spdy import Spdy, StreamData, StreamEnded
from minik8s.apiserver.upgrade.websocket import Closed, Piece, WebSocket

pytestmark = pytest.mark.anyio
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


@pytest.fixture
async def nodes(server: Any) -> AsyncIterator[Nodes]:
    """Pods that one can be connected to, and others."""
    await _make_pods(server)
    server.ctx.connector = Nodes()
    yield server.ctx.connector
    server.ctx.connector.session.pipe.close()


async def _make_pods(server: Any) -> None:
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


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut out, put in, or said twice."""
    damage = bytearray(data)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(damage) + 1)
        match rng.randint(0, 3):
            case 0:
                damage[at : at + 1] = rng.randbytes(1)
            case 1:
                del damage[at : at + rng.randint(1, 8)]
            case 2:
                damage[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                damage[at:at] = damage[: rng.randint(1, 40)]
    return bytes(damage)


def spdy_session(rng: random.Random) -> bytes:
    """A client that opens streams, writes to them, and ends some."""
    client, said = Spdy(client=True), b""
    for kind in rng.sample(["error", "stdin", "stdout", "data", "error", "data", "resize"], 5):
        headers = {"streamType": kind, "port": rng.choice(["80", "x"]), "requestID": rng.choice("01")}
        number, frame = client.open(headers)
        said += frame + client.send(number, rng.randbytes(10), fin=rng.random() < 0.3)
    return said + rng.choice([b"", client.goaway(), client.ping(1)])


def websocket_session(rng: random.Random) -> bytes:
    """A client that writes to channels, closes one, and says goodbye."""
    client = WebSocket(client=True)
    said = [b"\x00hello", b'\x04{"Width":1,"Height":2}', "0aGk=", b"\xff\x00", spdy_session(rng)]
    return b"".join(client.send(message) for message in said) + client.close()


FORWARD = "/api/v1/namespaces/default/pods/p/portforward?ports=80&ports=81"
SPDY = "HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: SPDY/3.1\nX-Stream-Protocol-Version: v4.channel.k8s.io"
DIALOGUES = (
    (websocket(EXEC), websocket_session),
    (websocket(EXEC, "v4.base64.channel.k8s.io"), websocket_session),
    (websocket(FORWARD), websocket_session),
    (websocket(FORWARD, "SPDY/3.1+portforward.k8s.io"), websocket_session),
    (f"POST {EXEC} {SPDY}", spdy_session),
    (f"POST {FORWARD} {SPDY.rpartition(chr(10))[0]}", spdy_session),
)


class ManyNodes:
    """A session of its own for everybody; ports refuse."""

    def __init__(self) -> None:
        self.sessions: list[Cat] = []

    async def exec(self, *args: Any, **options: Any) -> Cat:
        self.sessions.append(Cat())
        return self.sessions[-1]

    async def port_forward(self, pod: Any, port: int) -> Any:
        raise OSError("connection refused")


@pytest.mark.parametrize(("request_", "session"), DIALOGUES, ids=range(len(DIALOGUES)))
async def test_damaged_frames(
    server: Any, request_: str, session: Callable[[random.Random], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a client sends, no request fails inside and no session stays open."""
    await _make_pods(server)
    nodes = server.ctx.connector = ManyNodes()
    sock = listen("127.0.0.1", 0)
    async with serve(HttpApp(server.ctx), sock, None):
        for seed in range(25):
            rng = random.Random(seed)
            async with await anyio.connect_tcp("127.0.0.1", sock.getsockname()[1]) as stream:
                await stream.send(request_.replace("\n", "\r\n").encode() + b"\r\n\r\n")
                await head_of(stream)
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await stream.send(damaged(rng, session(rng)))
                    with anyio.move_on_after(0.02):
                        await stream.receive()
        with anyio.fail_after(LIMIT):
            for opened in nodes.sessions:
                await opened.closed.wait()
    said = "".join(capfd.readouterr())
    assert "request failed" not in said
    assert "Traceback" not in said
