"""Columns of PriorityClass."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age
from minik8s.machinery.meta import Doc, name_of


def _priority_class(obj: Doc, now: datetime) -> list[Any]:
    policy = obj.get("preemptionPolicy", "PreemptLowerPriority")
    return [name_of(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now), policy]


COLUMNS = {
    ("scheduling.k8s.io", "PriorityClass"): columns(
        "Name:s/name, Value:i, Global-Default:b, Age:s, PreemptionPolicy:s", _priority_class
    ),
}
