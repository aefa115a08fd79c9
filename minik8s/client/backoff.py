"""Waiting longer after each failure, with jitter so that those who failed together do not return together."""

from __future__ import annotations

from random import Random

import attrs


@attrs.define
class Backoff:
    """Delays in seconds: `initial`, doubled each time up to `cap`, each lengthened by up to its own half."""

    rng: Random
    initial: float = 0.05
    cap: float = 30.0
    failures: int = 0

    def next(self) -> float:
        delay = min(self.initial * 2 ** min(self.failures, 32), self.cap)
        self.failures += 1
        return delay * (1 + self.rng.random() / 2)

    def reset(self) -> None:
        self.failures = 0
