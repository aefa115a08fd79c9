"""A runtime without processes: a table says how long things take and how they end.

For thousands of nodes and for virtual time. Nothing here owns a task: a running container is a record and, if it will
end by itself, one timer of the clock. The same table, seed and clock give the same run.

A container's `Behaviour` comes from the pod's annotations (`simulated.minik8s.dev/run-seconds: "30"`, or for one
container of the pod `simulated.minik8s.dev/run-seconds.NAME`) over the table's entry for its name or its image. The
default runs until it is stopped, is ready at once and ends with 143 on SIGTERM.

An image `python://module:name` is no pretence: it runs that coroutine function or ASGI app here (see `coroutine`).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from anyio.abc import ByteStream

from minik8s.clock import Clock
from minik8s.kubelet.runtime.addresses import Addresses, AddressesExhausted
from minik8s.kubelet.runtime.behaviour import DEFAULT, Behaviour, annotated, drawn, jittered
from minik8s.kubelet.runtime.logs import Formatter
from minik8s.kubelet.runtime.protocol import (
    Container,
    ContainerConfig,
    ExecResult,
    Image,
    ImageError,
    LogOptions,
    ProbeResult,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    Session,
    StartError,
    Usage,
)
from minik8s.kubelet.runtime.references import PYTHON, not_found, parse_reference
from minik8s.kubelet.runtime.scripted import ScriptedSession
from minik8s.kubelet.runtime.simulatedcontainer import SimulatedContainer

KEPT_LOGS = 10_000
"""Logs of removed containers that can still be read; older ones are forgotten."""


Hosted: TypeAlias = dict[str, list[SimulatedContainer]]
"""Containers that run Python code of this process, by their pod's address."""


def _digest(name: str) -> str:
    return f"sha256:{random.Random(name).getrandbits(256):064x}"


class SimulatedRuntime:
    """Pretends to run containers.

    `behaviours` maps container names or normalised images (`docker.io/library/nginx:1.27`) to behaviours; `missing` are
    images that no registry has; every other valid reference can be pulled, and is present afterwards. `hosted` is where
    containers that run Python code are found by their pod's address.
    """

    name = "minik8s-simulated"
    version = "1"
    has_machine_users = False
    has_recursive_read_only = True

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        addresses: Addresses,
        behaviours: Mapping[str, Behaviour] | None = None,
        missing: Collection[str] = (),
        node_address: str = "127.0.0.1",
        hosted: Hosted | None = None,
        coroutines: bool = True,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._addresses = addresses
        self._behaviours = behaviours or {}
        self._missing = {str(parse_reference(image)) for image in missing}
        self._node_address = node_address
        self._hosted: Hosted = {} if hosted is None else hosted
        self._coroutines = coroutines
        self._images: dict[str, Image] = {}
        self._sandboxes: dict[str, tuple[Sandbox, dict[str, SimulatedContainer]]] = {}
        self._logs: dict[Path, SimulatedContainer] = {}
        self._removed: deque[SimulatedContainer] = deque()

    def is_present(self, image: str) -> bool:
        if image.startswith(PYTHON):
            return image in self._images
        try:
            return str(parse_reference(image)) in self._images
        except ImageError:
            return False

    async def pull(self, image: str, *, volume: bool = False) -> Image:
        if image.startswith(PYTHON):
            from minik8s.kubelet.runtime.coroutine import load

            if not self._coroutines:
                why = "this cluster runs no code of its own process (coroutines=False)"
                raise ImageError("ErrImagePull", f"{image}: not found: {why}")
            load(image)
            self._images[image] = Image(name=image, id=_digest(image), argv=("python", image.removeprefix(PYTHON)))
            return self._images[image]
        reference = parse_reference(image)
        name = str(reference)
        if name not in self._images:
            behaviour = self._behaviour_of(image, name)
            await self._take(jittered(behaviour.pull_seconds, behaviour, self._rng))
            if name in self._missing:
                raise not_found(reference)
            self._images[name] = Image(name=name, id=_digest(name))
        return self._images[name]

    def images(self) -> Sequence[Image]:
        return list(self._images.values())

    def _behaviour_of(self, *keys: str) -> Behaviour:
        for key in keys:
            if key in self._behaviours:
                return self._behaviours[key]
        return DEFAULT

    async def _take(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _identity(self) -> str:
        return f"{self._rng.getrandbits(256):064x}"

    async def create_sandbox(self, config: SandboxConfig) -> Sandbox:
        try:
            address = self._node_address if config.host_network else self._addresses.acquire()
        except AddressesExhausted as error:
            raise RuntimeFailure("FailedCreatePodSandBox", f"failed to create pod sandbox: {error}") from error
        sandbox = Sandbox(self._identity(), address, config)
        self._sandboxes[sandbox.id] = (sandbox, {})
        return sandbox

    async def remove_sandbox(self, sandbox: Sandbox) -> None:
        _, containers = self._sandboxes.pop(sandbox.id, (sandbox, None))
        if containers is None:
            return
        for container in containers.values():
            container.signal("SIGKILL")
            self._forget_later(container)
        if not sandbox.config.host_network:
            self._addresses.release(sandbox.address)
        for container in containers.values():
            await container.gone()

    async def start(self, sandbox: Sandbox, config: ContainerConfig) -> Container:
        if sandbox.id not in self._sandboxes:
            raise StartError("CreateContainerError", f'sandbox "{sandbox.id}" not found')
        if config.image.name.startswith(PYTHON):
            return self._registered(self._host(sandbox, config))
        base = self._behaviour_of(config.name, config.image.name)
        behaviour = drawn(annotated(base, sandbox.config.annotations, config.name), self._rng)
        await self._take(behaviour.start_seconds)
        if behaviour.start_error:
            raise StartError("StartError", behaviour.start_error)
        if sandbox.id not in self._sandboxes:
            raise StartError("CreateContainerError", f'sandbox "{sandbox.id}" has been removed')
        return self._registered(SimulatedContainer(self._identity(), sandbox, config, behaviour, self._clock))

    def _registered(self, container: SimulatedContainer) -> SimulatedContainer:
        self._sandboxes[container.sandbox.id][1][container.id] = container
        self._logs[container.config.log_path] = container
        return container

    def _host(self, sandbox: Sandbox, config: ContainerConfig) -> SimulatedContainer:
        from minik8s.kubelet.runtime.coroutine import CoroutineContainer

        return CoroutineContainer(self._identity(), sandbox, config, self._clock, self._hosted)

    async def remove(self, container: Container) -> None:
        container.signal("SIGKILL")
        if isinstance(container, SimulatedContainer) and container.sandbox.id in self._sandboxes:
            _, containers = self._sandboxes[container.sandbox.id]
            if containers.pop(container.id, None) is not None:
                self._forget_later(container)
            await container.gone()

    def _forget_later(self, container: SimulatedContainer) -> None:
        """Keeps the log of a removed container until many others have been removed."""
        self._removed.append(container)
        if len(self._removed) > KEPT_LOGS:
            oldest = self._removed.popleft()
            if self._logs.get(oldest.config.log_path) is oldest:
                del self._logs[oldest.config.log_path]

    async def update(self, container: Container, memory_limit: int | None) -> None:
        if isinstance(container, SimulatedContainer) and container.exit is None:
            await self._take(container.behaviour.resize_seconds)
            container.limit(memory_limit)

    async def exec(self, container: Container, argv: Sequence[str], *, timeout: float) -> ExecResult:
        if not isinstance(container, SimulatedContainer) or container.exit is not None:
            raise StartError("StartError", f"cannot exec in a stopped container: container {container.id} not running")
        return container.execute(argv)

    async def open(self, container: Container, argv: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        """As `exec`: the command says what it was and succeeds."""
        result = await self.exec(container, argv, timeout=0)
        return ScriptedSession(result.output, exit_code=0)

    async def attach(self, container: Container) -> Session:
        if not isinstance(container, SimulatedContainer) or container.exit is not None:
            raise StartError(
                "StartError", f"cannot attach to a stopped container: container {container.id} not running"
            )
        return container.attach()

    async def connect(self, sandbox: Sandbox, port: int) -> ByteStream:
        raise ConnectionRefusedError(f"connect {sandbox.address}:{port}: a simulated pod serves no ports")

    async def probe(
        self,
        sandbox: Sandbox,
        container: Container,
        handler: Mapping[str, Any],
        *,
        timeout: float,
        lifecycle: bool = False,
    ) -> ProbeResult:
        if not isinstance(container, SimulatedContainer):
            return ProbeResult(False, "simulated probe failure")
        return await container.probe(handler, timeout=timeout, lifecycle=lifecycle)

    async def logs(self, log_path: Path, options: LogOptions, *, container: Container | None) -> AsyncIterator[bytes]:
        source = self._logs.get(log_path)
        if source is None:
            return
        formatter = Formatter(options)
        records = source.records()
        shown = records.splitlines(keepends=True)
        if options.tail_lines is not None:
            shown = shown[max(0, len(shown) - options.tail_lines) :]
        if output := formatter.format(b"".join(shown)):
            yield output
        told, ended = len(records), source.exit is not None
        while options.follow and container is not None and not ended and not formatter.full:
            await source.more()
            ended, records = source.exit is not None, source.records()
            if output := formatter.format(records[told:]):
                yield output
            told = len(records)

    def usage(self, container: Container) -> Usage | None:
        return container.usage() if isinstance(container, SimulatedContainer) and container.exit is None else None

    def written_bytes(self, container: Container) -> int:
        return 0

    async def aclose(self) -> None:
        for sandbox, _ in list(self._sandboxes.values()):
            await self.remove_sandbox(sandbox)
