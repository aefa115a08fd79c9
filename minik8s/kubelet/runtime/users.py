"""Who a container runs as: what its pod wants, else what its image says, by the image's own /etc/passwd.

As containerd and runc have it (oci.WithUser, WithUserID): a user's group is that of its entry, unless somebody names
one; who has no entry is of group 0 and lives in `/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from minik8s.kubelet.runtime.oci.paths import Misled, resolve_file
from minik8s.kubelet.runtime.protocol import StartError
from minik8s.kubelet.runtime.strangers import read_regular

_MAX_ID = (1 << 31) - 1
_MAX_TABLE = 1 << 20
"""Bytes of a table that are looked at."""


@attrs.frozen
class User:
    uid: int
    gid: int
    home: str


@attrs.frozen
class Tables:
    """The texts of an image's /etc/passwd and /etc/group."""

    passwd: str = ""
    group: str = ""


def tables(root: Path) -> Tables:
    """Those of a root file system, found as a process in it would; "" for what cannot be read."""
    return Tables(_read(root, "etc/passwd"), _read(root, "etc/group"))


def find_user(of_image: str, wanted: tuple[int | None, int | None], known: Tables) -> User:
    """The user of an image (`name`, `uid`, `name:group`, ...) with what is `wanted` instead. Raises StartError."""
    uid, gid = wanted
    name, _, group = of_image.partition(":")
    if uid is None:
        entry = _entry(known.passwd, name, 7) if name else None
        if name and entry is None and not name.isdecimal():
            raise _unknown("user", name, "passwd")
        uid = int(entry[2]) if entry else _number(name or "0")
        if gid is None and group:
            gid = _group(group, known.group)
    entry = _entry(known.passwd, str(uid), 7)
    home = (entry[5] if entry else "") or "/"
    if gid is None:
        gid = int(entry[3]) if entry else 0
    return User(uid, gid, home)


def _group(name: str, table: str) -> int:
    entry = _entry(table, name, 4)
    if entry is None and not name.isdecimal():
        raise _unknown("group", name, "group")
    return int(entry[2]) if entry else _number(name)


def _number(text: str) -> int:
    if not _is_number(text):
        raise StartError("CreateContainerError", f"uids and gids must be in range 0-{_MAX_ID}, not {text[:20]}")
    return int(text)


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 11 and int(text) <= _MAX_ID


def _entry(table: str, name: str, width: int) -> list[str] | None:
    """The first line with that name, or that number; lines that are not as they should be are passed over."""
    lines = list(_lines(table, width))
    by_name = next((fields for fields in lines if fields[0] == name), None)
    return by_name or next((fields for fields in lines if _is_number(name) and int(fields[2]) == int(name)), None)


def _lines(table: str, width: int) -> Iterator[list[str]]:
    for line in table.splitlines():
        fields = line.split(":")
        numbers = fields[2:4] if width == 7 else fields[2:3]
        if len(fields) >= width and all(map(_is_number, numbers)):
            yield fields


def _unknown(kind: str, name: str, table: str) -> StartError:
    message = f"unable to find {kind} {name}: no matching entries in {table} file"
    return StartError("CreateContainerError", message)


def _read(root: Path, path: str) -> str:
    try:
        return read_regular(resolve_file(str(root), path), _MAX_TABLE).decode(errors="replace")
    except (OSError, Misled):
        return ""
