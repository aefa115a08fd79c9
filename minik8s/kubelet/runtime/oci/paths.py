"""Paths inside a root directory, as a process would find them whose root it is."""

from __future__ import annotations

import os
import stat

_MAX_LINKS = 40
"""As in the kernel (MAXSYMLINKS)."""


class Misled(Exception):
    """A path cannot be followed."""


def resolve(root: str, path: str, *, make: bool = False) -> str:
    """The directory that `path` leads to in `root`; with `make` missing ones are made. Raises Misled or OSError."""
    found = _walk(root, path, make=make)
    if found != root and not stat.S_ISDIR(os.lstat(found).st_mode):
        raise Misled(f"{path!r} is no directory")
    return found


def resolve_file(root: str, path: str) -> str:
    """The file that `path` leads to in `root`. Raises Misled or OSError."""
    return _walk(root, path, make=False)


def _walk(root: str, path: str, *, make: bool) -> str:
    here: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del here[-1:]
            continue
        place = os.path.join(root, *here, part)
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(place, 0o755)
            mode = stat.S_IFDIR
        if stat.S_ISLNK(mode):
            links += 1
            if links > _MAX_LINKS:
                raise Misled(f"{path!r} leads through too many symbolic links")
            target = os.readlink(place)
            if target.startswith("/"):
                here = []
            todo += target.split("/")[::-1]
        elif stat.S_ISDIR(mode) or not any(todo):
            here.append(part)
        else:
            raise Misled(f"{path!r} leads through {part!r}, which is no directory")
    return os.path.join(root, *here)
