"""A part of a volume as a mount of its own: inside the volume whatever links say, and of what it held at the start.

Upstream: pkg/volume/util/subpath. The details of what went wrong are kept from the pod, which could learn about the
machine from them.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.runtime.oci.paths import Misled, resolve
from minik8s.kubelet.runtime.protocol import StartError


def prepare(root: Path, path: str, *, volume: str, container: str) -> Path:
    """Where a part of the volume at `root` lies; a missing directory is made, as open as the volume.

    Raises ConfigError.
    """
    where = f'for volumeMount "{volume}" of container "{container}"'
    try:
        place = _inside(root, path)
        if not place.exists():
            _make(root, place)
            place = _inside(root, path)
    except (OSError, ValueError, RuntimeError):  # the last: links in a circle, before Python 3.13
        raise ConfigError(f"failed to create subPath directory {where}") from None
    return place


def in_image(root: Path, path: str) -> Path:
    """A directory of an image, "" for all of it. Raises StartError in containerd's words."""
    failed = f'ImageVolumeMountFailed: failed to ensure image subpath "{path}" in "{root}"'
    try:
        return Path(resolve(str(root), path))
    except OSError as error:
        problem = f"openat {path}: {(error.strerror or '').lower()}"
    except Misled:
        problem = f'only directory subpath is supported, subpath: "{path}"'
    raise StartError("CreateContainerError", f"{failed}: {problem}")


def pin(source: Path, place: Path) -> Path:
    """Keeps what lies at `source` at `place` as well: the volume replaces its files, a running container's mount stays.

    Raises OSError.
    """
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, copy_function=os.link)
    else:
        os.link(source, place)
    return place


def _inside(root: Path, path: str) -> Path:
    """Raises ValueError for a path whose links lead out of the volume."""
    top = root.resolve()
    place = (top / path).resolve()
    place.relative_to(top)
    return place


def _make(root: Path, place: Path) -> None:
    """The directory and those on the way to it."""
    mode = stat.S_IMODE(root.stat().st_mode)
    missing = [place]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for directory in reversed(missing):
        directory.mkdir()
        directory.chmod(mode)
