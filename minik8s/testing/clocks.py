"""Clocks for tests: one that a test moves by hand, and a loop whose time jumps to whatever comes next.

    clock = ManualClock()                        # nothing happens until clock.advance(3600)
    run_virtually(body)                          # body(clock): an hour's sleep returns at once, in the right order

`ManualClock` is for what is driven by calls; `run_virtually` for whole scenarios with their own tasks and timers, anyio
deadlines included. A loop in virtual time must not wait for processes or sockets: their time is not its own.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio

from minik8s.clock import TimerHandle

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When time begins, on either clock."""
_LOOP_START = 1000.0
LONGEST = 86400.0
"""Virtual seconds after which a body counts as hanging."""


class ManualTimer:
    """A call that waits for `ManualClock.advance`."""

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due, self.callback = due, callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualClock:
    """A `Clock` that stands still until a test moves it. `elapsed` is in seconds since EPOCH."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._timers: list[ManualTimer] = []

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return self.elapsed

    async def sleep(self, seconds: float) -> None:
        woken = anyio.Event()
        timer = self.call_later(seconds, woken.set)
        try:
            await woken.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> ManualTimer:
        timer = ManualTimer(self.elapsed + max(0.0, seconds), callback)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Lets time pass, with everything that falls due in it, in order."""
        end = self.elapsed + seconds
        while due := [timer for timer in self._live() if timer.due <= end]:
            timer = min(due, key=lambda timer: timer.due)
            self.elapsed = max(self.elapsed, timer.due)
            self._timers.remove(timer)
            timer.callback()
        self.elapsed = end

    @property
    def pending(self) -> int:
        """How many calls wait."""
        return len(self._live())

    def _live(self) -> list[ManualTimer]:
        self._timers = [timer for timer in self._timers if not timer.cancelled]
        return self._timers


class _JumpingSelector(selectors.DefaultSelector):
    """Never sleeps: what it should have waited passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.time = _LOOP_START

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("everybody waits and no timer is set")
            self.time += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.time


class LoopClock:
    """The running loop's time as a `Clock`: in a `VirtualLoop` it is virtual and begins with EPOCH."""

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)

    @property
    def elapsed(self) -> float:
        """Seconds since EPOCH."""
        return self.monotonic() - _LOOP_START


def run_virtually(body: Callable[[LoopClock], Coroutine[Any, Any, None]]) -> None:
    """Runs `body(clock)` in a loop whose waits take no time; raises TimeoutError when it takes a virtual day."""

    async def main() -> None:
        with anyio.fail_after(LONGEST):
            await body(LoopClock())

    anyio.run(main, backend_options={"loop_factory": VirtualLoop})
