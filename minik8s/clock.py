"""The only place that asks for the time or sleeps.

Everything else is handed a `Clock`. That is what lets a virtual clock stand in for the real one: code that
called `time.time()` would live in another time than the cluster it belongs to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class TimerHandle(Protocol):
    """A call that has been scheduled and can be taken back."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time as the cluster sees it."""

    def now(self) -> datetime:
        """The wall-clock time, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Suspends the calling task; a negative or zero time still yields once."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        """Calls back from the running event loop after `seconds`; costs about a microsecond, no task."""
        ...


class RealClock:
    """The machine's clock and the running event loop's timers."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)
