"""The fork server: a program of its own that turns requests into containers.

The process that hosts a cluster may be big and full of threads; forking it costs tens of milliseconds and is unsafe,
so it starts this small script once (`python -I -S spawner.py FD`) and asks it to fork. Each container gets a *shim*,
a fork of this server that stays beside it: the shim is the container's "pid 1" (child subreaper), stamps its output
with the time and writes it to the log, and kills every descendant when the container's main process ends, when it is
told to, or when its control socket closes. The kernel closes that socket however the host dies, so nothing outlives
it.

Only the standard library is imported, and little of it: starting takes about 20 ms, a shim about 0.5 MB of its own.

Wire format. FD is a stream socket; every request is one byte with file descriptors: the shim's control socket, a
file with the marshalled `Spec`, and the descriptors that `Spec["stdio"]` counts. On the control socket the host
writes one byte a signal, and the shim answers with lines: `started SHIM_PID MAIN_PID`, or `failed ERRNO STAGE`;
later `exited WAIT_STATUS`, when nothing of the container is left and its output is in the log.

Without Linux (no subreaper, parent-death signal or /proc) a descendant that leaves its process group is not found.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import marshal
import os
import select
import signal
import socket
import sys
import termios
import time
from types import FrameType
from typing import TypedDict

LINUX = sys.platform == "linux"
MAX_FDS = 8
CHUNK = 1 << 16
"""Bytes read from a container at once; lines of one chunk share one timestamp."""
MAX_PARTIAL = 1 << 14
"""A longer line is cut into records marked partial, as containerd does (max_container_log_line_size)."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


class Spec(TypedDict):
    """What is to be run. `paths` are tried in order as the program (execvp has looked up PATH already).

    `stdio` says for stdin, stdout and stderr which passed descriptor to use; None is /dev/null for stdin and the
    log for the others. With `tty` those without a descriptor get a terminal instead.
    """

    paths: list[bytes]
    argv: list[bytes]
    env: dict[bytes, bytes]
    cwd: bytes
    log: bytes | None
    tty: bool
    stdio: list[int | None]


def prctl(option: int, value: int) -> None:
    """Sets a process attribute; where there is no prctl, nothing."""
    if LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int, signum: int) -> None:
    """Asks for `signum` when the parent dies, and notices if it has died before the request."""
    prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os._exit(1)


class Wakeups:
    """Makes signals readable: `fd` polls as readable after one, `stop` tells that SIGTERM was among them."""

    def __init__(self) -> None:
        self.stop = False
        self.fd, write = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._handle)
        signal.signal(signal.SIGTERM, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if signum == signal.SIGTERM:
            self.stop = True

    def drain(self) -> None:
        try:
            while os.read(self.fd, CHUNK):
                pass
        except BlockingIOError:
            return


def children() -> list[int]:
    """The living and unreaped children of this process, adopted ones included; empty where it cannot be known."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as listing:  # noqa: PTH123 (pathlib costs 10 ms)
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return [pid for pid in _processes() if _parent(pid) == me]


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


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


class Shim:
    """Runs and supervises one container's processes; `control` leads to the host."""

    def __init__(self, control: socket.socket, spec: Spec, passed: list[int]) -> None:
        self.control = control
        self.spec = spec
        self.passed = passed
        self.wakeups = Wakeups()
        self.log = None if spec["log"] is None else Log(spec["log"])
        self.main = 0
        self.status: int | None = None
        self.output = -1

    def run(self) -> None:
        stdio, ours = self._stdio()
        failed, failing = os.pipe()
        shim = os.getpid()
        self.main = os.fork()
        if not self.main:
            _become(self.spec, stdio, shim, failing)
        for fd in {failing, *ours, *self.passed}:
            os.close(fd)
        problem = os.read(failed, 200)
        os.close(failed)
        if problem:
            os.waitpid(self.main, 0)
            self.tell(b"failed " + problem)
            return
        self.tell(b"started %d %d" % (shim, self.main))
        self._supervise()
        self._end_all()
        self._finish_log()
        self.tell(b"exited %d" % (self.status or 0))

    def tell(self, message: bytes) -> None:
        try:
            self.control.sendall(message + b"\n")
        except OSError:
            return  # the host is gone; the loop sees it too

    def _stdio(self) -> tuple[list[int], set[int]]:
        """The main process's three descriptors, and which of them were opened here."""
        chosen = [None if index is None else self.passed[index] for index in self.spec["stdio"]]
        ours: set[int] = set()
        if None in chosen[1:] or (self.spec["tty"] and None in chosen):
            self.output, inner = os.openpty() if self.spec["tty"] else os.pipe()
            os.set_blocking(self.output, False)
            ours.add(inner)
            chosen = [inner if fd is None and (self.spec["tty"] or i) else fd for i, fd in enumerate(chosen)]
        if chosen[0] is None:
            chosen[0] = null = os.open("/dev/null", os.O_RDONLY)
            ours.add(null)
        return [fd for fd in chosen if fd is not None], ours

    def _supervise(self) -> None:
        """Until the main process has ended."""
        poll = select.poll()
        for fd in (self.control.fileno(), self.wakeups.fd, self.output):
            if fd >= 0:
                poll.register(fd, select.POLLIN)
        while self.status is None and not self.wakeups.stop:
            for fd, _ in poll.poll():
                if fd == self.wakeups.fd:
                    self.wakeups.drain()
                    self._reap()
                elif fd == self.output:
                    if not self._pump():
                        poll.unregister(fd)
                elif not self._obey():
                    return

    def _pump(self) -> bool:
        """Moves some output to the log; False at its end."""
        try:
            data = os.read(self.output, CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False  # a terminal without users
        if data and self.log:
            self.log.feed(data)
        return bool(data)

    def _obey(self) -> bool:
        """Carries out what the host sent; False when the host is gone."""
        try:
            signals = self.control.recv(64)
        except ConnectionError:
            return False
        for signum in signals:
            if signum == signal.SIGKILL:
                return False
            try:
                os.killpg(self.main, signum)
            except (ProcessLookupError, PermissionError):
                continue
        return bool(signals)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.main:
                self.status = status

    def _end_all(self) -> None:
        """Kills every descendant: each round kills the children, and their orphans become children."""
        if self.status is None or not LINUX:
            _kill_group(self.main)
        while True:
            killed = [_kill(pid) for pid in children()]
            if killed and not any(killed):
                return  # what runs with another user's rights is beyond ours
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            if pid == self.main:
                self.status = status

    def _finish_log(self) -> None:
        """Everything is dead: what is in the pipe is all there will be."""
        if self.output < 0 or not self.log:
            return
        try:
            while data := os.read(self.output, CHUNK):
                self.log.feed(data)
        except OSError:  # EAGAIN: a descriptor passed to a stranger still holds it open; EIO: a terminal's end
            pass
        self.log.flush()


def _kill(pid: int) -> bool:
    """Whether it is going to die."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _kill_group(pgid: int) -> None:
    try:
        os.killpg(pgid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _become(spec: Spec, stdio: list[int], shim: int, failing: int) -> None:
    """In the forked child: turns into the container's program, or reports why not. Never returns."""
    stage = b"setup"
    try:
        os.setsid()
        die_with_parent(shim, signal.SIGKILL)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        if spec["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        _reset_signals()
        os.umask(0o022)
        stage = b"chdir"
        os.chdir(spec["cwd"])
        stage = b"exec"
        _execute(spec)
    except OSError as error:
        os.write(failing, b"%d %s" % (error.errno or 0, stage))
    except BaseException:
        os.write(failing, b"%d %s" % (errno.EINVAL, stage))
    finally:
        os._exit(127)


def _reset_signals() -> None:
    """An exec keeps what is ignored (by Python, or by whoever started the host, as nohup does) and what is blocked."""
    for signum in signal.valid_signals():
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _execute(spec: Spec) -> None:
    """execvp over `paths`: a file that may not be run is remembered, a missing one is passed over."""
    denied: OSError | None = None
    for path in spec["paths"]:
        try:
            os.execve(path, spec["argv"], spec["env"])
        except OSError as error:
            if error.errno == errno.EACCES:
                denied = error
            elif error.errno not in (errno.ENOENT, errno.ENOTDIR):
                raise
    raise denied or FileNotFoundError(errno.ENOENT, "not found")


class Server:
    """Forks a shim a request until its socket ends, then sees to it that nobody is left."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.shims: set[int] = set()
        self.wakeups = Wakeups()

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.requests.fileno(), select.POLLIN)
        poll.register(self.wakeups.fd, select.POLLIN)
        while not self.wakeups.stop:
            for fd, _ in poll.poll():
                if fd == self.wakeups.fd:
                    self.wakeups.drain()
                    self._reap()
                elif not self._serve():
                    return

    def _serve(self) -> bool:
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, fds, _, _ = socket.recv_fds(self.requests, 1, MAX_FDS, flags)
        if not data:
            return False
        server = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the shim can tell its SIGTERM from ours
        pid = os.fork()
        if not pid:
            self._shim(server, fds)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.shims.add(pid)
        for fd in fds:
            os.close(fd)
        return True

    def _shim(self, server: int, fds: list[int]) -> None:
        """In the forked child. Never returns."""
        code = 1
        try:
            self.requests.close()
            prctl(PR_SET_CHILD_SUBREAPER, 1)  # a fork does not inherit it
            die_with_parent(server, signal.SIGTERM)
            for fd in fds:
                os.set_inheritable(fd, False)
            control = socket.socket(fileno=fds[0])
            with open(fds[1], "rb") as source:  # noqa: PTH123
                spec: Spec = marshal.load(source)
            try:
                Shim(control, spec, fds[2:]).run()
            except OSError as error:
                control.sendall(b"failed %d shim\n" % (error.errno or 0))
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Forgets ended shims. One that was killed leaves its container to us, the next subreaper: kill that."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self.shims:
                self.shims.discard(pid)
                for orphan in children():
                    if orphan not in self.shims:
                        _kill(orphan)

    def end(self) -> None:
        """Shims end their containers when asked; whoever else is a child here is an orphan."""
        while True:
            for pid in children() or self.shims:
                os.kill(pid, signal.SIGTERM if pid in self.shims else signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self.shims.discard(pid)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = Server(socket.socket(fileno=int(sys.argv[1])))
    try:
        server.run()
    finally:
        server.end()


if __name__ == "__main__":
    main()
