"""The sandbox runtime: a container is a process group in Linux namespaces, without root.

Everything that the subprocess runtime has (logs, exec, attach, the end of everything with the host) is its own; a pod
has in addition a network with a real address, a host name and inter-process communication of its own, and a container
its own view of the file system, in which volumes lie at their true paths. The fork server runs in a user namespace
whose root the user is (`spawner`), so the container's root has power over nothing but what belongs to the sandbox.

Its processes are its own, too, where the machine lets us show them in a /proc of theirs.

It is no protection from hostile code: the container reads whatever its user may read. Left out: cgroups, groups beside
the container's one.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import anyio
import anyio.to_thread
import attrs
from anyio.abc import ByteStream

from minik8s.clock import Clock
from minik8s.kubelet.runtime.addresses import Addresses, AddressesExhausted
from minik8s.kubelet.runtime.commands import refuse_empty, refuse_nul
from minik8s.kubelet.runtime.dialing import connect_locally
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.network import NodeNetwork, PodNetwork
from minik8s.kubelet.runtime.oci.paths import Misled, resolve
from minik8s.kubelet.runtime.oci.store import remove_tree
from minik8s.kubelet.runtime.podfiles import write_pod_files
from minik8s.kubelet.runtime.processcontainer import ProcessContainer
from minik8s.kubelet.runtime.processes import Command, Process, Spawner, Stdio
from minik8s.kubelet.runtime.protocol import (
    Container,
    ContainerConfig,
    Mount,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    StartError,
)
from minik8s.kubelet.runtime.rootfs import TERMINATION_LOG, make_sources, root_directory
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime
from minik8s.kubelet.runtime.usage import bytes_of_file_system
from minik8s.kubelet.runtime.users import find_user, tables

PAUSE_SECONDS = "2147483647"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What containerd sets for an image that sets none."""


@attrs.define
class _Pod:
    """What the containers of a pod share: descriptors of namespaces, the network's last, and process 1 of theirs.

    There is such a process only with shareProcessNamespace; `processes` is its namespace then.
    """

    namespaces: list[int]
    pause: Process | None = None
    processes: int = -1

    async def aclose(self) -> None:
        if self.pause is not None:
            self.pause.signal(signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await self.pause.wait()
        for fd in (*self.namespaces, self.processes):
            if fd >= 0:
                os.close(fd)


class SandboxRuntime(SubprocessRuntime):
    """`spawner` is an isolated one, with which `network` was opened; both may be shared. `node` is a node of that.

    `apart`: whether containers have processes of their own, for which the machine must let us mount /proc.
    """

    name = "minik8s-sandbox"
    takes_roots = True
    has_machine_users = False
    has_recursive_read_only = True

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        images: ImageRegistry,
        addresses: Addresses,
        spawner: Spawner,
        network: PodNetwork,
        node: NodeNetwork,
        apart: bool = True,
    ) -> None:
        super().__init__(
            clock=clock, rng=rng, images=images, addresses=addresses, spawner=spawner, node_address=node.address
        )
        self._network = network
        self._node = node
        self._apart = apart
        self._sockets = node.reach
        self._pods: dict[str, _Pod] = {}

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        sandbox: Sandbox | None = None
        if config.host_network:
            config = attrs.evolve(config, hostname=self._node.name, fqdn="")
        try:
            sandbox = await super().create_sandbox(config)
            write_pod_files(sandbox)
            self._pods[sandbox.id] = _Pod(await self._make_namespaces(sandbox))
        except BaseException as error:
            if sandbox is not None:
                await self.remove_sandbox(sandbox)
            if isinstance(error, OSError | AddressesExhausted):
                raise RuntimeFailure("FailedCreatePodSandBox", f"failed to create pod sandbox: {error}") from error
            raise
        return sandbox

    async def _make_namespaces(self, sandbox: Sandbox) -> list[int]:
        """Descriptors of what the pod's containers share: the network is the last. Raises OSError."""
        config = sandbox.config
        if not config.host_network:
            own = (sandbox.address, config.hostname, config.sysctls)
            return await self._network.add_pod(*own, ipc=not config.host_ipc)
        await self._node.open()
        ipc = [] if config.host_ipc else await self._network.add_pod("", "", config.sysctls)
        return [*ipc, *self._node.namespaces()]

    async def connect(self, sandbox: Sandbox, port: int) -> ByteStream:
        """As upstream: to whoever listens on the pod's own loopback addresses."""
        await self._network.open()
        network = self._pods[sandbox.id].namespaces[-1]
        return await connect_locally(port, lambda _, *kind: self._network.socket_in(network, *kind), sandbox.id)

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        try:
            await super().remove_sandbox(sandbox)
        finally:
            if (pod := self._pods.pop(sandbox.id, None)) is not None:
                await pod.aclose()

    async def start(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        container = await super().start(sandbox, config)
        if isinstance(container, ProcessContainer) and container.command.processes is not None:
            _remember_processes(container)
        return container

    async def _processes(self, sandbox: Sandbox, config: ContainerConfig) -> int | Literal["new"] | None:
        """Which processes a container sees. Raises StartError."""
        if config.target:
            for other in self._sandboxes[sandbox.id][1].values():
                if other.config.name == config.target and not other.process.ended:
                    return other.command.processes
            raise StartError("CreateContainerConfigError", f"unable to find target container {config.target}")
        if sandbox.config.host_processes or not self._apart:
            return None
        return await self._shared(self._pods[sandbox.id]) if sandbox.config.share_processes else "new"

    async def _shared(self, pod: _Pod) -> int:
        """The processes of a pod that shares them among its containers; their first one is waiting, or is made."""
        if pod.pause is None or pod.pause.ended:
            pod.pause = await self._spawn(_pause())
            if pod.processes >= 0:
                os.close(pod.processes)
            pod.processes = os.open(f"/proc/{pod.pause.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        return pod.processes

    async def _prepare(self, sandbox: Sandbox, config: ContainerConfig) -> Command:
        refuse_empty(config.argv)
        image = config.image
        user = find_user(image.user or "", config.run_as, tables(image.root or Path("/")))
        env = _environment(sandbox, config, user.home)
        refuse_nul(config.argv, env)
        cwd = Path("/") / (config.working_dir or image.working_dir)
        stage = root_directory(sandbox, config.name)
        try:
            stage.mkdir(parents=True, exist_ok=True)
            config.log_path.parent.mkdir(parents=True, exist_ok=True)
            config.termination_log.parent.mkdir(parents=True, exist_ok=True)
            config.termination_log.touch()
            make_sources(config.mounts)
            mounts = _mounts(sandbox, config)
            if config.read_only_root and image.volumes:
                mounts = await anyio.to_thread.run_sync(_with_image_volumes, sandbox, config, mounts)
            spec = {
                "root": str(image.root or ""),
                "stage": str(stage),
                "mounts": [(str(m.host_path), m.container_path, mount_options(m)) for m in mounts],
                "read_only": config.read_only_root,
                "cwd": str(cwd),
            }
            processes = await self._processes(sandbox, config)
            made = await self._spawner.make(b"m", spec)
        except OSError as error:
            raise StartError("CreateContainerError", f"failed to prepare the container's root: {error}") from error
        made.control.close()
        return Command(
            argv=config.argv,
            env=env,
            cwd=cwd,
            paths=_paths(config.argv[0], env, cwd),
            log=config.log_path,
            tty=config.tty,
            memory=config.memory_limit or 0,
            split=config.stdin and not config.tty,
            namespaces=(*self._pods[sandbox.id].namespaces, *made.fds),
            user=(user.uid, user.gid) if user.uid or user.gid else None,
            processes=processes,
            proc=processes is not None,
        )

    def written_bytes(self, container: Container) -> int:
        """All of it is in one file system in memory, that of the container's root."""
        running = self._running(container)
        return 0 if running is None else bytes_of_file_system(f"/proc/{running.process.pid}/root")

    def _discard(self, command: Command) -> None:
        os.close(command.namespaces[-1])

    def _beside(self, base: Command, argv: Sequence[str], *, stdio: Stdio, tty: bool = False) -> Command:
        env = {**base.env, "TERM": "xterm"} if tty else base.env
        paths = _paths(argv[0], env, base.cwd)
        return attrs.evolve(
            base, argv=tuple(argv), env=env, paths=paths, stdio=stdio, tty=tty, log=None, output=None, memory=0
        )


def _pause() -> Command:
    """Process 1 of a pod: it waits. The kernel drops signals that it does not handle, and reaps for it."""
    program = Path(shutil.which("sleep") or "/bin/sleep")
    name = "sleep" if program.is_symlink() else "/pause"  # a program that is many goes by its name
    return Command((name, PAUSE_SECONDS), {}, Path("/"), [str(program)], processes="new", reaps=True)


def _remember_processes(container: ProcessContainer) -> None:
    """For commands beside the container, which are to see what it sees."""
    try:
        processes = os.open(f"/proc/{container.process.pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # it has ended, and takes no commands
        return
    container.command = attrs.evolve(container.command, processes=processes, proc=False)
    container.process.on_end(lambda: os.close(processes))


def _environment(sandbox: Sandbox, config: ContainerConfig, home: str) -> dict[str, str]:
    """As the subprocess runtime's, so that what was written for its variables works here."""
    env = {
        "PATH": DEFAULT_PATH if config.image.root else os.environ.get("PATH", os.defpath),
        "HOME": home,
        "HOSTNAME": sandbox.config.hostname,
        "POD_IP": sandbox.address,
        "MINIK8S_ROOT": "/",
    }
    if config.tty:
        env["TERM"] = "xterm"
    return {**env, **config.image.env, **config.env}


def _paths(argv0: str, env: Mapping[str, str], cwd: Path) -> list[str]:
    """The files to try as the program, in the container's own file system."""
    if "/" not in argv0:
        return [str(cwd / directory / argv0) for directory in env.get("PATH", os.defpath).split(":")]
    return [str(cwd / argv0)]


def mount_options(mount: Mount) -> str:
    """As mount(8) takes them, and what it does not know (`MountSpec`). Raises StartError for what cannot be had."""
    if mount.propagation == "Bidirectional":
        what = f"mount {mount.container_path}: propagation Bidirectional is not possible without root"
        raise StartError("CreateContainerError", f"{what}: what a container mounts stays its own")
    options = ["rbind", "rslave" if mount.propagation == "HostToContainer" else "rprivate"]
    return ",".join(
        options + ["ro"] * mount.read_only + ["rro"] * mount.recursive_read_only + ["image"] * mount.is_image
    )


def _mounts(sandbox: Sandbox, config: ContainerConfig) -> list[Mount]:
    """Outer paths first: the volumes, and the pod's own files where no volume takes their place."""
    directory = sandbox.config.directory
    mounts = {os.path.normpath("/" + mount.container_path.lstrip("/")): mount for mount in config.mounts}
    if "/" in mounts:
        raise StartError("CreateContainerError", "a volume cannot be mounted at /")
    mounts.setdefault(TERMINATION_LOG, Mount(config.termination_log, TERMINATION_LOG))
    for name in ("hosts", "hostname", "resolv.conf"):
        mounts.setdefault(f"/etc/{name}", Mount(directory / "etc" / name, f"/etc/{name}"))
    return [attrs.evolve(mount, container_path=path) for path, mount in sorted(mounts.items())]


def _with_image_volumes(sandbox: Sandbox, config: ContainerConfig, mounts: list[Mount]) -> list[Mount]:
    """With a directory for each volume of the image that nobody mounts: new ones, with what the image has there."""
    place = sandbox.config.directory / "image-volumes" / config.name
    remove_tree(place)
    taken = {mount.container_path for mount in mounts}
    for number, volume in enumerate(config.image.volumes):
        path = os.path.normpath("/" + volume.lstrip("/"))
        if path in taken or path == "/":
            continue
        place.mkdir(parents=True, exist_ok=True)
        with suppress(OSError, Misled):
            source = resolve(str(config.image.root), path)
            shutil.copytree(source, place / str(number), symlinks=True)
        (place / str(number)).mkdir(exist_ok=True)
        mounts.append(Mount(place / str(number), path))
    return sorted(mounts, key=lambda mount: mount.container_path)
