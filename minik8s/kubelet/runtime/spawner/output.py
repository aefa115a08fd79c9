"""What a container writes: read from its pipes or its terminal, written to its log, copied to whoever is attached.

Standard output and standard error share a pipe, because two would lose the order in which a process wrote to them. Only
where a client is going to talk to the container they have one each, so that they reach the client apart.
"""

from __future__ import annotations

import os
import select

from . import TYPE_CHECKING
from .crilog import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK = 1 << 16
"""Bytes read from a container at once; lines of one chunk share one timestamp."""
MAX_PENDING = 1 << 18
"""Bytes that may wait for an attached client; then the stream is no longer read until the client has caught up."""


class Stream:
    """One of a container's streams: `fd` is where it is read, `clients` are attached descriptors and what they lack."""

    def __init__(self, fd: int, name: bytes) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.name = name
        self.clients: dict[int, bytearray] = {}
        self.lagging = False
        self.open = True


class Output:
    """A container's streams, standard output first."""

    def __init__(self, poll: select.poll, log: Log | None, fds: Sequence[int]) -> None:
        self._poll, self._log = poll, log
        self._streams = [Stream(fd, name) for fd, name in zip(fds, (b"stdout", b"stderr"), strict=False)]
        self._finishing = False

    @property
    def fds(self) -> set[int]:
        return {stream.fd for stream in self._streams}

    @property
    def is_awaited(self) -> bool:
        """Whether there is still a client who has not taken everything."""
        return any(stream.clients for stream in self._streams)

    def watch(self) -> None:
        """From now on the poll tells when there is something to do."""
        for stream in self._streams:
            self._poll.register(stream.fd, select.POLLIN)

    def attach(self, fds: Sequence[int]) -> None:
        """A client: a pipe for each stream that the container has; what is too much is closed."""
        for index, fd in enumerate(fds):
            if index >= len(self._streams):
                os.close(fd)
                continue
            os.set_inheritable(fd, False)
            os.set_blocking(fd, False)
            self._streams[index].clients[fd] = bytearray()
            self._poll.register(fd, 0)

    def handle(self, fd: int, events: int) -> bool:
        """Does what the poll has told; False for a descriptor of somebody else."""
        for stream in self._streams:
            if fd == stream.fd:
                self._pump(stream)
                return True
            if fd in stream.clients:
                self._flush(stream, fd, events)
                return True
        return False

    def finish(self) -> None:
        """The container is dead: what is in its pipes is all there will be."""
        self._finishing = True
        for stream in self._streams:
            if not self._log:
                continue
            try:
                while data := os.read(stream.fd, CHUNK):
                    self._take(stream, data)
            except OSError:  # EAGAIN: a descriptor passed to a stranger still holds it open; EIO: a terminal's end
                pass
        if self._log:
            self._log.flush()
        self.release()

    def release(self) -> None:
        """Lets go of clients who have taken everything."""
        for stream in self._streams:
            for fd in [fd for fd, pending in stream.clients.items() if not pending]:
                self._detach(stream, fd)

    def _pump(self, stream: Stream) -> None:
        """Moves some output to the log."""
        try:
            data = os.read(stream.fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal without users
        self._take(stream, data)
        if not data:
            stream.open = False
            self._poll.unregister(stream.fd)

    def _take(self, stream: Stream, data: bytes) -> None:
        if data and self._log:
            self._log.feed(stream.name, data)
        for fd in list(stream.clients) if data else ():
            stream.clients[fd] += data
            self._flush(stream, fd)

    def _flush(self, stream: Stream, fd: int, events: int = 0) -> None:
        """Gives an attached client what it takes now. Who has gone is forgotten, who lags holds up the stream."""
        pending = stream.clients[fd]
        try:
            if events & ~select.POLLOUT:
                raise BrokenPipeError
            del pending[: os.write(fd, pending)]
        except BlockingIOError:
            pass  # POLLOUT will tell
        except OSError:
            self._detach(stream, fd)
        if fd in stream.clients:
            self._poll.register(fd, select.POLLOUT if pending else 0)
        lagging = any(len(waiting) > MAX_PENDING for waiting in stream.clients.values())
        if lagging is not stream.lagging and stream.open and not self._finishing:
            stream.lagging = lagging
            self._poll.register(stream.fd, 0 if lagging else select.POLLIN)

    def _detach(self, stream: Stream, fd: int) -> None:
        self._poll.unregister(fd)
        os.close(fd)
        del stream.clients[fd]
