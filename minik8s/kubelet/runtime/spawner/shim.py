"""A shim: the process that stays beside one container, starts it, writes its log and sees it to its end."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import socket
import termios

from . import LIMIT, LIMIT_BYTES, NEW, TYPE_CHECKING
from .crilog import Log
from .memory import Guard
from .output import Output
from .system import LINUX, Wakeups, children, descendants, die_with_parent, kill, kill_tree, with_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from . import Spec

MAX_FDS = 8


class Shim:
    """Runs and supervises one container's processes; `control` leads to the host."""

    def __init__(self, control: socket.socket, spec: Spec, passed: list[int]) -> None:
        self.control = control
        control.setblocking(False)
        self.spec = spec
        self.passed = passed
        self.wakeups = Wakeups()
        self.main = 0
        self.mounts = 0
        """The number of the mount namespace that the container has to itself, 0 if it has none."""
        self.status: int | None = None
        self.memory = Guard(spec["memory"])
        self.told = b""
        self.poll = select.poll()

    def run(self) -> None:
        stdio, ours = self._stdio()
        failed, failing = os.pipe()
        shim = os.getpid()
        namespaces = [self.passed[index] for index in self.spec["namespaces"]]
        self._choose_processes()
        if namespaces:
            self.mounts = os.fstat(namespaces[-1]).st_ino
        self.main = os.fork()
        if not self.main:
            os.close(failed)
            _become(self.spec, stdio, namespaces, shim, failing)
        for fd in {failing, *ours, *self.passed} - self.output.fds:
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
        self.output.finish()
        self.tell(b"exited %d" % (self.status or 0))
        self._await_clients()

    def tell(self, message: bytes) -> None:
        try:
            self.control.sendall(message + b"\n")
        except OSError:
            return  # the host is gone; the loop sees it too

    def _stdio(self) -> tuple[list[int], set[int]]:
        """The main process's three descriptors, and which of them were opened here."""
        chosen = [None if index is None else self.passed[index] for index in self.spec["stdio"]]
        ours: set[int] = set()
        outer: list[int] = []
        if self.spec["output"] is not None:
            outer.append(self.passed[self.spec["output"]])
        for index in (1, 2):
            if chosen[index] is None:
                if not ours or self.spec["split"]:
                    reading, inner = os.pipe()
                    outer.append(reading)
                    ours.add(inner)
                chosen[index] = inner
        log = None if self.spec["log"] is None else Log(self.spec["log"])
        self.output = Output(self.poll, log, outer)
        if chosen[0] is None:
            chosen[0] = null = os.open("/dev/null", os.O_RDONLY)
            ours.add(null)
        return [fd for fd in chosen if fd is not None], ours

    def _choose_processes(self) -> None:
        """In which namespace of processes the next child will be: its own, another's, or this one."""
        chosen = self.spec["processes"]
        if chosen is None:
            return
        from .namespaces import NEWPID, enter, unshare

        if chosen == NEW:
            unshare(NEWPID)
        else:
            enter(self.passed[chosen])

    def _supervise(self) -> None:
        """Until the main process has ended."""
        for fd in (self.control.fileno(), self.wakeups.fd):
            self.poll.register(fd, select.POLLIN)
        self.output.watch()
        while self.status is None and not self.wakeups.stop:
            for fd, events in self.poll.poll(self.memory.wait()):
                if self.output.handle(fd, events):
                    continue
                if fd == self.wakeups.fd:
                    self.wakeups.drain()
                    self._reap()
                elif fd == self.control.fileno() and not self._obey():
                    return
            if self.memory.is_exceeded(self._processes):
                self.tell(b"oom")
                return

    def _processes(self) -> Iterator[int]:
        """The container's processes, but for orphans that another namespace has taken in."""
        for child in children():
            yield child
            yield from descendants(child)

    def _await_clients(self) -> None:
        """The container is gone; who is attached takes the last output in their own time."""
        while self.output.is_awaited and not self.wakeups.stop:
            for fd, events in self.poll.poll():
                if self.output.handle(fd, events):
                    continue
                if fd == self.wakeups.fd:
                    self.wakeups.drain()
                else:
                    self.poll.unregister(fd)
            self.output.release()

    def _obey(self) -> bool:
        """Carries out all that the host has sent, before any more output is taken; False when the host is gone."""
        while True:
            try:
                signals, fds, _, _ = socket.recv_fds(self.control, 64, MAX_FDS)
            except BlockingIOError:
                return True
            except ConnectionError:
                return False
            if fds:
                self.output.attach(fds)
            if not signals or not self._signal(signals):
                return False

    def _signal(self, told: bytes) -> bool:
        """Passes signals on; False for the one that ends everything. 0 is none: it only brought a descriptor."""
        send = os.kill if self.mounts else os.killpg  # in a sandbox as upstream: to the main process alone
        self.told += told
        while self.told:
            signum = self.told[0]
            if signum == LIMIT:
                if len(self.told) < LIMIT_BYTES:
                    return True
                self.memory.limit = int.from_bytes(self.told[1:LIMIT_BYTES], "little")
                self.told = self.told[LIMIT_BYTES:]
                continue
            self.told = self.told[1:]
            if signum == signal.SIGKILL:
                return False
            if signum:
                try:
                    send(self.main, signum)
                except (ProcessLookupError, PermissionError):
                    continue
        return True

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
        """Kills every descendant: each round kills the children, and their orphans become children.

        Orphans in another namespace of processes do not; they are found while they are none yet, and those of a
        container by its mounts.
        """
        apart = self.spec["processes"] not in (None, NEW)  # of a new one the kernel leaves nobody
        if self.status is None or not LINUX:
            if apart:
                kill_tree(self.main)
            kill(self.main, os.killpg)
        if apart and self.spec["proc"]:
            while found := with_mounts(self.mounts):
                for pid in found:
                    kill(pid)
                self._reap()
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


def _become(spec: Spec, stdio: list[int], namespaces: list[int], shim: int, failing: int) -> None:
    """In the forked child: turns into the container's program, or reports why not. Never returns."""
    stage = b"setup"
    try:
        os.setsid()
        die_with_parent(shim, signal.SIGKILL, failing)
        for target, fd in enumerate(stdio):
            os.dup2(fd, target)
        if spec["tty"]:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        _reset_signals()
        if spec["reaps"]:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps what is adopted
        os.umask(0o022)
        if namespaces:
            _isolate(spec, namespaces)
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


def _isolate(spec: Spec, namespaces: list[int]) -> None:
    """Enters the container's namespaces; the last is that of the mounts, so that everything before sees the host."""
    from .namespaces import become_user, enter, mount_proc

    for fd in namespaces:
        enter(fd)
    if spec["proc"]:
        mount_proc()
    if spec["user"]:
        become_user(*spec["user"])


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
