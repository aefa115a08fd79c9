"""Carrying out a scenario once: namespaces, steps one after the other, and in the end nothing of it is left.

Operations of a phase are taken from one list by a limited number of workers, each of which waits for its operation's
moment. A rate is an open loop as long as a worker is free; when all are busy the next operation starts late, and how
late is part of the result, because a latency that is measured only when the server had time is no latency.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import NAMESPACES
from minik8s.bench.histogram import Histogram
from minik8s.bench.measuring import Measurement, measurement
from minik8s.bench.mixing import Mix
from minik8s.bench.results import Result, Verdict
from minik8s.bench.scenario import BundleObject, MeasurementCall, Phase, Requests, Scenario, Step
from minik8s.bench.tuning import Bucket, GlobalQpsLoad, TuningSet
from minik8s.bench.world import REAL, World
from minik8s.client.manifests import resource_of
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Obj

WORKERS: Final = 100
"""How many operations of a rate are under way at most."""
SATURATED: Final = 0.85
"""Of one core."""
Operation: TypeAlias = Callable[[], Awaitable[None]]
Made: TypeAlias = dict[tuple[str, str], tuple[int, BundleObject]]
"""(namespace, basename) -> how many there are, and of what."""


@attrs.define
class StepResult:
    """What a step took: seconds of the cluster's time and of the machine's, CPU of this process, and how late its
    operations started."""

    name: str
    seconds: float = 0.0
    real_seconds: float = 0.0
    operations: int = 0
    generator_cpu: float = 0.0
    lateness: Histogram = attrs.field(factory=Histogram)

    @property
    def saturated(self) -> bool:
        """Whether the load generator's own process was at its end: what clients then see is not the server's doing."""
        return self.real_seconds > 0.2 and self.generator_cpu > SATURATED * self.real_seconds

    def document(self) -> dict[str, Any]:
        late = {"p50": self.lateness.percentile(50), "p99": self.lateness.percentile(99), "max": self.lateness.high}
        return {"name": self.name, "seconds": self.seconds, "operations": self.operations, "late": late}


@attrs.define
class RunResult:
    """What a run found, whole or not; `problem` says why it ended early."""

    steps: list[StepResult] = attrs.field(factory=list)
    results: list[Result] = attrs.field(factory=list)
    verdicts: list[Verdict] = attrs.field(factory=list)
    problem: str = ""


class Engine:
    """One run of a scenario in a world."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._scenario, self._world = scenario, world
        self.outcome = RunResult()
        self.made: Made = {}
        self._measurements: dict[str, Measurement] = {}
        self._buckets: dict[str, Bucket] = {}
        self._resources: dict[tuple[str, str], Resource[Any]] = {}

    async def run(self) -> None:
        """All steps. Raises RunFailed, ApiError or OSError; what was found until then is in `outcome`."""
        try:
            self._world.progress.step("namespaces", self._scenario.namespaces)
            for index in range(1, self._scenario.namespaces + 1):
                await self._make_namespace(f"{self._world.prefix}-{index}")
                self._world.progress.advance()
            for step in self._scenario.steps:
                await self._step(step)
        finally:
            for one in self._measurements.values():
                one.close()
                self.outcome.verdicts += one.verdicts

    async def _make_namespace(self, name: str) -> None:
        await self._world.plain.create(NAMESPACES, {"metadata": {"name": name, "labels": {"minik8s-bench": "true"}}})
        self._world.namespaces.add(name)

    async def _step(self, step: Step) -> None:
        operations = sum(len(self._plan(phase)) for phase in step.phases) + sum(r.count for r in step.requests)
        found = StepResult(step.name, operations=operations)
        self._world.progress.step(step.name, operations)
        began, real, cpu = self._world.clock.monotonic(), REAL.monotonic(), time.process_time()
        try:
            async with anyio.create_task_group() as group:
                for phase in step.phases:
                    group.start_soon(self._phase, phase, found)
                for requests in step.requests:
                    group.start_soon(self._requests, requests, found)
                for call in step.measurements:
                    group.start_soon(self._measure, call)
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors
        finally:
            found.seconds, found.real_seconds = self._world.clock.monotonic() - began, REAL.monotonic() - real
            found.generator_cpu = time.process_time() - cpu
            self.outcome.steps.append(found)

    async def _measure(self, call: MeasurementCall) -> None:
        one = self._measurements.get(call.identifier)
        if one is None or one.method != call.method:
            one = self._measurements[call.identifier] = measurement(call.method, self._world, call.identifier)
        if call.action == "start":
            await one.start(call.params)
        else:
            self.outcome.results += await one.gather(call.params)

    def _plan(self, phase: Phase) -> list[tuple[str, int]]:
        """(namespace, index) of all that is to be made, changed or deleted."""
        names = phase.range.names(self._world.prefix) if phase.range is not None else [""]
        planned = []
        for namespace in names:
            there, last = self.made.get((namespace, phase.bundle[0].basename), (0, None))
            first = 0 if last is not None and last != phase.bundle[0] and phase.replicas else min(there, phase.replicas)
            planned += [(namespace, index) for index in range(first, max(there, phase.replicas))]
        return planned

    async def _phase(self, phase: Phase, found: StepResult) -> None:
        """Brings the number of each bundle in each namespace to what the phase says."""
        planned = self._plan(phase)
        for each in phase.bundle:
            await self._resource_of(each)
        operations = [partial(self._reconcile, phase, namespace, index) for namespace, index in planned]
        await self._paced(operations, len(operations), phase.tuning, found)
        for namespace in {namespace for namespace, _ in planned}:
            for each in phase.bundle:
                self.made[namespace, each.basename] = (phase.replicas, each)

    async def _reconcile(self, phase: Phase, namespace: str, index: int) -> None:
        for each in phase.bundle:
            there, _ = self.made.get((namespace, each.basename), (0, None))
            resource = await self._resource_of(each)
            where = namespace if resource.namespaced else ""
            if index >= phase.replicas:
                await self._delete(resource, each.name(index), where)
            elif index >= there:
                await self._create(resource, each, index, where)
            else:
                document = self._render(each, index, where)
                await self._world.client.patch(resource, each.name(index), document, namespace=where)

    async def _create(self, resource: Resource[Any], each: BundleObject, index: int, namespace: str) -> None:
        name = each.name(index)
        await self._world.client.create(resource, self._render(each, index, namespace), namespace=namespace)
        if resource is NAMESPACES:
            self._world.namespaces.add(name)
        elif not namespace:
            self._world.strays.add((resource, name))

    async def _delete(self, resource: Resource[Any], name: str, namespace: str) -> None:
        try:
            await self._world.client.delete(resource, name, namespace=namespace, propagation="Background")
        except NotFound:
            return  # it ended by itself, or with its namespace
        self._world.strays.discard((resource, name))

    def _render(self, each: BundleObject, index: int, namespace: str) -> Obj:
        return each.render(index, namespace, self._scenario.params)

    async def _resource_of(self, each: BundleObject) -> Resource[Any]:
        kind = (each.template.api_version, each.template.kind)
        if kind not in self._resources:
            named = {"apiVersion": kind[0], "kind": kind[1]}
            self._resources[kind] = await resource_of(self._world.plain, named)
        return self._resources[kind]

    async def _requests(self, requests: Requests, found: StepResult) -> None:
        resources = [await self._resource_of(call.object) for call in requests.calls]
        mix = Mix(self._world, requests, resources, self.made, self._scenario.params)
        operations = (mix.next() for _ in range(requests.count))
        await self._paced(operations, requests.count, requests.tuning, found)

    async def _paced(
        self, operations: Sequence[Operation] | Iterator[Operation], count: int, tuning: TuningSet, found: StepResult
    ) -> None:
        """Starts each operation when the tuning set says, with as many workers as it allows."""
        clock, load = self._world.clock, tuning.load
        began = clock.monotonic() + tuning.initial_delay
        if isinstance(load, GlobalQpsLoad):
            bucket = self._buckets.setdefault(tuning.name, Bucket(load))
            moments: Iterator[float] = (bucket.reserve(max(began, clock.monotonic())) for _ in range(count))
        else:
            moments = (began + on_grid(offset) for offset in load.starts(count, self._world.rng))
        waits = not load.parallelism
        queue = zip(moments, operations, strict=False)

        async def work() -> None:
            for due, operation in queue:
                if due > clock.monotonic():
                    await clock.sleep(due - clock.monotonic())
                if waits:
                    found.lateness.record(clock.monotonic() - due)
                await operation()
                self._world.progress.advance()

        try:
            async with anyio.create_task_group() as group:
                for number in range(min(count, load.parallelism or WORKERS)):
                    group.start_soon(work, name=f"load {number}")
        except BaseExceptionGroup as errors:
            raise first_of(errors) from errors


def on_grid(seconds: float) -> float:
    """Rounded to a step of virtual time, about a microsecond: sums of such numbers are exact from any start."""
    return round(seconds * 2**20) / 2**20


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that says most: not a cancellation, and not a group."""
    for error in errors.exceptions:
        found = first_of(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, Exception):
            return found
    return errors.exceptions[0]
