"""A container's own view of the file system: its root with the volumes mounted at their true paths.

Nothing of the host is changed: the root is an overlay whose upper layer is in memory and vanishes with the container.
Without a root file system of its own (an image that is a command of this machine) the container sees the host's
directories, each under such an overlay. A directory with another file system mounted somewhere below cannot be
overlaid without root; it is seen as it is. `/dev` and `/run` are the container's own.

The mounting is util-linux's: mount(8) reads a table, so a container costs four short processes.
"""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import stat

from . import TYPE_CHECKING
from .namespaces import NEWNS, make_read_only, own, run, unshare

if TYPE_CHECKING:
    from . import MountSpec

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
_AS_THEY_ARE = ("proc", "sys")
_OWN = ("dev", "run")
_OURS = ("rro", "image")


def make_mounts(spec: MountSpec) -> list[int]:
    """A descriptor of a new mount namespace as `spec` says. Raises OSError."""
    unshare(NEWNS)  # in a user namespace of its own nothing that is mounted here is seen outside
    stage = spec["stage"]
    run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", stage])
    root = f"{stage}/root"
    layers = _layers(stage, root, spec["root"])
    _mount_all(stage, layers)
    shared = [where[len(root) :] for _, where, _, options in layers if options.startswith("rbind")]
    places = _places(root, spec, shared)
    _mount_all(stage, [(source, root + place, "none", _of_mount(options)) for source, place, options in places])
    for _, place, options in places:
        if "rro" in options.split(","):
            make_read_only(root + place)
    if spec["read_only"]:
        for where in (root, *(where for _, where, kind, _ in layers if kind == "overlay" and where != root)):
            run(["mount", "-o", "remount,bind,ro", where])
    # who enters the namespace finds itself in what lies uppermost on /; an ordinary user has no table of mounts
    run(["mount", "--no-mtab", "--move", root, "/"])
    return [own("mnt")]


def _layers(stage: str, root: str, image: str) -> list[tuple[str, str, str, str]]:
    """The mounts that make up a root, as (what, where, type, options)."""
    os.mkdir(root)
    table = [_overlay(stage, image, root, 0)] if image else [(root, root, "none", "bind"), *_host_layers(stage, root)]
    table += [(f"/{name}", f"{root}/{name}", "none", "rbind,X-mount.mkdir") for name in _AS_THEY_ARE]
    table.append(("tmpfs", f"{root}/run", "tmpfs", "mode=755,X-mount.mkdir"))
    return table + _devices(f"{stage}/dev", f"{root}/dev")


def _overlay(stage: str, lower: str, target: str, number: int) -> tuple[str, str, str, str]:
    upper, work = f"{stage}/upper{number}", f"{stage}/work{number}"
    os.mkdir(upper)
    os.mkdir(work)
    mode = stat.S_IMODE(os.stat(lower).st_mode)
    os.chmod(upper, mode)
    quoted = lower.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
    return ("overlay", target, "overlay", f"lowerdir={quoted},upperdir={upper},workdir={work}")


def _host_layers(stage: str, root: str) -> list[tuple[str, str, str, str]]:
    """The host's directories: overlaid where possible."""
    table = []
    mounted = [point for point in _mount_points() if not f"{point}/".startswith(f"{stage}/")]
    for number, entry in enumerate(sorted(os.scandir("/"), key=lambda entry: entry.name)):
        target = f"{root}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), target)
        elif entry.is_dir() and entry.name not in (*_AS_THEY_ARE, *_OWN):
            os.mkdir(target)
            if any(point.startswith(f"{entry.path}/") for point in mounted):
                table.append((entry.path, target, "none", "rbind"))
            elif not os.access(entry.path, os.R_OK) or any(os.scandir(entry.path)):
                table.append(_overlay(stage, entry.path, target, number))
    return table


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo") as table:
        return [line.split()[4] for line in table]


def _devices(dev: str, where: str) -> list[tuple[str, str, str, str]]:
    """The mounts that make up /dev; what they need is made in the directory `dev`."""
    os.mkdir(dev)
    table = [(dev, where, "none", "bind,X-mount.mkdir")]
    for name in _DEVICES:
        open(f"{dev}/{name}", "w").close()
        table.append((f"/dev/{name}", f"{where}/{name}", "none", "bind"))
    os.mkdir(f"{dev}/pts")
    table.append(("/dev/pts", f"{where}/pts", "none", "rbind"))
    os.symlink("/dev/pts/ptmx", f"{dev}/ptmx")
    os.mkdir(f"{dev}/shm")
    os.chmod(f"{dev}/shm", 0o1777)
    for name, target in _LINKS.items():
        os.symlink(target, f"{dev}/{name}")
    return table


def _places(root: str, spec: MountSpec, shared: list[str]) -> list[tuple[str, str, str]]:
    """(source, place in the root, options) of each mount; what it is mounted on is made.

    In a process of its own whose root is the container's, so that links lead where the container's would.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            found: list[tuple[str, str, str]] = []
            sources = [(source, os.open(source, os.O_PATH), path, options) for source, path, options in spec["mounts"]]
            os.chroot(root)
            os.chdir("/")
            _make_point(os.path.realpath(spec["cwd"]), True, shared)
            for source, fd, path, options in sources:
                place = os.path.realpath(path)
                is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
                _make_point(place, is_directory, shared)
                for outer, fd_, where, kind in sources:  # a mount inside another one is made there as well
                    if outer == source or not path.startswith(where.rstrip("/") + "/"):
                        continue
                    below = path[len(where.rstrip("/")) + 1 :]
                    if "image" not in kind.split(","):
                        _make_point_at(fd_, below, is_directory)
                    elif not _is_there(fd_, below):
                        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
                found.append((source, place, options))
            os.write(theirs, b"+" + marshal.dumps(found))
        except OSError as error:
            os.write(theirs, b"!" + f"{error.filename or ''}: {error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as answer:
        data = answer.read()
    os.waitpid(pid, 0)
    if data[:1] != b"+":
        raise OSError(0, f"cannot make a mount point: {data[1:].decode(errors='replace')}")
    return marshal.loads(data[1:])


def _of_mount(options: str) -> str:
    return ",".join(option for option in options.split(",") if option not in _OURS)


def _make_point(place: str, is_directory: bool, shared: list[str]) -> None:
    """Not in a directory of the host that is seen as it is: nothing of the host is changed."""
    if os.path.lexists(place):
        return
    if any(place.startswith(f"{directory}/") for directory in shared):
        raise OSError(errno.EROFS, "a mount point cannot be made in a directory of the host", place)
    if is_directory:
        os.makedirs(place)
    else:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))


def _is_there(volume: int, path: str) -> bool:
    try:
        os.stat(path, dir_fd=volume)
    except OSError:
        return False
    return True


def _make_point_at(volume: int, path: str, is_directory: bool) -> None:
    """In a volume, where the host's own directories are; one that cannot be made is mount's to complain of."""
    *parts, last = path.split("/")
    here = os.dup(volume)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    try:
        for part in parts if not is_directory else [*parts, last]:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=here)
            inner = os.open(part, flags, dir_fd=here)
            os.close(here)
            here = inner
        if not is_directory:
            os.close(os.open(last, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o644, dir_fd=here))
    except OSError:
        return
    finally:
        os.close(here)


def _mount_all(stage: str, table: list[tuple[str, str, str, str]]) -> None:
    """Mounts a table in order. Raises OSError with mount's complaint."""
    if not table:
        return
    path = f"{stage}/fstab"
    with open(path, "w") as file:
        for what, where, kind, options in table:
            file.write(f"{_quoted(what)} {_quoted(where)} {kind} {_quoted(options)} 0 0\n")
    run(["mount", "--all", "--fstab", path])


def _quoted(text: str) -> str:
    """As fstab(5) wants it."""
    return text.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011").replace("\n", "\\012")
