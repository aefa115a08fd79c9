"""A moment that can only move closer: the end of a pod's grace period.

A second DELETE with a shorter grace, or a forced one, brings the end nearer while hooks and processes are already being
waited for, so every wait that the deadline bounds is moved with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Deadline:
    """Ends `seconds` from now, in the event loop's time."""

    def __init__(self, seconds: float) -> None:
        self._at = anyio.current_time() + seconds
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - anyio.current_time())

    def tighten(self, seconds: float) -> None:
        """Ends at the latest `seconds` from now; a later moment changes nothing."""
        self._at = min(self._at, anyio.current_time() + seconds)
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, self._at)

    @contextmanager
    def bound(self, *, at_least: float = 0) -> Iterator[anyio.CancelScope]:
        """Cancels its body at the deadline, but leaves it `at_least` so many seconds from now."""
        with anyio.CancelScope(deadline=max(self._at, anyio.current_time() + at_least)) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)
