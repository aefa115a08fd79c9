"""Columns of dynamic resource allocation."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import UNSET, age, dig
from minik8s.machinery.meta import Doc, name_of


def _named(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), age(obj, now)]


def _claim(obj: Doc, now: datetime) -> list[Any]:
    deleted, allocated = "deletionTimestamp" in obj["metadata"], dig(obj, "status", "allocation") is not None
    states = ["deleted"] if deleted else []
    if allocated:
        states += ["allocated", "reserved"] if dig(obj, "status", "reservedFor") else ["allocated"]
    elif not deleted:
        states.append("pending")
    return [name_of(obj), ",".join(states), age(obj, now)]


def _slice(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    node, pool = dig(spec, "nodeName", default=UNSET), dig(spec, "pool", "name", default="")
    return [name_of(obj), node, spec.get("driver", ""), pool, age(obj, now)]


_GROUP = "resource.k8s.io"

COLUMNS = {
    (_GROUP, "DeviceClass"): columns("Name:s/name, Age:s", _named),
    (_GROUP, "ResourceClaim"): columns("Name:s/name, State:s, Age:s", _claim),
    (_GROUP, "ResourceClaimTemplate"): columns("Name:s/name, Age:s", _named),
    (_GROUP, "ResourceSlice"): columns("Name:s/name, Node:s, Driver:s, Pool:s, Age:s", _slice),
}
