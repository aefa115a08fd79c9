"""Every runtime keeps the promises of the protocol: the shipped suite, run against all implementations."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import attrs
import pytest

from minik8s.clock import RealClock
from minik8s.kubelet.runtime.addresses import AddressPool, machine_addresses, no_claim
from minik8s.kubelet.runtime.behaviour import PREFIX
from minik8s.kubelet.runtime.coroutine import Process
from minik8s.kubelet.runtime.feasibility import why_impossible
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.network import RESERVED, PodNetwork
from minik8s.kubelet.runtime.processes import Spawner
from minik8s.kubelet.runtime.sandbox import SandboxRuntime
from minik8s.kubelet.runtime.simulated import SimulatedRuntime
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime
from minik8s.testing.runtime_suite import CHECKS, Behaviour, Check, Harness, Program

MISSING = "registry.example/no/such:v1"


def as_process(program: Program) -> Behaviour:
    """The suite's programs as shell scripts."""
    if program.broken:
        return Behaviour(("no-such-program",))
    trap = "trap '' TERM;" if program.ignore_sigterm else ""
    if program.exit_code is None:
        return Behaviour(("sh", "-c", f"{trap} echo started; exec sleep 1000"))
    return Behaviour(("sh", "-c", f"echo one; echo two >&2; echo three; exit {program.exit_code}"))


def as_first_process(program: Program) -> Behaviour:
    """The same where a container's program is process 1, which the kernel spares signals that it does not handle."""
    if program.broken or program.ignore_sigterm or program.exit_code is not None:
        return as_process(program)
    return Behaviour(("sh", "-c", "trap 'exit 143' TERM; echo started; while :; do sleep 1000 & wait $!; done"))


def as_simulation(program: Program) -> Behaviour:
    """The suite's programs as annotations."""
    annotations = {PREFIX + "ignore-sigterm": str(program.ignore_sigterm).lower()}
    if program.broken:
        annotations[PREFIX + "start-error"] = "no such program"
    if program.exit_code is not None:
        annotations |= {PREFIX + "run-seconds": "0", PREFIX + "exit-code": str(program.exit_code)}
    return Behaviour(("simulated",), annotations)


@asynccontextmanager
async def subprocesses(directory: Path) -> AsyncIterator[Harness]:
    """A subprocess runtime of its own."""
    clock, rng = RealClock(), random.Random(1)
    addresses = machine_addresses("127.64.0.0/10", rng)
    images = ImageRegistry(directory=directory)
    runtime = SubprocessRuntime(clock=clock, rng=rng, images=images, addresses=addresses)
    try:
        yield Harness(runtime, clock, directory, "busybox:1.36", MISSING, as_process)
    finally:
        await runtime.aclose()
        addresses.close()


@asynccontextmanager
async def simulation(directory: Path) -> AsyncIterator[Harness]:
    """A simulated runtime of its own."""
    clock, rng = RealClock(), random.Random(1)
    addresses = AddressPool("10.244.0.0/16", rng, no_claim)
    runtime = SimulatedRuntime(clock=clock, rng=rng, addresses=addresses, missing=[MISSING])
    try:
        yield Harness(runtime, clock, directory, "nginx:1.27", MISSING, as_simulation)
    finally:
        await runtime.aclose()


async def runs(process: Process) -> None:
    """The suite's program that runs until it is stopped."""
    process.print("started")
    while True:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            if "ignore" not in process.argv:
                raise


async def ends(process: Process) -> int:
    """The suite's program that ends by itself."""
    process.print("one")
    process.print("two\nthree")
    return int(process.argv[-1])


async def program(process: Process) -> int | None:
    """The suite's programs as a coroutine."""
    return await (runs(process) if process.argv[0] == "run" else ends(process))  # type: ignore[func-returns-value]


def as_coroutine(program: Program) -> Behaviour:
    """The suite's programs as arguments of that coroutine."""
    if program.exit_code is None:
        return Behaviour(("run", "ignore" if program.ignore_sigterm else ""))
    return Behaviour(("end", str(program.exit_code)))


@asynccontextmanager
async def coroutines(directory: Path) -> AsyncIterator[Harness]:
    """A simulated runtime whose containers are coroutines."""
    async with simulation(directory) as harness:
        image = f"python://{__name__}:program"
        yield attrs.evolve(harness, image=image, missing_image="python://no_such:thing", behave=as_coroutine)


NO_COMMANDS = {
    # what runs a command in a container, which a coroutine has no place for
    "sigkill_ends_what_ignores_sigterm",
    "containers_are_independent",
    "probes_report",
    "a_command_speaks_and_ends",
    "a_session_may_be_left",
    # what names an image as registries do; what a program cannot be that is there but does not start
    "pulled_images_are_present",
    "start_failure",
}


@asynccontextmanager
async def sandboxes(directory: Path) -> AsyncIterator[Harness]:
    """A sandbox runtime of its own."""
    if problem := await why_impossible():
        pytest.skip(problem)
    clock, rng = RealClock(), random.Random(1)
    addresses = AddressPool("10.244.0.0/16", rng, no_claim, reserved=RESERVED)
    spawner = Spawner(isolated=True)
    network = PodNetwork(spawner, "10.244.0.0/16", "10.96.0.0/12")
    await network.open()
    images = ImageRegistry(directory=directory)
    runtime = SandboxRuntime(
        clock=clock,
        rng=rng,
        images=images,
        addresses=addresses,
        spawner=spawner,
        network=network,
        node=network.node("node-1"),
    )
    try:
        yield Harness(runtime, clock, directory, "busybox:1.36", MISSING, as_first_process)
    finally:
        await runtime.aclose()
        network.close()
        await spawner.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", [subprocesses, sandboxes, simulation, coroutines], ids=lambda make: make.__name__)
async def test_promise(
    make: Callable[[Path], AbstractAsyncContextManager[Harness]], check: Check, tmp_path: Path
) -> None:
    """A runtime keeps this promise of the protocol."""
    if make is coroutines and check.__name__ in NO_COMMANDS:
        pytest.skip("a coroutine cannot take part; test_coroutine.py has what it does instead")
    with anyio.fail_after(30):
        async with make(tmp_path) as harness:
            await check(harness)
