"""Through a real socket: what only a connection can show."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve

pytestmark = pytest.mark.anyio

CM = {"metadata": {"name": "t1"}, "data": {"a": "1"}}
PATH = "/api/v1/namespaces/default/configmaps"


@asynccontextmanager
async def serving(server: Any) -> AsyncIterator[int]:
    """The port on which the server listens."""
    sock = listen("127.0.0.1", 0)
    async with serve(HttpApp(server.ctx), sock, None):
        yield sock.getsockname()[1]


async def exchange(port: int, request: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with anyio.fail_after(10):
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(request)
            return await read_all(stream)


async def read_all(stream: SocketStream) -> bytes:
    received = b""
    try:
        while True:
            received += await stream.receive()
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        return received


async def test_a_client_library(server: Any) -> None:
    """Requests, errors and a watch over one pool of connections."""
    async with serving(server) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as http:
        assert (await http.post(PATH, json=CM)).status_code == 201
        assert (await http.get(f"{PATH}/zz")).json()["reason"] == "NotFound"
        assert (await http.head(PATH)).content == b""
        assert (await http.request("OPTIONS", PATH)).status_code == 405
        async with http.stream("GET", f"{PATH}?watch=true") as response:
            assert response.headers["transfer-encoding"] == "chunked"
            lines = response.aiter_lines()
            assert json.loads(await anext(lines))["object"]["metadata"]["name"] == "t1"
            await http.delete(f"{PATH}/t1")
            assert json.loads(await anext(lines))["type"] == "DELETED"
        with anyio.fail_after(10):
            while server.watchers:
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("method", ["BREW", "get", "G-T", "x" * 300, "CONNECT", "TRACE", "PROPFIND"])
async def test_methods_that_are_none_of_ours(server: Any, method: str) -> None:
    """Any token is a method, and answered in the words of the API: what is there does not allow it."""
    body = "" if method == "CONNECT" else "Content-Length: 2\r\n"
    async with serving(server) as port:
        for path, code in ((PATH, 405), (f"{PATH}/x", 405), ("/nonsense", 404)):
            if method == "CONNECT":
                path, code = "a:1", 400
            request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}\r\n{'{}' if body else ''}"
            answer = await exchange(port, request.encode())
            assert answer.startswith(f"HTTP/1.1 {code} ".encode()), answer
            if code == 405:
                status = json.loads(answer.partition(b"\r\n\r\n")[2])
                assert (status["reason"], status["details"]) == ("MethodNotAllowed", {})
                assert status["message"] == "the server does not allow this method on the requested resource"


@pytest.mark.parametrize(
    "start", ["B(EW /", "BREW\r\n", "\x00 / HTTP/1.1", " / HTTP/1.1", "BREW / HTTP/9", "BREW /\x01 HTTP/1.1"]
)
async def test_what_is_no_method(server: Any, start: str) -> None:
    """Or no request for other reasons: 400, and the connection is over."""
    async with serving(server) as port:
        answer = await exchange(port, f"{start}\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 400 "), answer


async def test_an_unknown_method_leaves_the_connection_as_it_was(server: Any) -> None:
    """Other requests follow on it, with bodies."""
    async with serving(server) as port:
        create = b'{"metadata":{"name":"a"}}'
        requests = [f"BREW {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
                    f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(create)}\r\n\r\n".encode() + create,
                    f"BREW {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()]  # fmt: skip
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            for request, code in zip(requests, (b"405", b"201", b"405"), strict=True):
                await stream.send(request)
                with anyio.fail_after(10):
                    assert (await stream.receive()).startswith(b"HTTP/1.1 " + code)


async def test_headers_come_before_the_first_event(server: Any) -> None:
    """A watch of nothing has begun as soon as it is answered, and ends with the connection."""
    async with serving(server) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"GET {PATH}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            with anyio.fail_after(10):
                assert (await stream.receive()).startswith(b"HTTP/1.1 200")
            assert server.watchers == 1
        with anyio.fail_after(10):
            while server.watchers:
                await anyio.lowlevel.checkpoint()


async def test_shutdown_with_open_watches(server: Any) -> None:
    """The stream ends cleanly once the store is closed, and nothing is left behind."""
    async with await_closed(server) as stream:
        await stream.send(f"GET {PATH}?watch=true HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with anyio.fail_after(10):
            received = await stream.receive()
            await server.ctx.store.aclose()
            received += await read_all_of_answer(stream)
    assert received.endswith(b"0\r\n\r\n")
    assert server.watchers == 0


@asynccontextmanager
async def await_closed(server: Any) -> AsyncIterator[SocketStream]:
    async with serving(server) as port, await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield stream


async def read_all_of_answer(stream: SocketStream) -> bytes:
    received = b""
    while not received.endswith(b"0\r\n\r\n"):
        received += await stream.receive()
    return received


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /api/v1/namespaces/default/configmaps/%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 404),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (
            b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n5\r\n{bad\n\r\n0\r\n\r\n",
            400,
        ),
        (
            b"POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Content-Length: 99999999\r\n\r\n",
            413,
        ),
        (b"GET /api/v1/pods?labelSelector=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 400),
        (b"BREW /api/v1/pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 405),
    ],
)
async def test_bytes_that_are_hardly_http(server: Any, request_: bytes, code: int) -> None:
    """Answered with what is wrong, never with a 500, and the server goes on."""
    async with serving(server) as port:
        answer = await exchange(port, request_)
        assert answer.split(b" ", 2)[1] == str(code).encode(), answer
        good = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert good.endswith(b"ok")


async def test_a_client_that_leaves_in_the_middle_of_a_body(server: Any) -> None:
    """Nothing is written, nothing is logged, the next request works."""
    before = server.ctx.store.revision
    async with serving(server) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode())
        good = await exchange(port, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert good.endswith(b"ok")
    assert server.ctx.store.revision == before


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        (b"GET /version HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_200_000 + b"\r\n\r\n", 431, b"Too Large"),
        (b"GET /" + b"a" * 1_200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, b"Too Large"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n", 400, b"400 Bad Request"),
        (b"GARBAGE\r\n\r\n", 400, b"400 Bad Request"),
        (b"GET /version HTTP/1.1\r\nHost: x\r\nX: a\x00\r\n\r\n", 400, b"400 Bad Request"),
        (b"POST /api/v1/namespaces HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n{}", 400, b"400 Bad Request"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, b"400 Bad Request"),
        (b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, b"400 Bad Request"),
    ],
    ids=["header", "line", "tls", "garbage", "nul", "length", "lengths", "chunk"],
)
async def test_what_is_no_request(server: Any, request_: bytes, code: int, text: bytes) -> None:
    """Go's server's words, and the connection is closed."""
    async with serving(server) as port:
        answer = await exchange(port, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % code)
    assert text in answer


async def test_odd_but_right(server: Any) -> None:
    """Requests in a row, an absolute URI, HTTP/1.0, a chunked body, one that waits to be asked for."""
    body = b'{"metadata":{"name":"a"}}'
    chunked = (
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
        + body[:5]
        + b"\r\n%x\r\n" % len(body[5:])
        + body[5:]
        + b"\r\n0\r\n\r\n"
    )
    last = b"Host: x\r\nConnection: close\r\n\r\n"
    async with serving(server) as port:
        row = await exchange(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /version HTTP/1.1\r\n" + last)
        assert row.count(b"HTTP/1.1 200 OK") == 4
        assert row.count(b"ok") == 3
        assert b'"major"' in row
        absolute = await exchange(port, b"GET http://elsewhere/api/v1/namespaces/default HTTP/1.1\r\n" + last)
        assert b'"name":"default"' in absolute
        assert b"200 OK" in await exchange(port, b"GET /version HTTP/1.0\r\n\r\n")
        created = await exchange(port, f"POST {PATH} HTTP/1.1\r\nConnection: close\r\n".encode() + chunked)
        assert b"201 Created" in created
        waits = (
            f"POST {PATH} HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        assert b"100 Continue" in await exchange(port, waits.encode() + body)
        assert b"405" in (await exchange(port, f"HEAD {PATH} HTTP/1.1\r\n".encode() + last)).split(b"\r\n")[0]
