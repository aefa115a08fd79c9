"""What a path holds that somebody has named as an image."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Literal, TypeAlias

from minik8s.kubelet.runtime.oci import ARCHIVE_SUFFIXES, BadImage
from minik8s.kubelet.runtime.oci.streams import decompressed

Kind: TypeAlias = Literal["root", "archive", "command"]


def kind_of(path: Path) -> Kind:
    """A directory is a root file system unless it holds an image layout; a file is a command unless it is an archive.

    A name that only archives have stands for one that is missing or damaged, too: then pods say what is wrong with it.
    """
    if path.is_dir():
        is_image = (path / "oci-layout").is_file() or (path / "manifest.json").is_file()
        return "archive" if is_image else "root"
    if path.name.endswith(ARCHIVE_SUFFIXES) and (path.exists() or not any(char.isspace() for char in str(path))):
        return "archive"
    return "archive" if _is_tar(path) else "command"


def _is_tar(path: Path) -> bool:
    try:
        with path.open("rb", buffering=0) as file:
            start = decompressed(file, str(path)).read(tarfile.BLOCKSIZE)
        if not any(start):
            return False
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (OSError, BadImage, tarfile.TarError, io.UnsupportedOperation):
        return False
    return True
