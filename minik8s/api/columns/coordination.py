"""Columns of Lease."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import age, dig
from minik8s.machinery.meta import Doc, name_of


def _lease(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), dig(obj, "spec", "holderIdentity", default=""), age(obj, now)]


COLUMNS = {("coordination.k8s.io", "Lease"): columns("Name:s/name, Holder:s, Age:s", _lease)}
