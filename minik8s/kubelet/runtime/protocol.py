"""What a kubelet asks of a container runtime: the seam between pods and processes.

Promises, checked by one suite for every implementation (testing/runtime_suite.py):

1. A container's life is a line: started, then exactly one exit; `wait` returns the same exit to everybody.
2. `signal` after the exit does nothing. Nothing survives `remove` or the runtime's own end, not even when
   the hosting process is killed.
3. A failure to find or start something is an `ImageError` or `StartError` with the reason a kubelet reports.
4. Output reaches the log in the order in which it was written, each line with the time it was written.
5. A sandbox's address is the pod's alone until the sandbox is removed.
6. A session's streams carry every byte in order and end with its process; a command's process ends with its session.
   Nobody who does not read makes anything grow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import attrs
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream

OUT_OF_MEMORY = "OOMKilled"
"""The reason of an exit by which a memory limit was enforced."""


class RuntimeFailure(Exception):
    """Base: `reason` is what stands in a container's waiting or terminated state."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


class ImageError(RuntimeFailure):
    """The image cannot be had: reasons ErrImagePull, ErrImageNeverPull, InvalidImageName."""


class StartError(RuntimeFailure):
    """The container could not be started: RunContainerError, CreateContainerError, StartError; exit code 128."""


@attrs.frozen
class Mount:
    """`host_path` is to be seen at `container_path`; a source that is missing is made, a directory.

    `recursive_read_only` goes for what is mounted below as well. `propagation` is as in the API. An image's files are
    everybody's: nothing is made in them, not even the place of another mount.
    """

    host_path: Path
    container_path: str
    read_only: bool = False
    recursive_read_only: bool = False
    propagation: str = "None"
    is_image: bool = False


@attrs.frozen
class Image:
    """A resolved image; `id` is what a container's status says as imageID.

    `argv` is its entrypoint, `args` its default arguments (both may be empty), `env` what it sets, `stop_signal` what
    ends it, `user` who runs it (as a Dockerfile says it; "" for root, None where nobody says). `root` is its own root
    file system, `archive` an image on disk from which that is unpacked first; `volumes` are directories of it that take
    writes even where the root does not. `mounts` are single files that it brings along where it has no root.
    """

    name: str
    id: str
    argv: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = attrs.field(factory=dict)
    working_dir: str = ""
    stop_signal: str = "SIGTERM"
    size_bytes: int = 0
    user: str | None = None
    root: Path | None = None
    archive: Path | None = None
    volumes: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()


@attrs.frozen
class SandboxConfig:
    """A pod to be. `directory` is the kubelet's own directory for it; `host_network` shares the node's address.

    What its files say, where a runtime can show them: `fqdn` and `host_aliases` (address, names) are for /etc/hosts,
    `resolv_conf` is that file. Where a runtime keeps containers' processes apart, they see each other's with
    `share_processes`, and the machine's with `host_processes`; `host_ipc` is the same for System V's means of
    communication. `sysctls` are kernel parameters that the pod has to itself, by their names with dots.
    """

    namespace: str
    name: str
    uid: str
    directory: Path
    hostname: str
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    host_network: bool = False
    fqdn: str = ""
    host_aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    resolv_conf: str = ""
    share_processes: bool = False
    host_processes: bool = False
    host_ipc: bool = False
    sysctls: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Sandbox:
    """A pod's shared part: its id and its address, which no other pod of the cluster has (unless host network)."""

    id: str
    address: str
    config: SandboxConfig


@attrs.frozen
class ContainerConfig:
    """A container to be started. `argv` is complete; `env` is complete; `attempt` counts restarts from 0.

    `log_path` is where its output goes. `termination_log` is the host file of terminationMessagePath. With `stdin_once`
    standard input ends with the first client that was attached to it.
    `memory_limit` is how many bytes it may hold, None for no limit: a runtime that can ends it beyond that, and says so
    (`OUT_OF_MEMORY`). `run_as` (uid, gid, None for what is not said) and
    `read_only_root` are wishes of its securityContext that only a runtime with namespaces can fulfil; so is to see the
    processes of another container of the pod, the `target`.
    """

    name: str
    image: Image
    argv: tuple[str, ...]
    env: Mapping[str, str]
    working_dir: str
    mounts: tuple[Mount, ...]
    log_path: Path
    termination_log: Path
    attempt: int = 0
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    memory_limit: int | None = None
    run_as: tuple[int | None, int | None] = (None, None)
    read_only_root: bool = False
    target: str = ""


@attrs.frozen
class Exit:
    """How a container ended: `exit_code` (128 + signal when a signal ended it), `signal` (0 when none)."""

    exit_code: int
    signal: int
    started_at: datetime
    finished_at: datetime
    reason: str = ""
    message: str = ""


@attrs.frozen
class ExecResult:
    exit_code: int
    output: bytes


@attrs.frozen
class ProbeResult:
    """`message` is what the Unhealthy event says after "<Kind> probe failed: ".

    `warning`: it succeeded, but `message` is to be told in a ProbeWarning event (a redirect to another host).
    """

    success: bool
    message: str = ""
    warning: bool = False


@attrs.frozen
class LogOptions:
    """Which part of a log: `tail_lines` None is all, `since` drops earlier lines, `limit_bytes` cuts the stream."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None


@attrs.frozen
class Usage:
    """CPU seconds used since the start and resident memory in bytes, over the container's processes."""

    cpu_seconds: float
    memory_bytes: int


class Container(Protocol):
    """One run of one container."""

    @property
    def id(self) -> str:
        """`<64 hex>`, without the runtime's scheme."""
        ...

    @property
    def config(self) -> ContainerConfig: ...

    @property
    def started_at(self) -> datetime: ...

    async def wait(self) -> Exit:
        """Returns when the container has ended; may be awaited by several tasks and again later."""
        ...

    def call_at_end(self, call: Callable[[], object]) -> bool:
        """Has `call` called once when the container ends, so that nobody needs to wait meanwhile.

        False, and no call, where it has ended already or only `wait` can tell.
        """
        ...

    def signal(self, name: str) -> None:
        """Sends `SIGTERM`, `SIGKILL`, …: SIGKILL to every process of the container, others to its main one.

        Where nothing sets that apart, they go to its group.
        """
        ...


class Session(Protocol):
    """A command in a container, or the container itself, at the other end of streams.

    A stream that was not asked for is None; with a terminal there is no `stderr`. The readers raise EndOfStream once
    the process has ended and everything has been read. Whoever opened a session closes it.
    """

    @property
    def stdin(self) -> ByteSendStream | None: ...
    @property
    def stdout(self) -> ByteReceiveStream | None: ...
    @property
    def stderr(self) -> ByteReceiveStream | None: ...

    def resize(self, width: int, height: int) -> None:
        """The size of the client's window, in characters; nothing without a terminal."""
        ...

    async def wait(self) -> int | None:
        """A command's exit code (127 not found, 126 not executable, 128 + signal); None for a container."""
        ...

    async def aclose(self) -> None:
        """Closes the streams and kills a command that still runs, without waiting for it."""
        ...


class Runtime(Protocol):
    """Runs containers for one node."""

    @property
    def name(self) -> str:
        """The scheme of container ids and the node's containerRuntimeVersion: `minik8s-subprocess`, …"""
        ...

    @property
    def version(self) -> str: ...

    @property
    def has_machine_users(self) -> bool:
        """Whether a container's users and groups are this machine's: then a file's owner is the same for both."""
        ...

    @property
    def has_recursive_read_only(self) -> bool: ...

    def is_present(self, image: str) -> bool:
        """Whether the image needs no pull."""
        ...

    async def pull(self, image: str, *, volume: bool = False) -> Image:
        """Resolves an image, pulling it if need be; for its files alone if it is to be a volume. Raises ImageError."""
        ...

    def images(self) -> Sequence[Image]:
        """What is present, for the node's status."""
        ...

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        """Gives a pod its address. Raises RuntimeFailure FailedCreatePodSandBox."""
        ...

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        """Kills what still runs in it and gives the address back. Idempotent."""
        ...

    async def start(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        """Starts a container. Raises StartError."""
        ...

    async def remove(self, container: Container) -> None:
        """Forgets an ended container; its log stays. Kills it first if it still runs."""
        ...

    async def update(self, container: Container, memory_limit: int | None) -> None:
        """Has a running container live with another memory limit from now on, in bytes; None for no limit.

        Does nothing to one that has ended.
        """
        ...

    async def exec(self, container: Container, argv: Sequence[str], *, timeout: float) -> ExecResult:
        """Runs a command beside the container's own, with its environment, and waits.

        Raises TimeoutError when it takes longer than `timeout` seconds (it is killed then), and StartError when it
        cannot be started or the container has ended. Output beyond a megabyte is dropped.
        """
        ...

    async def open(self, container: Container, argv: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        """Runs a command beside the container's own, with its environment, for a client to talk to.

        A command that cannot be started is a session that says so. Raises StartError when the container has ended.
        """
        ...

    async def attach(self, container: Container) -> Session:
        """The container's own streams, from now on. Raises StartError when it has ended or has no streams."""
        ...

    async def connect(self, sandbox: Sandbox, port: int) -> ByteStream:
        """A connection to a TCP port of the pod. Raises OSError, with a message for the client."""
        ...

    async def probe(
        self,
        sandbox: Sandbox,
        container: Container,
        handler: Mapping[str, Any],
        *,
        timeout: float,
        lifecycle: bool = False,
    ) -> ProbeResult:
        """Carries out one probe: `handler` is the API's probe with its exec, httpGet, tcpSocket or grpc; numeric or
        named ports are already numbers. Also serves lifecycle hooks, and is told so: a simulated container that is
        not ready yet fails its probes, not its postStart hook, and to a hook every HTTP status is an answer. Raises
        nothing for a failing target."""
        ...

    def logs(self, log_path: Path, options: LogOptions, *, container: Container | None) -> AsyncIterator[bytes]:
        """A container's output. With `follow` it ends after the container (None: an ended one) has."""
        ...

    def usage(self, container: Container) -> Usage | None:
        """None where it cannot be known."""
        ...

    def written_bytes(self, container: Container) -> int:
        """What a running container has written beside its volumes; 0 where it cannot be known. May take long."""
        ...

    async def aclose(self) -> None:
        """Kills everything and gives everything back."""
        ...
