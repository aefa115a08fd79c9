"""What a container finds around it: its root directory, its mounts, its environment and its working directory.

Without privileges nothing can be mounted at an absolute path, so `$MINIK8S_ROOT` is a directory of the container's
own in which every mount appears as a link: `$MINIK8S_ROOT/etc/config` is the volume mounted at `/etc/config`. The
program itself may be named by such a path; arguments are passed on as they are. For each mount
`$MINIK8S_MOUNT_<PATH>` holds the host's path (`/etc/config` is `MINIK8S_MOUNT_ETC_CONFIG`), and
`$MINIK8S_TERMINATION_LOG` the termination log's.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from minik8s.kubelet.runtime.protocol import ContainerConfig, Mount, Sandbox, StartError

TERMINATION_LOG = "/dev/termination-log"


def root_directory(sandbox: Sandbox, name: str) -> Path:
    """Where a container's root lies in the pod's directory."""
    return sandbox.config.directory / "rootfs" / name


def inside(root: Path, path: str) -> Path:
    """`path` as seen from a root directory; `..` does not lead out of it."""
    return root / posixpath.normpath("/" + path).lstrip("/")


def prepare_root(root: Path, config: ContainerConfig) -> None:
    """Makes a fresh root with the mounts in it. Raises StartError."""
    shutil.rmtree(root, ignore_errors=True)  # links are removed, not followed
    try:
        (root / "tmp").mkdir(parents=True)
        config.log_path.parent.mkdir(parents=True, exist_ok=True)
        config.termination_log.parent.mkdir(parents=True, exist_ok=True)
        config.termination_log.touch()
        make_sources(config.mounts)
        for mount in _mounts(config):
            _link(root, mount, [mount for mount in config.mounts if mount.is_image])
    except OSError as error:
        raise StartError("CreateContainerError", f"failed to prepare the container's root: {error}") from error


def make_sources(mounts: Iterable[Mount]) -> None:
    """A source that is missing is made, as containerd does: a hostPath of no type promises nothing. Raises OSError."""
    for mount in mounts:
        if not mount.host_path.exists():
            mount.host_path.mkdir(mode=0o755, parents=True, exist_ok=True)


def _mounts(config: ContainerConfig) -> Iterator[Mount]:
    """Outer paths first; the termination log at its default path unless something is mounted there."""
    taken = {inside(Path("/"), mount.container_path) for mount in config.mounts}
    if Path(TERMINATION_LOG) not in taken:
        yield Mount(config.termination_log, TERMINATION_LOG)
    yield from sorted(config.mounts, key=lambda mount: mount.container_path)


def _link(root: Path, mount: Mount, images: Iterable[Mount]) -> None:
    """A mount below another one is linked in that volume, where a real runtime too would make a mount point.

    What the volume already has under that name stays: then only the variable leads to the mount.
    """
    place = inside(root, mount.container_path)
    if place == root:
        raise StartError("CreateContainerError", "a volume cannot be mounted at /")
    if not place.exists() and any(inside(root, image.container_path) in place.parents for image in images):
        problem = f'cannot make a mount point at "{mount.container_path}": read-only file system'
        raise StartError("CreateContainerError", problem)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_symlink():
        place.unlink()
    elif place == root / "tmp":
        place.rmdir()
    if not place.exists():
        place.symlink_to(mount.host_path)


def working_directory(root: Path, working_dir: str) -> Path:
    """In the root if it exists there, else the host's of that name, else it is made in the root."""
    own = inside(root, working_dir)
    if not own.is_dir():
        if Path(working_dir).is_absolute() and Path(working_dir).is_dir():
            return Path(working_dir)
        try:
            own.mkdir(parents=True)
        except OSError as error:
            raise StartError("StartError", f"failed to make the working directory: {error}") from error
    return own


def mount_variable(container_path: str) -> str:
    """The name of the variable with a mount's host path."""
    return "MINIK8S_MOUNT_" + re.sub(r"[^A-Z0-9]+", "_", container_path.upper()).strip("_")


def environment(sandbox: Sandbox, config: ContainerConfig, root: Path) -> dict[str, str]:
    """The whole environment: ours, then the image's, then the container's own, each over the one before."""
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(root),
        "HOSTNAME": sandbox.config.hostname,
        "POD_IP": sandbox.address,
        "MINIK8S_ROOT": str(root),
        "MINIK8S_TERMINATION_LOG": str(config.termination_log),
    }
    if config.tty:
        env["TERM"] = "xterm"
    for mount in config.mounts:
        env[mount_variable(mount.container_path)] = str(mount.host_path)
    return {**env, **config.image.env, **config.env}


def program_paths(argv0: str, env: Mapping[str, str], root: Path, cwd: Path) -> list[str]:
    """The files to try as the program: through $PATH, or the path itself, in the container's root first."""
    if "/" not in argv0:
        return [str(cwd / directory / argv0) for directory in env.get("PATH", os.defpath).split(":")]
    if argv0.startswith("/"):
        return [str(inside(root, argv0)), argv0]
    return [str(cwd / argv0)]
