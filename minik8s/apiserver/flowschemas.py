"""The flow schemas and priority levels that every server has, as data.

Upstream: apiserver `pkg/apis/flowcontrol/bootstrap`. The documents are made once for a process, in their stored form,
and shared by its clusters but for uid and date.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from random import Random
from typing import Any

from minik8s.api.resource import Resource
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.names import new_uid
from minik8s.store.protocol import Store

_ANNOTATIONS = {"apf.kubernetes.io/autoupdate-spec": "true"}
_LIMITED = {  # name: (shares, lendable percent, queues, hand size, queue length)
    "system": (30, 33, 64, 6, 50),
    "node-high": (40, 25, 64, 6, 50),
    "leader-election": (10, 0, 16, 4, 50),
    "workload-high": (40, 50, 128, 6, 50),
    "workload-low": (100, 90, 128, 6, 50),
    "global-default": (20, 50, 128, 6, 50),
}
_EVERYTHING: Obj = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}
_EVERYBODY = ("g system:unauthenticated", "g system:authenticated")
_PROBES = {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}
_MANAGERS = ("u system:kube-controller-manager", "u system:kube-scheduler")


def _resources(*rules: tuple[list[str], str, list[str], bool]) -> Obj:
    """Rules of (verbs, group, resources, whether they are cluster-scoped)."""
    return {
        "resourceRules": [
            {"verbs": verbs, "apiGroups": [group], "resources": names}
            | ({"clusterScope": True} if cluster else {"namespaces": ["*"]})
            for verbs, group, names, cluster in rules
        ]
    }


_ELECTIONS = _resources((["get", "create", "update"], "coordination.k8s.io", ["leases"], False))
_ENDPOINTS = _resources((["get", "create", "update"], "", ["endpoints"], False))
_NODES = _resources((["*"], "", ["nodes", "nodes/status"], True), (["*"], "coordination.k8s.io", ["leases"], False))
_SYSTEM = "s kube-system/*"
_ENDPOINT_CONTROLLERS = ("s kube-system/endpoint-controller", "s kube-system/endpointslicemirroring-controller")
_SCHEMAS: tuple[tuple[str, int, str, str, tuple[str, ...], Obj], ...] = (
    ("exempt", 1, "exempt", "", ("g system:masters",), _EVERYTHING),
    ("probes", 2, "exempt", "", _EVERYBODY, _PROBES),
    ("system-leader-election", 100, "leader-election", "ByUser", (*_MANAGERS, _SYSTEM), _ELECTIONS),
    ("endpoint-controller", 150, "workload-high", "ByUser",
     (_MANAGERS[0], *_ENDPOINT_CONTROLLERS), _ENDPOINTS),
    ("workload-leader-election", 200, "leader-election", "ByUser", (_SYSTEM,), _ELECTIONS),
    ("system-node-high", 400, "node-high", "ByUser", ("g system:nodes",), _NODES),
    ("system-nodes", 500, "system", "ByUser", ("g system:nodes",), _EVERYTHING),
    ("kube-controller-manager", 800, "workload-high", "ByNamespace", _MANAGERS[:1], _EVERYTHING),
    ("kube-scheduler", 800, "workload-high", "ByNamespace", _MANAGERS[1:], _EVERYTHING),
    ("kube-system-service-accounts", 900, "workload-high", "ByNamespace", (_SYSTEM,), _EVERYTHING),
    ("service-accounts", 9000, "workload-low", "ByUser", ("g system:serviceaccounts",), _EVERYTHING),
    ("global-default", 9900, "global-default", "ByUser", _EVERYBODY, _EVERYTHING),
    ("catch-all", 10000, "catch-all", "ByUser", _EVERYBODY, _EVERYTHING),
)  # fmt: skip


def found(level: str) -> Obj:
    """The condition of a schema whose priority level exists."""
    message = f'This FlowSchema references the PriorityLevelConfiguration object named "{level}" and it exists'
    return {"type": "Dangling", "status": "False", "reason": "Found", "message": message}


async def create_flow_control(store: Store, now: str, rng: Random) -> None:
    """Puts them into a store that has none."""
    for key, document in _documents():
        metadata = {**document["metadata"], "uid": new_uid(rng), "creationTimestamp": now}
        value = {**document, "metadata": metadata}
        if conditions := document["status"].get("conditions"):
            value["status"] = {"conditions": [{**conditions[0], "lastTransitionTime": now}]}
        await store.put(key, value)


@cache
def _documents() -> tuple[tuple[tuple[str, str, str], Doc], ...]:
    made = [*_levels(), *_schemas()]
    return tuple((key, freeze(document)) for key, document in made)


def _document(resource: Resource[Any], name: str, spec: Obj, status: Obj) -> tuple[tuple[str, str, str], Obj]:
    metadata = {"name": name, "generation": 1, "annotations": _ANNOTATIONS}
    head: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return (resource.group_resource, "", name), {**head, "spec": spec, "status": status}


def _levels() -> Iterable[tuple[tuple[str, str, str], Obj]]:
    def level(name: str, type_: str, **spec: Obj) -> tuple[tuple[str, str, str], Obj]:
        return _document(PRIORITY_LEVEL_CONFIGURATIONS, name, {"type": type_, **spec}, {})

    yield level("exempt", "Exempt", exempt={"nominalConcurrencyShares": 0, "lendablePercent": 0})
    rejecting = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0}
    yield level("catch-all", "Limited", limited=rejecting)
    for name, (shares, lendable, queues, hand, length) in _LIMITED.items():
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": length}
        response = {"type": "Queue", "queuing": queuing}
        limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
        yield level(name, "Limited", limited=limited)


def _schemas() -> Iterable[tuple[tuple[str, str, str], Obj]]:
    for name, precedence, level, distinguisher, subjects, rules in _SCHEMAS:
        spec: Obj = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
        if distinguisher:
            spec["distinguisherMethod"] = {"type": distinguisher}
        spec["rules"] = [{"subjects": [_subject(subject) for subject in subjects], **rules}]
        yield _document(FLOW_SCHEMAS, name, spec, {"conditions": [found(level)]})


def _subject(text: str) -> Obj:
    kind, _, name = text.partition(" ")
    if kind == "s":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": name}}
    return {"kind": "User", "user": {"name": name}} if kind == "u" else {"kind": "Group", "group": {"name": name}}
