"""The only place that asks for the time or sleeps.

Everything else is handed a `Clock`. That is what lets a virtual clock stand in for the real one: code that
called `time.time()` would live in another time than the cluster it belongs to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any, Protocol


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


def process_started() -> float:
    """When this process was, in seconds since the epoch: what monitoring compares. Until it waits, CPU time is time."""
    return _STARTED


_STARTED = time.time() - time.process_time()


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


def waiting_outside(clock: Clock) -> AbstractContextManager[None]:
    """While its context lasts somebody outside is waited for, who lives in real time: no clock passes over that."""
    flowing: Callable[[], AbstractContextManager[None]] | None = getattr(clock, "outside", None)
    return nullcontext() if flowing is None else flowing()


class Timers:
    """Calls at some time to come, by name: a new one takes the place of the one of that name."""

    __slots__ = ("_clock", "_handles")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._handles: dict[str, TimerHandle] = {}

    def set(self, name: str, seconds: float, callback: Callable[[], object]) -> None:
        """Calls back in so many seconds, at once for a time that has passed."""
        if handle := self._handles.pop(name, None):
            handle.cancel()
        self._handles[name] = self._clock.call_later(max(0.0, seconds), callback)

    def cancel(self) -> None:
        """No call comes any more."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()


class Deadline:
    """Awaits a coroutine for at most `seconds` of a clock; raises TimeoutError when it is not done by then.

    It is for work that hardly ever waits: the coroutine is started at once, and only if it suspends is there a timer,
    so that all others pay nothing. The task is cancelled as a whole, because the work may have entered scopes of its
    own before it waited, and a scope of ours would then lie inside of them.
    """

    def __init__(self, clock: Clock, seconds: float, work: Coroutine[Any, Any, None]) -> None:
        self._clock, self._seconds, self._work = clock, seconds, work
        self._expired = False

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        try:
            waiting = next(steps)
        except StopIteration:
            return
        task = asyncio.current_task()
        assert task is not None
        before = task.cancelling()
        timer = self._clock.call_later(self._seconds, lambda: self._expire(task))
        try:
            yield from go_on(steps, waiting)
        except asyncio.CancelledError:
            if self._expired and task.uncancel() <= before:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()

    def _expire(self, task: asyncio.Task[Any]) -> None:
        self._expired = True
        task.cancel()


def go_on(steps: Generator[Any, Any, None], waiting: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that has been started and waits for something."""
    while True:
        try:
            yield waiting
            break
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:
            try:
                waiting = steps.throw(error)
            except StopIteration:
                return
    yield from steps
