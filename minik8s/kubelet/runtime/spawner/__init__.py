"""The fork server: a program of its own that turns requests into containers.

The process that hosts a cluster may be big and full of threads; forking it costs tens of milliseconds and is unsafe,
so it starts this small program once and asks it to fork. Each container gets a *shim*,
a fork of this server that stays beside it: the shim is the container's "pid 1" (child subreaper), stamps its output
with the time and writes it to the log, and kills every descendant when the container's main process ends, when it is
told to, or when its control socket closes. The kernel closes that socket however the host dies, so nothing outlives
it.

It runs outside the package, as a top-level package `spawner` in an interpreter of its own (`COMMAND`), so that
nothing but a little of the standard library is loaded: starting takes about 20 ms, a shim about 1 MB of its own. Hence
the relative imports.

Wire format. The server's descriptor is a stream socket; every request is one byte, `+`, with file descriptors: the
shim's control socket, a file with the marshalled `Spec`, and the descriptors that `Spec["stdio"]` counts. On the
control socket the host writes one byte a signal, and the shim answers with lines: `started SHIM_PID MAIN_PID`, or
`failed ERRNO STAGE`; later `exited WAIT_STATUS`, when nothing of the container is left and its output is in the log,
and before it `oom` if the shim has ended it for what it held of memory. A byte 0 comes with the writing ends of pipes,
to which the container's stdout and stderr are copied from then on; `LIMIT` and eight bytes are another memory limit.

A server that `unshare` has put into a user namespace also makes namespaces (`isolation`): requests `f`, `p`, `m`, `r`
with a control socket, a marshalled `FabricSpec`, `PodSpec`, `MountSpec` or `RulesSpec` and further descriptors are
answered by `+` and a note with the new descriptors, or by `!` with a complaint. A shim enters those that
`Spec["namespaces"]` counts.

Without Linux (no subreaper, parent-death signal or /proc) a descendant that leaves its process group is not found.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing would take half of the time to start; checkers know the name

COMMAND = "import sys; sys.path.append(sys.argv[1]); from spawner.server import main; main(int(sys.argv[2]))"
"""To be run with `python -I -S -c`, with `DIRECTORY` and the number of the server's descriptor as arguments.

The directory is appended, so that its `subprocess` does not hide the standard library's."""
DIRECTORY = os.path.dirname(os.path.dirname(__file__))
LIMIT, LIMIT_BYTES = 255, 9
"""Tells a shim of another memory limit: this byte, and the bytes as a little-endian number; the length of both."""
NEW = -1
"""In `Spec["processes"]`: a namespace of its own, whose process 1 the program is."""


if TYPE_CHECKING:
    from typing import TypedDict

    class Spec(TypedDict):
        """What is to be run. `paths` are tried in order as the program (execvp has looked up PATH already).

        `stdio` says for stdin, stdout and stderr which passed descriptor to use; None is /dev/null for stdin and the
        log for the others. With `tty` stdin is a terminal, which becomes the controlling one. `output` is the passed
        descriptor that the log is read from: a terminal's master. `user` are a uid and a gid to be. `processes` is the
        namespace of processes to be in: a passed descriptor's, `NEW`, or None for this machine's; with `proc` it is
        what /proc shows in a container whose mounts are new. A program that `reaps` adopts orphans. `memory` is how
        many bytes the container may hold, 0 for no limit. With `split` the log tells stdout and stderr apart.
        """

        paths: list[bytes]
        argv: list[bytes]
        env: dict[bytes, bytes]
        cwd: bytes
        log: bytes | None
        tty: bool
        stdio: list[int | None]
        output: int | None
        namespaces: list[int]
        user: tuple[int, int] | None
        processes: int | None
        proc: bool
        reaps: bool
        memory: int
        split: bool

    class FabricSpec(TypedDict):
        """The pods' network: the gateway's address, the pods', the ClusterIPs' and the load balancers' ranges.

        `ports` are the first and the last port of connections that are relayed under a pod's address; `any_address`
        whether there can be such, which the note says ("1" or "0") when the network is made.
        """

        gateway: str
        pods: str
        ports: tuple[int, int]
        services: str
        balancers: str
        any_address: bool

    class PodSpec(TypedDict):
        """A pod's namespaces; without `address` it has its node's network, without `ipc` the machine's of that kind.

        `sysctls` are kernel parameters of them, by their names with dots.
        """

        address: str
        gateway: str
        hostname: str
        balancers: str
        ipc: bool
        sysctls: dict[str, str]

    class RulesSpec(TypedDict):
        """A tool that changes the rules of the network whose descriptor is passed, and what it reads."""

        argv: list[str]
        text: str

    class MountSpec(TypedDict):
        """A container's mounts: (source, path, options). `root` is a directory, "" for this machine's own.

        Options are those of mount(8) with two of ours: `rro` makes all that is mounted below read-only as well, and in
        an `image` no place for another mount is made. `stage` is an empty directory to build on; `cwd` is made if it is
        missing.
        """

        root: str
        stage: str
        mounts: list[tuple[str, str, str]]
        read_only: bool
        cwd: str
