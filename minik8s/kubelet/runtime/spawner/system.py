"""What the server and the shims ask of the operating system: parenthood, signals, children."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType

LINUX = sys.platform == "linux"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)  # opened before the forks, which share it


def prctl(option: int, value: int) -> None:
    """Sets a process attribute; where there is no prctl, nothing."""
    if LINUX:
        LIBC.prctl(option, value, 0, 0, 0)


def die_with_parent(parent: int, signum: int, pipe: int = -1) -> None:
    """Asks for `signum` when the parent dies, and notices if it has died before the request.

    A parent in another namespace of processes has no number here; that it lives shows by `pipe`, which it reads.
    """
    prctl(PR_SET_PDEATHSIG, signum)
    seen = os.getppid()
    if pipe >= 0 and not seen:
        poll = select.poll()
        poll.register(pipe, 0)
        if poll.poll(0):
            os._exit(1)
    elif seen != parent:
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
            while os.read(self.fd, 4096):
                pass
        except BlockingIOError:
            return


def children() -> list[int]:
    """The living and unreaped children of this process, adopted ones included; empty where it cannot be known."""
    me = os.getpid()
    try:
        with open(f"/proc/{me}/task/{me}/children", "rb") as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return [pid for pid in _processes() if _parent(pid) == me]


def kill_tree(root: int) -> None:
    """SIGKILL to a process and all below it. They are stopped first: what is stopped leaves no child behind."""
    found: set[int] = set()
    while (now := {root, *descendants(root)}) - found:
        for pid in now - found:
            kill(pid, signum=signal.SIGSTOP)
        found |= now
    for pid in found:
        kill(pid)


def descendants(pid: int) -> list[int]:
    """The living processes below one."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as listing:
                found += map(int, listing.read().split())
    except OSError:
        pass
    return [below for child in found for below in (child, *descendants(child))]


def with_mounts(number: int) -> list[int]:
    """The processes in a mount namespace."""
    return [pid for pid in _processes() if _mounts_of(pid) == number]


def _mounts_of(pid: int) -> int:
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return int(stat.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def kill(pid: int, send: Callable[[int, int], None] = os.kill, signum: int = signal.SIGKILL) -> bool:
    """SIGKILL to a process, or to its group with `os.killpg`; whether it is going to die."""
    try:
        send(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True
