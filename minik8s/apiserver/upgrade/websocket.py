"""WebSocket (RFC 6455) without I/O: the answer to a handshake, then messages from bytes and bytes from messages.

Frames are `wsproto`'s affair: masks, fragments, control frames between fragments, UTF-8, close codes. A message is
handed on piece by piece as it arrives, so its length costs no memory. No extension is ever agreed on.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError

NORMAL, PROTOCOL_ERROR, UNSUPPORTED_DATA, TOO_BIG, INTERNAL = 1000, 1002, 1003, 1009, 1011
MAX_REASON = 123
"""Bytes of a close frame's reason."""


@attrs.frozen
class Piece:
    """Some of a message. `first` and `last` tell where the message begins and ends; one may be both."""

    data: bytes | str
    first: bool
    last: bool


@attrs.frozen
class Closed:
    """The peer ends the connection, or has broken the protocol; nothing follows."""

    code: int
    reason: str = ""


class WebSocket:
    """One side of an open connection: the server's, or with `client` the client's (for tests and proxies)."""

    def __init__(self, *, client: bool = False) -> None:
        self._connection = Connection(ConnectionType.CLIENT if client else ConnectionType.SERVER)
        self._begun = False
        self._over = False
        self._out = bytearray()

    @property
    def over(self) -> bool:
        """Whether the peer has ended the connection."""
        return self._over

    def receive(self, data: bytes) -> Iterator[Piece | Closed]:
        """What `data` brings. Answers to pings and to a close frame are left in `outgoing`."""
        if self._over:
            return
        self._connection.receive_data(data)
        for event in self._connection.events():
            if isinstance(event, (BytesMessage, TextMessage)):
                first, self._begun = not self._begun, not event.message_finished
                piece = event.data if isinstance(event.data, str) else bytes(event.data)
                yield Piece(piece, first, event.message_finished)
            elif isinstance(event, Ping):
                self._answer(event.response())
            elif isinstance(event, CloseConnection):
                self._over = True
                self._answer(CloseConnection(event.code if 1000 <= event.code < 5000 else NORMAL))
                yield Closed(int(event.code), event.reason or "")
                return

    def send(self, data: bytes | str) -> bytes:
        """A whole message; nothing once the connection is closing."""
        if self._connection.state is not ConnectionState.OPEN:
            return b""
        message = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        return self._connection.send(message)

    def close(self, code: int = NORMAL, reason: str = "") -> bytes:
        """The close frame; nothing if there has been one."""
        text = reason.encode()[:MAX_REASON].decode(errors="ignore")
        self._answer(CloseConnection(code, text))
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Answers that are to be sent now."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _answer(self, event: CloseConnection | Ping | object) -> None:
        try:
            self._out += self._connection.send(event)  # type: ignore[arg-type]
        except LocalProtocolError:
            return  # a close frame has gone out already
