"""SPDY/3.1 without I/O, as far as Kubernetes' clients speak it: streams with headers, data, ends and resets.

Bytes in, events out; what is to be sent comes back from the methods or waits in `outgoing`. Data is handed on as it
arrives, headers and numbers are bounded, so a peer can cost no more than `MAX_HEADERS` and a few bytes a stream. A peer
that breaks the protocol gets a GOAWAY and `Failed`, one that misuses a stream a RST_STREAM. Upstream: moby/spdystream.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import attrs

VERSION = 3
SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
PROTOCOL_ERROR, INVALID_STREAM, REFUSED, CANCEL, INTERNAL = 1, 2, 3, 5, 6
GOAWAY_OK, GOAWAY_PROTOCOL_ERROR = 0, 1
MAX_CONTROL = 1 << 16
"""Bytes of a control frame."""
MAX_HEADERS = 1 << 16
"""Bytes of a header block once it is decompressed."""
MAX_STREAMS = 2000
"""Streams open at once; a client that wants more is refused them."""
MAX_DATA = (1 << 24) - 1

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length "
    "content-location content-md5 content-range content-type date etag expect expires from host if-match "
    "if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma "
    "proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie "
    "keep-alive origin"
)
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8"
    "charset=iso-8859-1,utf-,*,enq=0."
)
_U32 = struct.Struct(">I")
_HEAD = struct.Struct(">II")


def _dictionary() -> bytes:
    """The preset dictionary of header blocks: each word with its length, then a text."""
    words = [word.replace("_", " ").encode() for word in _WORDS.split()]
    return b"".join(_U32.pack(len(word)) + word for word in words) + _TEXT.encode()


DICTIONARY = _dictionary()


@attrs.frozen
class StreamOpened:
    """The peer opened a stream; header names are in lower case."""

    stream: int
    headers: Mapping[str, str]


@attrs.frozen
class StreamData:
    stream: int
    data: bytes


@attrs.frozen
class StreamEnded:
    """The peer sends nothing more on a stream."""

    stream: int


@attrs.frozen
class StreamReset:
    """The peer wants nothing more of a stream."""

    stream: int
    status: int


@attrs.frozen
class WentAway:
    """The peer is about to close the connection in good order."""


@attrs.frozen
class Failed:
    """The peer does not speak SPDY/3.1; nothing follows."""

    reason: str


Event: TypeAlias = StreamOpened | StreamData | StreamEnded | StreamReset | WentAway | Failed


class ProtocolError(Exception):
    """The peer's bytes are not SPDY."""


@attrs.define
class _Stream:
    """Which directions are still open."""

    receiving: bool = True
    sending: bool = True


class Spdy:
    """One side of a connection: the server's, or with `client` the client's (for tests)."""

    def __init__(self, *, client: bool = False) -> None:
        self._buffer = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._parity = 0 if client else 1  # of the streams that the peer opens
        self._last = 0
        self._next = 1 if client else 2
        self._data: tuple[int, int, bool] | None = None  # the data frame under way: stream, bytes left, whether FIN
        self._over = False
        self._out = bytearray()

    # -- receiving

    def receive(self, data: bytes) -> Iterator[Event]:
        """What the peer's bytes mean; `outgoing` has what is to be answered."""
        if self._over:
            return
        self._buffer += data
        try:
            while (frame := self._take()) is not None:
                yield from frame
        except ProtocolError as error:
            self._over = True
            self._buffer.clear()
            self._out += self.goaway(GOAWAY_PROTOCOL_ERROR)
            yield Failed(str(error))

    def _take(self) -> Iterator[Event] | None:
        """The next frame's events, or those of a part of a data frame; None when more bytes are needed."""
        if self._data is not None:
            return self._take_data(*self._data)
        if len(self._buffer) < 8:
            return None
        first, second = _HEAD.unpack_from(self._buffer)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first >> 31:
            del self._buffer[:8]
            self._data = (first, length, bool(flags & FIN))
            return self._take_data(*self._data)
        if first >> 16 & 0x7FFF != VERSION:
            raise ProtocolError(f"version {first >> 16 & 0x7FFF}")
        if length > MAX_CONTROL:
            raise ProtocolError(f"a control frame of {length} bytes")
        if len(self._buffer) < 8 + length:
            return None
        payload = bytes(self._buffer[8 : 8 + length])
        del self._buffer[: 8 + length]
        return self._control(first & 0xFFFF, flags, payload)

    def _take_data(self, stream: int, left: int, fin: bool) -> Iterator[Event] | None:
        data = bytes(self._buffer[:left])
        if left and not data:
            return None
        del self._buffer[: len(data)]
        left -= len(data)
        self._data = (stream, left, fin) if left else None
        return self._received(stream, data, ended=fin and not left)

    def _received(self, stream: int, data: bytes, *, ended: bool) -> Iterator[Event]:
        state = self._streams.get(stream)
        if state is None or not state.receiving:
            if stream > self._last or not stream:
                self._out += _control(RST_STREAM, _HEAD.pack(stream, INVALID_STREAM))
            return  # one that we have just reset
        if data:
            yield StreamData(stream, data)
        if ended:
            yield from self._end(stream)

    def _end(self, stream: int) -> Iterator[Event]:
        state = self._streams.get(stream)
        if state is not None and state.receiving:
            state.receiving = False
            self._forget_if_closed(stream)
            yield StreamEnded(stream)

    def _control(self, kind: int, flags: int, payload: bytes) -> Iterator[Event]:
        match kind:
            case 1:  # SYN_STREAM
                yield from self._opened(flags, payload)
            case 2 | 8:  # SYN_REPLY, HEADERS: nothing is expected, but the compressor's state goes on
                self._headers(payload[4:])
                if flags & FIN:
                    yield from self._end(_number(payload))
            case 3:  # RST_STREAM
                stream, status = _number(payload), _number(payload[4:])
                if self._streams.pop(stream, None) is not None:
                    yield StreamReset(stream, status)
            case 6:  # PING
                if _number(payload) % 2 == self._parity:
                    self._out += _control(PING, payload[:4])
            case 7:  # GOAWAY
                yield WentAway()
            case _:
                return  # SETTINGS, WINDOW_UPDATE and what is unknown may be ignored

    def _opened(self, flags: int, payload: bytes) -> Iterator[Event]:
        stream = _number(payload) & 0x7FFFFFFF
        if len(payload) < 10:
            raise ProtocolError("a SYN_STREAM frame is too short")
        headers = self._headers(payload[10:])
        if stream % 2 != self._parity or stream <= self._last:
            raise ProtocolError(f"stream {stream} cannot be opened after {self._last}")
        self._last = stream
        if len(self._streams) >= MAX_STREAMS:
            self._out += _control(RST_STREAM, _HEAD.pack(stream, REFUSED))
            return
        self._streams[stream] = _Stream()
        yield StreamOpened(stream, headers)
        if flags & FIN:
            yield from self._end(stream)

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, MAX_HEADERS)
        except zlib.error as error:
            raise ProtocolError(f"headers: {error}") from None
        if self._inflate.unconsumed_tail:
            raise ProtocolError(f"headers of more than {MAX_HEADERS} bytes")
        position, texts = 4, list[str]()
        if not plain:
            return {}
        for _ in range(min(_number(plain), MAX_HEADERS) * 2):
            length = _number(plain[position : position + 4])
            text = plain[position + 4 : position + 4 + length]
            if len(text) != length:
                raise ProtocolError("a header is cut short")
            texts.append(text.decode("latin-1"))
            position += 4 + length
        return {name.lower(): value for name, value in zip(texts[::2], texts[1::2], strict=True)}

    # -- sending

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> tuple[int, bytes]:
        """A new stream's number, and the SYN_STREAM that opens it."""
        stream, self._next = self._next, self._next + 2
        self._streams[stream] = _Stream(sending=not fin)
        payload = _U32.pack(stream) + bytes(6) + self._compressed(headers)
        return stream, _control(SYN_STREAM, payload, FIN if fin else 0)

    def reply(self, stream: int) -> bytes:
        """The SYN_REPLY without which a client takes a stream for dead."""
        return _control(SYN_REPLY, _U32.pack(stream) + self._compressed({}))

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> bytes:
        """A data frame; nothing for a stream that is closed."""
        state = self._streams.get(stream)
        if state is None or not state.sending:
            return b""
        if fin:
            state.sending = False
            self._forget_if_closed(stream)
        return _HEAD.pack(stream, (FIN if fin else 0) << 24 | len(data)) + data

    def reset(self, stream: int, status: int = CANCEL) -> bytes:
        """Ends a stream both ways; nothing for one that is closed."""
        if self._streams.pop(stream, None) is None:
            return b""
        return _control(RST_STREAM, _HEAD.pack(stream, status))

    def goaway(self, status: int = GOAWAY_OK) -> bytes:
        """Says that no more streams are taken."""
        return _control(GOAWAY, _HEAD.pack(self._last, status))

    def ping(self, number: int) -> bytes:
        return _control(PING, _U32.pack(number))

    def queue(self, frame: bytes) -> None:
        """Lets a frame wait in `outgoing`."""
        self._out += frame

    def outgoing(self) -> bytes:
        """Answers that are to be sent now: pings, refusals, the last GOAWAY."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def is_open(self, stream: int) -> bool:
        """Whether the stream is still open in some direction."""
        return stream in self._streams

    def _forget_if_closed(self, stream: int) -> None:
        state = self._streams[stream]
        if not state.receiving and not state.sending:
            del self._streams[stream]

    def _compressed(self, headers: Mapping[str, str]) -> bytes:
        parts = [_U32.pack(len(headers))]
        for name, value in headers.items():
            for text in (name.lower().encode("latin-1"), value.encode("latin-1")):
                parts += [_U32.pack(len(text)), text]
        return self._deflate.compress(b"".join(parts)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control(kind: int, payload: bytes, flags: int = 0) -> bytes:
    return _HEAD.pack(1 << 31 | VERSION << 16 | kind, flags << 24 | len(payload)) + payload


def _number(data: bytes) -> int:
    if len(data) < 4:
        raise ProtocolError("a frame is cut short")
    return int(_U32.unpack_from(data)[0])
