"""Event, in both its versions: they are stored as one, so they share this strategy's rules."""

from __future__ import annotations

from typing import ClassVar

from minik8s.api.strategies.kind import Causes, KindStrategy, Selectable, reads
from minik8s.api.validation.common import named
from minik8s.machinery import names
from minik8s.machinery.field import invalid, required
from minik8s.machinery.meta import Doc

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_NO_NAMESPACE = ("", "default", "kube-system")


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

    def name_errors(self, name: str) -> list[str]:
        """Recorders name an event after its object, whose name may be anything that fits into a path."""
        return names.path_segment(name)

    def check(self, obj: Doc) -> Causes:
        involved = (obj.get("involvedObject") or {}).get("namespace", "")
        yield from _same_namespace(obj, involved, "involvedObject.namespace")


def _same_namespace(obj: Doc, involved: str, path: str) -> Causes:
    """An event lives in its object's namespace; those of cluster-scoped objects in one of a few."""
    namespace = obj["metadata"].get("namespace", "")
    if (involved and involved != namespace) or (not involved and namespace not in _NO_NAMESPACE):
        yield invalid(path, involved, "does not match event.namespace")


class EventsV1Strategy(EventStrategy):
    """events.k8s.io/v1: strict. Upstream: pkg/apis/core/validation/events.go."""

    selectable: ClassVar[Selectable] = {
        **{f"regarding.{name}": reads("regarding", name) for name in _REFERENCE},
        "reason": reads("reason"),
        "reportingController": reads("reportingController"),
        "type": reads("type"),
    }

    def check(self, obj: Doc) -> Causes:
        involved = (obj.get("regarding") or {}).get("namespace", "")
        yield from _same_namespace(obj, involved, "involvedObject.namespace")
        if not obj.get("eventTime"):
            yield required("eventTime")
        yield from _limited(obj, "reportingController", 128)
        if controller := obj.get("reportingController"):
            yield from named(controller, "reportingController", names.qualified_name)
        yield from _limited(obj, "reportingInstance", 128)
        yield from _limited(obj, "action", 128)
        yield from _limited(obj, "reason", 128)
        if len(obj.get("note", "").encode()) > 1024:
            yield invalid("message", "", "can have at most 1024 characters")
        if obj.get("type") not in ("Normal", "Warning"):
            yield invalid("type", "", f"has invalid value: {obj.get('type', '')}")


def _limited(obj: Doc, field: str, limit: int) -> Causes:
    value = obj.get(field, "")
    if not value:
        yield required(field)
    elif len(value) > limit:
        yield invalid(field, "", f"can have at most {limit} characters")
