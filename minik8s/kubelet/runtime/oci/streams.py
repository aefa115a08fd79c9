"""Streams that are checked while they are read: digests, sizes, and compression recognised by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import io
import lzma
import re
import zlib
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

from minik8s.kubelet.runtime.oci import BadImage

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 20
_ALGORITHMS = {"sha256": 64, "sha512": 128}
"""The digest algorithms of the specification, and how many hexadecimal digits each has."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_MAGIC_LENGTH = 6
_HEX = re.compile(r"[0-9a-f]+")


def check_digest(digest: str) -> str:
    """`digest` itself. Raises BadImage for what is no digest, or of an algorithm that is not known."""
    algorithm, _, text = digest.partition(":")
    if not text or not _HEX.fullmatch(text):
        raise BadImage(f"invalid digest {digest!r}")
    if algorithm not in _ALGORITHMS:
        raise BadImage(f"digest {digest!r} is of an unsupported algorithm: known are {', '.join(_ALGORITHMS)}")
    if len(text) != _ALGORITHMS[algorithm]:
        raise BadImage(f"invalid digest {digest!r}")
    return digest


def check_content(content: bytes, digest: str, what: str) -> None:
    """Raises BadImage when `content` has another digest."""
    found = hashlib.new(digest.partition(":")[0], content).hexdigest()
    if not digest.endswith(f":{found}"):
        raise _mismatch(what, digest, found)


def _mismatch(what: str, digest: str, found: str) -> BadImage:
    algorithm = digest.partition(":")[0]
    return BadImage(f"{what}: unexpected digest {algorithm}:{found}, expected {digest}")


class Checked(io.RawIOBase):
    """Passes a stream on; `finish` reads its rest and raises BadImage if it was not what `digest` promises.

    Without `digest` nothing is promised. `progress` is told how many bytes were read, and may raise.
    """

    def __init__(
        self, source: IO[bytes], digest: str, what: str, progress: Callable[[int], None] = lambda count: None
    ) -> None:
        self._source = source
        self._digest = digest
        self._what = what
        self._progress = progress
        self._hash = hashlib.new(digest.partition(":")[0]) if digest else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data = self._source.read(min(len(view), CHUNK))
        view[: len(data)] = data
        if self._hash is not None:
            self._hash.update(data)
        self._progress(len(data))
        return len(data)

    def finish(self) -> None:
        scratch = bytearray(CHUNK)
        while self.readinto(scratch):
            pass
        if self._hash is not None and not self._digest.endswith(f":{self._hash.hexdigest()}"):
            raise _mismatch(self._what, self._digest, self._hash.hexdigest())


def compression(start: bytes) -> str:
    """By what a stream that begins so is compressed; "" for none that is known."""
    return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")


class _Rejoined(io.RawIOBase):
    """A stream whose first bytes have been read already."""

    def __init__(self, start: bytes, source: io.RawIOBase) -> None:
        self._start = start
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        data, self._start = self._start[: len(view)], self._start[len(view) :]
        if not data:
            data = self._source.read(len(view)) or b""
        view[: len(data)] = data
        return len(data)


def decompressed(source: io.RawIOBase, what: str) -> IO[bytes]:
    """A compressed stream's content, another's as it is. Raises BadImage for a compression that cannot be read here."""
    start = source.read(_MAGIC_LENGTH) or b""
    stream = io.BufferedReader(_Rejoined(start, source), CHUNK)
    match compression(start):
        case "gzip":
            return _guarded(gzip.GzipFile(fileobj=stream), what)
        case "bzip2":
            return _guarded(bz2.BZ2File(stream), what)
        case "xz":
            return _guarded(lzma.LZMAFile(stream), what)
        case "zstd":
            return _guarded(_zstd(stream, what), what)
    return stream


def _zstd(stream: IO[bytes], what: str) -> Any:
    """Python has it since 3.14; before, if somebody has installed a package for it."""
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":
            return module.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return module.ZstdFile(stream)
    raise BadImage(
        f"{what} is compressed with zstd, which this Python cannot read: install the package zstandard, "
        "or save the image with gzip"
    )


class _Guarded(io.RawIOBase):
    """A decompressor whose complaints are a BadImage."""

    def __init__(self, source: IO[bytes], what: str) -> None:
        self._source = source
        self._what = what

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._source.read(len(view))
        except BadImage:
            raise
        except (EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
            raise BadImage(f"{self._what}: its compressed data is damaged: {error}") from error
        except Exception as error:
            if type(error).__name__ != "ZstdError":  # of whatever package serves
                raise
            raise BadImage(f"{self._what}: its compressed data is damaged: {error}") from error
        view[: len(data)] = data
        return len(data)


def _guarded(source: Any, what: str) -> IO[bytes]:
    return io.BufferedReader(_Guarded(cast("IO[bytes]", source), what), CHUNK)
