"""Columns of Event, which core/v1 and events.k8s.io/v1 spell differently."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import dig, since
from minik8s.machinery.meta import Doc, name_of


def _either(obj: Doc, *names: str) -> Any:
    """The first of several spellings of a field that has a value."""
    return next((obj[name] for name in names if obj.get(name)), None)


def _source(obj: Doc) -> str:
    source = _either(obj, "source", "deprecatedSource") or {}
    component = source.get("component") or _either(obj, "reportingComponent", "reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _event(obj: Doc, now: datetime) -> list[Any]:
    about = _either(obj, "involvedObject", "regarding") or {}
    target = about.get("kind", "").lower() + (f"/{about['name']}" if about.get("name") else "")
    first = _either(obj, "firstTimestamp", "deprecatedFirstTimestamp") or obj.get("eventTime")
    last = dig(obj, "series", "lastObservedTime") or _either(obj, "lastTimestamp", "deprecatedLastTimestamp") or first
    count = dig(obj, "series", "count") or _either(obj, "count", "deprecatedCount") or 1
    message = _either(obj, "message", "note") or ""
    return [
        since(last, now), obj.get("type", ""), obj.get("reason", ""), target, about.get("fieldPath", ""),
        _source(obj), message.strip(), since(first, now), count, name_of(obj),
    ]  # fmt: skip


_EVENT = columns(
    "Last Seen:s, Type:s, Reason:s, Object:s, Subobject:s+, Source:s+, Message:s, First Seen:s+, Count:s+, "
    "Name:s/name+",
    _event,
)
COLUMNS = {("", "Event"): _EVENT, ("events.k8s.io", "Event"): _EVENT}
