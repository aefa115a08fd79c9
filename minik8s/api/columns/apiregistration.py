"""Columns of APIService."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age, dig
from minik8s.machinery.meta import Doc, find_condition, name_of


def _api_service(obj: Doc, now: datetime) -> list[Any]:
    service = dig(obj, "spec", "service")
    where = f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local"
    condition = find_condition(dig(obj, "status", "conditions"), "Available")
    available = "Unknown"
    if condition is not None:
        status = condition.get("status", "")
        available = status if status == "True" else f"{status} ({condition.get('reason', '')})"
    return [name_of(obj), where, available, age(obj, now)]


COLUMNS = {
    ("apiregistration.k8s.io", "APIService"): columns("Name:s/name, Service:s, Available:s, Age:s", _api_service),
}
