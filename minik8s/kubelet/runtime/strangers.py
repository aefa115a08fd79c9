"""Reading files where somebody else may have put anything: a pipe that nobody writes to must not hold up the host."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path | str, limit: int) -> bytes:
    """The head of a regular file. Raises OSError for any other, and when there is none."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "not a regular file", str(path))
        return file.read(limit)
