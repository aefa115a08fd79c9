"""Writes a container's log. Its lines carry the machine's time: a process does not live in a cluster's virtual time."""

from __future__ import annotations

import os
import time

MAX_PARTIAL = 1 << 14
"""A longer line is cut into records marked partial, as containerd does (max_container_log_line_size)."""
MAX_SIZE = 10 << 20
MAX_FILES = 5
"""A log of so many bytes is put aside, and another begun; so many are kept (containerLogMaxSize, containerLogMaxFiles).

What is put aside is named by the time; `kubectl logs` shows the newest, as upstream."""


class Log:
    """Writes output as CRI log lines (`<RFC3339Nano> stdout F <line>`), the format kubelets and log shippers read."""

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._open(path)
        self._rests: dict[bytes, bytes] = {}
        self._second = -1
        self._stamp = b""

    def _open(self, path: bytes) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _prefix(self, stream: bytes, tag: bytes) -> bytes:
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%s.%09dZ %s %s " % (self._stamp, nanos, stream, tag)

    def feed(self, stream: bytes, data: bytes) -> None:
        lines, newline, rest = (self._rests.pop(stream, b"") + data).rpartition(b"\n")
        if newline:
            prefix = self._prefix(stream, b"F")
            self._write(prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n")
        if rest:
            self._rests[stream] = rest
        if len(rest) > MAX_PARTIAL:
            self._flush(stream)

    def flush(self) -> None:
        """Writes lines that have no end yet; their records are marked partial, so a reader adds no line break."""
        for stream in list(self._rests):
            self._flush(stream)

    def _flush(self, stream: bytes) -> None:
        self._write(self._prefix(stream, b"P") + self._rests.pop(stream) + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            if self._size >= MAX_SIZE:
                self._rotate()
            while view:
                written = os.write(self._fd, view)
                view, self._size = view[written:], self._size + written
        except OSError:
            return  # a full disk loses output; it must not stop the container

    def _rotate(self) -> None:
        """Puts another file in the place of the full one: there is one at every moment."""
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        aside = b"%s.%s.%09d" % (self._path, time.strftime("%Y%m%d-%H%M%S", time.gmtime(second)).encode(), nanos)
        os.link(self._path, aside)
        os.close(self._fd)
        self._open(self._path + b".next")
        os.rename(self._path + b".next", self._path)
        directory, name = os.path.split(self._path)
        former = sorted(entry for entry in os.listdir(directory) if entry.startswith(name + b"."))
        for entry in former[: -(MAX_FILES - 1)]:
            os.unlink(os.path.join(directory, entry))
