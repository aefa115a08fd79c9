"""One socket of a relayed connection, and how its bytes get to the other.

Small things go through one buffer that all connections share, bulk through kernel pipes (splicing.py says why). Each
direction ends by itself, as TCP means it: an end is passed on as an end, a reset as a reset.
"""

from __future__ import annotations

import socket
from typing import Protocol

from minik8s.proxy.poller import READ, WRITE, Poller
from minik8s.proxy.splicing import Pipe, Pipes

CHUNK = 256 * 1024
BULK_CHUNKS = 4
"""After so many full chunks in a row a direction is bulk, and goes through pipes while it lasts."""

_chunk = bytearray(CHUNK)  # one for all: what is read is handed on or copied before the next read
_view = memoryview(_chunk)


class Whole(Protocol):
    """The connection that two sides make up."""

    def abort(self) -> None: ...

    def close(self) -> None: ...


class Side:
    """One socket of a connection: what it receives it gives to its peer.

    While the peer has not taken everything (`pending`), this side does not read: the sender feels the receiver's pace
    through the kernel's buffers, and a connection never holds more than a chunk, or a pipe where there is one left.
    """

    __slots__ = (
        "_connection", "_full", "_pipes", "_poller", "_receive",
        "ended", "fd", "interest", "peer", "pending", "send", "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, poller: Poller, pipes: Pipes, connection: Whole) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.send = sock.send
        self._receive = sock.recv_into
        self._poller = poller
        self._pipes = pipes
        self._connection = connection
        self.peer: Side = self
        self.pending: memoryview | Pipe | None = None  # what this socket has yet to take
        self.interest = 0
        self.ended = False  # nothing will come from this socket any more
        self._full = 0  # full chunks in a row

    def unlink(self) -> None:
        """After the connection's end: what is still to be reported of the sockets concerns nobody."""
        self.peer = self
        self.interest = 0
        self._settle(None)

    def want(self, interest: int) -> None:
        """A side that wants nothing is not watched at all: a hang-up would be reported over and over."""
        if interest == self.interest:
            return
        self.interest = interest
        if interest:
            self._poller.watch(self.fd, interest, self.ready)
        else:
            self._poller.forget(self.fd)

    def ready(self, events: int) -> None:
        if self.pending is not None and events & ~READ:
            self._flush()
        if self.interest & READ and events & ~WRITE:
            if self._full >= BULK_CHUNKS and (pipe := self._pipes.take()) is not None:
                self._splice(pipe)
            else:
                self._relay()

    def _relay(self) -> None:
        """Once through the chunk that all share."""
        try:
            count = self._receive(_chunk)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._connection.abort()  # a reset on one side is one on the other
            return
        if not count:
            self._end()
            return
        self._full = self._full + 1 if count == CHUNK else 0
        try:
            sent = self.peer.send(_view[:count])
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._finish()  # the peer takes no more, but what it has said is still delivered
            return
        if sent < count:
            self._hold(memoryview(bytes(_view[sent:count])))

    def _splice(self, pipe: Pipe) -> None:
        """Once through a pipe, which goes back when it is empty."""
        try:
            count = pipe.fill(self.fd)
        except OSError as error:
            self._pipes.give_back(pipe)
            if self._pipes.refused(error):
                self._full = 0
            elif not isinstance(error, BlockingIOError | InterruptedError):
                self._connection.abort()
            return
        if count < CHUNK:
            self._full = 0
        if not count:
            self._pipes.give_back(pipe)
            self._end()
            return
        try:
            pipe.drain(self.peer.fd)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._pipes.give_back(pipe)
            self._finish()
            return
        if pipe.filled:
            self._hold(pipe)
        else:
            self._pipes.give_back(pipe)

    def _hold(self, rest: memoryview | Pipe) -> None:
        """Reads no more until the peer has taken the rest."""
        peer = self.peer
        peer.pending = rest
        peer.want(peer.interest | WRITE)
        self.want(self.interest & ~READ)

    def _flush(self) -> None:
        try:
            rest = self._take()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._settle(None)
            self.want(self.interest & ~WRITE)
            self.peer._finish()
            return
        self._settle(rest)
        if rest is None:
            self.want(self.interest & ~WRITE)
            self.peer.want(self.peer.interest | READ)

    def _take(self) -> memoryview | Pipe | None:
        """What is left of what is pending when the socket has taken what it can. Raises OSError."""
        pending = self.pending
        if isinstance(pending, Pipe):
            return None if pending.drain(self.fd) else pending
        assert pending is not None
        sent = self.send(pending)
        return pending[sent:] if sent < len(pending) else None

    def _settle(self, rest: memoryview | Pipe | None) -> None:
        """Remembers what is pending now, and lets go of a pipe that is not."""
        if isinstance(self.pending, Pipe) and rest is None:
            self._pipes.give_back(self.pending)
        self.pending = rest

    def _end(self) -> None:
        """The sender has said all it had to say: its peer is told, and may go on talking."""
        peer = self.peer
        if self._finish():
            try:
                peer.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._connection.abort()

    def _finish(self) -> bool:
        """Nothing more is relayed from here. Whether the connection goes on, because the peer is not done."""
        self.ended = True
        self.want(self.interest & ~READ)
        if self.peer.ended:
            self._connection.close()
            return False
        return True
