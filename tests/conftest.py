"""What every test shares."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, the only loop the project supports."""
    return "asyncio"


class JumpingSelector(selectors.DefaultSelector):
    """Never sleeps: what it should have waited passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is not None:
            self.time += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.jumping.time


class LoopClock:
    """The loop's time as the cluster's; it begins with the year 2026."""

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.monotonic() - 1000.0)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)


@pytest.fixture
def virtual() -> Callable[[Callable[[LoopClock], Coroutine[Any, Any, None]]], None]:
    """Runs `body(clock)` in a loop whose waits take no time; a body that hangs for a virtual day fails."""

    def run(body: Callable[[LoopClock], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            with anyio.fail_after(86400):
                await body(LoopClock())

        anyio.run(main, backend_options={"loop_factory": JumpingLoop})

    return run
