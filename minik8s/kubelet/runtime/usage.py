"""CPU and memory of a container, summed over its processes, from Linux's /proc."""

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
