"""Kubernetes' numbered channels in WebSocket messages, without I/O.

A message's first byte is the number of a channel, the rest its data; the base64 forms put both into text, the number as
a digit. Whether a message says that it is text means nothing: there are clients that send bytes as text. Upstream:
k8s.io/apiserver/pkg/util/wsstream, k8s.io/apimachinery/pkg/util/remotecommand.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

import attrs

from minik8s.apiserver.upgrade.handshake import Subprotocol
from minik8s.apiserver.upgrade.websocket import PROTOCOL_ERROR, TOO_BIG, Closed, WebSocket

CLOSE = 255
"""The channel on which a v5 client names a channel that it has no more data for."""
MAX_TEXT = 1 << 20
"""Characters of one base64 message, which is decoded as a whole."""


@attrs.frozen
class ChannelData:
    """Data of a channel, perhaps none."""

    channel: int
    data: bytes


@attrs.frozen
class ChannelEnded:
    """The client has no more data for a channel."""

    channel: int


Event = ChannelData | ChannelEnded | Closed


class Channels:
    """The server's side of one connection."""

    def __init__(self, protocol: Subprotocol, socket: WebSocket | None = None) -> None:
        self.protocol = protocol
        self._socket = socket or WebSocket()
        self._channel: int | None = None
        self._text = b""

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the client's bytes mean; `outgoing` has what is to be answered. Closed is the last event."""
        for event in self._socket.receive(data):
            if isinstance(event, Closed):
                yield event
                return
            data = event.data.encode() if isinstance(event.data, str) else event.data
            found = (
                self._from_text(data, last=event.last)
                if self.protocol.text
                else self._from_bytes(data, first=event.first)
            )
            for inner in found:
                yield inner
                if isinstance(inner, Closed):
                    return

    def _from_bytes(self, data: bytes, *, first: bool) -> Iterable[Event]:
        if first:
            self._channel = None
        if self._channel is not None:
            return self._data(self._channel, data)
        if not data:
            return ()  # a message without even a channel means nothing
        self._channel = data[0]
        return self._data(self._channel, data[1:])

    def _from_text(self, text: bytes, *, last: bool) -> Iterable[Event]:
        self._text += text
        if len(self._text) > MAX_TEXT:
            return (Closed(TOO_BIG, f"a message may have {MAX_TEXT} characters"),)
        if not last:
            return ()
        whole, self._text = self._text, b""
        if not whole:
            return ()
        try:
            return self._data(whole[0] - ord("0"), base64.b64decode(whole[1:], validate=True))
        except (binascii.Error, ValueError):
            return (Closed(PROTOCOL_ERROR, "a message is not base64"),)

    def _data(self, channel: int, data: bytes) -> Iterable[Event]:
        if channel == CLOSE and self.protocol.half_close:
            return [ChannelEnded(ended) for ended in data]
        return (ChannelData(channel, data),) if data else ()

    def send(self, channel: int, data: bytes) -> bytes:
        """A message with data of a channel."""
        if self.protocol.text:
            return self._socket.send(chr(ord("0") + channel) + base64.b64encode(data).decode())
        return self._socket.send(bytes((channel,)) + data)

    def close(self, code: int, reason: str = "") -> bytes:
        """What ends the connection in good order."""
        return self._socket.close(code, reason)

    def outgoing(self) -> bytes:
        """What has to be answered now: pongs, a close frame."""
        return self._socket.outgoing()
