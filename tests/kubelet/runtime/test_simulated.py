"""The simulated runtime follows its table, by the clock it is given."""

import random
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from minik8s.kubelet.runtime.addresses import AddressPool, no_claim
from minik8s.kubelet.runtime.behaviour import PREFIX, Behaviour, drawn
from minik8s.kubelet.runtime.protocol import ContainerConfig, ImageError, LogOptions, SandboxConfig, StartError
from minik8s.kubelet.runtime.simulated import SimulatedRuntime
from minik8s.kubelet.runtime.simulatedcontainer import SimulatedContainer
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio


class SelfWindingClock(ManualClock):
    """Whoever sleeps moves the time."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


class World:
    """A runtime with a manual clock."""

    def __init__(self, **options: Any) -> None:
        self.clock = SelfWindingClock()
        rng = random.Random(5)
        addresses = AddressPool("10.244.0.0/16", rng, no_claim)
        self.runtime = SimulatedRuntime(clock=self.clock, rng=rng, addresses=addresses, **options)

    async def start(self, name: str = "c", image: str = "nginx", **annotations: str) -> SimulatedContainer:
        """Starts a container in a pod with these annotations (`run_seconds="3"`)."""
        prefixed = {PREFIX + key.replace("_", "-"): value for key, value in annotations.items()}
        config = SandboxConfig("ns", "p", "u", Path("/none"), "p", prefixed)
        sandbox = await self.runtime.create_sandbox(config)
        resolved = await self.runtime.pull(image)
        container = await self.runtime.start(
            sandbox,
            ContainerConfig(name, resolved, ("run",), {}, "", (), Path(f"/none/{name}.log"), Path("/none/t")),
        )
        assert isinstance(container, SimulatedContainer)
        return container


async def test_run_time_and_exit_code() -> None:
    """A container ends after its run time with its exit code, on the clock's time."""
    world = World()
    container = await world.start(run_seconds="30", exit_code="3")
    world.clock.advance(29.9)
    assert container.exit is None
    world.clock.advance(0.2)
    end = await container.wait()
    assert (end.exit_code, end.signal, end.reason) == (3, 0, "Error")
    assert end.finished_at - end.started_at == timedelta(seconds=30)


async def test_start_time() -> None:
    """Starting takes its time before the container counts as started."""
    world = World()
    container = await world.start(start_seconds="2.5")
    assert container.started_at == world.clock.now()
    assert world.clock.elapsed == 2.5


async def test_stopping() -> None:
    """SIGTERM may be ignored, take time, or end with a code of the container's own."""
    world = World()
    stubborn = await world.start(ignore_sigterm="true")
    slow = await world.start(stop_seconds="5", stop_exit_code="0")
    for container in (stubborn, slow):
        container.signal("SIGTERM")
    world.clock.advance(4)
    assert (stubborn.exit, slow.exit) == (None, None)
    world.clock.advance(1)
    assert slow.exit is not None
    assert (slow.exit.exit_code, slow.exit.signal) == (0, 0)
    stubborn.signal("SIGKILL")
    assert (await stubborn.wait()).exit_code == 137


async def test_readiness() -> None:
    """Probes fail before the ready time and after the unready time; lifecycle hooks succeed."""
    world = World(behaviours={"c": Behaviour(ready_seconds=3, unready_seconds=6)})
    container = await world.start()
    seen = []
    for _ in range(8):
        result = await world.runtime.probe(container.sandbox, container, {"httpGet": {"port": 1}}, timeout=1)
        seen.append(result.success)
        world.clock.advance(1)
    assert seen == [False] * 3 + [True] * 3 + [False] * 2
    hook = await world.runtime.probe(container.sandbox, container, {"exec": {}}, timeout=1, lifecycle=True)
    assert hook.success


async def test_precedence() -> None:
    """Annotations for one container win over those for the pod, these over the table, where names win over images."""
    table = {"docker.io/library/nginx:latest": Behaviour(exit_code=1, stop_seconds=9), "b": Behaviour(exit_code=2)}
    world = World(behaviours=table)
    assert (await world.start("a")).behaviour.exit_code == 1
    assert (await world.start("b")).behaviour.exit_code == 2
    annotations = {"exit_code": "3", "exit_code.b": "4"}
    assert (await world.start("a", **annotations)).behaviour == Behaviour(exit_code=3, stop_seconds=9)
    assert (await world.start("b", **annotations)).behaviour.exit_code == 4


async def test_bad_annotation() -> None:
    """An annotation that cannot be read is told, not ignored."""
    with pytest.raises(StartError, match=r"annotation simulated\.minik8s\.dev/run-seconds: cannot read 'soon'"):
        await World().start(run_seconds="soon")


async def test_pulling() -> None:
    """The first pull takes its time and the image is present then; a missing image is not."""
    world = World(behaviours={"slow": Behaviour(pull_seconds=4)}, missing=["nope"])
    assert not world.runtime.is_present("slow")
    await world.runtime.pull("slow")
    assert (world.clock.elapsed, world.runtime.is_present("slow")) == (4, True)
    await world.runtime.pull("slow")
    assert world.clock.elapsed == 4
    with pytest.raises(ImageError, match=r"docker\.io/library/nope:latest: not found"):
        await world.runtime.pull("nope")


async def test_repeatable() -> None:
    """The same seed and steps give the same ids, addresses and logs."""
    seen = []
    for _ in range(2):
        world = World()
        container = await world.start(run_seconds="1")
        world.clock.advance(2)
        log = world.runtime.logs(container.config.log_path, LogOptions(timestamps=True), container=None)
        seen.append((container.id, container.sandbox.address, [chunk async for chunk in log]))
    assert seen[0] == seen[1]


async def test_usage_follows_the_clock() -> None:
    """CPU grows with time, and ends with the container."""
    world = World()
    container = await world.start()
    world.clock.advance(20)
    usage = world.runtime.usage(container)
    assert usage is not None
    assert usage.cpu_seconds == 2
    await world.runtime.remove(container)
    assert world.runtime.usage(container) is None


async def test_jitter() -> None:
    """Times are longer by chance, up to the share asked for; without it nothing is drawn, and nothing is random."""
    world = World(behaviours={"c": Behaviour(run_seconds=100, jitter=0.5)})
    lengths = []
    for _ in range(20):
        container = await world.start()
        world.clock.advance(200)
        end = await container.wait()
        lengths.append((end.finished_at - end.started_at).total_seconds())
    assert 100 <= min(lengths) < max(lengths) <= 150
    before = world.runtime._rng.getstate()
    assert drawn(Behaviour(run_seconds=100), world.runtime._rng) == Behaviour(run_seconds=100)
    assert world.runtime._rng.getstate() == before


async def test_failures() -> None:
    """A share of the runs fails: with 1 at their end, or at once where there would have been none."""
    world = World()
    ends = []
    for _ in range(60):
        container = await world.start(failure_rate="0.25")
        ends.append(container.exit.exit_code if container.exit else None)
    assert set(ends) == {None, 1}
    assert 5 < ends.count(1) < 30
    lasting = await world.start(failure_rate="1", run_seconds="30")
    assert lasting.exit is None
    world.clock.advance(31)
    assert (await lasting.wait()).exit_code == 1
