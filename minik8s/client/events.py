"""Recording events: a controller says what happened and goes on; writing it down happens in the background.

An event is never worth failing or waiting for: the queue is bounded, what the server refuses is dropped, and
`correlation.py` keeps a source that repeats itself from flooding the API. client-go `tools/record` is the counterpart,
and `tools/events` for the recorders of `events_v1`: upstream's scheduler writes events.k8s.io/v1, which have an action,
may name a second object, and count by series; everybody else writes core/v1.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from random import Random
from socket import gethostname
from typing import Any, Literal

import anyio
import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import EVENTS, EVENTS_V1
from minik8s.client.client import Client
from minik8s.client.correlation import Correlated, Correlator, cut
from minik8s.client.series import FINISH_SECONDS, SeriesCorrelator
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj, rfc3339, rfc3339_micro
from minik8s.machinery.names import dns1123_subdomain, new_uid

EventKind = Literal["Normal", "Warning"]

QUEUE_LENGTH = 1000
"""Events that may wait to be written; client-go maxQueuedEvents."""
MAX_TRIES = 12
RETRY_SECONDS = 10.0
"""client-go maxTriesPerEvent and defaultSleepDuration, for when nobody answers."""

log = get_logger("minik8s.client.events")


@attrs.define
class EventStatistics:
    """Counters since the start. `dropped` found the queue full, `suppressed` were over their source's budget, or
    are only counted for now."""

    recorded: int = 0
    written: int = 0
    dropped: int = 0
    suppressed: int = 0
    refused: int = 0


class EventRecorder:
    """Records the events of one component (on one host)."""

    resource: Resource[Any] = EVENTS

    def __init__(self, recorders: Recorders, component: str, host: str, client: Client | None) -> None:
        self._recorders = recorders
        self._component = component
        self._host = host
        self._source = {"component": component, "host": host} if host else {"component": component}
        self.client = (client or recorders.client).as_agent(component)
        self.correlator: Correlator | SeriesCorrelator = Correlator()

    def event(
        self,
        obj: Doc,
        type: EventKind,
        reason: str,
        message: str,
        *,
        field_path: str = "",
        action: str = "",
        related: Doc | None = None,
    ) -> None:
        """Says that something happened to `obj`, an object or as much of one as names it. Never blocks or raises.

        `field_path` says to which part: `spec.containers{web}`; `action` what was being done, `related` for whom.
        """
        event = self._event(obj, type, reason, message, field_path)
        if action:
            event["action"] = action
        if related is not None:
            event["related"] = reference(related)
        self._recorders.enqueue(self, event)

    def _event(self, obj: Doc, type: EventKind, reason: str, message: str, field_path: str) -> Obj:
        about, when = reference(obj, field_path), self._recorders.clock.now()
        now = rfc3339(when)
        return {
            **self._head(about, when),
            "involvedObject": about,
            "reason": reason,
            "message": cut(message),
            "source": self._source,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }

    def _head(self, about: Doc, now: datetime) -> Obj:
        name, namespace = self._recorders.event_name(about.get("name", ""), now), about.get("namespace", "default")
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": self.resource.api_version, "kind": "Event", "metadata": metadata}


class EventsV1Recorder(EventRecorder):
    """Records events of events.k8s.io/v1, each of which has to have an `action`."""

    resource = EVENTS_V1

    def __init__(
        self, recorders: Recorders, component: str, correlator: SeriesCorrelator, client: Client | None
    ) -> None:
        super().__init__(recorders, component, gethostname(), client)
        self.correlator = correlator

    def _event(self, obj: Doc, type: EventKind, reason: str, message: str, field_path: str) -> Obj:
        about, when = reference(obj, field_path), self._recorders.clock.now()
        return {
            **self._head(about, when),
            "regarding": about,
            "reason": reason,
            "note": cut(message),
            "type": type,
            "eventTime": rfc3339_micro(when),
            "reportingController": self._component,
            "reportingInstance": f"{self._component}-{self._host}",
        }


class Recorders:
    """The event recorders of one cluster and the task that writes for them."""

    def __init__(self, client: Client, clock: Clock, rng: Random) -> None:
        self.client = client
        self.clock = clock
        self.statistics = EventStatistics()
        self._rng = rng
        self._queue: deque[tuple[EventRecorder, Obj]] = deque()
        self._wake = anyio.Event()
        self._writing = False
        self._series: list[tuple[EventRecorder, SeriesCorrelator]] = []
        self._open = anyio.Event()
        self._last_name = 0

    def recorder(self, component: str, host: str = "", client: Client | None = None) -> EventRecorder:
        """A recorder with a correlation memory of its own; it writes as the user of `client`."""
        return EventRecorder(self, component, host, client)

    def events_v1(self, component: str, client: Client | None = None) -> EventsV1Recorder:
        """One that writes events.k8s.io/v1."""
        correlator = SeriesCorrelator()
        recorder = EventsV1Recorder(self, component, correlator, client)
        self._series.append((recorder, correlator))
        return recorder

    def enqueue(self, recorder: EventRecorder, event: Obj) -> None:
        """Takes an event for writing, or drops it when too many wait."""
        if len(self._queue) >= QUEUE_LENGTH:
            self.statistics.dropped += 1
            return
        self.statistics.recorded += 1
        self._queue.append((recorder, event))
        if len(self._queue) == 1:
            self._wake.set()

    def event_name(self, about: str, now: datetime) -> str:
        """`<object>.<16 hex digits>`: nanoseconds of the clock, or one more than the last when time stands still."""
        self._last_name = max(int(now.timestamp() * 1_000_000) * 1000, self._last_name + 1)
        name = f"{about}.{self._last_name:x}"
        return new_uid(self._rng) if dns1123_subdomain(name) else name

    @property
    def idle(self) -> bool:
        """Whether every event that was recorded has been dealt with."""
        return not self._queue and not self._writing

    async def run(self) -> None:
        """Writes until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._count, name="event series")
            while True:
                while self._queue:
                    self._writing = True
                    try:
                        await self._handle(*self._queue.popleft())
                    finally:
                        self._writing = False
                self._wake = anyio.Event()
                await self._wake.wait()

    async def _count(self) -> None:
        """Writes what series have come to, as long as there are any."""
        while True:
            await self._open.wait()
            while any(correlator.open for _, correlator in self._series):
                await self.clock.sleep(FINISH_SECONDS)
                for recorder, correlator in self._series:
                    for correlated in correlator.tick(self.clock.monotonic()):
                        await self._try(recorder, correlated)
            self._open = anyio.Event()

    async def _handle(self, recorder: EventRecorder, event: Obj) -> None:
        correlated = recorder.correlator.correlate(event, self.clock.monotonic())
        if correlated is None:
            self.statistics.suppressed += 1
            return
        if "series" in correlated.event:
            self._open.set()
        await self._try(recorder, correlated)

    async def _try(self, recorder: EventRecorder, correlated: Correlated) -> None:
        event = correlated.event
        for _ in range(MAX_TRIES):
            try:
                await self._write(recorder.client, recorder.resource, correlated)
                self.statistics.written += 1
                return
            except ApiError as error:
                log.debug("event refused", reason=event["reason"], error=str(error))
                break
            except OSError as error:
                log.debug("event not written", reason=event["reason"], error=str(error))
                await self.clock.sleep(RETRY_SECONDS * self._rng.random())
        self.statistics.refused += 1

    async def _write(self, client: Client, resource: Resource[Any], correlated: Correlated) -> None:
        event = correlated.event
        if correlated.patch is not None:
            meta = event["metadata"]
            try:
                await client.patch(
                    resource, meta["name"], correlated.patch, namespace=meta["namespace"], type="strategic"
                )
                return
            except NotFound:
                pass  # it has outlived its hour: the count goes on in a new one
        await client.create(resource, event)


def reference(obj: Doc, field_path: str = "") -> dict[str, Any]:
    """The ObjectReference of an object (core/v1), empty parts left out."""
    meta = obj.get("metadata") or {}
    parts = {
        "kind": obj.get("kind"),
        "namespace": meta.get("namespace"),
        "name": meta.get("name"),
        "uid": meta.get("uid"),
        "apiVersion": obj.get("apiVersion"),
        "resourceVersion": meta.get("resourceVersion"),
        "fieldPath": field_path,
    }
    return {key: value for key, value in parts.items() if value}


def last_seen(event: Doc) -> str:
    """When an event (core/v1) of either kind happened last."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def times_seen(event: Doc) -> int:
    """How often an event (core/v1) of either kind has happened."""
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)
