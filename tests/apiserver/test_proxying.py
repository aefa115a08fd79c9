"""pods/proxy, services/proxy and nodes/proxy at the server: whom a request reaches, and what comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from minik8s.api.resources import ENDPOINT_SLICES, NODES, PODS, SERVICES
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve

pytestmark = pytest.mark.anyio
LIMIT = 20
POD, SERVICE = (f"/api/v1/namespaces/default/{name}/proxy" for name in ("pods/p", "services/s"))
NODE = "/api/v1/nodes/n/proxy"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@attrs.frozen
class Answer:
    body: bytes = b""
    media_type: str = "text/plain"
    code: int = 200
    chunks: AsyncIterator[bytes] | None = None


class Nodes:
    """Every address is one backend's, but port 81, where nobody listens. It keeps what was asked for."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.dialed: list[tuple[str, int]] = []

    async def connect(self, host: str, port: int) -> SocketStream:
        self.dialed.append((host, port))
        if port == 81:
            raise OSError(f"dial tcp {host}:{port}: connect: connection refused")
        return await anyio.connect_tcp("127.0.0.1", self.port)

    def has_node(self, name: str) -> bool:
        return name == "n"

    def kubelet(self, node: str, method: str, path: str, options: Mapping[str, str]) -> Answer:
        return Answer(f"{node} {method} {path} {dict(options)}".encode(), "text/x", 404 if path == "/no" else 200)


Handler = Callable[[SocketStream, bytes], Awaitable[None]]


@attrs.define
class Bench:
    """A server, a client of it, and the requests that the backend has seen."""

    http: httpx.AsyncClient
    port: int
    nodes: Nodes
    seen: list[bytes]


async def _make_objects(server: Any) -> None:
    ports = [{"containerPort": 8080, "name": "web"}, {"containerPort": 9090}]
    spec = {"containers": [{"name": "c", "image": "i", "ports": ports}], "nodeName": "n"}
    for name, address in (("p", "10.0.0.1"), ("pending", "")):
        pod = await server.client.create(PODS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        if address:
            await server.client.update_status(PODS, {**pod, "status": {**pod["status"], "podIP": address}})
    for name, named in (("s", False), ("named", True), ("empty", False)):
        service_ports = [{"port": 80, **({"name": "http"} if named else {})}]
        meta = {"name": name, "namespace": "default"}
        await server.client.create(SERVICES, {"metadata": meta, "spec": {"ports": service_ports}})
        if name != "empty":
            labels = {"kubernetes.io/service-name": name}
            ready, unready = ({"addresses": [f"10.0.0.{i}"], "conditions": {"ready": i == 5}} for i in (5, 6))
            slice_ports = [{"name": "http" if named else "", "port": 8080, "protocol": "TCP"}]
            document = {"metadata": {**meta, "labels": labels}, "addressType": "IPv4", "ports": slice_ports}
            await server.client.create(ENDPOINT_SLICES, {**document, "endpoints": [ready, unready]})
    node = await server.client.create(NODES, {"metadata": {"name": "n"}})
    status = {"addresses": [{"type": "InternalIP", "address": "10.1.0.1"}]}
    status |= {"daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}}}
    await server.client.update_status(NODES, {**node, "status": status})


@pytest.fixture
def bench(server: Any) -> Callable[..., Any]:
    """Makes a bench around a backend that answers each connection's first request by `handler`, or with `answer`."""

    @asynccontextmanager
    async def make(answer: bytes = OK, handler: Handler | None = None) -> AsyncIterator[Bench]:
        seen: list[bytes] = []

        async def serve_one(stream: SocketStream) -> None:
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                seen.append(head)
                if handler is not None:
                    await handler(stream, head)
                else:
                    await stream.send(answer)

        await _make_objects(server)
        sock = listen("127.0.0.1", 0)
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = sock.getsockname()[1]
        with anyio.fail_after(LIMIT):
            async with (
                listener,
                anyio.create_task_group() as group,
                serve(HttpApp(server.ctx), sock, None),
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=LIMIT) as http,
            ):
                nodes = server.ctx.connector = Nodes(listener.extra(SocketAttribute.local_port))
                group.start_soon(listener.serve, serve_one)
                yield Bench(http, port, nodes, seen)
                group.cancel_scope.cancel()

    return make


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("pods/p/proxy/", ("10.0.0.1", 8080)),
        ("pods/p:9090/proxy/", ("10.0.0.1", 9090)),
        ("pods/p:web/proxy/", ("10.0.0.1", 8080)),
        ("pods/http:p:7/proxy/", ("10.0.0.1", 7)),
        ("services/s/proxy/", ("10.0.0.5", 8080)),
        ("services/s:80/proxy/", ("10.0.0.5", 8080)),
        ("services/named:http/proxy/", ("10.0.0.5", 8080)),
        ("services/http:named:80/proxy/", ("10.0.0.5", 8080)),
    ],
)
async def test_whom_it_reaches(bench: Any, path: str, address: tuple[str, int]) -> None:
    """The pod's first port or the one named; a ready endpoint of the Service's port, by number or by name."""
    async with bench() as found:
        answer = await found.http.get(f"/api/v1/namespaces/default/{path}")
        assert (answer.status_code, answer.content) == (200, b"ok")
        assert found.nodes.dialed == [address]


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("pods/zz/proxy/", 404, 'pods "zz" not found'),
        ("pods/pending/proxy/", 400, "address not allowed"),
        ("pods/ftp:p:1/proxy/", 400, 'invalid pod request "ftp:p:1"'),
        ("pods/p:nope/proxy/", 400, 'no port "nope" found for pod "p"'),
        ("pods/p:81/proxy/", 503, "error trying to reach service: dial tcp 10.0.0.1:81: connect: connection refused"),
        ("services/zz/proxy/", 404, 'services "zz" not found'),
        ("services/empty/proxy/", 503, 'no endpoints available for service "empty"'),
        ("services/named/proxy/", 503, 'no endpoints available for service "named"'),
        ("services/s:99/proxy/", 503, 'no service port 99 found for service "s"'),
    ],
)
async def test_refusals(bench: Any, path: str, code: int, message: str) -> None:
    """What cannot be reached is refused with upstream's text, by any method."""
    async with bench() as found:
        for method in ("GET", "POST", "DELETE"):
            answer = await found.http.request(method, f"/api/v1/namespaces/default/{path}")
            assert (answer.status_code, answer.json()["message"]) == (code, message)


async def test_what_is_passed_on(bench: Any) -> None:
    """Method, path as it was written, query, headers and body."""
    bodies = []

    async def handler(stream: SocketStream, head: bytes) -> None:
        body = head.partition(b"\r\n\r\n")[2]
        while len(body) < 300_000:
            body += await stream.receive()
        bodies.append(body)
        head = b"HTTP/1.1 201 Created\r\nX-Mine: 1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send(head + b"2\r\nok\r\n0\r\n\r\n")

    async with bench(handler=handler) as found:
        answer = await found.http.put(POD + "/a%2Fb//c?x=%20&y", content=b"z" * 300_000, headers={"X-Yours": "2"})
        assert (answer.status_code, answer.headers["x-mine"], answer.content) == (201, "1", b"ok")
        assert bodies == [b"z" * 300_000]
        line, *lines = found.seen[0].partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        assert line == b"put /a%2fb//c?x=%20&y http/1.1"
        assert b"x-yours: 2" in lines
        assert b"content-length: 300000" in lines


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_method(bench: Any, method: str) -> None:
    """Methods that the API itself does not know go through as well."""
    async with bench() as found:
        assert (await found.http.request(method, POD + "/")).status_code == 200
        assert found.seen[0].startswith(method.encode() + b" / HTTP/1.1\r\n")


async def test_a_missing_slash(bench: Any) -> None:
    """The root of a backend is a directory: a client that forgets the slash is told, unless it sends something."""
    async with bench() as found:
        answer = await found.http.get(POD + "?x=1")
        assert (answer.status_code, answer.headers["location"]) == (301, POD + "/?x=1")
        assert (await found.http.post(POD)).status_code == 200
        assert found.seen[0].startswith(b"POST / HTTP/1.1\r\n")


async def test_redirections(bench: Any) -> None:
    """A redirection within the backend leads through the proxy."""
    async with bench(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n") as found:
        assert (await found.http.get(POD + "/")).headers["location"] == POD + "/login"


async def test_a_page(bench: Any) -> None:
    """Links of an HTML page lead through the proxy, and its new length is told."""
    page = b'<a href="/x">x</a>'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % len(page)
    async with bench(head + page) as found:
        answer = await found.http.get(SERVICE + "/")
        assert answer.text == f'<a href="{SERVICE}/x">x</a>'


async def test_both_ways_at_once(bench: Any) -> None:
    """A backend may answer while it is still being asked."""

    async def handler(stream: SocketStream, head: bytes) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        async for _ in stream:
            break
        await stream.send(b"6\r\nsecond\r\n0\r\n\r\n")

    async with (
        bench(handler=handler) as found,
        await anyio.connect_tcp("127.0.0.1", found.port) as stream,
    ):
        await stream.send(f"POST {POD}/ HTTP/1.1\r\nHost: api\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        received = b""
        while b"first" not in received:
            received += await stream.receive()
        await stream.send(b"1\r\nb\r\n0\r\n\r\n")
        while b"second" not in received:
            received += await stream.receive()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "EOF"),
        (b"nonsense\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 19), ""),
    ],
)
async def test_backends_that_talk_nonsense(bench: Any, said: bytes, why: str) -> None:
    """Who does not speak HTTP has not been reached."""
    async with bench(said) as found:
        answer = await found.http.get(POD + "/")
        assert answer.status_code == 503
        assert answer.json()["message"].startswith(f"error trying to reach service: {why}")


async def test_a_backend_that_dies_in_the_middle(bench: Any) -> None:
    """The client's connection is cut: half an answer never looks whole."""
    async with bench(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") as found:
        with pytest.raises(httpx.RemoteProtocolError):
            await found.http.get(POD + "/")


async def test_a_client_that_goes(bench: Any) -> None:
    """The backend's connection goes with it."""
    gone = anyio.Event()

    async def handler(stream: SocketStream, head: bytes) -> None:
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        assert [data async for data in stream] == []
        gone.set()

    async with bench(handler=handler) as found:
        async with found.http.stream("GET", POD + "/") as answer:
            async for _ in answer.aiter_raw():
                break
        await gone.wait()


async def test_websockets_pass_through(bench: Any) -> None:
    """An upgraded connection is bytes both ways, what comes ahead included, until one side ends."""

    async def handler(stream: SocketStream, head: bytes) -> None:
        await stream.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhello")
        await stream.send((await stream.receive()).upper())

    async with bench(handler=handler) as found:
        async with await anyio.connect_tcp("127.0.0.1", found.port) as stream:
            request = f"GET {POD}/ws HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            await stream.send(request.encode() + b"Sec-WebSocket-Key: abc\r\n\r\n")
            received = b""
            while b"hello" not in received:
                received += await stream.receive()
            assert received.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
            await stream.send(b"ping")
            assert await stream.receive() == b"PING"
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        head = found.seen[0].lower()
        assert b"\r\nupgrade: websocket\r\n" in head
        assert b"\r\nsec-websocket-key: abc\r\n" in head


async def test_nodes(bench: Any) -> None:
    """A node's kubelet answers itself, by its name or its port; other ports are the machine's."""
    async with bench() as found:
        assert (await found.http.get(NODE + "/healthz?a=1")).text == "n GET /healthz {'a': '1'}"
        assert (await found.http.get(NODE.replace("/n/", "/n:10250/") + "/x%20y")).text == "n GET /x y {}"
        assert (await found.http.get(NODE + "/no")).status_code == 404
        assert found.nodes.dialed == []
        assert (await found.http.get(NODE.replace("/n/", "/n:9100/") + "/")).content == b"ok"
        assert found.nodes.dialed == [("10.1.0.1", 9100)]
        assert (await found.http.get(NODE.replace("/n/", "/zz/") + "/")).json()["message"] == 'nodes "zz" not found'
        assert (await found.http.get(NODE.replace("/n/", "/n:x/") + "/")).status_code == 400
