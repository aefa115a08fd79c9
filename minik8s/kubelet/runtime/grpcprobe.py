"""The gRPC health check: one unary call of grpc.health.v1.Health/Check over HTTP/2. Upstream: `pkg/probe/grpc`.

HTTP/2 is `h2`'s affair, which is loaded with the first such probe. The two messages have one field each, so they are
written and read by hand.
"""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import attrs

PATH = "/grpc.health.v1.Health/Check"
SERVING = 1
STATUS = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
UNIMPLEMENTED, DEADLINE_EXCEEDED = 12, 4
HEAD = 5
"""Bytes before a message: whether it is compressed, and its length."""
MAX_MESSAGE = 1 << 16


@attrs.define
class Outcome:
    """What the server said: the call's status and message, and the health, -1 for none."""

    code: int | None = None
    message: str = ""
    health: int = -1
    body: bytes = b""

    def verdict(self, timeout: float) -> tuple[bool, str]:
        """Whether that is healthy, in upstream's words."""
        if self.code == UNIMPLEMENTED:
            why = f"this server does not implement the grpc health protocol (grpc.health.v1.Health): {self.message}"
            return False, f"error: {why}"
        if self.code == DEADLINE_EXCEEDED:
            return False, f"timeout: health rpc did not complete within {timeout:g}s"
        if self.code != 0:
            name = "Unknown" if self.code is None else f"code {self.code}"
            return False, f"error: health rpc probe failed: rpc error: code = {name} desc = {self.message or 'EOF'}"
        if self.health != SERVING:
            name = STATUS[self.health] if 0 <= self.health < len(STATUS) else str(self.health)
            return False, f'service unhealthy (responded with "{name}")'
        return True, "service healthy"


def request_of(service: str) -> bytes:
    """A HealthCheckRequest with its head."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\x00" + len(message).to_bytes(4, "big") + message


def health_of(body: bytes) -> int:
    """The status of a HealthCheckResponse with its head; 0, the enum's default, when the field is absent."""
    message = body[HEAD : HEAD + int.from_bytes(body[1:HEAD], "big")]
    return message[1] if len(message) == 2 and message[0] == 0x08 else 0


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


async def check(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, service: str, timeout: float
) -> tuple[bool, str]:
    """Asks over an open connection; it is the caller's to close. Raises OSError when the connection breaks."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    outcome = Outcome()
    try:
        with anyio.fail_after(timeout):
            connection.initiate_connection()
            connection.send_headers(1, _headers(authority))
            connection.send_data(1, request_of(service), end_stream=True)
            while outcome.code is None:
                writer.write(connection.data_to_send())
                await writer.drain()
                data = await reader.read(65536)
                if not data or _received(connection, connection.receive_data(data), outcome):
                    break
    except TimeoutError:
        outcome.code = DEADLINE_EXCEEDED
    except ProtocolError as error:
        outcome.message = f"it does not speak HTTP/2: {error}"
    if outcome.code == 0:
        outcome.health = health_of(outcome.body)
    return outcome.verdict(timeout)


def _headers(authority: str) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", authority),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "kube-probe"),
    ]


def _received(connection: Any, events: list[Any], outcome: Outcome) -> bool:
    """Takes in what has come; whether the answer is complete."""
    from h2 import events as h2

    for event in events:
        if isinstance(event, h2.DataReceived):
            outcome.body += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if len(outcome.body) > MAX_MESSAGE:
                outcome.message = "the answer is too large"
                return True
        elif isinstance(event, h2.ResponseReceived | h2.TrailersReceived):
            _read_status({str(name): str(value) for name, value in event.headers or ()}, outcome)
        elif isinstance(event, h2.StreamReset | h2.ConnectionTerminated):
            outcome.message = "the server has ended the stream"
            return True
        elif isinstance(event, h2.StreamEnded):
            return True
    return False


def _read_status(headers: dict[str, str], outcome: Outcome) -> None:
    """The call's status stands in the trailers, or in the head of an answer without a body."""
    status = headers.get("grpc-status", "")
    if status.isdigit():
        outcome.code, outcome.message = int(status), headers.get("grpc-message", "")
    elif headers.get(":status", "200") != "200":
        outcome.code, outcome.message = UNIMPLEMENTED, f"unexpected HTTP status code {headers[':status']}"
