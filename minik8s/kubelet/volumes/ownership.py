"""fsGroup: a volume's files are for a group, by their modes, and by their owner where somebody may say so.

Upstream: pkg/volume/volume_linux.go (SetVolumeOwnership). A process without root is of the groups of its user, whatever
a pod says; so a file's group changes only where this one's user may change it, and the modes always.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_READ, _WRITE_TOO, _SEARCH = 0o440, 0o660, 0o110


def mode_for_group(mode: int, *, read_only: bool) -> int:
    """The mode that a file or directory has for its volume's group; new files in a directory are the group's."""
    wanted = stat.S_IMODE(mode) | (_READ if read_only else _WRITE_TOO)
    return wanted | stat.S_ISGID | _SEARCH if stat.S_ISDIR(mode) else wanted


def is_for_group(status: os.stat_result, group: int, *, read_only: bool, may_change_group: bool) -> bool:
    """Whether a volume's root says that nothing has to be changed (fsGroupChangePolicy OnRootMismatch)."""
    if may_change_group and status.st_gid != group:
        return False
    return stat.S_IMODE(status.st_mode) == mode_for_group(status.st_mode, read_only=read_only)


def give_to_group(
    root: Path, group: int, *, read_only: bool, may_change_group: bool, only_on_mismatch: bool = False
) -> None:
    """Makes all of a volume the group's. Raises OSError."""
    if only_on_mismatch and is_for_group(root.stat(), group, read_only=read_only, may_change_group=may_change_group):
        return
    for directory, _, names in os.walk(root, topdown=False):  # the root last: it tells that all is done
        for name in names:
            _give(Path(directory, name), group, read_only, may_change_group)
        _give(Path(directory), group, read_only, may_change_group)


def _give(path: Path, group: int, read_only: bool, may_change_group: bool) -> None:
    status = path.lstat()
    if may_change_group and status.st_gid != group:
        with suppress(PermissionError):  # not a group of our user's
            os.chown(path, -1, group, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        mode = mode_for_group(status.st_mode, read_only=read_only)
        if mode != stat.S_IMODE(path.lstat().st_mode):
            path.chmod(mode)
