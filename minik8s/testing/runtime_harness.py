"""What a check of the runtime suite works with: programs to be run, a runtime to run them, and how a promise breaks."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import attrs

from minik8s.clock import Clock
from minik8s.kubelet.runtime.protocol import (
    Container,
    ContainerConfig,
    LogOptions,
    Runtime,
    Sandbox,
    SandboxConfig,
)


@attrs.frozen
class Program:
    """What a container of the suite shall do: write a few lines, then end with `exit_code`, or run until stopped.

    SIGTERM ends it with 143; with `ignore_sigterm` only SIGKILL does. With `broken` it cannot be started.
    """

    exit_code: int | None = None
    ignore_sigterm: bool = False
    broken: bool = False


RUN = Program()


@attrs.frozen
class Behaviour:
    """How to make an implementation do that: a command line, annotations of the pod, or both."""

    argv: tuple[str, ...]
    annotations: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Harness:
    """A runtime under test. `image` is one it has, `missing_image` one that it has not."""

    runtime: Runtime
    clock: Clock
    directory: Path
    image: str
    missing_image: str
    behave: Callable[[Program], Behaviour]

    async def sandbox(self, name: str = "p", program: Program | None = None, *, host_network: bool = False) -> Sandbox:
        """A pod, annotated so that its containers behave like `program`."""
        annotations = self.behave(program or RUN).annotations
        uid = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
        config = SandboxConfig("default", name, uid, self.directory / uid, name, annotations, host_network)
        return await self.runtime.create_sandbox(config)

    async def start(self, program: Program = RUN, name: str = "c", sandbox: Sandbox | None = None) -> Container:
        """Starts a container, in a new pod of its own unless told otherwise."""
        behaviour = self.behave(program)
        sandbox = sandbox or await self.sandbox(f"pod-of-{name}", program)
        directory = sandbox.config.directory
        config = ContainerConfig(
            name=name,
            image=await self.runtime.pull(self.image),
            argv=behaviour.argv,
            env={"GREETING": "hello"},
            working_dir="",
            mounts=(),
            log_path=directory / "logs" / f"{name}.log",
            termination_log=directory / f"{name}.termination",
        )
        return await self.runtime.start(sandbox, config)

    async def log(
        self, container: Container, options: LogOptions | None = None, *, running: bool = False
    ) -> list[bytes]:
        """The lines of a log."""
        follow = container if running else None
        stream = self.runtime.logs(container.config.log_path, options or LogOptions(), container=follow)
        return b"".join([chunk async for chunk in stream]).splitlines()

    async def first_output(self, container: Container) -> None:
        """Returns once a container has written something."""
        options = LogOptions(follow=True, limit_bytes=1)
        async for _ in self.runtime.logs(container.config.log_path, options, container=container):
            pass


Check = Callable[[Harness], Awaitable[None]]


def promise(kept: bool, number: int, claim: str) -> None:
    """Fails with the promise's number in the protocol's docstring and the claim that does not hold."""
    if not kept:
        raise AssertionError(f"promise {number} broken: {claim}")
