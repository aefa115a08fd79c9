"""Which events become objects, decided without I/O: client-go's event correlator.

Three stages, all with upstream's numbers (`tools/record/events_cache.go`): more than ten different messages of one
kind about one object within ten minutes become one combined event; an event that repeats raises the count of the
one that exists; and a source may write 25 events about an object at once and then one every five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, TypeVar

import attrs

from minik8s.machinery.meta import Obj

MAX_CACHED = 4096
AGGREGATE_AFTER = 10
AGGREGATE_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 300.0
COMBINED = "(combined from similar events): "
MAX_MESSAGE = 1024
"""Bytes; validation refuses longer ones."""

V = TypeVar("V")
Key = tuple[str, ...]


class _Recent(Generic[V]):
    """A dictionary that forgets what was not used for longest."""

    def __init__(self, size: int = MAX_CACHED) -> None:
        self._size = size
        self._values: OrderedDict[Key, V] = OrderedDict()

    def get(self, key: Key) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Key, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


@attrs.define
class _Aggregate:
    messages: tuple[str, ...]
    """The different ones, hardly ever more than one."""
    last: float


@attrs.define
class _Bucket:
    tokens: float
    filled: float


@attrs.define
class _Observed:
    name: str
    first: str
    count: int


@attrs.frozen
class Correlated:
    """What to write: `event` whole, or only `patch` when an event of its name should exist already."""

    event: Obj
    patch: Obj | None


class Correlator:
    """The memory of one event source."""

    def __init__(self) -> None:
        self._aggregates: _Recent[_Aggregate] = _Recent()
        self._observed: _Recent[_Observed] = _Recent()
        self._buckets: _Recent[_Bucket] = _Recent()

    def correlate(self, event: Obj, now: float) -> Correlated | None:
        """`now` in seconds of any monotonic clock. None when the source has used up its budget."""
        about = _object_key(event)
        event, key = self._aggregate(event, about, now)
        correlated = self._observe(event, key)
        return correlated if self._admit(about, now) else None

    def _aggregate(self, event: Obj, about: Key, now: float) -> tuple[Obj, Key]:
        group = (*about, event["type"], event["reason"])
        message = event["message"]
        record = self._aggregates.get(group)
        if record is None or now - record.last > AGGREGATE_SECONDS:
            record = _Aggregate((), now)
        if message not in record.messages:
            record.messages += (message,)
        record.last = now
        self._aggregates.put(group, record)
        if len(record.messages) < AGGREGATE_AFTER:
            return event, (*group, event["involvedObject"].get("fieldPath", ""), message)
        record.messages = record.messages[1:]
        return {**event, "message": cut(COMBINED + message)}, group

    def _observe(self, event: Obj, key: Key) -> Correlated:
        last = self._observed.get(key)
        if last is None:
            self._observed.put(key, _Observed(event["metadata"]["name"], event["firstTimestamp"], 1))
            return Correlated(event, None)
        last.count += 1
        patch = {"count": last.count, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
        metadata = {**event["metadata"], "name": last.name}
        return Correlated({**event, **patch, "metadata": metadata, "firstTimestamp": last.first}, patch)

    def _admit(self, key: Key, now: float) -> bool:
        bucket = self._buckets.get(key) or _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.filled) / REFILL_SECONDS)
        bucket.filled = now
        self._buckets.put(key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def cut(message: str) -> str:
    """The message in at most 1024 bytes."""
    encoded = message.encode(errors="replace")
    return message if len(encoded) <= MAX_MESSAGE else encoded[:MAX_MESSAGE].decode(errors="ignore")


def _object_key(event: dict[str, Any]) -> Key:
    get = event["involvedObject"].get
    return get("kind", ""), get("namespace", ""), get("name", ""), get("uid", ""), get("apiVersion", "")
