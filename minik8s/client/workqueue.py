"""The work queue of controllers: keys in, one at a time out.

A key that is added twice before a worker takes it comes out once; a key that is added while a worker has it comes
out again when the worker is done. So the same object is never reconciled by two workers at once and a burst of
events costs one pass. Failures wait longer each time. client-go `util/workqueue` is the counterpart; its overall
bucket (10 a second) is left out, because in-process there is no server to protect from its own controllers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar

import anyio
import anyio.lowlevel
import attrs

from minik8s.client.backoff import exponential
from minik8s.clock import Clock, TimerHandle
from minik8s.machinery.causes import CAUSE, Cause

K = TypeVar("K", bound=Hashable)

BASE_DELAY = 0.005
MAX_DELAY = 1000.0
"""Seconds; client-go DefaultTypedControllerRateLimiter."""


@attrs.frozen
class QueueStatistics:
    """What the queue holds now, and counters since it was made."""

    queued: int
    processing: int
    delayed: int
    adds: int
    retries: int


class QueueObserver(Protocol):
    """Is told of a key's way through a queue: when it came to wait, when a worker took it, when that was through."""

    def added(self, key: Any) -> None: ...

    def taken(self, key: Any) -> None: ...

    def done(self, key: Any) -> None: ...


class WorkQueue(Generic[K]):
    """See the module's docstring. Every method but `get` returns at once."""

    def __init__(self, clock: Clock, *, base: float = BASE_DELAY, cap: float = MAX_DELAY) -> None:
        self._clock = clock
        self._base, self._cap = base, cap
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._causes: dict[K, Cause | None] = {}
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._delayed: dict[K, tuple[float, TimerHandle]] = {}
        self._getters: deque[anyio.Event] = deque()
        self._adds = self._retries = 0
        self.observer: QueueObserver | None = None

    def add(self, key: K) -> None:
        """The key needs a pass."""
        if key in self._dirty:
            return
        self._adds += 1
        self._dirty.add(key)
        self._causes[key] = CAUSE.get()
        if self.observer is not None:
            self.observer.added(key)
        if key not in self._processing:
            self._ready.append(key)
            self._wake()

    def add_after(self, key: K, seconds: float) -> None:
        """The key needs a pass after `seconds`; of several delays the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        waiting = self._delayed.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._delayed[key] = (due, self._clock.call_later(seconds, lambda: self._due(key)))

    def add_rate_limited(self, key: K) -> None:
        """The key failed: again after 5 ms, doubled with each failure, up to 1000 s."""
        failures = self._failures[key] = self.failures(key) + 1
        self._retries += 1
        self.add_after(key, exponential(failures, self._base, self._cap))

    def failures(self, key: K) -> int:
        """How often in a row the key failed."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure waits 5 ms again."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key, which is the caller's until `done`. Always lets other tasks run first.

        From then on the caller acts because of what made the key need a pass.
        """
        await anyio.lowlevel.checkpoint()
        while not self._ready:
            await self._wait()
        key = self._ready.popleft()
        self._dirty.discard(key)
        CAUSE.set(self._causes.pop(key, None))
        self._processing.add(key)
        if self.observer is not None:
            self.observer.taken(key)
        return key

    def done(self, key: K) -> None:
        """The caller is through with the key; if it was added meanwhile it comes out again."""
        self._processing.discard(key)
        if self.observer is not None:
            self.observer.done(key)
        if key in self._dirty:
            self._ready.append(key)
            self._wake()

    def close(self) -> None:
        """Takes back all timers."""
        for _, handle in self._delayed.values():
            handle.cancel()
        self._delayed.clear()

    @property
    def idle(self) -> bool:
        """Whether nothing is to be done before the next timer."""
        return not self._ready and not self._processing

    @property
    def has_waiting_worker(self) -> bool:
        """Whether the next key would be taken at once."""
        return bool(self._getters)

    def under_way(self) -> tuple[list[K], list[K]]:
        """The keys that workers have, and those that wait for one."""
        return list(self._processing), list(self._ready)

    def statistics(self) -> QueueStatistics:
        return QueueStatistics(
            queued=len(self._ready),
            processing=len(self._processing),
            delayed=len(self._delayed),
            adds=self._adds,
            retries=self._retries,
        )

    def _due(self, key: K) -> None:
        del self._delayed[key]
        if (cause := CAUSE.get()) is not None:
            CAUSE.set((*cause[:4], True))  # in the timer's own context
        self.add(key)

    def _wake(self) -> None:
        if self._getters:
            self._getters.popleft().set()

    async def _wait(self) -> None:
        woken = anyio.Event()
        self._getters.append(woken)
        try:
            await woken.wait()
        except BaseException:
            if woken.is_set():
                self._wake()  # the key it was woken for is somebody else's now
            else:
                self._getters.remove(woken)
            raise
