"""Where volumes of medium Memory lie: in a directory of the machine's own tmpfs, made for the first of them.

Without root nobody can mount one for each volume, so that they share the machine's; its size is their limit.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

SHARED = "/dev/shm"  # a directory of our own is made in it, as in /tmp


class MemoryFolder:
    """A cluster's directory in memory; whoever makes this object closes it."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None

    def place(self, directory: Path) -> Path | None:
        """What stands for an absolute directory in memory; None where this machine has no tmpfs for everybody."""
        if self._folder is None:
            if not os.path.ismount(SHARED) or not os.access(SHARED, os.W_OK):
                return None
            self._folder = TemporaryDirectory(prefix="minik8s-", dir=SHARED, ignore_cleanup_errors=True)
        return Path(self._folder.name) / directory.relative_to(directory.anchor)

    def close(self) -> None:
        """Removes what is left."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
