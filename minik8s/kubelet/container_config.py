"""What a container is started with: its pod's document and its image as the runtime takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from minik8s.api.pods import memory_limit
from minik8s.kubelet.command import argv, working_dir
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.images import ImagePuller
from minik8s.kubelet.runtime.protocol import Container, ContainerConfig, Image, Mount, Sandbox
from minik8s.kubelet.security import check_user, read_only_root, run_as
from minik8s.machinery.meta import Doc

TERMINATION_LOG = "/dev/termination-log"


class ContainerHost(Protocol):
    """A container's pod, as far as the container needs it."""

    node: NodeContext
    pod: Doc
    images: ImagePuller
    directory: Path

    @property
    def allocated(self) -> Doc: ...
    @property
    def sandbox(self) -> Sandbox: ...
    @property
    def grace_period(self) -> float: ...
    def changed(self) -> None: ...
    def restart_all(self) -> None: ...
    def may_rest(self, container: Container) -> bool: ...
    async def environment(self, container: Doc) -> dict[str, str]: ...
    def mounts(self, container: Doc, env: Mapping[str, str]) -> tuple[Mount, ...]: ...


def memory_limit_in(pod: Doc, container: Doc) -> int | None:
    """How many bytes a container may hold: its own limit, but not more than the pod's."""
    limits = [memory_limit(holder.get("resources") or {}) for holder in (container, pod["spec"])]
    return min((limit for limit in limits if limit is not None), default=None)


def container_config(
    host: ContainerHost, spec: Doc, image: Image, env: Mapping[str, str], attempt: int
) -> ContainerConfig:
    """The configuration of one run. Raises ConfigError for a user that the pod forbids."""
    check_user(host.pod, spec, image.user)
    name, directory = spec["name"], host.directory
    termination_log = directory.joinpath("containers", name, f"{attempt}.termination-log")
    mounts = image.mounts + host.mounts(spec, env)
    path = spec.get("terminationMessagePath") or TERMINATION_LOG
    if path != TERMINATION_LOG:
        mounts += (Mount(termination_log, path),)
    return ContainerConfig(
        name=name,
        image=image,
        argv=argv(spec, image, env),
        env=env,
        working_dir=working_dir(spec, image),
        mounts=mounts,
        log_path=directory.joinpath("logs", name, f"{attempt}.log"),
        termination_log=termination_log,
        attempt=attempt,
        stdin=bool(spec.get("stdin")),
        stdin_once=bool(spec.get("stdinOnce")),
        tty=bool(spec.get("tty")),
        memory_limit=memory_limit_in(host.allocated, spec),
        run_as=run_as(host.pod, spec),
        read_only_root=read_only_root(spec),
        target=spec.get("targetContainerName") or "",
    )
