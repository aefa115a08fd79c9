"""How long those who are refused should stay away: longer while many are. Pure.

Upstream: apiserver `pkg/util/flowcontrol/dropped_requests_tracker.go`: in the manner of TCP, doubled when three were
refused for each second of it, and a second less when fewer than one was.
"""

from __future__ import annotations

from collections import deque
from typing import Final

LONGEST: Final = 32
"""Seconds."""


class RetryAfter:
    """The refusals of one priority level; `seconds` is what to tell the next."""

    def __init__(self) -> None:
        self.seconds = 1
        self._history: deque[tuple[int, int]] = deque()
        self._second, self._count = 0, 0
        self._raised = 0

    def refused(self, second: int) -> None:
        """Counts one, in this second since the epoch."""
        if second == self._second:
            self._count += 1
            return
        self._history.append((self._second, self._count))
        while self._history and self._second - self._history[0][0] > LONGEST:
            self._history.popleft()
        self._second, self._count = second, 1
        self._adjust(second)

    def _adjust(self, second: int) -> None:
        lately = sum(count for at, count in self._history if second - self.seconds <= at < second)
        if second - self._raised >= self.seconds and lately >= 3 * self.seconds:
            self.seconds = min(LONGEST, self.seconds * 2)
            self._raised = second
        elif lately < self.seconds and self.seconds > 1:
            self.seconds -= 1
