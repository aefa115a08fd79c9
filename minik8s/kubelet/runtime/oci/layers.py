"""Unpacking layers into one directory, as the image-spec's layer.md says, whatever they contain.

Every path is resolved inside the directory, part by part, with symbolic links leading where they would in a container;
so a link to `/etc` followed by a file below it lands in the image's own `/etc`. The modes of directories are set at the
end, since one that nobody may write to would take no more files.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import attrs

from minik8s.kubelet.runtime.oci import BadImage, NoRoom
from minik8s.kubelet.runtime.oci.blobs import inner_name
from minik8s.kubelet.runtime.oci.headers import Header, headers
from minik8s.kubelet.runtime.oci.paths import Misled, resolve
from minik8s.kubelet.runtime.oci.streams import CHUNK

MAX_BYTES = 8 << 30
"""Of an image's files, all layers together."""
MAX_ENTRIES = 500_000
"""Of an image's layers, all together."""
RESERVE = 256 << 20
"""Bytes of the disk that are left to others."""
_ZEROS = bytes(CHUNK)
_BUFFER = 1 << 18
WHITEOUT, OPAQUE, _RESERVED = ".wh.", ".wh..wh..opq", ".wh..wh."


@attrs.define
class Budget:
    """What an image may still take; `check` is called at every step and may raise to end it all."""

    check: Callable[[], object] = lambda: None
    bytes_left: int = MAX_BYTES
    entries_left: int = MAX_ENTRIES
    stream_left: int = MAX_BYTES + (MAX_ENTRIES << 10)

    def entry(self, size: int) -> None:
        """Raises BadImage when this is too much."""
        self.check()
        self.entries_left -= 1
        self.bytes_left -= size
        if self.entries_left < 0:
            raise BadImage(f"it has more than {MAX_ENTRIES} entries, the limit")
        if self.bytes_left < 0:
            raise BadImage(f"its files have more than {MAX_BYTES >> 30} GiB, the limit")

    def read(self, count: int) -> None:
        """So much was decompressed. Raises BadImage when it is more than any image of that size needs."""
        self.check()
        self.stream_left -= count
        if self.stream_left < 0:
            raise BadImage(f"its layers have more than {MAX_BYTES >> 30} GiB, the limit")


class Unpacker:
    """Applies layers to `root`, an empty directory, one after the other; `finish` sets the directories' modes."""

    def __init__(self, root: Path, budget: Budget) -> None:
        self._root = str(root)
        self._budget = budget
        self._directories: dict[str, tarfile.TarInfo] = {}
        self._fresh: set[str] = set()
        self.size = 0

    def apply(self, layer: IO[bytes], what: str) -> None:
        """Applies one layer, a tar. Raises BadImage."""
        self._fresh.clear()
        try:
            with tarfile.open(fileobj=layer, mode="r|", bufsize=_BUFFER, tarinfo=Header) as tar:
                for member in headers(tar):
                    self._budget.entry(member.size if member.isreg() else 0)
                    self._apply(tar, member)
        except tarfile.ReadError as error:
            if str(error) != "empty file":  # a layer without entries is one
                raise BadImage(f"{what}: it is no tar that can be read: {error}") from error
        except (tarfile.TarError, RecursionError, ValueError, Misled) as error:
            raise BadImage(f"{what}: {error}") from error
        except FileNotFoundError as error:
            raise BadImage(f"{what}: {error.strerror}") from error
        except OSError as error:
            raise NoRoom(f"{what}: {error.strerror or error}") from error

    def finish(self) -> None:
        """The deepest first, since one may take away the way to those below."""
        for path in sorted(self._directories, reverse=True):
            member = self._directories[path]
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.chmod(path, stat.S_IMODE(member.mode))
                os.utime(path, (_time(member), _time(member)))

    def _apply(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = inner_name(member.name)
        if name == ".":
            if member.isdir():
                self._directories[self._root] = member
            return
        parent, _, last = name.rpartition("/")
        directory = resolve(self._root, parent, make=True)
        path = os.path.join(directory, last)
        if last.startswith(WHITEOUT):
            self._white_out(directory, last)
            return
        if not (member.isdir() and _is_directory(path)):
            self._remove(path)
        if not self._make(tar, member, path):
            return
        self._fresh.add(path)
        while (
            directory != self._root and directory not in self._fresh
        ):  # what leads to something of this layer is of it as well
            self._fresh.add(directory)
            directory = os.path.dirname(directory)

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> bool:
        """Makes what an entry says; False for a device, which nobody without root can make."""
        if member.isreg():
            self._write(tar, member, path)
        elif member.isdir():
            if not _is_directory(path):
                os.mkdir(path, 0o755)
            self._directories[path] = member
        elif member.issym():
            os.symlink(member.linkname, path)
        elif member.islnk():
            self._link(member, path)
        elif member.isfifo():
            os.mkfifo(path, stat.S_IMODE(member.mode))
        elif member.ischr() or member.isblk():
            return False
        else:
            raise BadImage(f"{member.name!r} is an entry of unknown type {member.type!r}")
        return True

    def _write(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        source = tar.extractfile(member)
        assert source is not None
        self._check_room(member.size)
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb") as file:
            while data := source.read(CHUNK):
                self._budget.check()
                if data == _ZEROS[: len(data)]:
                    file.seek(len(data), os.SEEK_CUR)  # a hole: what blows up to nothing but zeros takes no disk
                else:
                    file.write(data)
            file.truncate()
            file.flush()  # a later write would take the setuid bit away from who is not root
            os.fchmod(fd, stat.S_IMODE(member.mode))
        os.utime(path, (_time(member), _time(member)))
        self.size += member.size

    def _check_room(self, size: int) -> None:
        """Files that would fill the disk are not begun: it is not ours alone."""
        if size > CHUNK:
            disk = os.statvfs(self._root)
            free = disk.f_bavail * disk.f_frsize
            if size + RESERVE > free:
                raise BadImage(
                    f"a file of {size} bytes has no room: {free >> 20} MiB are free, and {RESERVE >> 20} stay"
                )

    def _link(self, member: tarfile.TarInfo, path: str) -> None:
        target = inner_name(member.linkname)
        parent, _, last = target.rpartition("/")
        source = os.path.join(resolve(self._root, parent), last)
        if not os.path.lexists(source) or _is_directory(source):
            raise BadImage(f"{member.name!r} is a hard link to {member.linkname!r}, which is no file of the image")
        os.link(source, path, follow_symlinks=False)

    def _white_out(self, directory: str, name: str) -> None:
        """Removes what lower layers have: all of a directory, or one entry of it."""
        if name == OPAQUE:
            for entry in os.listdir(directory):
                self._remove_lower(os.path.join(directory, entry))
        elif not name.startswith(_RESERVED):
            hidden = name.removeprefix(WHITEOUT)
            if hidden in ("", ".", ".."):
                raise BadImage(f"{name!r} hides nothing that a directory can have")
            self._remove(os.path.join(directory, hidden))

    def _remove_lower(self, path: str) -> None:
        """What this layer itself has brought stays."""
        if path not in self._fresh:
            self._remove(path)
        elif _is_directory(path):
            for entry in os.listdir(path):
                self._remove_lower(os.path.join(path, entry))

    def _remove(self, path: str) -> None:
        if _is_directory(path):
            shutil.rmtree(path)
            below = path + "/"
            for known in [known for known in self._directories if known == path or known.startswith(below)]:
                del self._directories[known]
        elif os.path.lexists(path):
            os.unlink(path)
        self._fresh.discard(path)


def _is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _time(member: tarfile.TarInfo) -> float:
    """As a file system takes it."""
    return min(max(float(member.mtime), 0.0), 2.0**40)
