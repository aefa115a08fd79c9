"""How much memory a container holds, and what is done about one that holds too much.

The kernel would count for us in a cgroup, but those are root's, or systemd's to give. So the shim looks: once a second,
and ten times as often at a container that has most of what it may have. What counts is what could not be taken from it
(anonymous and shared memory), a page that several processes have once: what memory.max would end up with. A container
that takes a lot at once has it for a moment.
"""

from __future__ import annotations

import os
import time

from . import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CALM, CLOSE = 1.0, 0.1
"""Seconds between two looks: usually, and near the limit."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_COUNTED = (b"Pss_Anon:", b"Pss_Shmem:")
_COARSE = (b"RssAnon:", b"RssShmem:")


class Guard:
    """Looks at what a container holds, in due time; `limit` is 0 for none."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._due = 0.0

    def wait(self) -> int | None:
        """Milliseconds until the next look, None for never."""
        return max(0, round((self._due - time.monotonic()) * 1000)) if self.limit else None

    def is_exceeded(self, processes: Callable[[], Iterable[int]]) -> bool:
        """Whether the processes hold more than they may; costs nothing while it is not time to look."""
        if not self.limit or time.monotonic() < self._due:
            return False
        holding = held(processes(), self.limit)
        self._due = time.monotonic() + (CLOSE if holding * 2 > self.limit else CALM)
        return holding > self.limit


def held(pids: Iterable[int], limit: int) -> int:
    """Bytes that processes hold; exactly only if it matters, that is if it may be more than `limit`."""
    pids = list(pids)
    most = sum(map(_resident, pids))
    return most if most <= limit else sum(map(_charged, pids))


def _resident(pid: int) -> int:
    """All that a process has in memory, its files too."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _charged(pid: int) -> int:
    """A process's share of what counts; without the right to ask for that, what it maps of it."""
    return _sum(f"/proc/{pid}/smaps_rollup", _COUNTED) or _sum(f"/proc/{pid}/status", _COARSE)


def _sum(path: str, names: tuple[bytes, ...]) -> int:
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))
