"""Columns of PodDisruptionBudget."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age, dig
from minik8s.machinery.meta import Doc, name_of


def _budget(obj: Doc, now: datetime) -> list[Any]:
    minimum = dig(obj, "spec", "minAvailable", default="N/A")
    maximum = dig(obj, "spec", "maxUnavailable", default="N/A")
    return [name_of(obj), str(minimum), str(maximum), dig(obj, "status", "disruptionsAllowed", default=0),
            age(obj, now)]  # fmt: skip


COLUMNS = {
    ("policy", "PodDisruptionBudget"): columns(
        "Name:s/name, Min Available:s, Max Unavailable:s, Allowed Disruptions:i, Age:s", _budget
    ),
}
