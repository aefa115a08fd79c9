"""Reads container logs in the CRI format: the tail, lines since a time, with or without timestamps, followed.

The log file is the only copy of the output: reading costs memory for one chunk, however long the log, and a reader that
falls behind costs its container nothing. Upstream: kubelet's `kuberuntime/logs`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

import anyio.lowlevel

from minik8s.kubelet.runtime.inotify import Subscription, Watcher
from minik8s.kubelet.runtime.protocol import LogOptions

CHUNK = 1 << 16


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` records begin, reading backwards from the end."""
    end = position = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    while position > 0:
        size = min(CHUNK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if position + size == end and block.endswith(b"\n"):
            lines += 1  # the last record's own end
        count = block.count(b"\n")
        if count >= lines:
            at = len(block)
            for _ in range(lines):
                at = block.rindex(b"\n", 0, at)
            return position + at + 1
        lines -= count
    return 0


def format_time(moment: datetime) -> bytes:
    """RFC3339 with nine digits; such times in UTC sort as text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


class Formatter:
    """Turns CRI records into what `kubectl logs` shows; carries `since`, partial lines and the byte limit along."""

    def __init__(self, options: LogOptions) -> None:
        self._since = b"" if options.since is None else format_time(options.since)
        self._timestamps = options.timestamps
        self._left = options.limit_bytes
        self._line_begins = True

    @property
    def full(self) -> bool:
        """Whether the byte limit has been reached."""
        return self._left is not None and self._left <= 0

    def format(self, records: bytes) -> bytes:
        """Whole records, each with its line break."""
        output = b"".join([self._record(record) for record in records.split(b"\n") if record])
        if self._left is not None:
            output = output[: self._left]
            self._left -= len(output)
        return output

    def _record(self, record: bytes) -> bytes:
        time, _, tag, *content = record.split(b" ", 3)
        if self._since:
            if time < self._since:
                return b""
            self._since = b""  # the log is in the order of time
        line = content[0] if content else b""
        if self._timestamps and self._line_begins:
            line = time + b" " + line
        self._line_begins = tag[:1] != b"P"
        return line + b"\n" if self._line_begins else line


class Running(Protocol):
    """What a follower needs to know of the container it follows."""

    @property
    def ended(self) -> bool: ...

    @property
    def end_callbacks(self) -> set[Callable[[], None]]: ...


async def read_log(
    path: Path, options: LogOptions, *, watcher: Watcher, running: Running | None
) -> AsyncGenerator[bytes, None]:
    """Yields the log in chunks; a missing file is an empty log.

    Following ends with `running` (None: at once), and goes on in the file that takes the place of a full one.
    """
    formatter = Formatter(options)
    file, tail = _open(path), options.tail_lines
    if file is not None and tail is not None:
        file.seek(tail_offset(file, tail))
    while file is not None:
        with file, _followed(path, watcher, running if options.follow else None) as subscription:
            while True:
                # asked before reading, so that the last lines are not missed
                over = subscription is None or running is None or running.ended
                replaced = subscription is not None and not _is_at(file, path)
                while (output := _read_some(file, formatter)) is not None:
                    await anyio.lowlevel.checkpoint()
                    if output:
                        yield output
                if subscription is None or over or replaced or formatter.full:
                    break
                await subscription.changed()
        file = _open(path) if replaced and not formatter.full else None


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether the path still leads to the file; one that has been removed is all there is."""
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


@contextmanager
def _followed(path: Path, watcher: Watcher, running: Running | None) -> Iterator[Subscription | None]:
    """A subscription that also tells of the container's end; None where nobody follows."""
    if running is None:
        yield None
        return
    subscription = watcher.subscribe(path)
    running.end_callbacks.add(subscription.notify)
    try:
        yield subscription
    finally:
        running.end_callbacks.discard(subscription.notify)
        subscription.close()


def _read_some(file: BinaryIO, formatter: Formatter) -> bytes | None:
    """The next chunk of what the file holds now, None at its end; a record without its end is left for later."""
    if formatter.full:
        return None
    start = file.tell()
    block = file.read(CHUNK)
    if len(block) == CHUNK and b"\n" not in block:
        block += file.readline()
    whole = block.rfind(b"\n") + 1
    file.seek(start + whole)
    return formatter.format(block[:whole]) if whole else None
