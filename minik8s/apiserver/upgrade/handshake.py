"""Which protocol a client gets that asks to leave HTTP, and the answer that says so.

WebSocket clients offer subprotocols in one header, SPDY clients stream protocol versions in several; the first offer
that the server knows is taken. Texts and codes are those of k8s.io/apiserver/pkg/util/wsstream and
k8s.io/apimachinery/pkg/util/httpstream.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

import attrs

from minik8s.machinery.errors import BadRequest, Forbidden

Header = tuple[bytes, bytes]
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SPDY_TUNNEL = "SPDY/3.1+portforward.k8s.io"
"""The WebSocket subprotocol whose messages carry a SPDY connection."""
SPDY_COMMAND = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
SPDY_FORWARD = ("portforward.k8s.io",)


@attrs.frozen
class Subprotocol:
    """How the channels of a connection are encoded.

    `status`: how the error channel says how a command ended, as a Status object or as the text of a failure.
    `half_close`: whether the client can say that a channel has ended.
    """

    name: str
    text: bool = False
    half_close: bool = False
    status: Literal["json", "text"] = "json"


SUBPROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Subprotocol("v5.channel.k8s.io", half_close=True),
        Subprotocol("v4.channel.k8s.io"),
        Subprotocol("v4.base64.channel.k8s.io", text=True),
        Subprotocol("channel.k8s.io", status="text"),
        Subprotocol("base64.channel.k8s.io", text=True, status="text"),
        Subprotocol("", status="text"),
    )
}


@attrs.frozen
class Agreement:
    """What has been agreed on: the transport, the protocol on it ("" for none), and the head of the answer."""

    transport: Literal["websocket", "spdy"]
    protocol: str
    head: bytes

    @property
    def heartbeat(self) -> bytes:
        """A frame that means nothing and may be sent at any time: an unsolicited pong, or a SPDY ping."""
        return b"\x8a\x00" if self.transport == "websocket" else b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x02"


def agree(method: str, raw_headers: Iterable[Header], *, websocket: Collection[str], spdy: Sequence[str]) -> Agreement:
    """Chooses among what the client offers. Raises BadRequest for what is no upgrade, Forbidden without a match."""
    headers = list(raw_headers)
    upgrade = ",".join(_values(headers, b"upgrade")).lower()
    if "websocket" in upgrade:
        return _agree_on_websocket(method, headers, websocket)
    if "spdy/3.1" in upgrade:
        return _agree_on_spdy(headers, spdy)
    raise BadRequest("Upgrade request required")


def _agree_on_websocket(method: str, headers: list[Header], known: Collection[str]) -> Agreement:
    key = "".join(_values(headers, b"sec-websocket-key"))
    if method != "GET" or _values(headers, b"sec-websocket-version") != ["13"] or not is_key(key):
        raise BadRequest("websocket: the client is not using version 13 of the websocket protocol with a valid key")
    offered = offers(headers)
    chosen = next((name for name in offered if name in known), None) if offered else ""
    if chosen is None:
        raise Forbidden(f"requested protocol(s) are not supported: {_go(offered)}; supports {_go(known)}")
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.append(f"Sec-WebSocket-Accept: {accept_key(key)}")
    if chosen:
        lines.append(f"Sec-WebSocket-Protocol: {chosen}")
    return Agreement("websocket", chosen, _head(lines))


def offers(raw_headers: Iterable[Header]) -> list[str]:
    """The subprotocols that a WebSocket client offers, the ones it likes best first."""
    values = _values(raw_headers, b"sec-websocket-protocol")
    return [name.strip() for value in values for name in value.split(",")]


def _agree_on_spdy(headers: list[Header], known: Sequence[str]) -> Agreement:
    offered = [name.strip() for value in _values(headers, b"x-stream-protocol-version") for name in value.split(",")]
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: SPDY/3.1", "Connection: Upgrade"]
    if not offered:
        return Agreement("spdy", "", _head(lines))  # a client from before there were versions
    chosen = next((name for name in offered if name in known), None)
    if chosen is None:
        which = f"client supports {_go(offered)}, server accepts {_go(known)}"
        raise Forbidden(f"unable to upgrade: unable to negotiate protocol: {which}")
    return Agreement("spdy", chosen, _head([*lines, f"X-Stream-Protocol-Version: {chosen}"]))


def _values(headers: Iterable[Header], name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in headers if key == name]


def _head(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def _go(names: Iterable[str]) -> str:
    """A slice of strings as Go prints it."""
    return f"[{' '.join(names)}]"


def accept_key(key: str) -> str:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


def is_key(key: str) -> bool:
    """Whether it is one: sixteen bytes in base64."""
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        return False
