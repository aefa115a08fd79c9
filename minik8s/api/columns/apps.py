"""Columns of the workloads: apps, and core's ReplicationController, which is one of them in all but name."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.columns import render
from minik8s.api.columns.definition import columns
from minik8s.api.columns.render import NONE, age, dig
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, controller_of, name_of
from minik8s.machinery.selectors import LabelSelector


def _count(obj: Doc, *path: str) -> int:
    return dig(obj, *path, default=0)


def _pods(obj: Doc) -> tuple[str, str]:
    """The cells for the template's containers and images."""
    pod_spec = dig(obj, "spec", "template", "spec")
    return render.containers(pod_spec), render.images(pod_spec)


def _ready(obj: Doc) -> str:
    return f"{_count(obj, 'status', 'readyReplicas')}/{_count(obj, 'spec', 'replicas')}"


def _deployment(obj: Doc, now: datetime) -> list[Any]:
    try:
        selector = str(LabelSelector.from_object(dig(obj, "spec", "selector")))
    except BadRequest:
        selector = render.INVALID
    updated, available = _count(obj, "status", "updatedReplicas"), _count(obj, "status", "availableReplicas")
    return [name_of(obj), _ready(obj), updated, available, age(obj, now), *_pods(obj), selector]


def _replicas(obj: Doc, now: datetime) -> list[Any]:
    """The cells that ReplicaSet and ReplicationController share."""
    counts = [("spec", "replicas"), ("status", "replicas"), ("status", "readyReplicas")]
    return [name_of(obj), *(_count(obj, *path) for path in counts), age(obj, now), *_pods(obj)]


def _replica_set(obj: Doc, now: datetime) -> list[Any]:
    return [*_replicas(obj, now), render.selector(dig(obj, "spec", "selector"))]


def _replication_controller(obj: Doc, now: datetime) -> list[Any]:
    return [*_replicas(obj, now), render.labels(dig(obj, "spec", "selector"))]


def _stateful_set(obj: Doc, now: datetime) -> list[Any]:
    return [name_of(obj), _ready(obj), age(obj, now), *_pods(obj)]


_DAEMON_COUNTS = (
    "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
)  # fmt: skip


def _daemon_set(obj: Doc, now: datetime) -> list[Any]:
    return [
        name_of(obj), *(_count(obj, "status", field) for field in _DAEMON_COUNTS),
        render.labels(dig(obj, "spec", "template", "spec", "nodeSelector")), age(obj, now), *_pods(obj),
        render.selector(dig(obj, "spec", "selector")),
    ]  # fmt: skip


def _revision(obj: Doc, now: datetime) -> list[Any]:
    owner = controller_of(obj)
    controller = NONE
    if owner is not None:
        group, slash, _ = owner["apiVersion"].partition("/")
        kind = owner["kind"].lower()
        controller = f"{kind}.{group}/{owner['name']}" if slash else f"{kind}/{owner['name']}"
    return [name_of(obj), controller, obj.get("revision", 0), age(obj, now)]


_REPLICAS = "Name:s/name, Desired:i, Current:i, Ready:i, Age:s, Containers:s+, Images:s+, Selector:s+"

COLUMNS = {
    ("", "ReplicationController"): columns(_REPLICAS, _replication_controller),
    ("apps", "ReplicaSet"): columns(_REPLICAS, _replica_set),
    ("apps", "Deployment"): columns(
        "Name:s/name, Ready:s, Up-to-date:s, Available:s, Age:s, Containers:s+, Images:s+, Selector:s+", _deployment
    ),
    ("apps", "StatefulSet"): columns("Name:s/name, Ready:s, Age:s, Containers:s+, Images:s+", _stateful_set),
    ("apps", "DaemonSet"): columns(
        "Name:s/name, Desired:i, Current:i, Ready:i, Up-to-date:i, Available:i, Node Selector:s, Age:s, "
        "Containers:s+, Images:s+, Selector:s+",
        _daemon_set,
    ),
    ("apps", "ControllerRevision"): columns("Name:s/name, Controller:s, Revision:s, Age:s", _revision),
}
