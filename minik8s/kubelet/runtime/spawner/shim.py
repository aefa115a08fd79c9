"""A shim: the process that stays beside one container, starts it, writes its log and sees it to its end."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import termios

from . import TYPE_CHECKING
from .crilog import Log
from .system import LINUX, Wakeups, children, die_with_parent, kill

if TYPE_CHECKING:
    from . import Spec

CHUNK = 1 << 16
"""Bytes read from a container at once; lines of one chunk share one timestamp."""


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
            kill(self.main, os.killpg)
        while True:
            killed = [kill(pid) for pid in children()]
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
