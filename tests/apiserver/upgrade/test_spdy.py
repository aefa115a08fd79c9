"""SPDY/3.1: frames written by hand, lifecycles of streams, limits, and nonsense."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.apiserver.upgrade.spdy import (
    DICTIONARY,
    INVALID_STREAM,
    MAX_HEADERS,
    MAX_STREAMS,
    REFUSED,
    Failed,
    Spdy,
    StreamData,
    StreamEnded,
    StreamOpened,
    StreamReset,
    WentAway,
)


def opened(*headers: dict[str, str]) -> tuple[Spdy, Spdy, list[int]]:
    """A client and a server with a stream for each of `headers`, and the streams' numbers."""
    client, server = Spdy(client=True), Spdy()
    numbers = []
    for each in headers:
        number, frame = client.open(each)
        assert list(server.receive(frame)) == [StreamOpened(number, {k.lower(): v for k, v in each.items()})]
        numbers.append(number)
    return client, server, numbers


def test_dictionary() -> None:
    """The preset dictionary has the length and check sum that SPDY/3 gives it."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_golden_frames() -> None:
    """A SYN_STREAM as moby/spdystream writes it, data with FIN, a ping, a reset and a GOAWAY."""
    compressor = zlib.compressobj(zdict=DICTIONARY)
    block = b"\x00\x00\x00\x01" + b"\x00\x00\x00\x0astreamtype" + b"\x00\x00\x00\x05error"
    packed = compressor.compress(block) + compressor.flush(zlib.Z_SYNC_FLUSH)
    payload = b"\x00\x00\x00\x01" + b"\x00\x00\x00\x00" + b"\x00\x00" + packed
    wire = b"\x80\x03\x00\x01\x00" + len(payload).to_bytes(3, "big") + payload
    wire += b"\x00\x00\x00\x01\x01\x00\x00\x02hi"
    wire += b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07"
    wire += b"\x80\x03\x00\x03\x00\x00\x00\x08\x00\x00\x00\x01\x00\x00\x00\x05"
    wire += b"\x80\x03\x00\x07\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00"
    server = Spdy()
    assert list(server.receive(wire)) == [
        StreamOpened(1, {"streamtype": "error"}),
        StreamData(1, b"hi"),
        StreamEnded(1),
        StreamReset(1, 5),
        WentAway(),
    ]
    assert server.outgoing() == b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x07", "a ping is echoed"


def test_a_stream_both_ways() -> None:
    """Each side ends on its own; with the second end the stream is gone, and nothing more is sent on it."""
    client, server, [one] = opened({"streamType": "data", "port": "80"})
    assert list(client.receive(server.reply(one))) == []
    assert list(server.receive(client.send(one, b"request", fin=True))) == [
        StreamData(one, b"request"),
        StreamEnded(one),
    ]
    assert server.is_open(one)
    assert list(client.receive(server.send(one, b"answer", fin=True))) == [StreamData(one, b"answer"), StreamEnded(one)]
    assert not server.is_open(one)
    assert not client.is_open(one)
    assert server.send(one, b"late") == b""
    assert server.reset(one) == b""


def test_a_reset_ends_both_ways() -> None:
    """After a reset data that is still on its way means nothing and is not complained about."""
    client, server, [one] = opened({"streamtype": "stdin"})
    late = client.send(one, b"late")
    assert list(client.receive(server.reset(one))) == [StreamReset(one, 5)]
    assert list(server.receive(late)) == []
    assert server.outgoing() == b""


def test_data_for_a_stream_that_never_was() -> None:
    """It is answered with RST_STREAM, and the connection goes on."""
    server = Spdy()
    assert list(server.receive(b"\x00\x00\x00\x09\x00\x00\x00\x01x")) == []
    assert server.outgoing()[-8:] == b"\x00\x00\x00\x09" + INVALID_STREAM.to_bytes(4, "big")
    _, frame = Spdy(client=True).open({"streamtype": "error"})
    assert len(list(server.receive(frame))) == 1


def test_too_many_streams() -> None:
    """Beyond the limit a stream is refused; the others go on, and a place that becomes free can be had."""
    client, server, numbers = opened(*[{"streamtype": "data"}] * MAX_STREAMS)
    number, frame = client.open({"streamtype": "data"})
    assert list(server.receive(frame)) == []
    assert list(client.receive(server.outgoing())) == [StreamReset(number, REFUSED)]
    list(server.receive(client.reset(numbers[0])))
    number, frame = client.open({"streamtype": "data"})
    assert list(server.receive(frame)) == [StreamOpened(number, {"streamtype": "data"})]


def frame(kind: int, payload: bytes, *, version: int = 3, length: int | None = None) -> bytes:
    """A control frame, which may lie about its length."""
    size = len(payload) if length is None else length
    return (0x8000 | version).to_bytes(2, "big") + kind.to_bytes(2, "big") + b"\0" + size.to_bytes(3, "big") + payload


def block(plain: bytes) -> bytes:
    compressor = zlib.compressobj(zdict=DICTIONARY)
    return compressor.compress(plain) + compressor.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (frame(6, b"\0\0\0\1", version=2), "version 2"),
        (frame(1, b"", length=1 << 20), "a control frame of 1048576 bytes"),
        (frame(1, b"\0\0\0\1"), "a SYN_STREAM frame is too short"),
        (frame(6, b"\0"), "a frame is cut short"),
        (frame(1, b"\0\0\0\1" + bytes(6) + b"no zlib"), "headers: "),
        (frame(1, b"\0\0\0\1" + bytes(6) + block(b"\0\0\0\2\0\0\0\1a")), "a frame is cut short"),
        (frame(1, b"\0\0\0\1" + bytes(6) + block(b"\0\0\0\1\0\0\0\x09a")), "a header is cut short"),
        (frame(1, b"\0\0\0\1" + bytes(6) + block(bytes(MAX_HEADERS * 4))), "headers of more than"),
        (frame(1, b"\0\0\0\2" + bytes(6) + block(bytes(4))), "stream 2 cannot be opened after 0"),
    ],
)
def test_broken_protocol(wire: bytes, why: str) -> None:
    """It is told once, with a GOAWAY for the peer; what follows is not read."""
    server = Spdy()
    [failed] = server.receive(wire)
    assert isinstance(failed, Failed)
    assert failed.reason.startswith(why)
    assert server.outgoing() == b"\x80\x03\x00\x07\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x01"
    assert list(server.receive(wire)) == []


def test_a_number_cannot_be_used_twice() -> None:
    """A second SYN_STREAM with a number that is not higher breaks the connection."""
    _, server, _ = opened({"streamtype": "error"})
    other = Spdy(client=True)
    _, again = other.open({"streamtype": "data"})
    assert any(isinstance(event, Failed) for event in server.receive(again))


@given(st.binary(max_size=4000), st.data())
def test_however_it_is_cut(content: bytes, data: st.DataObject) -> None:
    """A stream's bytes arrive whole and in order however the network cuts the frames."""
    client, server = Spdy(client=True), Spdy()
    number, wire = client.open({"streamtype": "data"})
    wire += client.send(number, content) + client.send(number, b"", fin=True)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        events += server.receive(wire[start:end])
    assert b"".join(event.data for event in events if isinstance(event, StreamData)) == content
    assert (events[0], events[-1]) == (StreamOpened(number, {"streamtype": "data"}), StreamEnded(number))


@given(st.lists(st.one_of(st.binary(max_size=40), st.builds(frame, st.integers(0, 12), st.binary(max_size=40)))))
def test_nonsense_is_survived(chunks: list[bytes]) -> None:
    """Any bytes are events or one failure, never an exception."""
    server = Spdy()
    failures = 0
    for chunk in chunks:
        failures += sum(isinstance(event, Failed) for event in server.receive(chunk))
        server.outgoing()
    assert failures <= 1
