"""Event, in both its versions: they are stored as one, so they share this strategy's rules.

An event with an `eventTime` is one of the newer kind and is held to more, in whichever version it is written; one that
is written through events.k8s.io/v1 must be of the newer kind and changes in nothing but its series.
Upstream: pkg/apis/core/validation/events.go, whose errors name core's fields in both versions.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.conversion import convert
from minik8s.api.resources import EVENTS
from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, microtime_text, reads, short_text, time_text
from minik8s.api.strategy import Holes
from minik8s.api.validation.common import named, unchanged
from minik8s.machinery import names
from minik8s.machinery.field import FieldErrors, invalid, required
from minik8s.machinery.meta import Doc

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_MAX_TEXT, _MAX_NOTE = 128, 1024
_UNSET = ("firstTimestamp", "lastTimestamp", "count")
_FIXED: tuple[
    tuple[str, str, Any], ...
] = (  # core's field, the name that errors give it, what an absent one looks like
    ("involvedObject", "involvedObject", None),
    ("reason", "reason", ""),
    ("message", "message", ""),
    ("source", "source", None),
    ("firstTimestamp", "firstTimestamp", None),
    ("lastTimestamp", "lastTimestamp", None),
    ("count", "count", 0),
    ("reason", "reason", ""),
    ("type", "type", ""),
    ("eventTime", "eventTime", None),
    ("action", "action", ""),
    ("related", "related", None),
    ("reportingComponent", "reportingController", ""),
    ("reportingInstance", "reportingInstance", ""),
)


def short_note(value: str) -> bool:
    """A message of at most 1024 bytes, however its characters are written."""
    return len(value) <= _MAX_NOTE // 4


class EventStrategy(KindStrategy):
    """What both versions have in common."""

    creates_on_update = True


class CoreEventStrategy(EventStrategy):
    """core/v1: lenient, for it is what old components write. Upstream: pkg/registry/core/event/strategy.go."""

    selectable: ClassVar[Selectable] = {
        **{f"involvedObject.{name}": reads("involvedObject", name) for name in _REFERENCE},
        "reason": reads("reason"),
        "reportingComponent": reads("reportingComponent"),
        "source": lambda event: (event.get("source") or {}).get("component") or event.get("reportingComponent", ""),
        "type": reads("type"),
    }
    indexed = ("involvedObject.uid", "involvedObject.name")
    holes: ClassVar[Holes] = {
        "": {
            "message": short_note,
            "firstTimestamp": time_text,
            "lastTimestamp": time_text,
            "reportingInstance": short_text,
        },
        "metadata": {"name": None},
        "involvedObject": {"name": None, "uid": None, "resourceVersion": None},
        "source": {"host": None},
    }

    def name_errors(self, name: str) -> list[str]:
        """Recorders name an event after its object, whose name may be anything that fits into a path."""
        return names.path_segment(name)

    def check(self, obj: Doc) -> Causes:
        return _any_event(obj)


class EventsV1Strategy(EventStrategy):
    """events.k8s.io/v1: strict."""

    selectable: ClassVar[Selectable] = {
        **{f"regarding.{name}": reads("regarding", name) for name in _REFERENCE},
        "reason": reads("reason"),
        "reportingController": reads("reportingController"),
        "type": reads("type"),
    }
    holes: ClassVar[Holes] = {
        "": {"note": short_note, "eventTime": microtime_text, "reportingInstance": short_text},
        "metadata": {"name": None},
        "regarding": {"name": None, "uid": None, "resourceVersion": None},
    }

    def validate_create(self, obj: Doc) -> FieldErrors:
        event = self._as_core(obj)
        return [*_any_event(event), *_series(event), *_new_event(event)]

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        event, before = self._as_core(obj), self._as_core(old)
        errors = list(_any_event(event))
        if event.get("series") != before.get("series"):
            errors += _series(event)
        for field, name, absent in _FIXED:
            errors += unchanged(event.get(field) or absent, before.get(field) or absent, name)
        return errors

    def _as_core(self, obj: Doc) -> Doc:
        core: Doc = convert({**obj, "apiVersion": self.resource.api_version, "kind": "Event"}, EVENTS)
        return core


def _any_event(event: Doc) -> Causes:
    """The rules of every event; those with an `eventTime` have more of them."""
    namespace = event["metadata"].get("namespace", "")
    involved = (event.get("involvedObject") or {}).get("namespace", "")
    if not event.get("eventTime"):
        if namespace != involved and (involved or namespace != "default"):
            yield invalid("involvedObject.namespace", involved, "does not match event.namespace")
        return
    if not involved and namespace not in ("default", "kube-system"):
        yield invalid("involvedObject.namespace", involved, "does not match event.namespace")
    controller = event.get("reportingComponent", "")
    if not controller:
        yield required("reportingController")
    yield from named(controller, "reportingController", names.qualified_name)
    for field in ("reportingInstance", "action", "reason"):
        if not event.get(field):
            yield required(field)
        yield from _at_most(event, field, _MAX_TEXT)
    yield from _at_most(event, "message", _MAX_NOTE)


def _at_most(event: Doc, field: str, limit: int) -> Causes:
    if len(event.get(field, "").encode()) > limit:
        yield invalid(field, "", f"can have at most {limit} characters")


def _series(event: Doc) -> Causes:
    if (series := event.get("series")) is None:
        return
    if series.get("count", 0) < 2:
        yield invalid("series.count", "", "should be at least 2")
    if not series.get("lastObservedTime"):
        yield required("series.lastObservedTime")


def _new_event(event: Doc) -> Causes:
    """What a new event must have and must leave to the older kind."""
    if not event.get("eventTime"):
        yield required("eventTime")
    if event.get("type") not in ("Normal", "Warning"):
        yield invalid("type", "", f"has invalid value: {event.get('type', '')}")
    for field in _UNSET:
        if event.get(field):
            yield invalid(field, "", "needs to be unset")
    source = event.get("source") or {}
    if source.get("component") or source.get("host"):
        yield invalid("source", "", "needs to be unset")
