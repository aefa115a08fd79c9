"""The files that an image consists of, in a directory or inside a tar, by name.

A tar is looked through once; its files are then read where they lie. One that is compressed as a whole is decompressed
beside first, since its files are not read in their order.
"""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import attrs

from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.oci.headers import Header, headers
from minik8s.kubelet.runtime.oci.streams import CHUNK, compression, decompressed

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_DOCUMENT = 4 << 20
"""Bytes of an index, a manifest or a configuration (what registries take as well)."""
MAX_FILES = 100_000
"""Files of an archive."""
_MAX_LINKS = 16


class Blobs(Protocol):
    """An image's files; `close` gives back what they hold."""

    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> IO[bytes]:
        """Raises BadImage for one that is missing."""
        ...

    def close(self) -> None: ...


def read(blobs: Blobs, name: str) -> bytes:
    """A small file. Raises BadImage when it is missing or too large."""
    with blobs.open(name) as file:
        data = file.read(MAX_DOCUMENT + 1)
    if len(data) > MAX_DOCUMENT:
        raise BadImage(f"{name} has more than {MAX_DOCUMENT} bytes, the limit for a document")
    return data


def inner_name(name: str) -> str:
    """A name in its simplest form. Raises BadImage when it leads out of the image."""
    plain = posixpath.normpath(name.lstrip("/") or ".")
    if plain == ".." or plain.startswith("../"):
        raise BadImage(f"{name!r} leads out of the image")
    return plain


class DirectoryBlobs:
    """A directory's files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def has(self, name: str) -> bool:
        return (self._root / inner_name(name)).is_file()

    def open(self, name: str) -> IO[bytes]:
        try:
            return (self._root / inner_name(name)).open("rb")
        except OSError as error:
            raise BadImage(f"{name}: {error.strerror}") from error

    def close(self) -> None:
        """Holds nothing."""


@attrs.frozen
class _Place:
    offset: int
    size: int


class TarBlobs:
    """A tar's files. `file` is the tar, which is closed with this."""

    def __init__(self, file: IO[bytes], check: Callable[[], object]) -> None:
        self._file = file
        self._places: dict[str, _Place] = {}
        self._links: dict[str, str] = {}
        try:
            with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as tar:
                self._look_through(tar, check)
        except (tarfile.TarError, RecursionError, ValueError) as error:
            raise BadImage(f"it is no tar that can be read: {error}") from error

    def _look_through(self, tar: tarfile.TarFile, check: Callable[[], object]) -> None:
        for number, member in enumerate(headers(tar)):
            check()
            if number >= MAX_FILES:
                raise BadImage(f"it has more than {MAX_FILES} files, the limit")
            name = posixpath.normpath(member.name.lstrip("/") or ".")
            if member.isreg() and not member.issparse():
                self._places[name] = _Place(member.offset_data, member.size)
            elif member.issym():
                self._links[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), member.linkname))
            elif member.islnk():
                self._links[name] = posixpath.normpath(member.linkname.lstrip("/") or ".")

    def _find(self, name: str) -> _Place | None:
        name = inner_name(name)
        for _ in range(_MAX_LINKS):
            if name in self._places:
                return self._places[name]
            name = self._links.get(name, "")
        return None

    def has(self, name: str) -> bool:
        return self._find(name) is not None

    def open(self, name: str) -> IO[bytes]:
        place = self._find(name)
        if place is None:
            raise BadImage(f"{name}: not found in the archive")
        return io.BufferedReader(_Part(self._file.fileno(), place), CHUNK)

    def close(self) -> None:
        self._file.close()


class _Part(io.RawIOBase):
    """A part of a file as a stream of its own; the file stays open when this is closed."""

    def __init__(self, fd: int, place: _Place) -> None:
        self._fd, self._offset, self._end = fd, place.offset, place.offset + place.size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)[: self._end - self._offset]
        data = os.pread(self._fd, len(view), self._offset)
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)


def open_blobs(path: Path, scratch: Path, limit: int, check: Callable[[], object]) -> Blobs:
    """The image at `path`; `scratch` is a file that may be made and has been removed again when this returns.

    `check` is called now and then and may raise. Raises BadImage.
    """
    if path.is_dir():
        return DirectoryBlobs(path)
    try:
        given = path.open("rb", buffering=0)
    except OSError as error:
        raise BadImage(f"{path}: {error.strerror}") from error
    file: IO[bytes] = given
    try:
        start = given.read(6)
        given.seek(0)
        if compression(start):
            with given:
                file = _decompressed_beside(given, path, scratch, limit, check)
        return TarBlobs(file, check)
    except BaseException:
        file.close()
        raise


def _decompressed_beside(
    file: io.FileIO, path: Path, scratch: Path, limit: int, check: Callable[[], object]
) -> IO[bytes]:
    content = decompressed(file, str(path))
    plain = scratch.open("w+b")
    scratch.unlink()
    try:
        while data := content.read(CHUNK):
            check()
            limit -= len(data)
            if limit < 0:
                raise BadImage(f"{path} decompresses to more than an image may have")
            plain.write(data)
        plain.seek(0)
    except BaseException:
        plain.close()
        raise
    return plain
