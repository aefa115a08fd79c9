"""A bounded history of changes that any number of readers walk at their own speed.

A reader is a position, not a buffer: a slow one costs nothing until history is trimmed past it. The log is a
list with a base offset; it is cut in half-history steps, so an append is amortised constant time.
"""

from __future__ import annotations

from bisect import bisect_right

import anyio

from minik8s.store.protocol import Change, Compacted, Revision


class ChangeLog:
    """Changes in order of revision. `floor` is the newest revision that has been forgotten."""

    def __init__(self, capacity: int, floor: Revision = 0) -> None:
        self.capacity = capacity
        self.floor = floor
        self.readers = 0
        self._changes: list[Change] = []
        self._revisions: list[Revision] = []
        self._base = 0
        self._waiting: list[anyio.Event] = []

    def __len__(self) -> int:
        return len(self._changes)

    def copy(self) -> ChangeLog:
        """A log with the same history and readers of its own, none so far."""
        copied = ChangeLog(self.capacity, self.floor)
        copied._changes, copied._revisions, copied._base = list(self._changes), list(self._revisions), self._base
        return copied

    def append(self, change: Change) -> None:
        self._changes.append(change)
        self._revisions.append(change.revision)
        if len(self._changes) > 2 * self.capacity:
            self._drop(len(self._changes) - self.capacity)
        if self._waiting:
            self.wake()

    def prepend(self, changes: list[Change], floor: Revision) -> None:
        """Adds history from before what is known: everything above `floor`. Readers stay where they are."""
        self._changes[:0] = changes
        self._revisions[:0] = [change.revision for change in changes]
        self._base -= len(changes)
        self.floor = floor

    def wake(self) -> None:
        """Lets every waiting reader look again."""
        waiting, self._waiting = self._waiting, []
        for event in waiting:
            event.set()

    def trim(self, through: Revision) -> None:
        """Forgets changes up to and including `through`."""
        self._drop(bisect_right(self._revisions, through))
        self.floor = max(self.floor, through)
        self.wake()

    def position(self, after: Revision) -> int:
        """Where a reader starts that has seen everything up to `after`; raises Compacted."""
        if after < self.floor:
            raise Compacted(after, self.floor)
        return self._base + bisect_right(self._revisions, after)

    def read(self, position: int) -> list[Change]:
        """What stands at and after `position`; raises Compacted when it was trimmed away."""
        if position < self._base:
            raise Compacted(self.floor - 1, self.floor)
        return self._changes[position - self._base :]

    def length_from(self, position: int) -> int:
        """How many changes stand at and after `position`."""
        return max(0, self._base + len(self._changes) - position)

    def since(self, revision: Revision) -> list[Change]:
        """All changes with a revision above `revision`; raises Compacted."""
        return self.read(self.position(revision))

    def waiter(self) -> anyio.Event:
        """An event that is set once something may have been appended, trimmed or closed."""
        event = anyio.Event()
        self._waiting.append(event)
        return event

    def _drop(self, count: int) -> None:
        if count <= 0:
            return
        self.floor = max(self.floor, self._revisions[count - 1])
        del self._changes[:count]
        del self._revisions[:count]
        self._base += count
