"""Changes a directory's files all at once, so that a reader never sees half of an update.

A port of upstream's pkg/volume/util/atomic_writer.go: the files lie in a timestamped directory, `..data` is a symbolic
link to it that a rename swaps, and each visible name is a link through `..data`. Symbolic links are the interface: what
runs in the container may watch `..data`.
"""

from __future__ import annotations

import shutil
import stat
from datetime import datetime
from pathlib import Path
from random import Random

from minik8s.kubelet.volumes.payload import File, Payload

DATA = "..data"
_NEW_DATA = "..data_tmp"


class AtomicWriter:
    """Keeps `directory` equal to the last payload written."""

    def __init__(self, directory: Path, rng: Random) -> None:
        self.directory = directory
        self._rng = rng
        self._written: Payload | None = None

    def write(self, payload: Payload, now: datetime) -> bool:
        """Makes the directory show `payload`; answers whether anything had to change."""
        if payload == self._written:
            return False
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / DATA
        old = self.directory / data.readlink() if data.is_symlink() else None
        fresh = self._fresh_directory(now)
        for path, file in payload.items():
            _write_file(fresh / path, file)
        self._swap(data, fresh)
        self._link_names({path.split("/", 1)[0] for path in payload})
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
        self._written = dict(payload)
        return True

    def _fresh_directory(self, now: datetime) -> Path:
        name = f"..{now:%Y_%m_%d_%H_%M_%S}.{self._rng.randrange(10**9):09d}"
        fresh = self.directory / name
        fresh.mkdir(mode=0o755)
        return fresh

    def _swap(self, data: Path, fresh: Path) -> None:
        new = self.directory / _NEW_DATA
        new.unlink(missing_ok=True)
        new.symlink_to(fresh.name)
        new.rename(data)

    def _link_names(self, names: set[str]) -> None:
        for entry in self.directory.iterdir():
            if entry.name not in names and _is_ours(entry):
                entry.unlink()
        for name in names:
            link = self.directory / name
            if not link.is_symlink():
                link.symlink_to(f"{DATA}/{name}")


def _is_ours(entry: Path) -> bool:
    """Not so what a mount inside the volume needs."""
    return entry.is_symlink() and str(entry.readlink()).startswith(f"{DATA}/")


def _write_file(path: Path, file: File) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    if stat.S_IMODE(path.stat().st_mode) != file.mode:
        path.chmod(file.mode)
