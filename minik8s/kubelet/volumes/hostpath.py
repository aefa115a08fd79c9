"""hostPath volumes: what has to be there, and what is made when it is not.

The checks and texts of upstream's pkg/volume/hostpath (checkTypeInternal).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from minik8s.kubelet.volumes.failures import MountError

_CHECKS: dict[str, tuple[Callable[[Path], bool], str]] = {
    "Directory": (Path.is_dir, "a directory"),
    "DirectoryOrCreate": (Path.is_dir, "a directory"),
    "File": (Path.is_file, "a file"),
    "FileOrCreate": (Path.is_file, "a file"),
    "Socket": (Path.is_socket, "a socket file"),
    "CharDevice": (Path.is_char_device, "a character device"),
    "BlockDevice": (Path.is_block_device, "a block device"),
}


def prepare(path: Path, type_: str, volume: str = "") -> None:
    """Makes or checks what lies at `path`; "" checks nothing. Raises MountError, about `volume`."""
    call = "mkdir" if type_ == "DirectoryOrCreate" else "open"
    try:
        if type_ == "DirectoryOrCreate" and not path.exists():
            path.mkdir(mode=0o755, parents=True)
        if type_ == "FileOrCreate" and not path.exists():
            path.touch(mode=0o644)
        if type_ in _CHECKS:
            check, noun = _CHECKS[type_]
            if not check(path):
                raise MountError(f"hostPath type check failed: {path} is not {noun}", volume)
    except OSError as error:
        raise MountError(f"{call} {error.filename or path}: {(error.strerror or '').lower()}", volume) from error
