"""A subprocess runtime, and what it takes to start containers in it."""

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import attrs
import pytest

from minik8s.clock import RealClock
from minik8s.kubelet.runtime.addresses import AddressPool, machine_addresses, no_claim
from minik8s.kubelet.runtime.feasibility import why_impossible
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.network import RESERVED, PodNetwork
from minik8s.kubelet.runtime.processcontainer import ProcessContainer
from minik8s.kubelet.runtime.processes import Spawner
from minik8s.kubelet.runtime.protocol import (
    Container,
    ContainerConfig,
    Exit,
    LogOptions,
    Mount,
    Sandbox,
    SandboxConfig,
)
from minik8s.kubelet.runtime.sandbox import SandboxRuntime
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime


@attrs.define
class Bench:
    """Short forms for tests."""

    runtime: SubprocessRuntime
    spawner: Spawner
    directory: Path
    pod: Sandbox

    async def start(
        self, *argv: str, name: str = "c", mounts: tuple[Mount, ...] = (), image: str = "busybox", **options: object
    ) -> ProcessContainer:
        """Starts a container with this command line."""
        resolved = await self.runtime.pull(image)
        fields: dict[str, object] = {
            "name": name,
            "image": resolved,
            "argv": argv or (*resolved.argv, *resolved.args),
            "env": {},
            "working_dir": "",
            "mounts": mounts,
            "log_path": self.directory / f"{name}.log",
            "termination_log": self.directory / f"{name}.termination",
            **options,
        }
        container = await self.runtime.start(self.pod, ContainerConfig(**fields))  # type: ignore[arg-type]
        assert isinstance(container, ProcessContainer)
        return container

    async def sh(self, script: str, **options: object) -> ProcessContainer:
        """Starts a shell script."""
        return await self.start("sh", "-c", script, **options)  # type: ignore[arg-type]

    async def run(self, script: str, **options: object) -> tuple[Exit, bytes]:
        """Runs a shell script to its end: how it ended and its log."""
        container = await self.sh(script, **options)
        end = await container.wait()
        return end, await self.log(container)

    async def log(self, container: Container, **options: object) -> bytes:
        """The log so far."""
        chosen = LogOptions(**options)  # type: ignore[arg-type]
        stream = self.runtime.logs(container.config.log_path, chosen, container=container)
        return b"".join([chunk async for chunk in stream])

    async def output(self, container: Container, size: int) -> bytes:
        """The first `size` bytes of a running container's output, waited for."""
        with anyio.fail_after(20):
            return await self.log(container, follow=True, limit_bytes=size)

    async def first_line(self, container: Container) -> bytes:
        """The first line of a running container's output, waited for."""
        stream = self.runtime.logs(container.config.log_path, LogOptions(follow=True), container=container)
        text = b""
        with anyio.fail_after(20):
            async with aclosing(stream):  # type: ignore[type-var]
                async for chunk in stream:
                    text += chunk
                    if b"\n" in text:
                        break
        return text.partition(b"\n")[0]


@pytest.fixture
async def bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """A runtime with one pod."""
    rng = random.Random(7)
    addresses = machine_addresses("127.64.0.0/10", rng)
    spawner = Spawner()
    runtime = SubprocessRuntime(
        clock=RealClock(),
        rng=rng,
        images=ImageRegistry(directory=tmp_path),
        addresses=addresses,
        spawner=spawner,
    )
    pod = await runtime.create_sandbox(SandboxConfig("ns", "web-0", "uid", tmp_path / "pod", "web-0"))
    try:
        yield Bench(runtime, spawner, tmp_path, pod)
    finally:
        await runtime.aclose()
        await spawner.aclose()
        addresses.close()


@pytest.fixture
async def sandbox_bench(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Bench]:
    """A sandbox runtime with one pod, where the machine allows it."""
    if problem := await why_impossible():
        pytest.skip(problem)
    rng = random.Random(7)
    addresses = AddressPool("10.244.0.0/16", rng, no_claim, reserved=RESERVED)
    spawner = Spawner(isolated=True)
    network = PodNetwork(spawner, "10.244.0.0/16", "10.96.0.0/12")
    await network.open()
    images = ImageRegistry(directory=tmp_path)
    runtime = SandboxRuntime(
        clock=RealClock(),
        rng=rng,
        images=images,
        addresses=addresses,
        spawner=spawner,
        network=network,
        node=network.node("node-1"),
    )
    pod = await runtime.create_sandbox(SandboxConfig("ns", "web-0", "uid", tmp_path / "pod", "web-0"))
    try:
        yield Bench(runtime, spawner, tmp_path, pod)
    finally:
        await runtime.aclose()
        network.close()
        await spawner.aclose()
