"""Writes a container's log. Its lines carry the machine's time: a process does not live in a cluster's virtual time."""

from __future__ import annotations

import os
import time

MAX_PARTIAL = 1 << 14
"""A longer line is cut into records marked partial, as containerd does (max_container_log_line_size)."""


class Log:
    """Writes output as CRI log lines (`<RFC3339Nano> stdout F <line>`), the format kubelets and log shippers read.

    stdout and stderr share one pipe, because two would lose the order in which a process wrote to them.
    """

    def __init__(self, path: bytes) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._rest = b""
        self._second = -1
        self._stamp = b""

    def _prefix(self, tag: bytes) -> bytes:
        second, nanos = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second, self._stamp = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%s.%09dZ stdout %s " % (self._stamp, nanos, tag)

    def feed(self, data: bytes) -> None:
        lines, newline, rest = (self._rest + data).rpartition(b"\n")
        if newline:
            prefix = self._prefix(b"F")
            self._write(prefix + lines.replace(b"\n", b"\n" + prefix) + b"\n")
        self._rest = rest
        if len(rest) > MAX_PARTIAL:
            self.flush()

    def flush(self) -> None:
        """Writes a line that has no end yet; its record is marked partial, so a reader adds no line break."""
        if self._rest:
            self._write(self._prefix(b"P") + self._rest + b"\n")
            self._rest = b""

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            return  # a full disk loses output; it must not stop the container
