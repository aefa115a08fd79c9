"""Virtual time: a clock that passes over the waits, and tells when there is nothing left to do but wait.

Both need the same vantage point: the moment in which an event loop, having run everything that was ready, is about to
sleep until its next timer or the next byte. A `VirtualClock` stands there by wrapping the running loop's selector.
While it is `jumping`, time stands still while code runs and moves to the next timer instead of sleeping, so that the
same run takes the same times; otherwise time flows as it does. It never jumps while a worker thread is at work.
anyio's deadlines, `call_later` and `sleep` all follow the loop's time, so they agree with the clock. When the hook is
taken away, the loop keeps the time that it has reached.

A clock without virtual time (`RealClock`) has idle moments too: `idle` works with any of them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from itertools import groupby
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

import anyio.to_thread
import attrs

from minik8s.clock import TimerHandle

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When virtual time begins where nobody outside is to believe in it."""
_TURNS = 1024
"""Turns of a loop that never rests between two looks at the time."""
_THREAD_POLL = 0.05
"""Seconds for which the loop really sleeps, at most, while a thread works."""


_GRID = 2.0**20
"""Steps a second: virtual times are multiples of about a microsecond.

Sums and differences of such floats are exact, so that a run does not depend on what the loop's time was at its start.
"""


def _on_grid(seconds: float) -> float:
    return math.ceil(seconds * _GRID) / _GRID


class NoHook(RuntimeError):
    """The running loop cannot be watched: it is not one of asyncio's own selector loops."""


class NeverIdle(TimeoutError):
    """The loop always had something to run; `tasks` are the names of those whose turn it was in the end."""

    def __init__(self, tasks: list[str]) -> None:
        super().__init__(f"the event loop is never idle; running: {', '.join(tasks) or 'callbacks'}")
        self.tasks = tasks


def _is_task(handle: Any) -> bool:
    """Whether a handle is a task's turn."""
    return isinstance(getattr(handle._callback, "__self__", None), asyncio.Task)


@attrs.define(eq=False)
class Limit:
    """What somebody bears while `Hook.limited` lasts.

    waiting     virtual seconds that may be passed over because everybody waits
    busy        real seconds in which time may stand still because somebody always has something to do
    exceeded    called, once, with the names of the tasks that had their turn in the end; none when it was `waiting`
    """

    waiting: float
    busy: float
    exceeded: Callable[[list[str]], None]
    over: bool = False
    rested: float = attrs.field(factory=time.monotonic)
    """When there was last nothing to do; `turns` counts the loop's since then: a debugger's pause is one."""
    turns: int = 0

    def passed(self, seconds: float) -> None:
        self.waiting -= seconds
        if self.waiting < 0:
            self._exceed([])

    def rest(self) -> None:
        self.rested, self.turns = time.monotonic(), 0

    def worked(self, tasks: Callable[[], list[str]]) -> None:
        self.turns += 1
        if self.turns % _TURNS == 0 and time.monotonic() - self.rested > self.busy:
            self._exceed(tasks() or ["callbacks"])

    def _exceed(self, tasks: list[str]) -> None:
        if not self.over:
            self.over = True
            self.exceeded(tasks)


class Hook:
    """Stands between a loop and its selector; made by `hook_of`, one a loop, and there while anybody needs it."""

    def __init__(self, loop: Any) -> None:
        if not hasattr(loop, "_selector") or not hasattr(loop, "_scheduled"):
            raise NoHook(f"virtual time and settle() need asyncio's own event loop, not {type(loop).__module__}'s")
        self.users = 0
        self.jumpers = 0
        self.outsiders = 0
        """Who is waited for and lives in real time: meanwhile it flows."""
        self.alone = False
        """Nobody outside will ever wake the loop: to wait without a timer is an error."""
        self.orders: list[Random] = []
        """Who draws the order of the tasks that are ready at once; nobody: that in which they became so."""
        self.limits: list[Limit] = []
        self._loop = loop
        self._inner: Any = loop._selector
        self._real: Callable[[], float] = loop.time
        self._base = self._since = self._real()
        self._slow: float = loop.slow_callback_duration
        """What a loop in debug mode would call slow, were the time that a step moves the time it takes."""
        self._waiters: list[tuple[asyncio.Future[None], float]] = []
        self._threads = anyio.to_thread.current_default_thread_limiter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def attach(self) -> None:
        self._loop._selector = self
        self._loop.time = self.time
        self._slow, self._loop.slow_callback_duration = self._loop.slow_callback_duration, math.inf

    def detach(self) -> None:
        """Goes away; the time that was jumped over has passed for this loop."""
        self._loop._selector = self._inner
        self._loop.slow_callback_duration = self._slow

    def time(self) -> float:
        if self.jumpers > 0 and not self.outsiders:  # it stands
            return self._base
        return self._base + self._real() - self._since

    @property
    def stands(self) -> bool:
        """Whether only jumps move time."""
        return self.jumpers > 0 and not self.outsiders

    @contextmanager
    def counting(self, *, jumpers: int = 0, outsiders: int = 0) -> Iterator[None]:
        """So many more want time to jump, or to flow, while the context lasts; who wants it to flow prevails."""
        self._count(jumpers, outsiders)
        try:
            yield
        finally:
            self._count(-jumpers, -outsiders)

    def _count(self, jumpers: int, outsiders: int) -> None:
        now = self.time()
        self.jumpers += jumpers
        self.outsiders += outsiders
        self._base, self._since = _on_grid(now) if self.stands else now, self._real()

    def jump(self, seconds: float) -> None:
        """Moves the loop's time forward."""
        self._base = _on_grid(self._base + seconds)

    @property
    def until_timer(self) -> float:
        """Seconds until the loop's next timer; infinity when none is set."""
        timers = self._loop._scheduled
        if timers and not timers[0].cancelled():  # as the loop leaves it when it goes to sleep
            return max(0.0, float(timers[0].when()) - self.time())
        return max(0.0, min((t.when() for t in timers if not t.cancelled()), default=math.inf) - self.time())

    def select(self, timeout: float | None = None) -> Any:
        """What the loop calls before each of its turns. `timeout` is 0 when something is ready to run; else nothing is,
        and it is the time to the next timer, or None for never."""
        if timeout == 0 and self.orders:
            self._shuffle(self.orders[-1])
        ready = self._inner.select(0)
        if ready or timeout == 0:
            if self._waiters:
                self._give_up()
            if self.limits and self.stands:
                for limit in self.limits:
                    limit.worked(self._running_tasks)
            return ready
        for limit in self.limits:
            limit.rest()
        if self._threads.borrowed_tokens:
            return self._inner.select(_THREAD_POLL if timeout is None else min(timeout, _THREAD_POLL))
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter, _ in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            return ready
        if self.stands and timeout is not None:
            self.jump(timeout)
            for limit in self.limits:
                limit.passed(timeout)
            return ready
        if self.alone and timeout is None:
            raise RuntimeError("everybody waits and no timer is set")
        return self._inner.select(timeout)

    @contextmanager
    def limited(self, limit: Limit) -> Iterator[None]:
        """Bounds what happens while the context lasts."""
        self.limits.append(limit)
        try:
            yield
        finally:
            self.limits.remove(limit)

    def _shuffle(self, order: Random) -> None:
        """Has tasks that are ready one behind the other change places.

        Callbacks stay where they are, and no task passes one: asyncio itself relies on their order.
        """
        ready = self._loop._ready
        if len(ready) < 2:
            return
        handles: list[Any] = []
        for is_task, run in groupby(ready, _is_task):
            together = list(run)
            if is_task:
                order.shuffle(together)
            handles += together
        ready.clear()
        ready.extend(handles)

    def _give_up(self) -> None:
        """Disappoints those who have waited too long for an idle moment."""
        now = time.monotonic()
        late = [waiter for waiter, deadline in self._waiters if deadline < now]
        self._waiters = [(waiter, deadline) for waiter, deadline in self._waiters if deadline >= now]
        for waiter in late:
            if not waiter.done():
                waiter.set_exception(NeverIdle(self._running_tasks()))

    def _running_tasks(self) -> list[str]:
        """The names of the tasks whose turn is next."""
        owners = (getattr(handle._callback, "__self__", None) for handle in self._loop._ready)
        return sorted({owner.get_name() for owner in owners if isinstance(owner, asyncio.Task)})

    async def idle(self, timeout: float) -> None:
        """Returns in the first moment in which nothing but timers and the outside world could wake anybody.

        Raises NeverIdle after `timeout` seconds of real time in which there was none.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append((waiter, time.monotonic() + timeout))
        await waiter


_hooks: WeakKeyDictionary[Any, Hook] = WeakKeyDictionary()


@contextmanager
def hooked() -> Iterator[Hook]:
    """The running loop's hook, for as long as the context lasts. Raises NoHook."""
    loop = asyncio.get_running_loop()
    hook = _hooks.get(loop)
    if hook is None:
        hook = _hooks[loop] = Hook(loop)
    if not hook.users:
        hook.attach()
    hook.users += 1
    try:
        yield hook
    finally:
        hook.users -= 1
        if not hook.users:
            hook.detach()


@contextmanager
def shuffled(order: Random) -> Iterator[None]:
    """Draws the order in which tasks that are ready at once get their turn, as long as the context lasts.

    Programs must not rely on that order: each one drawn is another schedule that could have been. Raises NoHook.
    """
    with hooked() as hook:
        hook.orders.append(order)
        try:
            yield
        finally:
            hook.orders.remove(order)


def wait_meant(seconds: float) -> None:
    """Says that a wait for so long is meant: no limit of the running loop counts it."""
    hook = _hooks.get(asyncio.get_running_loop())
    for limit in hook.limits if hook is not None else ():
        limit.waiting += seconds


class VirtualClock:
    """A `Clock` whose time can pass at once; it works inside `with clock.running()`.

    `start` is what it shows first. Several clocks of one loop share how fast time passes.
    """

    def __init__(self, start: datetime = EPOCH) -> None:
        self._start = start
        self._began = 0.0
        self._hook: Hook | None = None
        self._shown = (0.0, start)
        """What was shown last, and how long after the start: mostly time stands still."""

    @contextmanager
    def running(self, *, jumping: bool = True) -> Iterator[None]:
        """Takes hold of the running loop's time; with `jumping`, waits are passed over from now on. Raises NoHook."""
        with hooked() as hook:
            self._hook = hook
            try:
                with self.jumping() if jumping else nullcontext():
                    self._began = hook.time()
                    yield
            finally:
                self._hook = None

    @contextmanager
    def jumping(self) -> Iterator[None]:
        """Passes over waits while the context lasts."""
        with self._required().counting(jumpers=1):
            yield

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Passes over no wait while the context lasts: somebody outside is waited for."""
        with nullcontext() if self._hook is None else self._hook.counting(outsiders=1):
            yield

    @property
    def start(self) -> datetime:
        return self._start

    @start.setter
    def start(self, start: datetime) -> None:
        self._start = start
        self._shown = (-1.0, start)  # no time that can have passed

    def now(self) -> datetime:
        elapsed = self.elapsed
        if elapsed != self._shown[0]:
            self._shown = elapsed, self._start + timedelta(seconds=elapsed)
        return self._shown[1]

    def monotonic(self) -> float:
        """Also for those who look at a cluster whose loop stands still, as reports on failed tests do."""
        return self._hook.time() if self._hook is not None else asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, seconds), callback)

    @property
    def elapsed(self) -> float:
        """Seconds since `start`."""
        return self._hook.time() - self._began if self._hook is not None else 0.0

    async def advance(self, seconds: float, settle: Callable[[], Awaitable[None]]) -> None:
        """Lets time pass, timer by timer; `settle` is awaited before each jump: what is due gets its turn.

        Raises ValueError for a time that lies behind us.
        """
        if seconds < 0:
            raise ValueError(f"time cannot be turned back by {-seconds:g} s")
        hook = self._required()
        end = hook.time() + seconds
        while True:
            await settle()
            left = end - hook.time()
            if left <= 0:
                return
            hook.jump(min(left, hook.until_timer))

    def _required(self) -> Hook:
        if self._hook is None:
            raise RuntimeError("this clock does not run")
        return self._hook


async def idle(timeout: float) -> None:
    """`Hook.idle` of the running loop. Raises NeverIdle or NoHook."""
    with hooked() as hook:
        await hook.idle(timeout)
