"""WatchDelay: how long a write takes to reach those who watch, from its sending to its arrival at every watcher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus

from minik8s.api.request import ApiRequest
from minik8s.bench.expressions import Value
from minik8s.bench.histogram import Histogram
from minik8s.bench.measuring import Measurement
from minik8s.bench.results import Result, Series
from minik8s.bench.world import REAL, RunFailed
from minik8s.client.manifests import resource_of
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Obj, revision_of

KEPT: Final = 20_000
"""Arrivals that wait for the answer to their write; older ones were written by somebody else."""


class WatchDelay(Measurement):
    """`watchers` watches with a stream each. Only the run's own writes count, told by the resourceVersion that their
    answers name. In real time always: in virtual time an event takes none."""

    method = "WatchDelay"

    async def start(self, params: Mapping[str, Value]) -> None:
        self._delays = Histogram()
        self._sent: dict[int, float] = {}
        self._early: dict[int, list[float]] = {}
        self._last = 0
        self._reached: list[int] = []
        self._moved = anyio.Event()
        self._lost = 0
        self._began, self._events = REAL.monotonic(), 0
        self._resource = await resource_of(
            self.world.plain, {"apiVersion": params["apiVersion"], "kind": params["kind"]}
        )
        selector = str(params["labelSelector"])
        revision = (await self.world.plain.list(self._resource, limit=1)).resource_version
        self._undo.append(self.world.recorder.on_write(self._wrote))
        for number in range(int(params["watchers"])):
            self._reached.append(0)
            await self.world.group.start(partial(self._watch, number, selector, revision), name="watcher")

    def _wrote(self, request: ApiRequest, answer: Obj, sent: float) -> None:
        if request.resource != self._resource or request.verb == "delete":
            return
        revision = revision_of(answer)
        self._sent[revision], self._last = sent, max(self._last, revision)
        for arrived in self._early.pop(revision, ()):
            self._delays.record(arrived - sent)
        if len(self._sent) > KEPT:
            del self._sent[next(iter(self._sent))]

    async def _watch(self, number: int, selector: str, revision: str, *, task_status: TaskStatus[None]) -> None:
        """One watcher, until the measurement ends; one whose stream breaks is counted and does not come back."""
        with anyio.CancelScope() as own:
            self._undo.append(own.cancel)
            try:
                stream = self.world.plain.watch_batches(
                    self._resource, label_selector=selector, resource_version=revision
                )
                async with stream as batches:
                    task_status.started()
                    async for batch in batches:
                        self._arrived(number, batch)
            except (ApiError, OSError):
                self._lost += 1
            else:
                self._lost += 1
            self._reached[number] = 1 << 62
            self._moved.set()

    def _arrived(self, number: int, batch: Sequence[Any]) -> None:
        now = REAL.monotonic()
        self._events += len(batch)
        for event in batch:
            if event.type in ("ADDED", "MODIFIED"):
                revision = revision_of(event.object)
                sent = self._sent.get(revision)
                if sent is not None:
                    self._delays.record(now - sent)
                elif revision > self._last:
                    self._early.setdefault(revision, []).append(now)
                self._reached[number] = max(self._reached[number], revision)
        while len(self._early) > KEPT:
            del self._early[next(iter(self._early))]
        self._moved.set()

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        with anyio.move_on_after(float(params["operationTimeout"])) as limit:
            while min(self._reached, default=self._last) < self._last:
                self.world.progress.say("watchers are catching up")
                await self._moved.wait()
                self._moved = anyio.Event()
        seconds = REAL.monotonic() - self._began
        lost, watchers = self._lost, len(self._reached)
        self.close()
        if limit.cancelled_caught:
            behind = sum(1 for reached in self._reached if reached < self._last)
            raise RunFailed(f"{self.identifier}: {behind} of {watchers} watchers did not see the last write")
        labels = {"resource": self._resource.group_resource, "watchers": str(watchers)}
        series = [
            Series(labels, "s", self._delays),
            Series({**labels, "figure": "deliveries"}, "events/s", value=self._events / seconds if seconds else 0.0),
        ]
        note = "from the sending of a write to its arrival at each watcher, the write included"
        if lost:
            note += f"; {lost} of {watchers} watches broke"
        return [self.result("watch delay", series, real=True, note=note)]
