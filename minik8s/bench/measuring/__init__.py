"""What does the measuring: one class for each of `methods.METHODS`, started and gathered by steps.

A measurement looks through caches and watches of its own, never through the client whose calls are measured. What it
keeps must not grow with what has passed: histograms, counters, and an entry for each object that is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minik8s.bench.expressions import Value
from minik8s.bench.results import Result, Verdict
from minik8s.bench.world import World


class Measurement:
    """One measurement of one run, between its start and its end."""

    method: str

    def __init__(self, world: World, identifier: str) -> None:
        self.world, self.identifier = world, identifier
        self.verdicts: list[Verdict] = []
        self._undo: list[Callable[[], None]] = []

    async def start(self, params: Mapping[str, Value]) -> None:
        """Begins."""

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        """Ends, and says what was found. Raises RunFailed when what it waits for does not come."""
        raise NotImplementedError

    def close(self) -> None:
        """Takes back everything that listens; more than once does no harm."""
        while self._undo:
            self._undo.pop()()

    def result(self, what: str, series: Sequence[Any], *, real: bool = False, note: str = "") -> Result:
        """A result in the cluster's time, or the machine's."""
        time = "real" if real else self.world.time
        return Result(self.identifier, self.method, what, time, series, note)


def measurement(method: str, world: World, identifier: str) -> Measurement:
    """A new measurement of a method that `METHODS` knows."""
    from minik8s.bench.measuring.registry import CLASSES

    return CLASSES[method](world, identifier)
