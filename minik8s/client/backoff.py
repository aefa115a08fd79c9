"""Waiting longer after each failure, with jitter so that those who failed together do not return together."""

from __future__ import annotations

from random import Random

import attrs


def exponential(failures: int, base: float, cap: float) -> float:
    """Seconds to wait after so many failures in a row: `base` after the first, doubled with each, up to `cap`."""
    return min(base * 2.0 ** min(failures - 1, 32), cap)


@attrs.define
class Backoff:
    """Delays in seconds: `initial`, doubled each time up to `cap`, each lengthened by up to its own half."""

    rng: Random
    initial: float = 0.05
    cap: float = 30.0
    failures: int = 0

    def next(self) -> float:
        self.failures += 1
        return exponential(self.failures, self.initial, self.cap) * (1 + self.rng.random() / 2)

    def reset(self) -> None:
        self.failures = 0
