"""Progress of a benchmark on a terminal.

It draws when it is told of progress, a few times a second, instead of from a thread of its own: that one would take its
turns from what is being measured.
"""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from minik8s.clock import RealClock

PERIOD = 0.25
"""Seconds between two drawings."""


class Bars:
    """`bench.world.Progress` on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
        self._clock = RealClock()
        self._drawn = 0.0
        self._task = self._bars.add_task("", total=None)
        self._bars.start()

    def step(self, name: str, total: int) -> None:
        self._bars.reset(self._task, total=total or None, description=name)
        self._draw(now=True)

    def advance(self, done: int = 1) -> None:
        self._bars.advance(self._task, done)
        self._draw()

    def say(self, text: str) -> None:
        self._bars.update(self._task, description=text)
        self._draw()

    def close(self) -> None:
        self._bars.stop()

    def _draw(self, *, now: bool = False) -> None:
        if now or self._clock.monotonic() - self._drawn >= PERIOD:
            self._drawn = self._clock.monotonic()
            self._bars.refresh()
