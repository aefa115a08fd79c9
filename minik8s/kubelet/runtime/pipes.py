"""Pipes and terminals as streams of the event loop: what `kubectl exec` and `attach` read from and write to.

A reader asks the kernel only when it is asked, so a process that writes more than anybody reads waits in its own
`write`, as it would in a shell pipeline.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import struct
import termios
from collections.abc import Callable

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

CHUNK = 1 << 15
MAX_SIZE = 0xFFFF


class _Descriptor:
    """A descriptor that is waited for."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._wake = asyncio.Event()

    async def _ready(self, add: Callable[[int, Callable[[], None]], object], remove: Callable[[int], object]) -> None:
        fd = self._fd
        self._wake = asyncio.Event()
        add(fd, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if self._fd >= 0:
                remove(fd)

    def close(self) -> None:
        """Idempotent; who waits is woken."""
        if self._fd >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._fd)
            loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._wake.set()

    async def aclose(self) -> None:
        self.close()


class PipeReader(_Descriptor, ByteReceiveStream):
    """The reading end of a pipe, or a terminal's master; closes `fd`."""

    _last = False

    def finish(self) -> None:
        """Whoever counts has stopped writing: the end is where there is nothing to read, not where the last writer goes
        (it may be a stranger who was given the descriptor)."""
        self._last = True
        self._wake.set()

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        while True:
            await checkpoint()
            if self._fd < 0:
                raise anyio.ClosedResourceError
            last = self._last
            try:
                data = os.read(self._fd, max_bytes)
            except BlockingIOError:
                if last:
                    raise anyio.EndOfStream from None
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_reader, loop.remove_reader)
                continue
            except OSError:  # EIO: a terminal that nobody uses any more
                data = b""
            if not data:
                raise anyio.EndOfStream
            return data


class PipeWriter(_Descriptor, ByteSendStream):
    """The writing end of a pipe, or a terminal's master; closes `fd`, and calls `closed` then."""

    def __init__(self, fd: int, closed: Callable[[], None] | None = None) -> None:
        super().__init__(fd)
        self._closed = closed

    async def send(self, item: bytes) -> None:
        view = memoryview(item)
        await checkpoint()
        while view:
            if self._fd < 0:
                raise anyio.ClosedResourceError
            try:
                view = view[os.write(self._fd, view) :]
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                await self._ready(loop.add_writer, loop.remove_writer)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    def close(self) -> None:
        closed, self._closed = self._closed, None
        super().close()
        if closed is not None:
            closed()


def set_size(terminal: int, width: int, height: int) -> None:
    """Tells a terminal how large its window is; its processes get SIGWINCH."""
    size = struct.pack("HHHH", min(height, MAX_SIZE), min(width, MAX_SIZE), 0, 0)
    with contextlib.suppress(OSError):  # it has just been closed
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
