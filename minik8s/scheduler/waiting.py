"""Pods that have a node and wait for a Permit plugin's leave to be bound.

Each waits until every plugin that held it back has allowed it, one rejects it, or the time that one gave has passed.
Upstream: `framework/runtime/waiting_pods_map.go`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import anyio

from minik8s.clock import Clock, TimerHandle
from minik8s.scheduler.framework import Code, Status
from minik8s.scheduler.info import PodInfo

LONGEST_WAIT = 15 * 60.0
"""Seconds; maxTimeout of upstream's runtime."""


class WaitingPod:
    """One of them; `node` is where it is assumed to run."""

    def __init__(self, pod: PodInfo, node: str, clock: Clock, held_by: Mapping[str, float]) -> None:
        self.pod, self.node = pod, node
        self._timers: dict[str, TimerHandle] = {}
        self._status: Status | None = None
        self._done = anyio.Event()
        for plugin, seconds in held_by.items():
            self._timers[plugin] = clock.call_later(min(seconds, LONGEST_WAIT), partial(self._expire, plugin, seconds))

    @property
    def pending(self) -> list[str]:
        """The plugins whose leave is missing."""
        return list(self._timers)

    def allow(self, plugin: str) -> None:
        """One plugin gives its leave."""
        if (timer := self._timers.pop(plugin, None)) is not None:
            timer.cancel()
        if not self._timers:
            self._done.set()

    def reject(self, plugin: str, message: str) -> None:
        """It shall not be bound; it will be tried again."""
        if not self._done.is_set():
            self._status = Status(Code.UNSCHEDULABLE, (message,), plugin)
            self._finish()

    def _expire(self, plugin: str, seconds: float) -> None:
        self.reject(plugin, f"rejected due to timeout after waiting {seconds:g}s at plugin {plugin}")

    def _finish(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._done.set()

    async def result(self) -> Status | None:
        """Waits; None is leave to bind."""
        try:
            await self._done.wait()
        finally:
            self._finish()
        return self._status


class WaitingPods(Mapping[str, WaitingPod]):
    """All of them by the pod's uid."""

    def __init__(self) -> None:
        self._pods: dict[str, WaitingPod] = {}

    def __getitem__(self, uid: str) -> WaitingPod:
        return self._pods[uid]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._pods))

    def __len__(self) -> int:
        return len(self._pods)

    def add(self, waiting: WaitingPod) -> None:
        self._pods[waiting.pod.uid] = waiting

    async def verdict(self, uid: str) -> Status | None:
        """Waits for what becomes of the pod, if it waits here; None is leave to bind."""
        if (waiting := self._pods.get(uid)) is None:
            return None
        try:
            return await waiting.result()
        finally:
            self._pods.pop(uid, None)

    def reject(self, uid: str, plugin: str, message: str) -> bool:
        """Rejects the pod if it waits here; whether it did."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            waiting.reject(plugin, message)
        return waiting is not None
