"""From a container's counters to what it uses: CPU is the growth of its CPU time over a window.

The first reading of a container is its average since it started, so that nobody has to have asked before. A window
begins anew once it is as long as a metrics server's resolution. Upstream: cAdvisor's rates behind `/stats/summary`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

import attrs

from minik8s.api.metrics import ContainerUsage
from minik8s.clock import Clock
from minik8s.kubelet.pod_worker import PodWorker
from minik8s.kubelet.runtime.protocol import Container, Usage

RESOLUTION = timedelta(seconds=15)
"""metrics-server's --metric-resolution."""
SHORTEST = timedelta(seconds=1)
"""A window shorter than this says little; the reading before is given again."""


@attrs.frozen
class _Sample:
    container_id: str
    at: datetime
    cpu_seconds: float


class PodMeter:
    """The readings of one pod's containers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bases: dict[str, _Sample] = {}
        self._last: dict[str, ContainerUsage] = {}

    def read(self, container: Container, usage: Usage) -> ContainerUsage:
        """What the container uses, given its counters now."""
        name, now = container.config.name, self._clock.now()
        base = self._bases.get(name)
        if base is None or base.container_id != container.id:
            base = self._bases[name] = _Sample(container.id, container.started_at, 0.0)
            self._last.pop(name, None)
        window = now - base.at
        if window < SHORTEST and name in self._last:
            return self._last[name]
        seconds = max(window / timedelta(seconds=1), 0.001)
        cores = max(0.0, usage.cpu_seconds - base.cpu_seconds) / seconds
        reading = self._last[name] = ContainerUsage(cores, usage.memory_bytes, now, seconds)
        if window >= RESOLUTION:
            self._bases[name] = _Sample(container.id, now, usage.cpu_seconds)
        return reading


class Meters:
    """The readings of one node's pods, for as long as somebody leads them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._meters: WeakKeyDictionary[PodWorker, PodMeter] = WeakKeyDictionary()

    def read(self, worker: PodWorker) -> dict[str, ContainerUsage]:
        """What the pod's running containers use, as far as the runtime can tell."""
        meter = self._meters.setdefault(worker, PodMeter(self._clock))
        readings = {}
        for name, known in worker.containers.items():
            container = known.running.container if known.running else None
            counters = worker.node.runtime.usage(container) if container is not None else None
            if container is not None and counters is not None:
                readings[name] = meter.read(container, counters)
        return readings
