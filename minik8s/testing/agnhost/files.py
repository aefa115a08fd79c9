"""Commands about files and arguments: mounttest, entrypoint-tester, logs-generator, and what /etc says."""

from __future__ import annotations

import json
import os
import random
import stat
import sys
import time
from collections.abc import Callable

from minik8s.testing.agnhost.flags import UsageError, duration, inside, number, parse

METHODS, NAMESPACES = ("GET", "POST", "PUT"), ("kube-system", "default", "ns")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MADE = "mount-tester new file\n"
PERMISSIONS = ("0644", "0666", "0660", "0777")
MOUNT_FLAGS = {
    "fs_type": "", "file_mode": "", "file_perm": "", "file_owner": "", "file_content": "", "file_content_in_loop": "",
    "retry_time": "180", "break_on_expected_content": "true",
    **{f"new_file_{permission}": "" for permission in PERMISSIONS},
}  # fmt: skip


def entrypoint_tester(arguments: list[str]) -> int:
    """Its whole command line, as Go prints a slice."""
    program = "/" + os.path.basename(sys.argv[0])
    print(f"[{' '.join([program, 'entrypoint-tester', *arguments])}]")
    return 0


def etc_hosts(arguments: list[str]) -> int:
    parse(arguments, {})
    with open(inside("/etc/hosts")) as file:
        print(file.read())
    return 0


def _resolv_conf(word: str) -> list[str]:
    with open(inside("/etc/resolv.conf")) as file:
        return [part for line in file if line.split()[:1] == [word] for part in line.split()[1:]]


def dns_suffix(arguments: list[str]) -> int:
    parse(arguments, {})
    print(",".join(_resolv_conf("search")))
    return 0


def dns_server_list(arguments: list[str]) -> int:
    parse(arguments, {})
    print(",".join(_resolv_conf("nameserver")))
    return 0


def logs_generator(arguments: list[str]) -> int:
    """So many lines, evenly over a time."""
    flags = parse(
        arguments, {"log-lines-total": "0", "run-duration": "0s"}, {"t": "log-lines-total", "d": "run-duration"}
    )
    total, seconds = number(flags, "log-lines-total"), duration(flags["run-duration"])
    if total <= 0:
        raise UsageError(f"Invalid total number of lines: {total}")
    if seconds <= 0:
        raise UsageError(f"Invalid duration: {flags['run-duration']}")
    delay = seconds / total
    for index in range(total):
        name = "".join(random.choices(LETTERS, k=random.randint(3, 5)))
        path = f"/api/v1/namespaces/{random.choice(NAMESPACES)}/pods/{name}"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        print(f"{now} {index} {random.choice(METHODS)} {path} {random.randint(200, 599)}", flush=True)
        time.sleep(delay)
    return 0


def mounttest(arguments: list[str]) -> int:
    """What there is to say of a mount, in the order of upstream's flags; 1 when something could not be said."""
    flags = parse(arguments, MOUNT_FLAGS)
    os.umask(0)
    failed = False
    steps: list[tuple[Callable[[str, int], None], str, int]]
    steps = [(_new_file, flags[f"new_file_{permission}"], int(permission, 8)) for permission in PERMISSIONS]
    steps += [(_fs_type, flags["fs_type"], 0), (_mode, flags["file_mode"], 0), (_perm, flags["file_perm"], 0)]
    steps += [(_owner, flags["file_owner"], 0), (_content, flags["file_content"], 0)]
    for step, path, permission in steps:
        try:
            if path:
                step(path, permission)
        except OSError as error:
            print(f"error reading {path}: {error.strerror}")
            failed = True
    if path := flags["file_content_in_loop"]:
        _content_in_loop(path, number(flags, "retry_time"), flags["break_on_expected_content"] == "true")
    return int(failed)


def _say(text: str) -> None:
    print(text, flush=True)


def _new_file(path: str, permission: int) -> None:
    fd = os.open(inside(path), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, permission)
    with open(fd, "w") as file:
        file.write(MADE)
    _content(path, 0)


def _content(path: str, permission: int) -> None:
    with open(inside(path), "rb") as file:
        _say(f"content of file {json.dumps(path)}: {file.read().decode(errors='replace')}")


def _content_in_loop(path: str, seconds: int, leave_early: bool) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(inside(path), "rb") as file:
                text = file.read().decode(errors="replace")
            _say(f"content of file {json.dumps(path)}: {text}")
            if leave_early and text == MADE:
                return
        except OSError as error:
            _say(f"Error reading file {path}: open {path}: {(error.strerror or '').lower()}, retrying")
        time.sleep(2)


def _fs_type(path: str, permission: int) -> None:
    """By the mount table: the innermost mount that holds the path."""
    where, kind = os.path.realpath(inside(path)), ""
    with open("/proc/self/mountinfo") as table:
        for line in table:
            left, _, right = line.partition(" - ")
            point = left.split()[4].replace("\\040", " ")
            if where == point or where.startswith(point.rstrip("/") + "/"):
                kind = right.split()[0]
    _say(f"mount type of {json.dumps(path)}: {kind}")


def _mode(path: str, permission: int) -> None:
    _say(f"mode of file {json.dumps(path)}: {_go_mode(os.stat(inside(path)).st_mode)}")


def _perm(path: str, permission: int) -> None:
    mode = os.stat(inside(path)).st_mode
    _say(f"perms of file {json.dumps(path)}: -{stat.filemode(mode & 0o777 | stat.S_IFREG)[1:]}")


def _owner(path: str, permission: int) -> None:
    found = os.stat(inside(path))
    _say(f"owner UID of {json.dumps(path)}: {found.st_uid}")
    _say(f"owner GID of {json.dumps(path)}: {found.st_gid}")


def _go_mode(mode: int) -> str:
    """How Go's os.FileMode is printed."""
    head = ""
    head += "d" if stat.S_ISDIR(mode) else "L" if stat.S_ISLNK(mode) else ""
    for bit, letter in ((stat.S_ISUID, "u"), (stat.S_ISGID, "g"), (stat.S_ISVTX, "t")):
        head += letter if mode & bit else ""
    return (head or "-") + stat.filemode(mode & 0o777 | stat.S_IFREG)[1:]
