"""Which events of events.k8s.io/v1 become objects, decided without I/O: client-go's `tools/events`.

Events are the same if all but their note and time is: the second one makes a series of the first, whose count is
written then, every half hour and when the series has ended, six minutes after its last event. What is between stays in
memory, so that who fails for ever costs a write in half an hour.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import attrs

from minik8s.client.correlation import MAX_CACHED, Correlated
from minik8s.machinery.meta import Doc, Obj

FINISH_SECONDS = 360.0
REFRESH_TICKS = 5
"""finishTime, and refreshTime in units of it."""


@attrs.define
class _Seen:
    """The first event of its kind, and what came after: `count` is 1 until a series begins, then the series' own."""

    event: Obj
    last: float
    observed: str
    count: int = 1


class SeriesCorrelator:
    """The memory of one event source."""

    def __init__(self) -> None:
        self._seen: OrderedDict[int, _Seen] = OrderedDict()
        self._ticks = 0

    @property
    def open(self) -> bool:
        """Whether there is a series whose count has yet to be written."""
        return any(seen.count > 1 for seen in self._seen.values())

    def correlate(self, event: Obj, now: float) -> Correlated | None:
        """`now` in seconds of any monotonic clock. None when there is nothing to write yet."""
        key = _key(event)
        seen = self._seen.get(key)
        if seen is None or (seen.count == 1 and now - seen.last > FINISH_SECONDS):
            self._seen[key] = _Seen(event, now, event["eventTime"])
            self._seen.move_to_end(key)
            if len(self._seen) > MAX_CACHED:
                self._seen.popitem(last=False)
            return Correlated(event, None)
        seen.count += 1
        seen.last, seen.observed = now, event["eventTime"]
        return _series(seen) if seen.count == 2 else None

    def tick(self, now: float) -> Iterator[Correlated]:
        """To be called every FINISH_SECONDS while a series is open: the counts to write."""
        self._ticks += 1
        for key, seen in list(self._seen.items()):
            over = now - seen.last >= FINISH_SECONDS
            if over:
                del self._seen[key]
            if seen.count > 1 and (over or self._ticks % REFRESH_TICKS == 0):
                yield _series(seen)


def _series(seen: _Seen) -> Correlated:
    patch = {"series": {"count": seen.count, "lastObservedTime": seen.observed}}
    return Correlated({**seen.event, **patch}, patch)


def _key(event: Doc) -> int:
    """A hash: there may be thousands of them, of which hardly any is seen again."""
    related = event.get("related") or {}
    names = ("type", "action", "reason", "reportingController", "reportingInstance")
    parts = (tuple(sorted(part.items())) for part in (event["regarding"], related))
    return hash((*(event.get(name) for name in names), *parts))
