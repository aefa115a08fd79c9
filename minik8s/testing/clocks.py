"""Clocks for tests: one that a test moves by hand, and a loop whose time jumps to whatever comes next.

    clock = ManualClock()                        # nothing happens until clock.advance(3600)
    run_virtually(body)                          # body(clock): an hour's sleep returns at once, in the right order

`ManualClock` is for what is driven by calls; `run_virtually` for whole scenarios with their own tasks and timers, anyio
deadlines included. A loop in virtual time must not wait for processes or sockets: their time is not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import anyio

from minik8s.virtualtime import EPOCH, VirtualClock, hooked

__all__ = ["EPOCH", "LONGEST", "ManualClock", "run_virtually"]
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


def run_virtually(body: Callable[[VirtualClock], Coroutine[Any, Any, None]]) -> None:
    """Runs `body(clock)` in a loop whose waits take no time; raises TimeoutError when it takes a virtual day."""

    async def main() -> None:
        clock = VirtualClock()
        with hooked() as hook, clock.running():
            hook.alone = True
            with anyio.fail_after(LONGEST):
                await body(clock)

    anyio.run(main)
