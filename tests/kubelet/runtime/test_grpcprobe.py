"""gRPC health checks against a server of our own, healthy and not, and against what is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from minik8s.kubelet.runtime.grpcprobe import health_of, request_of
from minik8s.kubelet.runtime.probes import run_probe
from minik8s.kubelet.runtime.protocol import ExecResult, ProbeResult

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1"
SERVING = b"\x00\x00\x00\x00\x02\x08\x01"


async def no_exec(argv: Sequence[str]) -> ExecResult:
    raise AssertionError(argv)


class Health:
    """One answer to every call; keeps the paths and bodies. `body` None answers with trailers only."""

    def __init__(
        self, body: bytes | None = SERVING, status: int = 0, message: str = "", *, silent: bool = False
    ) -> None:
        self.body, self.status, self.message, self.silent = body, status, message, silent
        self.calls: list[tuple[str, bytes]] = []
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        path, body = "", b""
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    path = str(dict(event.headers)[":path"])  # type: ignore[arg-type]
                elif isinstance(event, DataReceived):
                    body += event.data
                elif isinstance(event, StreamEnded) and not self.silent:
                    self.calls.append((path, body))
                    self._answer(connection, event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    def _answer(self, connection: H2Connection, stream: int) -> None:
        head = [(":status", "200"), ("content-type", "application/grpc")]
        trailers = [("grpc-status", str(self.status)), ("grpc-message", self.message)]
        if self.body is None:
            connection.send_headers(stream, head + trailers, end_stream=True)
            return
        connection.send_headers(stream, head)
        connection.send_data(stream, self.body)
        connection.send_headers(stream, trailers, end_stream=True)


@asynccontextmanager
async def serving(health: Health) -> AsyncIterator[int]:
    listening = await asyncio.start_server(health.serve, HOST, 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        for writer in health.writers:
            writer.transport.abort()
        listening.close()


async def probe(port: int, *, service: str = "", timeout: float = 10) -> ProbeResult:
    handler = {"port": port, **({"service": service} if service else {})}
    return await run_probe({"grpc": handler}, HOST, timeout=timeout, execute=no_exec)


async def test_a_healthy_service() -> None:
    """The service's name is asked for, and its answer believed."""
    health = Health()
    async with serving(health) as port:
        assert await probe(port, service="shop") == ProbeResult(True, "service healthy")
    assert health.calls == [("/grpc.health.v1.Health/Check", b"\x00\x00\x00\x00\x06\x0a\x04shop")]


IMPLEMENTS = "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "


@pytest.mark.parametrize(
    ("health", "message"),
    [
        (Health(b"\x00\x00\x00\x00\x02\x08\x02"), 'service unhealthy (responded with "NOT_SERVING")'),
        (Health(b"\x00\x00\x00\x00\x00"), 'service unhealthy (responded with "UNKNOWN")'),
        (Health(None, 12, "unknown service"), f"{IMPLEMENTS}unknown service"),
        (Health(None, 5, "no"), "error: health rpc probe failed: rpc error: code = code 5 desc = no"),
    ],
)
async def test_what_is_not_healthy(health: Health, message: str) -> None:
    """Each way of not being well has upstream's words."""
    async with serving(health) as port:
        assert await probe(port) == ProbeResult(False, message)


async def test_silence_and_nonsense() -> None:
    """Who does not answer in time, who speaks something else, and nobody at all: each fails, and says how."""
    async with serving(Health(silent=True)) as port:
        slow = await probe(port, timeout=0.2)
        assert slow == ProbeResult(False, "timeout: health rpc did not complete within 0.2s")

    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(chatter, HOST, 0)
    port = listening.sockets[0].getsockname()[1]
    other = await probe(port)
    assert not other.success
    assert other.message.startswith("error: health rpc probe failed: ")
    listening.close()
    await listening.wait_closed()
    assert (await probe(port)).message == f"dial tcp {HOST}:{port}: connect: connection refused"


def test_messages() -> None:
    """One field each, with the five bytes before it."""
    assert request_of("") == b"\x00\x00\x00\x00\x00"
    assert health_of(request_of("") + b"") == 0
    assert health_of(SERVING) == 1
