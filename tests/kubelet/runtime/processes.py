"""Whether processes live, for tests that want to see them die."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
DAEMON = "setsid sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" & exit' ; sleep 1000"


def alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def in_namespace(link: str) -> list[int]:
    """The living processes of this machine in a namespace, named as in /proc/PID/ns."""
    kind, found = link.partition(":")[0], []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "ns" / kind).readlink().name == link and alive(int(place.name)):
                found.append(int(place.name))
        except OSError:  # it has just ended, or is a stranger's
            continue
    return found


async def gone(pid: int) -> None:
    """Returns when a process has ended."""
    with anyio.fail_after(20):
        while alive(pid):  # noqa: ASYNC110 (a process that is nobody's child here cannot be awaited)
            await anyio.sleep(0.01)
