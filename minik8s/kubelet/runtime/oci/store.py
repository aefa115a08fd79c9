"""What has been unpacked of a cluster's images: each content once, shared by all containers, which only read it.

A root file system is found by the digests of its layers, so an image under two names, or asked for again, is unpacked
once. It is complete or not there: it is made beside and renamed. An archive that has changed since is looked at again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import attrs

from minik8s.kubelet.runtime.oci import BadImage, NoRoom
from minik8s.kubelet.runtime.oci.blobs import Blobs, open_blobs, read
from minik8s.kubelet.runtime.oci.config import ImageConfig, image_config
from minik8s.kubelet.runtime.oci.layers import MAX_BYTES, Budget, Unpacker
from minik8s.kubelet.runtime.oci.manifest import Found, find_image, this_platform
from minik8s.kubelet.runtime.oci.streams import Checked, decompressed
from minik8s.kubelet.runtime.references import Reference

_WAIT_SECONDS = 0.1
_Stamp = tuple[int, ...]


@attrs.frozen
class Loaded:
    """An image whose root lies unpacked at `root`. `digest` is its manifest's, or its configuration's without one.

    `size` is that of its files.
    """

    root: Path
    digest: str
    config_digest: str
    config: ImageConfig
    size: int


class ImageStore:
    """Unpacked images below `directory`. `read_only` takes the right to write from files that cannot be mounted so."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self._directory = directory
        self._read_only = read_only
        self._results: dict[tuple[Path, str], tuple[_Stamp, Loaded | BadImage]] = {}
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def load(self, path: Path, wanted: Reference, check: Callable[[], object]) -> Loaded:
        """The image that `wanted` means at `path`. Blocks; `check` is called often and may raise. Raises BadImage."""
        try:
            stamp = _stamp(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if (known := self._known(path, wanted, stamp)) is not None:
            return known  # nobody waits for another image that has been unpacked before
        while not self._lock.acquire(timeout=_WAIT_SECONDS):
            check()
        try:
            return self._known(path, wanted, stamp) or self._load_anew(path, wanted, stamp, check)
        except OSError as error:
            raise _unreadable(path, error) from error
        finally:
            self._lock.release()

    def _known(self, path: Path, wanted: Reference, stamp: _Stamp) -> Loaded | None:
        """What came of it before, if nothing has changed since. Raises BadImage: a bad image does not get better."""
        before, result = self._results.get((path, str(wanted)), ((), None))
        if before != stamp:
            return None
        if isinstance(result, BadImage):
            raise BadImage(str(result))
        return result

    def _load_anew(self, path: Path, wanted: Reference, stamp: _Stamp, check: Callable[[], object]) -> Loaded:
        if not self._sizes:
            self.remove()  # what somebody has left who was killed
        self._directory.mkdir(parents=True, exist_ok=True)
        key = path, str(wanted)
        try:
            loaded = self._load(path, wanted, check)
        except NoRoom:
            raise
        except BadImage as error:
            self._results[key] = stamp, BadImage(str(error))
            raise
        self._results[key] = stamp, loaded
        return loaded

    def remove(self) -> None:
        """Removes everything, also what its modes protect."""
        remove_tree(self._directory)

    def _load(self, path: Path, wanted: Reference, check: Callable[[], object]) -> Loaded:
        blobs = open_blobs(path, self._directory / "archive", MAX_BYTES, check)
        try:
            found = find_image(partial(read, blobs), blobs.has, wanted, this_platform())
            config = image_config(found.config)
            chain = hashlib.sha256("\n".join(layer.diff_id for layer in found.layers).encode()).hexdigest()
            if chain not in self._sizes:
                self._sizes[chain] = self._unpack(blobs, found, self._directory / chain, check)
        finally:
            blobs.close()
        root = self._directory / chain
        return Loaded(root, found.digests[-1], found.config_digest, config, self._sizes[chain])

    def _unpack(self, blobs: Blobs, found: Found, root: Path, check: Callable[[], object]) -> int:
        fresh = self._directory / "fresh"
        remove_tree(fresh)
        fresh.mkdir()
        try:
            budget = Budget(check)
            unpacker = Unpacker(fresh, budget)
            for layer in found.layers:
                what = f"layer {layer.digest or layer.diff_id}"
                with blobs.open(layer.name) as raw:
                    packed = Checked(raw, layer.digest, what)
                    content = Checked(decompressed(packed, what), layer.diff_id, what, budget.read)
                    unpacker.apply(content, what)  # type: ignore[arg-type]
                    content.finish()
                    packed.finish()
            unpacker.finish()
            if self._read_only:
                _forbid_writing(fresh)
            fresh.rename(root)
        except BaseException:
            remove_tree(fresh)
            raise
        return unpacker.size


def _unreadable(path: Path, error: OSError) -> BadImage:
    return NoRoom(f"{error.filename or path}: {error.strerror}")


def _stamp(path: Path) -> _Stamp:
    """What changes when somebody saves an image there anew. Raises OSError."""
    stamp: _Stamp = ()
    for file in (path, path / "index.json", path / "manifest.json") if path.is_dir() else (path,):
        if file.exists() or file == path:
            status = file.stat()
            stamp += status.st_ino, status.st_mtime_ns, status.st_size
    return stamp


def _forbid_writing(root: Path) -> None:
    for directory, _, names in os.walk(root, topdown=False):
        for path in [*(os.path.join(directory, name) for name in names), directory]:
            mode = os.lstat(path).st_mode
            if not stat.S_ISLNK(mode):
                os.chmod(path, stat.S_IMODE(mode) & ~0o222)


def remove_tree(path: Path) -> None:
    """Removes a directory with all that is in it; nothing if there is none."""
    for directory, names, _ in os.walk(path):
        for name in names:
            inner = os.path.join(directory, name)
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(path, ignore_errors=True)
