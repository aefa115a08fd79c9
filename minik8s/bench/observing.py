"""Looking into a cluster of ours while it is under load: what its server answers, its queues, its CPU and memory.

All requests are seen where they are dispatched, so that those of controllers, scheduler and kubelets, which come by no
socket, count like everybody's. Figures only ever grow; who wants those of a while takes two looks and their difference.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.interception import Proceed
from minik8s.apiserver.response import ApiResponse
from minik8s.bench.histogram import Histogram
from minik8s.bench.recording import Calls
from minik8s.client.workqueue import WorkQueue
from minik8s.clock import RealClock
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ApiError

_PAGE: Final = resource.getpagesize()
_PEAK_UNIT: Final = 1 if sys.platform == "darwin" else 1024


@attrs.define
class Usage:
    """CPU seconds, and bytes of memory now and at most, of one process."""

    cpu: float
    memory: int
    peak: int

    @classmethod
    def now(cls) -> Usage:
        """Of this process."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
        try:
            memory = int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE
        except OSError:
            memory = peak  # no Linux: the most that it ever was is what there is
        return cls(time.process_time(), memory, peak)


@attrs.define
class Observed:
    """One look. `waits` and `works` are by controller: how long keys waited, and how long they were worked on."""

    calls: Calls
    waits: dict[str, Histogram]
    works: dict[str, Histogram]
    usage: Usage

    def document(self) -> dict[str, Any]:
        """As JSON, for the way between processes."""
        return {
            "latencies": [[*kind, histogram.document()] for kind, histogram in self.calls.latencies.items()],
            "counts": [[agent, *kind, count] for (agent, kind), count in self.calls.counts.items()],
            "failures": [[*kind, reason, count] for (kind, reason), count in self.calls.failures.items()],
            "waits": {name: histogram.document() for name, histogram in self.waits.items()},
            "works": {name: histogram.document() for name, histogram in self.works.items()},
            "usage": attrs.asdict(self.usage),
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Observed:
        calls = Calls()
        for *kind, histogram in document["latencies"]:
            calls.latencies[tuple(kind)] = Histogram.of(histogram)
        for agent, *kind, count in document["counts"]:
            calls.counts[agent, tuple(kind)] = count
        for *kind, reason, count in document["failures"]:
            calls.failures[tuple(kind), reason] = count
        waits = {name: Histogram.of(found) for name, found in document["waits"].items()}
        works = {name: Histogram.of(found) for name, found in document["works"].items()}
        return cls(calls, waits, works, Usage(**document["usage"]))

    def calls_since(self, earlier: Observed) -> Calls:
        """What was asked of the server between the two looks."""
        found, before = Calls(), earlier.calls
        for kind, histogram in self.calls.latencies.items():
            new = histogram.since(before.latencies.get(kind, Histogram()))
            if new.count:
                found.latencies[kind] = new
        found.counts = self.calls.counts - before.counts
        found.failures = self.calls.failures - before.failures
        return found


class _QueueWatch:
    """Times the keys of one controller; there is an entry only for those in its queue."""

    def __init__(self, clock: RealClock) -> None:
        self._now = clock.monotonic
        self.waits, self.works = Histogram(), Histogram()
        self._added: dict[Hashable, float] = {}
        self._taken: dict[Hashable, float] = {}

    def added(self, key: Any) -> None:
        self._added.setdefault(key, self._now())

    def taken(self, key: Any) -> None:
        now = self._taken[key] = self._now()
        self.waits.record(now - self._added.pop(key, now))

    def done(self, key: Any) -> None:
        now = self._now()
        self.works.record(now - self._taken.pop(key, now))


class Observer:
    """Stands in a cluster of ours from its start to its end."""

    def __init__(self, cluster: Cluster) -> None:
        self._clock = RealClock()
        self._calls = Calls()
        self._queues: dict[str, _QueueWatch] = {}
        cluster.intercept(self._intercept)
        cluster.watch_queues(self._watch)

    def look(self) -> Observed:
        """What there is so far. It goes on changing: who keeps it keeps `frozen`."""
        waits = {name: watch.waits for name, watch in self._queues.items() if watch.waits.count}
        works = {name: watch.works for name, watch in self._queues.items() if watch.works.count}
        return Observed(self._calls, waits, works, Usage.now())

    def frozen(self) -> Observed:
        """A look that stays as it is."""
        return Observed.of(self.look().document())

    def _watch(self, name: str, queue: WorkQueue[Any]) -> None:
        queue.observer = self._queues.setdefault(name, _QueueWatch(self._clock))

    async def _intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        began, failure = self._clock.monotonic(), ""
        try:
            return await proceed(request)
        except ApiError as error:
            failure = error.reason or str(error.code)
            raise
        finally:
            self._calls.add(request, self._clock.monotonic() - began, failure)
