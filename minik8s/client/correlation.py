"""Which events become objects, decided without I/O: client-go's event correlator.

Three stages, all with upstream's numbers (`tools/record/events_cache.go`): more than ten different messages of one
kind about one object within ten minutes become one combined event; an event that repeats raises the count of the
one that exists; and a source may write 25 events about an object at once and then one every five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import attrs

from minik8s.machinery.meta import Obj

MAX_CACHED = 4096
"""Objects; upstream remembers as many groups of events, and as many different events."""
MAX_OBSERVED = 256
"""Different events about one object whose count is remembered."""
AGGREGATE_AFTER = 10
AGGREGATE_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 300.0
COMBINED = "(combined from similar events): "
MAX_MESSAGE = 1024
"""Bytes; validation refuses longer ones."""

Key = tuple[str, ...]


@attrs.define(eq=False)
class _Group:
    """The events of one type and reason about an object, whatever they say."""

    messages: tuple[str, ...]
    """The different ones, hardly ever more than one."""
    last: float


@attrs.define(eq=False)
class _Observed:
    name: str
    first: str
    count: int


@attrs.define(eq=False)
class _About:
    """What there has been about one object: in one place, for there are as many of these as pods."""

    tokens: float
    filled: float
    groups: dict[Key, _Group] = attrs.field(factory=dict)
    observed: dict[Key, _Observed] = attrs.field(factory=dict)


@attrs.frozen(eq=False)
class Correlated:
    """What to write: `event` whole, or only `patch` when an event of its name should exist already."""

    event: Obj
    patch: Obj | None


class Correlator:
    """The memory of one event source: of the objects that it has had events about, the latest ones."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, _About] = OrderedDict()

    def correlate(self, event: Obj, now: float) -> Correlated | None:
        """`now` in seconds of any monotonic clock. None when the source has used up its budget."""
        about = self._about(_object_key(event), now)
        event, key = _aggregate(about, event, now)
        correlated = _observe(about, event, key)
        return correlated if _admit(about, now) else None

    def _about(self, key: Key, now: float) -> _About:
        known = self._known
        about = known.get(key)
        if about is None:
            about = known[key] = _About(BURST, now)
            if len(known) > MAX_CACHED:
                known.popitem(last=False)
        else:
            known.move_to_end(key)
        return about


def _aggregate(about: _About, event: Obj, now: float) -> tuple[Obj, Key]:
    kind = (event["type"], event["reason"])
    message = event["message"]
    group = about.groups.get(kind)
    if group is None or now - group.last > AGGREGATE_SECONDS:
        group = about.groups[kind] = _Group((), now)
    if message not in group.messages:
        group.messages += (message,)
    group.last = now
    if len(group.messages) < AGGREGATE_AFTER:
        return event, (*kind, event["involvedObject"].get("fieldPath", ""), message)
    group.messages = group.messages[1:]
    return {**event, "message": cut(COMBINED + message)}, kind


def _observe(about: _About, event: Obj, key: Key) -> Correlated:
    last = about.observed.get(key)
    if last is None:
        about.observed[key] = _Observed(event["metadata"]["name"], event["firstTimestamp"], 1)
        if len(about.observed) > MAX_OBSERVED:
            del about.observed[next(iter(about.observed))]
        return Correlated(event, None)
    last.count += 1
    patch = {"count": last.count, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
    metadata = {**event["metadata"], "name": last.name}
    return Correlated({**event, **patch, "metadata": metadata, "firstTimestamp": last.first}, patch)


def _admit(about: _About, now: float) -> bool:
    about.tokens = min(BURST, about.tokens + (now - about.filled) / REFILL_SECONDS)
    about.filled = now
    if about.tokens < 1:
        return False
    about.tokens -= 1
    return True


def cut(message: str) -> str:
    """The message in at most 1024 bytes."""
    if len(message) <= MAX_MESSAGE // 4:  # whatever its characters are
        return message
    encoded = message.encode(errors="replace")
    return message if len(encoded) <= MAX_MESSAGE else encoded[:MAX_MESSAGE].decode(errors="ignore")


def _object_key(event: dict[str, Any]) -> Key:
    get = event["involvedObject"].get
    return get("kind", ""), get("namespace", ""), get("name", ""), get("uid", ""), get("apiVersion", "")
