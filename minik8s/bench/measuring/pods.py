"""What happens to pods on their way to running: latency by stage, and how many are scheduled a second.

Moments are those at which a watch shows a change, as for clusterloader2: an object's own timestamps have whole seconds.
Pods that existed before the measurement began are not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from minik8s.api.resources import PODS
from minik8s.bench.expressions import Value
from minik8s.bench.histogram import Histogram
from minik8s.bench.measuring import Measurement
from minik8s.bench.results import Result, Series, Timeline, Verdict
from minik8s.bench.slo import POD_STARTUP_SECONDS
from minik8s.bench.world import REAL
from minik8s.machinery.meta import Doc, is_condition_true, labels_of, uid_of
from minik8s.machinery.selectors import LabelSelector

STAGES: Final = {
    "create_to_schedule": ("created", "scheduled"),
    "schedule_to_start": ("scheduled", "started"),
    "start_to_run": ("started", "running"),
    "run_to_ready": ("running", "ready"),
    "pod_startup": ("created", "running"),
}
"""Stage -> the two moments it lies between. `started`: the kubelet has taken the pod (status.startTime)."""
INTERVAL: Final = 1.0


def has_started(pod: Doc) -> bool:
    return bool((pod.get("status") or {}).get("startTime"))


def is_running(pod: Doc) -> bool:
    return (pod.get("status") or {}).get("phase") == "Running"


@attrs.define
class _Moments:
    """When a pod on its way was first seen in each state."""

    created: float
    scheduled: float | None = None
    started: float | None = None
    running: float | None = None
    ready: float | None = None

    def see(self, pod: Doc, now: float) -> None:
        """A later state stands for the earlier ones that no event showed."""
        if self.ready is None and is_condition_true(pod, "Ready"):
            self.ready = now
        if self.running is None and is_running(pod):
            self.running = now
        if self.started is None and (self.running is not None or has_started(pod)):
            self.started = now
        if self.scheduled is None and pod["spec"].get("nodeName"):
            self.scheduled = now


class _PodMeasurement(Measurement):
    """Follows the pods of the run that a selector means."""

    async def start(self, params: Mapping[str, Value]) -> None:
        self._selector = LabelSelector.parse(str(params["labelSelector"]))
        informer = self.world.informers(PODS)
        await informer.synced()
        self._known = {uid_of(pod) for pod in informer.lister.all() if self._means(pod)}
        self._undo.append(informer.add_handler(self._changed))

    def _means(self, pod: Doc) -> bool:
        return self._selector.matches(labels_of(pod)) and self.world.is_mine(pod)

    def _changed(self, old: Any, new: Any) -> None:
        pod = old if new is None else new
        if not self._means(pod):
            return
        if uid_of(pod) in self._known:
            if new is None:
                self._known.discard(uid_of(pod))
            return
        self.see(old, new)

    def see(self, old: Any, new: Any) -> None:
        raise NotImplementedError


class PodStartupLatency(_PodMeasurement):
    """Each pod counts once in every stage; the objective is about creation to running."""

    method = "PodStartupLatency"

    async def start(self, params: Mapping[str, Value]) -> None:
        self._threshold = float(params.get("threshold", POD_STARTUP_SECONDS))
        self._stages = {stage: Histogram() for stage in STAGES}
        self._underway: dict[str, _Moments] = {}
        await super().start(params)

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        self.close()
        for moments in self._underway.values():
            self._record(moments)
        unfinished = sum(1 for moments in self._underway.values() if moments.running is None)
        startup = self._stages["pod_startup"]
        if startup.count:
            limit, measured = self._threshold, startup.percentile(99)
            self.verdicts.append(Verdict("pod startup p99", self.identifier, limit, measured, "s", self.world.time))
        series = [Series({"stage": stage}, "s", histogram) for stage, histogram in self._stages.items()]
        note = f"{unfinished} pods did not run until the end and are not counted" if unfinished else ""
        return [self.result("pod startup", series, note=note)]

    def see(self, old: Any, new: Any) -> None:
        pod, now = old if new is None else new, self.world.clock.monotonic()
        if new is None or (new["metadata"].get("deletionTimestamp") and not is_running(new)):
            moments = self._underway.pop(uid_of(pod), None)
            if moments is not None:
                self._record(moments)
                if new is not None:
                    self._known.add(uid_of(pod))
            return
        moments = self._underway.get(uid_of(pod))
        if moments is None:
            if old is not None:
                return  # it was through already
            moments = self._underway[uid_of(pod)] = _Moments(now)
        moments.see(new, now)
        if moments.ready is not None and moments.running is not None:
            self._record(self._underway.pop(uid_of(pod)))

    def _record(self, moments: _Moments) -> None:
        for stage, (begin, end) in STAGES.items():
            first, last = getattr(moments, begin), getattr(moments, end)
            if first is not None and last is not None:
                self._stages[stage].record(last - first)


class SchedulingThroughput(_PodMeasurement):
    """Pods that come to have a node, by second; both of the cluster's time and of the machine's where they differ."""

    method = "SchedulingThroughput"

    async def start(self, params: Mapping[str, Value]) -> None:
        self._clocks = {"real": REAL} if self.world.time == "real" else {"virtual": self.world.clock, "real": REAL}
        self._began = {name: clock.monotonic() for name, clock in self._clocks.items()}
        self._lines = {name: Timeline(INTERVAL) for name in self._clocks}
        self._count = 0
        self._spans: dict[str, tuple[float, float]] = {}
        await super().start(params)

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        self.close()
        results = [self._of(name) for name in self._clocks]
        threshold = float(params.get("threshold", 0.0))
        if threshold:
            rate = next(s.value for s in results[0].series if s.labels["figure"] == "mean") or 0.0
            about = ("scheduling throughput", self.identifier)
            self.verdicts.append(Verdict(*about, threshold, rate, "pods/s", self.world.time, at_least=True))
        return results

    def see(self, old: Any, new: Any) -> None:
        if new is None or not new["spec"].get("nodeName") or (old is not None and old["spec"].get("nodeName")):
            return
        self._count += 1
        for name, clock in self._clocks.items():
            at = clock.monotonic() - self._began[name]
            self._lines[name].add(at)
            self._spans[name] = (self._spans.get(name, (at, at))[0], at)

    def _of(self, name: str) -> Result:
        first, last = self._spans.get(name, (0.0, 0.0))
        rates = self._lines[name].rates()
        distribution = Histogram(1e-3)
        for _, rate in rates[int(first / self._lines[name].interval) :]:
            distribution.record(rate)
        series = [
            Series({"figure": "pods"}, "pods", value=float(self._count)),
            Series({"figure": "by interval"}, "pods/s", distribution),
            Series({"figure": "over time"}, "pods/s", points=rates),
        ]
        mean = (self._count - 1) / (last - first) if last > first else 0.0
        series.insert(0, Series({"figure": "mean"}, "pods/s", value=mean))
        note = "from the first scheduled pod to the last" if mean else "all at one moment: no rate"
        return self.result("scheduling throughput", series, real=name == "real", note=note)
