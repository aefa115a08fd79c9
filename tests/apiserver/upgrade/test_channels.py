"""WebSocket frames and the channels in them: recorded frames, every way to cut them, and nonsense."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, Ping, TextMessage

from minik8s.apiserver.upgrade.channels import MAX_TEXT, ChannelData, ChannelEnded, Channels
from minik8s.apiserver.upgrade.handshake import SUBPROTOCOLS
from minik8s.apiserver.upgrade.websocket import Closed, WebSocket

V5, V4, BASE64 = (SUBPROTOCOLS[f"{v}.channel.k8s.io"] for v in ("v5", "v4", "v4.base64"))


def client(*messages: bytes | str) -> bytes:
    """Messages as a client sends them."""
    connection = Connection(ConnectionType.CLIENT)
    events = [TextMessage(m) if isinstance(m, str) else BytesMessage(m) for m in messages]
    return b"".join(connection.send(event) for event in events)


def understood(channels: Channels, data: bytes) -> list[object]:
    """The events of some bytes, neighbouring data of one channel joined."""
    events: list[object] = []
    for event in channels.receive(data):
        last = events[-1] if events else None
        if isinstance(event, ChannelData) and isinstance(last, ChannelData) and last.channel == event.channel:
            events[-1] = ChannelData(event.channel, last.data + event.data)
        else:
            events.append(event)
    return events


def test_golden_frames() -> None:
    """Frames written by hand: masked data on channel 0, a fragmented message on 4, CLOSE of stdin, a close frame."""
    mask = bytes.fromhex("01020304")
    masked = bytes(b ^ mask[i % 4] for i, b in enumerate(b"\x00ls\n"))
    data = b"\x82\x84" + mask + masked
    data += b"\x02\x81" + bytes(4) + b"\x04" + b"\x80\x83" + bytes(4) + b"abc"
    data += b"\x82\x82" + bytes(4) + b"\xff\x00" + b"\x88\x82" + bytes(4) + b"\x03\xe8"
    expected = [ChannelData(0, b"ls\n"), ChannelData(4, b"abc"), ChannelEnded(0), Closed(1000)]
    channels = Channels(V5)
    assert understood(channels, data) == expected
    assert channels.outgoing() == b"\x88\x02\x03\xe8", "a close frame is answered with its code"


@pytest.mark.parametrize(
    ("name", "wire"), [("v5.channel.k8s.io", b"\x82\x03\x01hi"), ("v4.base64.channel.k8s.io", b"\x81\x051aGk=")]
)
def test_what_is_sent(name: str, wire: bytes) -> None:
    """Output is one unmasked message: the channel, then its data, in base64 where that was agreed on."""
    assert Channels(SUBPROTOCOLS[name]).send(1, b"hi") == wire


def test_close_signal_needs_v5() -> None:
    """Channel 255 means something only to those who agreed on v5."""
    assert understood(Channels(V5), client(b"\xff\x00")) == [ChannelEnded(0)]
    assert understood(Channels(V4), client(b"\xff\x00")) == [ChannelData(255, b"\x00")]


def test_base64_messages() -> None:
    """Text messages carry a digit and base64; what is not that ends the connection with a reason."""
    assert understood(Channels(BASE64), client("0" + "aGk=")) == [ChannelData(0, b"hi")]
    assert understood(Channels(BASE64), client("", "4")) == []
    [closed] = understood(Channels(BASE64), client("0!!!"))
    assert isinstance(closed, Closed)
    assert closed.code == 1002
    [closed] = understood(Channels(BASE64), client("0" + "A" * MAX_TEXT))
    assert isinstance(closed, Closed)
    assert closed.code == 1009, "a message that has to be kept whole is bounded"


def test_the_other_kind_of_message() -> None:
    """Bytes in a text message are bytes (the Python client sends them so), and base64 may come as bytes."""
    assert understood(Channels(V5), client("\x00abc")) == [ChannelData(0, b"abc")]
    assert understood(Channels(BASE64), client(b"0aGk=")) == [ChannelData(0, b"hi")]


def test_pings_are_answered() -> None:
    """A ping between the fragments of a message is answered and disturbs nothing."""
    connection = Connection(ConnectionType.CLIENT)
    data = connection.send(BytesMessage(b"\x00ab", message_finished=False)) + connection.send(Ping(b"?"))
    data += connection.send(BytesMessage(b"cd"))
    channels = Channels(V5)
    assert understood(channels, data) == [ChannelData(0, b"abcd")]
    assert channels.outgoing() == b"\x8a\x01?"
    assert channels.outgoing() == b""


def test_nothing_after_the_close() -> None:
    """Whoever has said goodbye is not listened to, and is sent nothing."""
    socket = WebSocket()
    peer = WebSocket(client=True)
    assert list(socket.receive(peer.close() + b"\x82\x80\x00\x00\x00\x00")) == [Closed(1000)]
    assert socket.over
    assert list(socket.receive(b"\x82\x80\x00\x00\x00\x00")) == []
    assert socket.send(b"late") == b""


@given(st.lists(st.tuples(st.integers(0, 254), st.binary(max_size=300)), max_size=6), st.data())
def test_however_it_is_cut(messages: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """The events do not depend on how the network cuts the bytes."""
    wire = client(*[bytes((channel,)) + content for channel, content in messages])
    whole = understood(Channels(V5), wire)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    channels, pieces = Channels(V5), list[object]()
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        pieces += channels.receive(wire[start:end])
    joined = {channel: b"" for channel, _ in messages}
    for event in pieces:
        assert isinstance(event, ChannelData)
        joined[event.channel] += event.data
    for event in whole:
        assert isinstance(event, ChannelData)
    assert joined == {c: b"".join(d for k, d in messages if k == c) for c, _ in messages}


@given(st.lists(st.binary(max_size=64), max_size=6), st.sampled_from(sorted(SUBPROTOCOLS)))
def test_nonsense_is_survived(chunks: list[bytes], name: str) -> None:
    """Any bytes are events or the end, never an exception; after the end nothing comes."""
    channels = Channels(SUBPROTOCOLS[name])
    for chunk in chunks:
        events = list(channels.receive(chunk))
        assert all(not isinstance(event, Closed) for event in events[:-1])
        channels.outgoing()
    channels.close(1000)
