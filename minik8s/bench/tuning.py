"""When the operations of a phase start: clusterloader2's tuning sets as pure functions.

`starts(count, rng)` are seconds after the phase's beginning (and its `initialDelay`), rising. A load that waits for
its own operations instead (`parallelismLimitedLoad`) says how many may be under way. Rates are open loops: the next
operation does not wait for the last answer, so that a slow server cannot make its own load lighter; what starts late
all the same is counted by the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from random import Random
from typing import Final, Protocol

import attrs

HIGHEST_QPS: Final = 100_000.0
"""A second; beyond it no clock of ours tells two starts apart."""


class Load(Protocol):
    """One kind of load. `parallelism` 0 lets the engine use as many workers as it has."""

    @property
    def parallelism(self) -> int: ...

    def starts(self, count: int, rng: Random) -> Iterator[float]: ...


@attrs.frozen
class QpsLoad:
    """An operation every 1/qps seconds."""

    qps: float
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return (index / self.qps for index in range(count))


@attrs.frozen
class RandomizedLoad:
    """Pauses drawn evenly from [0, 2/averageQps)."""

    average_qps: float
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        at = 0.0
        for _ in range(count):
            yield at
            at += rng.uniform(0.0, 2 / self.average_qps)


@attrs.frozen
class SteppedLoad:
    """`burst_size` operations at once, every `step_delay` seconds."""

    burst_size: int
    step_delay: float
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return (index // self.burst_size * self.step_delay for index in range(count))


@attrs.frozen
class TimeLimitedLoad:
    """Evenly over `time_limit` seconds."""

    time_limit: float
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return (index * self.time_limit / count for index in range(count))


@attrs.frozen
class RandomizedTimeLimitedLoad:
    """Each at a moment of its own, drawn evenly from `time_limit` seconds."""

    time_limit: float
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return iter(sorted(rng.uniform(0.0, self.time_limit) for _ in range(count)))


@attrs.frozen
class ParallelismLimitedLoad:
    """As fast as it goes with so many under way."""

    parallelism: int

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return repeat(0.0, count)


@attrs.frozen
class GlobalQpsLoad:
    """One token bucket for all phases that use it: `qps` on average, `burst` at once."""

    qps: float
    burst: int
    parallelism: int = 0

    def starts(self, count: int, rng: Random) -> Iterator[float]:
        return (max(0, index - self.burst + 1) / self.qps for index in range(count))


@attrs.define
class Bucket:
    """The state of a `GlobalQpsLoad`: when each next operation of anybody may start."""

    load: GlobalQpsLoad
    _full_at: float = 0.0

    def reserve(self, now: float) -> float:
        """Takes a token; the moment, `now` or later, from which it may be used."""
        self._full_at = max(self._full_at, now) + 1 / self.load.qps
        return max(now, self._full_at - self.load.burst / self.load.qps)


@attrs.frozen
class TuningSet:
    """A named load; `initial_delay` in seconds passes before its first operation."""

    name: str
    load: Load
    initial_delay: float = 0.0
