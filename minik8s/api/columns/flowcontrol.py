"""Columns of API priority and fairness."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.meta import Doc, find_condition, name_of


def _flow_schema(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    dangling = find_condition(dig(obj, "status", "conditions"), "Dangling") or {}
    return [
        name_of(obj), dig(spec, "priorityLevelConfiguration", "name", default=""), spec.get("matchingPrecedence", 0),
        dig(spec, "distinguisherMethod", "type", default=NONE), age(obj, now), dangling.get("status", "?"),
    ]  # fmt: skip


def _priority_level(obj: Doc, now: datetime) -> list[Any]:
    spec = obj.get("spec") or {}
    level = spec.get("limited") or spec.get("exempt") or {}
    queuing = dig(level, "limitResponse", "queuing", default={})
    queues = [queuing.get(member, NONE) for member in ("queues", "handSize", "queueLengthLimit")]
    return [name_of(obj), spec.get("type", ""), level.get("nominalConcurrencyShares", NONE), *queues, age(obj, now)]


_GROUP = "flowcontrol.apiserver.k8s.io"

COLUMNS = {
    (_GROUP, "FlowSchema"): columns(
        "Name:s/name, PriorityLevel:s, MatchingPrecedence:s, DistinguisherMethod:s, Age:s, MissingPL:s", _flow_schema
    ),
    (_GROUP, "PriorityLevelConfiguration"): columns(
        "Name:s/name, Type:s, NominalConcurrencyShares:s, Queues:s, HandSize:s, QueueLengthLimit:s, Age:s",
        _priority_level,
    ),
}
