"""Columns of RuntimeClass."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age
from minik8s.machinery.meta import Doc, name_of


def _runtime_class(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), obj.get("handler", ""), age(obj, now)]


COLUMNS = {("node.k8s.io", "RuntimeClass"): columns("Name:s/name, Handler:s, Age:s", _runtime_class)}
