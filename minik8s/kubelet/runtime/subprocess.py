"""The default runtime: a container is a process group of this machine.

It runs with the user's own rights, files and network; what a container has of its own is a session, a root directory
(`rootfs`), an environment and, through its pod, a loopback address. Its output goes straight from a pipe to the
log file without passing through the event loop, and it dies with this process whatever ends it (`spawner`). What it
writes to an absolute path outside of its root directory it writes to this machine, as far as the user may: all of it,
if that is root.

Elsewhere than on Linux (macOS) these are lost: an address per pod (all share 127.0.0.1), usage, waking followers
of a log at once (they look every 0.2 s), and finding processes that leave their container's process group.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import attrs
from anyio.abc import ByteStream

from minik8s.clock import Clock
from minik8s.kubelet.runtime.addresses import Addresses, AddressesExhausted
from minik8s.kubelet.runtime.commands import command_beside, container_command, start_failure
from minik8s.kubelet.runtime.dialing import Sockets, connect_tcp, plain
from minik8s.kubelet.runtime.images import ImageRegistry, not_pulled, unusable
from minik8s.kubelet.runtime.inotify import Watcher
from minik8s.kubelet.runtime.logs import read_log
from minik8s.kubelet.runtime.oci import BadImage
from minik8s.kubelet.runtime.output import Output
from minik8s.kubelet.runtime.probes import run_probe
from minik8s.kubelet.runtime.processcontainer import ProcessContainer, exit_code
from minik8s.kubelet.runtime.processes import Command, Process, Spawner, SpawnError, Stdio
from minik8s.kubelet.runtime.protocol import (
    Container,
    ContainerConfig,
    ExecResult,
    Image,
    LogOptions,
    ProbeResult,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    Session,
    StartError,
    Usage,
)
from minik8s.kubelet.runtime.rootfs import prepare_root, root_directory
from minik8s.kubelet.runtime.sessions import (
    AttachedSession,
    CommandSession,
    container_ends,
    failed_session,
    open_ends,
)
from minik8s.kubelet.runtime.usage import bytes_below, usage_below

T = TypeVar("T")

MAX_EXEC_OUTPUT = 1 << 20
"""Bytes of a command's output that are kept."""


class SubprocessRuntime:
    """Runs containers as processes.

    `addresses` and `spawner` may be shared by the nodes of a cluster; without `spawner` the runtime has one of its own
    and closes it. `node_address` is what pods with the host's network have.
    """

    name = "minik8s-subprocess"
    takes_roots = False
    """Whether an image may be a root file system."""
    has_machine_users = True
    has_recursive_read_only = False
    version = "1"

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        images: ImageRegistry,
        addresses: Addresses,
        spawner: Spawner | None = None,
        node_address: str = "127.0.0.1",
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._images = images
        self._addresses = addresses
        self._spawner = spawner or Spawner()
        self._owns_spawner = spawner is None
        self._node_address = node_address
        self._sockets: Sockets = plain
        self._watcher = Watcher(clock)
        self._used: dict[str, Image] = {}
        self._sandboxes: dict[str, tuple[Sandbox, dict[str, ProcessContainer]]] = {}

    def is_present(self, image: str) -> bool:
        return self._images.knows(image)

    async def pull(self, image: str, *, volume: bool = False) -> Image:
        found = self._images.resolve(image)
        if problem := unusable(found, volume=volume, takes_roots=self.takes_roots):
            raise not_pulled(found, problem)
        if self._images.unprepared(found):
            try:
                found = await anyio.to_thread.run_sync(self._images.prepare, found, anyio.from_thread.check_cancelled)
            except (BadImage, OSError, SubprocessError) as error:
                raise not_pulled(found, str(error)) from error
        self._used[found.name] = found
        return found

    def images(self) -> Sequence[Image]:
        return list(self._used.values())

    def _identity(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        try:
            self._spawner.start()
            address = self._node_address if config.host_network else self._addresses.acquire()
        except (AddressesExhausted, OSError) as error:
            raise RuntimeFailure("FailedCreatePodSandBox", f"failed to create pod sandbox: {error}") from error
        sandbox = Sandbox(self._identity(), address, config)
        self._sandboxes[sandbox.id] = (sandbox, {})
        return sandbox

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        _, containers = self._sandboxes.pop(sandbox.id, (sandbox, None))
        if containers is None:
            return
        try:
            await _end_all(containers.values())
        finally:
            if not sandbox.config.host_network:
                self._addresses.release(sandbox.address)
            shutil.rmtree(sandbox.config.directory / "rootfs", ignore_errors=True)

    async def start(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        if sandbox.id not in self._sandboxes:
            raise StartError("CreateContainerError", f'sandbox "{sandbox.id}" not found')
        command = await self._prepare(sandbox, config)
        try:
            container = await self._start(sandbox, config, command)
        except BaseException:
            self._discard(command)
            raise
        container.process.on_end(lambda: self._discard(command))
        return container

    async def _prepare(self, sandbox: Sandbox, config: ContainerConfig) -> Command:
        """The container's surroundings, and its command in them. Raises StartError."""
        root = root_directory(sandbox, config.name)
        prepare_root(root, config)
        return container_command(sandbox, config, root)

    def _discard(self, command: Command) -> None:
        """Gives back what `_prepare` has taken; the container has ended, or was not started."""

    async def _start(self, sandbox: Sandbox, config: ContainerConfig, command: Command) -> ProcessContainer:
        ends = container_ends(stdin=config.stdin, tty=config.tty)
        try:
            if ends is not None:
                command = attrs.evolve(command, stdio=ends.theirs, output=ends.stdout)
            process = await self._spawn(command)
            stdin = None if ends is None else ends.keep_stdin()
        finally:
            if ends is not None:
                ends.close()
        container = ProcessContainer(self._identity(), config, command, process, self._clock, stdin)
        if sandbox.id not in self._sandboxes:
            process.close()
            raise StartError("CreateContainerError", f'sandbox "{sandbox.id}" has been removed')
        self._sandboxes[sandbox.id][1][container.id] = container
        return container

    async def _spawn(self, command: Command) -> Process:
        try:
            return await self._spawner.spawn(command)
        except SpawnError as error:
            raise start_failure(error, command) from error
        except OSError as error:  # this process is out of descriptors or memory
            raise StartError("StartError", f"unable to start container process: {error}") from error

    async def remove(self, container: Container) -> None:
        for _, containers in self._sandboxes.values():
            found = containers.pop(container.id, None)
            if found is not None:
                await _end_all([found])

    async def update(self, container: Container, memory_limit: int | None) -> None:
        if (running := self._running(container)) is not None:
            running.process.limit(memory_limit or 0)

    def _running(self, container: Container | None) -> ProcessContainer | None:
        if isinstance(container, ProcessContainer) and not container.process.ended:
            return container
        return None

    def _needs_running(self, container: Container, what: str) -> ProcessContainer:
        running = self._running(container)
        if running is None:
            raise StartError("StartError", f"cannot {what} a stopped container: container {container.id} not running")
        return running

    def _beside(self, base: Command, argv: Sequence[str], *, stdio: Stdio, tty: bool = False) -> Command:
        return command_beside(base, argv, stdio=stdio, tty=tty)

    async def exec(self, container: Container, argv: Sequence[str], *, timeout: float) -> ExecResult:
        running = self._needs_running(container, "exec in")
        with Output(MAX_EXEC_OUTPUT) as output, anyio.fail_after(timeout):
            command = self._beside(running.command, argv, stdio=(None, output.write_fd, output.write_fd))
            process = await self._spawn(command)
            output.close_write()
            running.execs.add(process)
            try:
                status = await process.wait()
            finally:
                running.execs.discard(process)
                process.close()
            return ExecResult(exit_code(status), output.collect())

    async def open(self, container: Container, argv: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        running = self._needs_running(container, "exec in")
        ends = _opened(lambda: open_ends(stdin=stdin, tty=tty))
        try:
            command = self._beside(running.command, argv, stdio=ends.theirs, tty=tty)
            try:
                process = await self._spawner.spawn(command)
            except SpawnError as error:
                return failed_session(ends, error, start_failure(error, command).message)
            ends.close_theirs()
        except BaseException:
            ends.close()
            raise
        running.execs.add(process)
        process.on_end(lambda: running.execs.discard(process))
        return CommandSession(ends, process, exit_code)

    async def attach(self, container: Container) -> Session:
        running = self._needs_running(container, "attach to")
        outputs = _opened(lambda: running.process.attach(2 if running.command.split else 1))
        stdin = None if running.stdin is None else running.open_stdin()
        terminal = running.stdin if running.stdin is not None and running.config.tty else -1
        return AttachedSession(running.process, outputs, stdin, terminal)

    async def connect(self, sandbox: Sandbox, port: int) -> ByteStream:
        return await connect_tcp(sandbox.address, port, self._sockets)

    async def probe(
        self,
        sandbox: Sandbox,
        container: Container,
        handler: Mapping[str, Any],
        *,
        timeout: float,
        lifecycle: bool = False,
    ) -> ProbeResult:
        async def execute(argv: Sequence[str]) -> ExecResult:
            return await self.exec(container, argv, timeout=timeout)

        return await run_probe(
            handler, sandbox.address, timeout=timeout, execute=execute, lifecycle=lifecycle, sockets=self._sockets
        )

    def logs(self, log_path: Path, options: LogOptions, *, container: Container | None) -> AsyncIterator[bytes]:
        running = self._running(container)
        return read_log(log_path, options, watcher=self._watcher, running=None if running is None else running.process)

    def usage(self, container: Container) -> Usage | None:
        running = self._running(container)
        return None if running is None else usage_below(running.process.shim_pid)

    def written_bytes(self, container: Container) -> int:
        running = self._running(container)
        return 0 if running is None else bytes_below(Path(running.command.env["MINIK8S_ROOT"]))

    async def aclose(self) -> None:
        with anyio.CancelScope(shield=True):
            for sandbox, _ in list(self._sandboxes.values()):
                await self.remove_sandbox(sandbox)
            if self._owns_spawner:
                await self._spawner.aclose()


def _opened(open_: Callable[[], T]) -> T:
    """Descriptors, or the StartError that there are none."""
    try:
        return open_()
    except OSError as error:
        raise StartError("StartError", f"unable to start container process: {error}") from error


async def _end_all(containers: Iterable[ProcessContainer]) -> None:
    """Kills what runs, side by side, and waits until it is gone."""
    ending = list(containers)
    for container in ending:
        container.signal("SIGKILL")
    with anyio.CancelScope(shield=True):
        for container in ending:
            await container.wait()
