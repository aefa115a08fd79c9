"""The host's side of the fork server: start a process group, signal it, learn how it ended.

Everything is a file descriptor in the running loop: no threads, no child watcher, no fork of this process. One
`Spawner` may serve several runtimes. What the kernel closes when this process dies is what ends the containers.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import anyio
import attrs

from minik8s.kubelet.runtime import spawner
from minik8s.kubelet.runtime.protocol import StartError

CONCURRENT_STARTS = 16
"""Starts under way at once; more only makes the machine switch between them."""
MAKE_SECONDS = 60.0
"""How long making namespaces may take on a machine that is very busy."""


Stdio: TypeAlias = tuple[int | None, int | None, int | None]


@attrs.frozen
class Command:
    """What to run; `paths` are the files to try as the program.

    `stdio` are descriptors for stdin, stdout and stderr; None is /dev/null for stdin and the log for the others. With
    `tty` they are a terminal, and `output` is its master if the log is to be read from it. `namespaces` are descriptors
    of namespaces to enter, that of the mounts last; there `user` may be another uid and gid. `processes` is the
    descriptor of a namespace of processes, "new", or None for this machine's; with `proc` the container's /proc shows
    it. A program that `reaps` adopts orphans without looking after them. It may hold `memory` bytes, 0 is no limit. Its
    stdout and stderr go to the log by one pipe, in their order, or with `split` by two that can be told apart.
    """

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: Path
    paths: Sequence[str]
    log: Path | None = None
    tty: bool = False
    stdio: Stdio = (None, None, None)
    output: int | None = None
    namespaces: Sequence[int] = ()
    user: tuple[int, int] | None = None
    processes: int | Literal["new"] | None = None
    proc: bool = False
    memory: int = 0
    split: bool = False
    reaps: bool = False


@attrs.define
class SpawnError(Exception):
    """The operating system refused: `errno`, and in which `stage` (`exec`, `chdir`, `setup`, `shim`)."""

    errno: int
    stage: str


class Process:
    """A process group started by a `Spawner`; it lives no longer than this object's control socket."""

    def __init__(self, control: socket.socket) -> None:
        self.shim_pid = 0
        self.pid = 0
        self.wait_status: int | None = None
        self.failure: SpawnError | None = None
        self.out_of_memory = False
        """Whether it was ended because it held more memory than it may."""
        self.end_callbacks: set[Callable[[], None]] = set()
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._started = asyncio.Event()
        self._ended = asyncio.Event()
        control.setblocking(False)
        self._loop.add_reader(control.fileno(), self._readable)

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    async def started(self) -> None:
        """Returns when the program runs. Raises SpawnError."""
        await self._started.wait()
        if self.failure is not None:
            raise self.failure

    def on_end(self, callback: Callable[[], None]) -> None:
        """Calls back when the process ends; at once when it already has."""
        if self.ended:
            callback()
        else:
            self.end_callbacks.add(callback)

    async def wait(self) -> int:
        """The wait status, once nothing of the process group is left and its output is in the log."""
        await self._ended.wait()
        assert self.wait_status is not None
        return self.wait_status

    def signal(self, signum: int) -> None:
        """SIGKILL goes to every descendant, others to the main process's group. After the end: nothing."""
        if not self._ended.is_set():
            try:
                self._control.send(bytes([signum]))
            except OSError:
                return  # it has just ended

    def limit(self, memory: int) -> None:
        """Lets it hold so many bytes of memory from now on; 0 is no limit. After the end: nothing."""
        if not self._ended.is_set():
            with contextlib.suppress(OSError):  # it has just ended
                self._control.send(bytes([spawner.LIMIT]) + memory.to_bytes(spawner.LIMIT_BYTES - 1, "little"))

    def attach(self, streams: int) -> list[int]:
        """Pipes that bring what the process writes from now on to stdout and, if asked for two, to stderr.

        They end with it. Raises OSError.
        """
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for _ in range(streams):
                reading, writing = os.pipe()
                ours.append(reading)
                theirs.append(writing)
            socket.send_fds(self._control, [b"\0"], theirs)
        except OSError:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        return ours

    def close(self) -> None:
        """Kills what still runs, without waiting for it."""
        self._lost()

    def _readable(self) -> None:
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            self._told(line)

    def _told(self, line: bytes) -> None:
        word, *values = line.split()
        if word == b"started":
            self.shim_pid, self.pid = map(int, values)
            self._started.set()
        elif word == b"failed":
            self.failure = SpawnError(int(values[0]), values[1].decode())
            self._end(127 << 8)
        elif word == b"oom":
            self.out_of_memory = True
        else:
            self._end(int(values[0]))

    def _lost(self) -> None:
        """The shim has been killed, or we let go of it."""
        if not self._ended.is_set():
            self.failure = self.failure or SpawnError(0, "shim")
            self._end(9)

    def _end(self, wait_status: int) -> None:
        if self._ended.is_set():
            return
        self.wait_status = wait_status
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._started.set()
        self._ended.set()
        for callback in list(self.end_callbacks):
            callback()


def _spec_file(command: Command) -> tuple[IO[bytes], list[int]]:
    """The request's file, and the descriptors that go with it."""
    apart = command.processes if isinstance(command.processes, int) else None
    wanted = (*command.stdio, command.output, apart, *command.namespaces)
    passed = [fd for fd in wanted if fd is not None]
    positions = iter(range(len(passed)))
    places = [None if fd is None else next(positions) for fd in wanted]
    spec: spawner.Spec = {
        "paths": [os.fsencode(path) for path in command.paths],
        "argv": [os.fsencode(argument) for argument in command.argv],
        "env": {os.fsencode(name): os.fsencode(value) for name, value in command.env.items()},
        "cwd": os.fsencode(command.cwd),
        "log": None if command.log is None else os.fsencode(command.log),
        "tty": command.tty,
        "stdio": places[:3],
        "output": places[3],
        "namespaces": [place for place in places[5:] if place is not None],
        "user": command.user,
        "processes": spawner.NEW if command.processes == "new" else places[4],
        "proc": command.proc,
        "reaps": command.reaps,
        "memory": command.memory,
        "split": command.split,
    }
    return _file_of(dict(spec)), passed


def _file_of(spec: dict[str, Any]) -> IO[bytes]:
    """A file without a name that holds a request's specification."""
    file: IO[bytes]
    if sys.platform == "linux":
        file = os.fdopen(os.memfd_create("minik8s"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    file.write(marshal.dumps(spec))
    file.seek(0)
    return file


@attrs.frozen
class Made:
    """An answer of the fork server: a socket to whoever answered, descriptors, and what was said of them."""

    control: socket.socket
    fds: list[int]
    note: bytes


class Spawner:
    """Owns the fork server, which is started when first needed and again should it ever be killed.

    With `isolated` it is in a user namespace whose root the user is. Another one that takes its place is put into the
    same, so that it has power over what is left there.
    """

    def __init__(self, *, isolated: bool = False) -> None:
        self._isolated = isolated
        self.users = -1
        """A descriptor of that namespace, once there is something in it."""
        self._server: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_STARTS)

    @property
    def pid(self) -> int:
        """The fork server's, 0 while there is none."""
        return 0 if self._server is None else self._server.pid

    def start(self) -> None:
        """Starts the fork server in the background, so that the first container need not wait for it."""
        if self._server is not None and self._server.poll() is None:
            return
        if self._requests is not None:
            self._requests.close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._server = subprocess.Popen(
                [
                    *self._prefix(),
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    spawner.COMMAND,
                    spawner.DIRECTORY,
                    str(theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # a terminal's Ctrl-C is for us alone
                cwd="/",
            )
        self._requests = ours

    def _prefix(self) -> Sequence[str]:
        if not self._isolated:
            return ()
        if self.users < 0:
            return ("unshare", "--user", "--map-root-user")
        return ("nsenter", f"--user=/proc/{os.getpid()}/fd/{self.users}", "--preserve-credentials", "--")

    async def spawn(self, command: Command) -> Process:
        """Starts a process group. Raises SpawnError; cancelled, it leaves nothing behind."""
        async with self._slots:
            self.start()
            ours, theirs = socket.socketpair()
            process = Process(ours)
            try:
                self._request(command, theirs)
                await process.started()
            except BaseException:
                process.close()
                raise
            return process

    def _request(self, command: Command, control: socket.socket) -> None:
        assert self._requests is not None
        with control:
            file, passed = _spec_file(command)
            with file:
                try:
                    socket.send_fds(self._requests, [b"+"], [control.fileno(), file.fileno(), *passed])
                except OSError as error:
                    raise StartError("StartError", f"the fork server is gone: {error}") from error

    async def make(self, kind: bytes, spec: Mapping[str, Any], fds: Sequence[int] = ()) -> Made:
        """Asks for namespaces (see `spawner`). Raises OSError."""
        self.start()
        assert self._requests is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, _file_of(dict(spec)) as file:
                socket.send_fds(self._requests, [kind], [theirs.fileno(), file.fileno(), *fds])
            with anyio.fail_after(MAKE_SECONDS):
                await anyio.wait_readable(ours)
            answer, made, _, _ = socket.recv_fds(ours, 4096, 8)
            if answer[:1] != b"+":
                raise OSError(answer[1:].decode(errors="replace") or "the process was lost")
            if self.users < 0:
                self.users = os.open(f"/proc/{self.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
        except BaseException as error:
            ours.close()
            if isinstance(error, TimeoutError):
                raise OSError("it takes too long") from None
            raise
        return Made(ours, made, answer[1:])

    async def aclose(self) -> None:
        """Ends every process started here and returns when they are gone."""
        if self.users >= 0:
            os.close(self.users)
            self.users = -1
        server, requests = self._server, self._requests
        self._server = self._requests = None
        if server is None or requests is None:
            return
        requests.shutdown(socket.SHUT_WR)
        requests.setblocking(False)
        with anyio.CancelScope(shield=True), requests:
            with contextlib.suppress(ConnectionError):  # it had requests left to read
                while await asyncio.get_running_loop().sock_recv(requests, 1):
                    pass
            server.wait()
