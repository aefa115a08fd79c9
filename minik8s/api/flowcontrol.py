"""The flow schemas and priority levels that every server has, as data.

Upstream: apiserver `pkg/apis/flowcontrol/bootstrap`. The documents are made once for a process, in their stored form,
and shared by its clusters but for uid and date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

from minik8s.api.resource import Resource
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import Doc, Obj

Key: TypeAlias = tuple[str, str, str]
"""(resource with group, "", name)"""
AUTO_UPDATE: Final = "apf.kubernetes.io/autoupdate-spec"
"""The annotation that says whether a suggested object's spec follows the server's version of it."""
MANDATORY: Final = frozenset({"exempt", "catch-all"})
"""The schemas and levels whose specs are fixed; the others are suggested."""
_ANNOTATIONS = {AUTO_UPDATE: "true"}
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


@cache
def defaults() -> Mapping[Key, Doc]:
    """All of them, levels first, without what differs from cluster to cluster: uid and dates."""
    return {key: freeze(document) for key, document in [*_levels(), *_schemas()]}


def mandatory(resource: str) -> dict[str, Doc]:
    """Those of them that are mandatory and of one resource, by name."""
    return {key[2]: document for key, document in defaults().items() if key[0] == resource and key[2] in MANDATORY}


def spec_equalish(wanted: Doc, actual: Doc) -> bool:
    """Whether a spec is as it should be; what is set aside for an exempt level, and lent, is the user's to say."""
    if "exempt" in wanted and "exempt" in actual:
        wanted, actual = ({key: part for key, part in spec.items() if key != "exempt"} for spec in (wanted, actual))
    return wanted == actual


def _document(resource: Resource[Any], name: str, spec: Obj, status: Obj) -> tuple[Key, Obj]:
    metadata = {"name": name, "generation": 1, "annotations": _ANNOTATIONS}
    head: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
    return (resource.group_resource, "", name), {**head, "spec": spec, "status": status}


def _levels() -> Iterable[tuple[Key, Obj]]:
    def level(name: str, type_: str, **spec: Obj) -> tuple[Key, Obj]:
        return _document(PRIORITY_LEVEL_CONFIGURATIONS, name, {"type": type_, **spec}, {})

    yield level("exempt", "Exempt", exempt={"nominalConcurrencyShares": 0, "lendablePercent": 0})
    rejecting = {"nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0}
    yield level("catch-all", "Limited", limited=rejecting)
    for name, (shares, lendable, queues, hand, length) in _LIMITED.items():
        queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": length}
        response = {"type": "Queue", "queuing": queuing}
        limited = {"nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": lendable}
        yield level(name, "Limited", limited=limited)


def _schemas() -> Iterable[tuple[Key, Obj]]:
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
