"""Collects the output of a short command, up to a limit, without ever making the command wait."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Self


class Output:
    """A pipe: `write_fd` is for the command, what it writes is collected. What exceeds `limit` bytes is dropped."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._chunks: list[bytes] = []
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._readable)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_write()
        self._close_read()

    def close_write(self) -> None:
        """To be called once the command has the descriptor: the output ends with its last writer."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def collect(self) -> bytes:
        """Everything that has been written so far."""
        while self._read_fd >= 0 and self._readable():
            pass
        return b"".join(self._chunks)

    def _readable(self) -> bool:
        """Reads some; False when there is nothing at the moment."""
        try:
            data = os.read(self._read_fd, 1 << 16)
        except BlockingIOError:
            return False
        if not data:
            self._close_read()
        elif self._left > 0:
            self._chunks.append(data[: self._left])
            self._left -= len(data)
        return bool(data)

    def _close_read(self) -> None:
        if self._read_fd >= 0:
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1
