"""What containers use: CPU and memory, summed over their processes, from Linux's /proc; and storage."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from minik8s.kubelet.runtime.protocol import Usage

_UTIME, _RSS = 11, 21  # positions in /proc/PID/stat after the command name (proc(5) counts them 14 and 24)


def descendants(pid: int) -> Iterator[int]:
    """The living processes below `pid`."""
    try:
        listing = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in map(int, listing.split()):
        yield child
        yield from descendants(child)


def usage_below(pid: int) -> Usage | None:
    """What the descendants of `pid` use; None where /proc does not tell."""
    if sys.platform != "linux":
        return None
    ticks = pages = 0
    for process in descendants(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[_UTIME : _UTIME + 4]))  # its own and its reaped children's, user and system
        pages += int(fields[_RSS])
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))


def bytes_below(path: Path) -> int:
    """What a directory and all below it take on their disk; links are not followed, what vanishes does not count."""
    total = 0
    seen: set[tuple[int, int]] = set()
    for directory, _, names in os.walk(path):
        for place in (directory, *(f"{directory}/{name}" for name in names)):
            try:
                status = os.lstat(place)
            except OSError:
                continue
            if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def bytes_of_file_system(path: str) -> int:
    """What the file system at `path` has taken; 0 where it cannot be looked at."""
    try:
        status = os.statvfs(path)
    except OSError:
        return 0
    return (status.f_blocks - status.f_bfree) * status.f_frsize
