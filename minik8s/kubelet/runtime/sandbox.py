"""The sandbox runtime: a container is a process group in Linux namespaces, without root.

Everything that the subprocess runtime has (logs, exec, attach, the end of everything with the host) is its own; a pod
has in addition a network with a real address, a host name and inter-process communication of its own, and a container
its own view of the file system, in which volumes lie at their true paths. The fork server runs in a user namespace
whose root the user is (`spawner`), so the container's root has power over nothing but what belongs to the sandbox.

It is no protection from hostile code: the container reads whatever its user may read. Left out: process namespaces
(`shareProcessNamespace`), cgroups, groups beside the container's one.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

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
from minik8s.kubelet.runtime.processes import Command, Spawner, Stdio
from minik8s.kubelet.runtime.protocol import (
    ContainerConfig,
    Mount,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    StartError,
)
from minik8s.kubelet.runtime.rootfs import TERMINATION_LOG, root_directory
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime
from minik8s.kubelet.runtime.users import find_user, tables

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What containerd sets for an image that sets none."""


class SandboxRuntime(SubprocessRuntime):
    """`spawner` is an isolated one, with which `network` was opened; both may be shared. `node` is a node of that."""

    name = "minik8s-sandbox"
    takes_roots = True

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
    ) -> None:
        super().__init__(
            clock=clock, rng=rng, images=images, addresses=addresses, spawner=spawner, node_address=node.address
        )
        self._network = network
        self._node = node
        self._sockets = node.reach
        self._namespaces: dict[str, list[int]] = {}

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        sandbox: Sandbox | None = None
        if config.host_network:
            config = attrs.evolve(config, hostname=self._node.name, fqdn="")
        try:
            sandbox = await super().create_sandbox(config)
            write_pod_files(sandbox)
            self._namespaces[sandbox.id] = await self._make_namespaces(sandbox)
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
            return await self._network.add_pod(sandbox.address, config.hostname)
        await self._node.open()
        return [*await self._network.add_pod("", ""), *self._node.namespaces()]

    async def connect(self, sandbox: Sandbox, port: int) -> ByteStream:
        """As upstream: to whoever listens on the pod's own loopback addresses."""
        await self._network.open()
        network = self._namespaces[sandbox.id][-1]
        return await connect_locally(port, lambda _, *kind: self._network.socket_in(network, *kind), sandbox.id)

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        try:
            await super().remove_sandbox(sandbox)
        finally:
            for fd in self._namespaces.pop(sandbox.id, ()):
                os.close(fd)

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
            namespaces=(*self._namespaces.get(sandbox.id, ()), *made.fds),
            user=(user.uid, user.gid) if user.uid or user.gid else None,
        )

    def _discard(self, command: Command) -> None:
        os.close(command.namespaces[-1])

    def _beside(self, base: Command, argv: Sequence[str], *, stdio: Stdio, tty: bool = False) -> Command:
        env = {**base.env, "TERM": "xterm"} if tty else base.env
        paths = _paths(argv[0], env, base.cwd)
        return attrs.evolve(base, argv=tuple(argv), env=env, paths=paths, stdio=stdio, tty=tty, log=None, output=None)


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
    """As mount(8) takes them."""
    return ",".join(["rbind", *["ro"] * mount.read_only, *["noexec"] * mount.no_exec])


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
