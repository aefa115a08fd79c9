"""One run from its cluster's start to the last thing it leaves behind, which is nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

import anyio
import attrs
from anyio.abc import TaskGroup

from minik8s.api.resources import NAMESPACES
from minik8s.bench.engine import Engine, RunResult, first_of
from minik8s.bench.expressions import Value
from minik8s.bench.machine import Noise
from minik8s.bench.recording import Recorder, RecordingTransport
from minik8s.bench.scenario import Scenario
from minik8s.bench.targets import Target, TargetOptions, open_target
from minik8s.bench.warmup import warm_up
from minik8s.bench.world import REAL, Progress, RunFailed, World
from minik8s.client.informer import Informers
from minik8s.machinery.errors import ApiError, NotFound

CLEANUP_SECONDS: Final = 120.0
"""How long namespaces may take to go, after a run and after a Ctrl-C."""
PATIENCE: Final = 30.0
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


@attrs.define
class Run:
    """One run: what was found, and of what. `left` names what could not be deleted; one cut short has not `ended`."""

    number: int
    seed: int
    target: dict[str, Any] = attrs.field(factory=dict)
    outcome: RunResult = attrs.field(factory=RunResult)
    warm_up: dict[str, Any] = attrs.field(factory=dict)
    noise: Noise | None = None
    left: list[str] = attrs.field(factory=list)
    ended: bool = False


async def run_once(scenario: Scenario, options: TargetOptions, run: Run, progress: Progress) -> None:
    """Fills in `run`, also when it is cancelled in between.

    What goes wrong is its `problem`. Raises NotWarm (when the cluster does not come to a steady speed),
    KubeconfigError, and OSError when there is no cluster.
    """
    progress.step("the cluster starts", 0)
    try:
        async with open_target(options, run.seed) as target:
            run.target = target.facts
            await _in_target(scenario, target, run, progress)
    except (RunFailed, ApiError) as error:
        run.outcome.problem = describe(error)
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


async def _in_target(scenario: Scenario, target: Target, run: Run, progress: Progress) -> None:
    rng, recorder = Random(run.seed), Recorder()
    prefix = scenario.prefix or f"{scenario.name[:30]}-{''.join(rng.choices(_LETTERS, k=6))}"
    async with anyio.create_task_group() as group:
        world = _world(scenario.params, target, rng, recorder, group, progress, prefix)
        recorder.on_write(world.written.note)
        group.start_soon(world.informers.run, name="informers")
        engine = Engine(scenario, world)
        run.outcome = engine.outcome
        try:
            if target.time == "real" and scenario.warm_up.requests:
                run.warm_up = await warm_up(scenario.warm_up, world)
            await engine.run()
            run.ended = True
        except (RunFailed, ApiError, OSError) as error:
            run.outcome.problem = describe(error)
        finally:
            if not target.ours:
                with anyio.CancelScope(shield=True):
                    run.left = await clean_up(world)
            group.cancel_scope.cancel()


def _world(
    params: dict[str, Value] | Any,
    target: Target,
    rng: Random,
    recorder: Recorder,
    group: TaskGroup,
    progress: Progress,
    prefix: str,
) -> World:
    plain = target.client.as_agent("minik8s-bench-eyes")
    return World(
        client=target.client.over(lambda transport: RecordingTransport(transport, recorder)),
        plain=plain,
        recorder=recorder,
        informers=Informers(plain, target.clock, Random(rng.getrandbits(64))),
        clock=target.clock,
        time=target.time,
        rng=rng,
        group=group,
        observe=target.observe,
        params=params,
        progress=progress,
        prefix=prefix,
        shares_process=target.shares_process,
    )


async def clean_up(world: World) -> list[str]:
    """Deletes what the run has made and waits until it is gone; answers what is not, with the reason."""
    left: dict[str, str] = {}
    world.progress.step("cleaning up", len(world.namespaces))
    for resource, name in sorted(world.strays, key=lambda stray: (stray[0].plural, stray[1])):
        await _attempt(left, f"{resource.singular}/{name}", world.plain.delete, resource, name)
    for name in sorted(world.namespaces):
        await _attempt(left, f"namespace/{name}", world.plain.delete, NAMESPACES, name)
    waiting = sorted(world.namespaces - {name.partition("/")[2] for name in left})
    deadline = REAL.monotonic() + CLEANUP_SECONDS
    with anyio.move_on_after(CLEANUP_SECONDS + PATIENCE):  # a server that has stopped answering
        while waiting and REAL.monotonic() < deadline:
            try:
                if await world.plain.find(NAMESPACES, waiting[-1]) is None:
                    waiting.pop()
                    world.progress.advance()
                    continue
            except (ApiError, OSError) as error:
                left |= {f"namespace/{name}": describe(error) for name in waiting}
                waiting = []
            await world.clock.sleep(0.2)
    for name in waiting:
        left[f"namespace/{name}"] = await _why(world, name)
    return [f"{name}: {reason}" for name, reason in left.items()]


async def _attempt(left: dict[str, str], what: str, delete: Callable[..., Any], *args: Any) -> None:
    try:
        await delete(*args)
    except NotFound:
        return
    except (ApiError, OSError) as error:
        left[what] = describe(error)


async def _why(world: World, name: str) -> str:
    """What a namespace that does not go says of itself."""
    with suppress(ApiError, OSError):
        found: Any = await world.plain.get(NAMESPACES, name)
        said = [
            c.get("message", "") for c in found.get("status", {}).get("conditions", []) if c.get("status") == "True"
        ]
        return "; ".join(filter(None, said)) or f"still there after {CLEANUP_SECONDS:g} s"
    return f"still there after {CLEANUP_SECONDS:g} s"


def describe(error: Exception) -> str:
    """One line."""
    text = f"{error.reason}: {error.message}" if isinstance(error, ApiError) else str(error)
    return " ".join(text.split()) or type(error).__name__
