"""Priority levels as they are in use: each with its seats, its queues, and what is counted of its flows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from minik8s.apiserver.counting import Histogram
from minik8s.apiserver.flowcontrol.limits import Bounds, Demand, allocate, bounds
from minik8s.apiserver.flowcontrol.queueset import QueueSet, Shape
from minik8s.apiserver.flowcontrol.retryafter import RetryAfter
from minik8s.machinery.meta import Doc, name_of, uid_of

WAIT_SECONDS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0)
QUEUE_LENGTHS = (0.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


@attrs.define(eq=False)
class Counts:
    """What is counted of the requests that one flow schema sends to one level."""

    dispatched: int = 0
    executing: int = 0
    seats: int = 0
    """Of those executing."""
    waiting: int = 0
    waiting_seats: int = 0
    rejected: Counter[str] = attrs.field(factory=Counter)
    """By reason."""
    waits: dict[str, Histogram] = attrs.field(factory=dict)
    """Seconds in queues of those who stood in one, by whether they were carried out."""
    lengths: Histogram = attrs.field(factory=lambda: Histogram(QUEUE_LENGTHS))
    """Of the queues, as those saw them who stood in."""

    def begin(self, width: int) -> None:
        self.dispatched += 1
        self.executing += 1
        self.seats += width

    def end(self, width: int) -> None:
        self.executing -= 1
        self.seats -= width

    def waited(self, seconds: float, *, executed: bool) -> None:
        self.waits.setdefault("true" if executed else "false", Histogram(WAIT_SECONDS)).observe(seconds)


class Level:
    """One priority level. `retiring` is one that has been deleted and is not idle yet: what is in it ends as usual."""

    retiring = False
    bounds = Bounds(0, 0, 0, 1)
    current = 0
    """The seats it has now, by `Demand`; those of an exempt level are what others cannot have."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.uid = b""
        self.spec: Doc = {}
        self.exempt = False
        self.queues = QueueSet(Shape(), math.inf)
        self.demand = Demand(now)
        self.retry_after = RetryAfter()
        self.counts: dict[str, Counts] = {}
        """By flow schema."""

    def configure(self, level: Doc) -> None:
        """Takes over what the object says; those who wait in queues that there are no more go on waiting there."""
        self.uid, self.spec, self.retiring = uid_of(level).encode(), level["spec"], False
        self.exempt = self.spec["type"] == "Exempt"
        queuing = ((self.spec.get("limited") or {}).get("limitResponse") or {}).get("queuing")
        shape = (queuing["queues"], queuing["handSize"], queuing["queueLengthLimit"]) if queuing else ()
        self.queues.shape = Shape(*shape)

    def allow(self, seats: int, *, unlimited: bool) -> None:
        self.current = seats
        self.queues.limit = math.inf if self.exempt or unlimited else seats


class Levels:
    """The levels of one server, among which `total` seats are divided; 0 is as many as anybody asks for."""

    adjusted = 0.0
    """When the last period began."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.by_name: dict[str, Level] = {}

    def configure(self, documents: Iterable[Doc], now: float) -> None:
        """Takes over the objects that there are now."""
        wanted = {name_of(document): document for document in documents}
        for name, level in list(self.by_name.items()):
            if name not in wanted:
                level.retiring = True
                if level.queues.idle:
                    del self.by_name[name]
        for name, document in wanted.items():
            level = self.by_name.get(name) or Level(name, now)
            level.configure(document)
            self.by_name[name] = level
        self.divide(now)

    def divide(self, now: float) -> None:
        """Gives the levels their limits."""
        limits: Mapping[str, Bounds] = bounds({name: level.spec for name, level in self.by_name.items()}, self.total)
        for name, level in self.by_name.items():
            level.bounds = limits[name]
        self.adjust(now)

    def adjust(self, now: float) -> None:
        """Gives each level what it has use for; a new period begins."""
        levels = list(self.by_name.values())
        for level in levels:
            level.demand.settle(now)
        claims = [level.demand.claim(level.bounds) for level in levels]
        given = allocate(sum(level.bounds.nominal for level in levels), claims) if levels else []
        for level, seats in zip(levels, given, strict=True):
            level.allow(math.floor(seats + 0.5), unlimited=self.total == 0)
        self.adjusted = now

    def retire(self) -> bool:
        """Forgets those that have been deleted and are idle; whether there were any."""
        gone = [name for name, level in self.by_name.items() if level.retiring and level.queues.idle]
        for name in gone:
            del self.by_name[name]
        return bool(gone)
