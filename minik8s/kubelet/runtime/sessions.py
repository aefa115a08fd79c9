"""A command beside a container, or the container itself, at the other end of a client's streams.

A command gets pipes, or a terminal of its own; it ends with its session, whatever it does to its signals or
descriptors, for the fork server kills every descendant. A container's session only listens: the shim copies to it what
the container writes, and what the client writes goes to the container's standard input.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Sequence

import attrs

from minik8s.kubelet.runtime.pipes import PipeReader, PipeWriter, set_size
from minik8s.kubelet.runtime.processes import Process, SpawnError, Stdio

NOT_FOUND, NOT_EXECUTABLE = 127, 126
MAX_MESSAGE = 4000
"""Bytes of why a command cannot be started: they must fit into a pipe that nobody reads yet."""


@attrs.define(eq=False)
class Ends:
    """Descriptors of one session: `theirs` are the process's stdin, stdout and stderr, the others are ours."""

    theirs: Stdio
    stdin: int | None
    stdout: int | None
    stderr: int | None
    tty: bool

    def close_theirs(self) -> None:
        """Once the process has its own copies: the streams end with it."""
        for fd in {fd for fd in self.theirs if fd is not None}:
            os.close(fd)
        self.theirs = (None, None, None)

    def keep_stdin(self) -> int | None:
        """Takes our end of standard input out of what `close` closes."""
        stdin, self.stdin = self.stdin, None
        return stdin

    def close(self) -> None:
        self.close_theirs()
        for fd in {fd for fd in (self.stdin, self.stdout, self.stderr) if fd is not None}:
            os.close(fd)

    def say(self, text: str) -> None:
        """Writes to the client in the process's place."""
        fd = self.theirs[2]
        assert fd is not None
        line = text.encode(errors="replace")[:MAX_MESSAGE]
        with contextlib.suppress(OSError):
            os.write(fd, line + b"\n")


def open_ends(*, stdin: bool, tty: bool) -> Ends:
    """Pipes, or a terminal. Raises OSError; then nothing is open."""
    if tty:
        master, slave = os.openpty()
        try:
            return Ends((slave, slave, slave), os.dup(master), master, None, tty=True)
        except OSError:
            os.close(master)
            os.close(slave)
            raise
    opened: list[int] = []
    try:
        for _ in range(3 if stdin else 2):
            opened += os.pipe()
    except OSError:
        for fd in opened:
            os.close(fd)
        raise
    out_read, out_write, err_read, err_write, *rest = opened
    inner, outer = rest if rest else (None, None)
    return Ends((inner, out_write, err_write), outer, out_read, err_read, tty=False)


def container_ends(*, stdin: bool, tty: bool) -> Ends | None:
    """What a container's own standard input needs: a terminal, a pipe, or nothing; its output goes to the log."""
    if tty:
        return open_ends(stdin=True, tty=True)
    if not stdin:
        return None
    inner, outer = os.pipe()
    return Ends((inner, None, None), outer, None, None, tty=False)


class CommandSession:
    """A command that runs beside a container."""

    def __init__(self, ends: Ends, process: Process | None, exit_code: Callable[[int], int]) -> None:
        self.stdin = None if ends.stdin is None else PipeWriter(ends.stdin)
        assert ends.stdout is not None
        self.stdout = PipeReader(ends.stdout)
        self.stderr = None if ends.stderr is None else PipeReader(ends.stderr)
        self.failed_with = 0
        self._process = process
        self._terminal = ends.stdout if ends.tty else -1
        self._exit_code = exit_code
        if process is None:
            self._finish()
        else:
            process.on_end(self._finish)

    def _finish(self) -> None:
        """Every process of the command is gone; what they wrote is all there will be."""
        for reader in (self.stdout, self.stderr):
            if reader is not None:
                reader.finish()

    def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0:
            set_size(self._terminal, width, height)

    async def wait(self) -> int:
        """The exit code."""
        return self.failed_with if self._process is None else self._exit_code(await self._process.wait())

    async def aclose(self) -> None:
        if self._process is not None:
            self._process.end_callbacks.discard(self._finish)
            self._process.close()
        self._terminal = -1
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()


def failed_session(ends: Ends, error: SpawnError, message: str) -> CommandSession:
    """What a client gets whose command cannot be started: the reason, and a shell's exit code for it."""
    ends.say(f"OCI runtime exec failed: exec failed: {message}: unknown")
    ends.close_theirs()
    session = CommandSession(ends, None, int)
    session.failed_with = NOT_FOUND if error.errno in (errno.ENOENT, errno.ENOTDIR) else NOT_EXECUTABLE
    return session


class AttachedSession:
    """A running container as `kubectl attach` sees it; `wait` returns None when it has ended.

    `outputs` bring its stdout, and its stderr if that is apart: where it has a standard input, and no terminal.
    """

    def __init__(self, process: Process, outputs: Sequence[int], stdin: PipeWriter | None, terminal: int) -> None:
        self.stdin = stdin
        self.stdout, *others = (PipeReader(fd) for fd in outputs)
        self.stderr = others[0] if others else None
        self._process, self._terminal = process, terminal

    def resize(self, width: int, height: int) -> None:
        if self._terminal >= 0 and not self._process.ended:
            set_size(self._terminal, width, height)

    async def wait(self) -> None:
        await self._process.wait()

    async def aclose(self) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream is not None:
                stream.close()
