"""Probes say what the kubelet's would say."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from minik8s.kubelet.runtime.probes import USER_AGENT, run_probe
from minik8s.kubelet.runtime.protocol import ExecResult, ProbeResult, StartError

pytestmark = pytest.mark.anyio

HOST = "127.0.0.1"


async def no_exec(argv: Sequence[str]) -> ExecResult:
    """For probes that do not execute anything."""
    raise AssertionError(argv)


@asynccontextmanager
async def server(*answers: bytes, stall: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that gives these answers, one a connection; it keeps the requests. `stall` keeps connections open."""
    requests: list[bytes] = []
    left = list(answers)
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(asyncio.IncompleteReadError):  # a TCP probe says nothing
            requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0) if left else b"")
        if not stall:
            writer.close()

    listening = await asyncio.start_server(serve, HOST, 0)
    try:
        yield listening.sockets[0].getsockname()[1], requests
    finally:
        for writer in writers:
            writer.transport.abort()
        listening.close()


async def get(port: int, *, timeout: float = 20, **fields: object) -> ProbeResult:
    """An HTTP probe."""
    with anyio.fail_after(20):
        return await run_probe({"httpGet": {"port": port, **fields}}, HOST, timeout=timeout, execute=no_exec)


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server((HOST, 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize(("status", "success"), [(199, False), (200, True), (399, True), (400, False), (500, False)])
async def test_status(status: int, success: bool) -> None:
    """200 to 399 is success; otherwise the message has the code."""
    async with server(answer(f"{status} X", b"body")) as (port, _):
        result = await get(port)
    assert result.success is success
    if not success and status != 199:
        assert result.message == f"HTTP probe failed with statuscode: {status}"


async def test_request() -> None:
    """A probe names itself, sends its own headers, and closes the connection."""
    headers = [{"name": "X-A", "value": "1"}, {"name": "Host", "value": "web.example"}]
    async with server(answer("200 OK")) as (port, requests):
        assert (await get(port, path="/health?a=b", httpHeaders=headers)).success
    first, *lines = requests[0].decode().strip().split("\r\n")
    assert first == "GET /health?a=b HTTP/1.1"
    assert sorted(lines) == sorted(
        ["Host: web.example", "X-A: 1", f"User-Agent: {USER_AGENT}", "Accept: */*", "Connection: close"]
    )
    assert USER_AGENT == "kube-probe/1.36"


async def test_headers_can_be_replaced() -> None:
    """A User-Agent of the probe's own replaces the default, an empty Accept removes it."""
    headers = [{"name": "User-Agent", "value": "me"}, {"name": "Accept", "value": ""}]
    async with server(answer("200 OK")) as (port, requests):
        await get(port, httpHeaders=headers)
    assert b"User-Agent: me\r\n" in requests[0]
    assert b"kube-probe" not in requests[0]
    assert b"Accept" not in requests[0]


async def test_lifecycle_hooks_are_content_with_any_answer() -> None:
    """A hook by HTTP succeeds with any status and names itself; one that is not answered fails."""
    async with server(answer("500 Oops")) as (port, requests):
        handler = {"httpGet": {"port": port}}
        assert (await run_probe(handler, HOST, timeout=20, execute=no_exec, lifecycle=True)).success
    assert b"User-Agent: kube-lifecycle/1.36\r\n" in requests[0]
    handler = {"httpGet": {"port": free_port()}}
    assert not (await run_probe(handler, HOST, timeout=20, execute=no_exec, lifecycle=True)).success


async def test_refused() -> None:
    """A closed port reads as in Go."""
    port = free_port()
    expected = f'Get "http://{HOST}:{port}/": dial tcp {HOST}:{port}: connect: connection refused'
    assert await get(port) == ProbeResult(False, expected)


async def test_timeout() -> None:
    """A server that does not answer reads as in Go."""
    async with server(stall=True) as (port, _):
        result = await get(port, timeout=0.05, path="x")
    text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    assert result == ProbeResult(False, f'Get "http://{HOST}:{port}/x": {text}')


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (b"", "EOF"),
        (b"hello\r\n\r\n", 'net/http: HTTP/1.x transport connection broken: malformed HTTP response "hello"'),
    ],
)
async def test_not_http(reply: bytes, text: str) -> None:
    """Something that is not HTTP is a failure with the reason."""
    async with server(reply) as (port, _):
        assert await get(port) == ProbeResult(False, f'Get "http://{HOST}:{port}/": {text}')


async def test_redirect_to_the_same_host() -> None:
    """A redirect on the same host is followed."""
    async with server(answer("302 Found", b"", "Location: /there"), answer("200 OK", b"there")) as (port, requests):
        assert await get(port) == ProbeResult(True, "there")
    assert requests[1].startswith(b"GET /there ")


async def test_redirect_elsewhere() -> None:
    """A redirect to another host is a success with a warning, and is not followed."""
    async with server(answer("301 Moved", b"gone", "Location: http://other.example/")) as (port, _):
        result = await get(port)
    assert result == ProbeResult(True, "Probe terminated redirects, Response body: gone", warning=True)


async def test_redirects_end() -> None:
    """Ten redirects are enough."""
    async with server(*[answer("302 Found", b"", "Location: /")] * 20) as (port, requests):
        result = await get(port)
    assert result == ProbeResult(False, f'Get "http://{HOST}:{port}/": stopped after 10 redirects')
    assert len(requests) == 10


async def test_body_is_limited() -> None:
    """Of a long body 10 KiB are read, and the rest is not waited for."""
    async with server(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 20000, stall=True) as (port, _):
        assert len((await get(port)).message) == 10 << 10


async def test_chunked_body() -> None:
    """A chunked body is put together; a broken one is a failure."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with server(head + b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", head + b"zz\r\n") as (port, _):
        assert await get(port) == ProbeResult(True, "abcde")
        assert (await get(port)).message.endswith("invalid byte in chunk length")


async def test_tcp() -> None:
    """A TCP probe succeeds when it is let in."""
    async with server() as (port, _):
        assert (await run_probe({"tcpSocket": {"port": port}}, HOST, timeout=20, execute=no_exec)).success
    port = free_port()
    result = await run_probe({"tcpSocket": {"port": port, "host": HOST}}, "", timeout=20, execute=no_exec)
    assert result == ProbeResult(False, f"dial tcp {HOST}:{port}: connect: connection refused")


async def outcome(execute: Callable[[Sequence[str]], Awaitable[ExecResult]]) -> ProbeResult:
    """An exec probe whose command does that."""
    return await run_probe({"exec": {"command": ["a", "b"]}}, HOST, timeout=1, execute=execute)


async def test_exec() -> None:
    """An exec probe reports the command's output, at most 10 KiB; a timeout and a missing command have their text."""

    async def fails(argv: Sequence[str]) -> ExecResult:
        return ExecResult(1, b"no\n" + b"x" * 20000)

    async def hangs(argv: Sequence[str]) -> ExecResult:
        raise TimeoutError

    async def missing(argv: Sequence[str]) -> ExecResult:
        raise StartError("StartError", "not there")

    result = await outcome(fails)
    assert not result.success
    assert (result.message[:3], len(result.message)) == ("no\n", 10 << 10)
    assert await outcome(hangs) == ProbeResult(False, 'command timed out: "a b" timed out after 1s')
    assert await outcome(missing) == ProbeResult(False, "not there")
