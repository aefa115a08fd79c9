"""Inside a cluster of ours: controllers' queues, and the CPU and memory of the process under test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minik8s.bench.expressions import Value
from minik8s.bench.histogram import Histogram
from minik8s.bench.measuring import Measurement
from minik8s.bench.observing import Observed
from minik8s.bench.results import Result, Series
from minik8s.bench.world import REAL

ABSENT = "not measured: the cluster is not one that this process can look into"


class ControllerQueueTimes(Measurement):
    """By controller; upstream's workqueue_queue_duration_seconds and workqueue_work_duration_seconds."""

    method = "ControllerQueueTimes"
    _before: Observed | None = None

    async def start(self, params: Mapping[str, Value]) -> None:
        self._before = await self.world.observe()

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        after = await self.world.observe()
        if after is None or self._before is None:
            return [self.result("time in queue", [], real=True, note=ABSENT)]
        return [
            self.result("time in queue", _since(after.waits, self._before.waits), real=True),
            self.result(
                "time at work", _since(after.works, self._before.works), real=True, note="others' turns included"
            ),
        ]


def _since(after: Mapping[str, Histogram], before: Mapping[str, Histogram]) -> list[Series]:
    found = ((name, histogram.since(before.get(name, Histogram()))) for name, histogram in sorted(after.items()))
    return [Series({"controller": name}, "s", histogram) for name, histogram in found if histogram.count]


class ResourceUsageSummary(Measurement):
    """CPU seconds between start and gather, the share of one core that is, and memory at the end and at most."""

    method = "ResourceUsageSummary"
    _before: Observed | None = None

    async def start(self, params: Mapping[str, Value]) -> None:
        self._before, self._began = await self.world.observe(), REAL.monotonic()

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        after, seconds = await self.world.observe(), REAL.monotonic() - self._began
        if after is None or self._before is None:
            return [self.result("process", [], real=True, note=ABSENT)]
        cpu = after.usage.cpu - self._before.usage.cpu
        values = [
            ("cpu", "s", cpu),
            ("cores", "cores", cpu / seconds if seconds else 0.0),
            ("memory", "bytes", float(after.usage.memory)),
            ("memory grown", "bytes", float(after.usage.memory - self._before.usage.memory)),
            ("memory peak", "bytes", float(after.usage.peak)),
        ]
        series = [Series({"figure": name}, unit, value=value) for name, unit, value in values]
        note = "the load generator included" if self.world.shares_process else "of the cluster's own process"
        return [self.result("process", series, real=True, note=note)]
