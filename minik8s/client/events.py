"""Recording events: a controller says what happened and goes on; writing it down happens in the background.

An event is never worth failing or waiting for: the queue is bounded, what the server refuses is dropped, and
`correlation.py` keeps a source that repeats itself from flooding the API. client-go `tools/record` is the
counterpart; events are core/v1 ones.
"""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any, Literal

import anyio
import attrs

from minik8s.api.resources import EVENTS
from minik8s.client.client import Client
from minik8s.client.correlation import Correlated, Correlator, cut
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj, rfc3339
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
    """Counters since the start. `dropped` found the queue full, `suppressed` were over their source's budget."""

    recorded: int = 0
    written: int = 0
    dropped: int = 0
    suppressed: int = 0
    refused: int = 0


class EventRecorder:
    """Records the events of one component (on one host)."""

    def __init__(self, recorders: Recorders, component: str, host: str, client: Client | None) -> None:
        self._recorders = recorders
        self._component = component
        self._host = host
        self.client = (client or recorders.client).as_agent(component)
        self.correlator = Correlator()

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
        about = reference(obj, field_path)
        now = rfc3339(self._recorders.clock.now())
        source = {"component": self._component, "host": self._host}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": self._recorders.event_name(about.get("name", "")),
                "namespace": about.get("namespace", "default"),
            },
            "involvedObject": about,
            "reason": reason,
            "message": cut(message),
            "source": {key: value for key, value in source.items() if value},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "type": type,
            "eventTime": None,
            "reportingComponent": self._component,
            "reportingInstance": self._host,
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
        self._last_name = 0

    def recorder(self, component: str, host: str = "", client: Client | None = None) -> EventRecorder:
        """A recorder with a correlation memory of its own; it writes as the user of `client`."""
        return EventRecorder(self, component, host, client)

    def enqueue(self, recorder: EventRecorder, event: Obj) -> None:
        """Takes an event for writing, or drops it when too many wait."""
        if len(self._queue) >= QUEUE_LENGTH:
            self.statistics.dropped += 1
            return
        self.statistics.recorded += 1
        self._queue.append((recorder, event))
        self._wake.set()

    def event_name(self, about: str) -> str:
        """`<object>.<16 hex digits>`: nanoseconds of the clock, or one more than the last when time stands still."""
        self._last_name = max(int(self.clock.now().timestamp() * 1_000_000) * 1000, self._last_name + 1)
        name = f"{about}.{self._last_name:x}"
        return new_uid(self._rng) if dns1123_subdomain(name) else name

    @property
    def idle(self) -> bool:
        """Whether every event that was recorded has been dealt with."""
        return not self._queue and not self._writing

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            while self._queue:
                self._writing = True
                try:
                    await self._handle(*self._queue.popleft())
                finally:
                    self._writing = False
            self._wake = anyio.Event()
            await self._wake.wait()

    async def _handle(self, recorder: EventRecorder, event: Obj) -> None:
        correlated = recorder.correlator.correlate(event, self.clock.monotonic())
        if correlated is None:
            self.statistics.suppressed += 1
            return
        for _ in range(MAX_TRIES):
            try:
                await self._write(recorder.client, correlated)
                self.statistics.written += 1
                return
            except ApiError as error:
                log.debug("event refused", reason=event["reason"], error=str(error))
                break
            except OSError as error:
                log.debug("event not written", reason=event["reason"], error=str(error))
                await self.clock.sleep(RETRY_SECONDS * self._rng.random())
        self.statistics.refused += 1

    async def _write(self, client: Client, correlated: Correlated) -> None:
        event = correlated.event
        if correlated.patch is not None:
            meta = event["metadata"]
            try:
                await client.patch(
                    EVENTS, meta["name"], correlated.patch, namespace=meta["namespace"], type="strategic"
                )
                return
            except NotFound:
                pass  # it has outlived its hour: the count goes on in a new one
        await client.create(EVENTS, event)


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
