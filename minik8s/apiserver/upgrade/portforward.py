"""Port-forward without I/O: which SPDY streams belong together, which WebSocket channels, and to which port.

Over SPDY every connection is a pair of streams, `error` and `data`, with the same request id and port. Over channels
the query names the ports; channel 2i carries the data of the i-th, 2i + 1 its failure, and both begin with the port's
number.
Upstream: k8s.io/kubelet/pkg/cri/streaming/portforward (httpstream.go, websocket.go).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

import attrs

MAX_PORTS = 127
"""Ports of one connection with channels: their numbers are bytes, and 255 means something else."""


@attrs.frozen
class Pair:
    """Two streams that are one forwarded connection."""

    port: int
    data: int
    error: int


@attrs.frozen
class Unpaired(Exception):
    """A stream that belongs to no connection; `why` is for the log of whoever wrote the client."""

    why: str


class Pairing:
    """Finds the other half of each stream."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, int, int]] = {}

    def opened(self, stream: int, headers: Mapping[str, str]) -> Pair | None:
        """The pair that this stream completes, None when the other half is still to come. Raises Unpaired."""
        kind, port = headers.get("streamtype", ""), _port(headers.get("port", ""))
        if kind not in ("data", "error"):
            raise Unpaired(f'invalid stream type "{kind}"')
        if port is None:
            raise Unpaired(f'unable to parse "{headers.get("port", "")}" as a port')
        # clients from before request ids open the error stream first, and the data stream right behind it
        request = headers.get("requestid") or str(stream if kind == "error" else stream - 2)
        if request not in self._waiting:
            self._waiting[request] = (kind, stream, port)
            return None
        other_kind, other, other_port = self._waiting[request]
        if other_kind == kind or other_port != port:
            raise Unpaired(f'stream type "{kind}" of request {request} does not fit the one before')
        del self._waiting[request]
        return Pair(port, data=stream, error=other) if kind == "data" else Pair(port, data=other, error=stream)

    def ended(self, stream: int) -> None:
        """A stream is gone; if it still waited for its other half, that one waits alone."""
        for request, (_, waiting, _) in list(self._waiting.items()):
            if waiting == stream:
                del self._waiting[request]


def ports_of(values: Iterable[str]) -> list[int]:
    """The ports that a query names, one in each value or separated by commas. Raises ValueError (upstream's text)."""
    texts = [text for value in values for text in value.split(",")]
    if not texts or texts == [""]:
        raise ValueError('query parameter "port" is required')
    if len(texts) > MAX_PORTS:
        raise ValueError(f"no more than {MAX_PORTS} ports can be forwarded by one connection")
    ports = []
    for text in texts:
        if (port := _port(text)) is None:
            raise ValueError(f'unable to parse "{text}" as a port')
        ports.append(port)
    return ports


def preamble(port: int) -> bytes:
    """What comes first on both channels of a port."""
    return struct.pack("<H", port)


def _port(text: str) -> int | None:
    valid = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 1 << 16
    return int(text) if valid else None
