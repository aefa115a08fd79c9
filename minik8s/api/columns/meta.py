"""Columns that belong to no kind in particular: the default ones, Scale and Status."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age, dig
from minik8s.machinery.meta import Doc, name_of


def _default(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), obj["metadata"].get("creationTimestamp")]


def _scale(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), dig(obj, "spec", "replicas", default=0), dig(obj, "status", "replicas", default=0),
            age(obj, now)]  # fmt: skip


def _status(obj: Doc, now: datetime) -> list[Any]:
    return [obj.get("status", ""), obj.get("reason", ""), obj.get("message", "")]


DEFAULT = columns("Name:s/name, Created At:d", _default)
SCALE = columns("Name:s, Desired:i, Available:i, Age:s", _scale)
STATUS = columns("Status:s, Reason:s, Message:s", _status)

COLUMNS = {("autoscaling", "Scale"): SCALE, ("", "Status"): STATUS}
