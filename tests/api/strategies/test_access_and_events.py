"""RBAC, Event, Secret and what concerns networks: a document, and all that upstream says about it in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

Part = dict[str, Any]
GROUP = "rbac.authorization.k8s.io"
MISMATCH = "does not match event.namespace"
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
PORTS = 'supported values: "TCP", "UDP", "SCTP"'


def binding(*subjects: Part, **role: Any) -> Part:
    return {"roleRef": {"kind": "Role", "name": "r", **role}, "subjects": list(subjects)}


def core_event(**fields: Any) -> Part:
    return {"involvedObject": {"namespace": "default"}, **fields}


def event(**fields: Any) -> Part:
    return {
        "regarding": {"namespace": "default"},
        "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "example.com/c",
        "reportingInstance": "c-0",
        "action": "Run",
        "reason": "Ran",
        "type": "Normal",
        **fields,
    }


def ingress(**spec: Any) -> Part:
    return {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}, **spec}}


def policy(**port: Any) -> Part:
    return {"spec": {"ingress": [{"ports": [port]}]}}


CREATED: list[tuple[Resource[Any], Part, list[str]]] = [
    (
        r.ROLE_BINDINGS,
        binding({"kind": "User"}, {"kind": "Group", "name": "g", "apiGroup": "x"}),
        [
            "subjects[0].name: Required value",
            'subjects[0].name: Invalid value: "": user name cannot be empty',
            f'subjects[1].apiGroup: Unsupported value: "x": supported values: "{GROUP}"',
        ],
    ),
    (
        r.ROLE_BINDINGS,
        binding({"kind": "ServiceAccount", "name": "a", "apiGroup": "x"}, name="a/b", apiGroup="x"),
        [
            f'roleRef.apiGroup: Unsupported value: "x": supported values: "{GROUP}"',
            "roleRef.name: Invalid value: \"a/b\": may not contain '/'",
            'subjects[0].apiGroup: Unsupported value: "x": supported values: ""',
        ],
    ),
    (
        r.CLUSTER_ROLE_BINDINGS,
        binding({"kind": "ServiceAccount", "name": "a"}),
        [
            'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
            "subjects[0].namespace: Required value",
        ],
    ),
    (
        r.CLUSTER_ROLES,
        {"aggregationRule": {}, "rules": [{"nonResourceURLs": ["/x"], "resources": ["pods"]}]},
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: rules cannot apply to both regular resources and '
            "non-resource URLs",
            "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if "
            "aggregationRule is non-nil",
        ],
    ),
    (r.ROLES, {}, []),
    (r.EVENTS, core_event(), []),
    (r.EVENTS, {}, []),
    (
        r.EVENTS,
        {"metadata": {"namespace": "kube-system"}},
        [f'involvedObject.namespace: Invalid value: "": {MISMATCH}'],
    ),
    (
        r.EVENTS,
        core_event(eventTime="2026-01-01T00:00:00.000000Z", message="m" * 1025, action="a" * 129),
        [
            "reportingController: Required value",
            'reportingController: Invalid value: "": name part must be non-empty',
            f'reportingController: Invalid value: "": {QUALIFIED}',
            "reportingInstance: Required value",
            'action: Invalid value: "": can have at most 128 characters',
            "reason: Required value",
            'message: Invalid value: "": can have at most 1024 characters',
        ],
    ),
    (r.EVENTS_V1, event(), []),
    (r.EVENTS_V1, event(regarding={"namespace": "other"}), []),
    (r.EVENTS_V1, event(regarding={}, metadata={"namespace": "kube-system"}), []),
    (
        r.EVENTS_V1,
        {"regarding": {"namespace": "other"}},
        [
            f'involvedObject.namespace: Invalid value: "other": {MISMATCH}',
            "eventTime: Required value",
            'type: Invalid value: "": has invalid value: ',
        ],
    ),
    (
        r.EVENTS_V1,
        event(
            type="Odd",
            series={"count": 1},
            deprecatedCount=2,
            deprecatedSource={"host": "h"},
            deprecatedFirstTimestamp="2026-01-01T00:00:00Z",
        ),
        [
            'series.count: Invalid value: "": should be at least 2',
            "series.lastObservedTime: Required value",
            'type: Invalid value: "": has invalid value: Odd',
            'firstTimestamp: Invalid value: "": needs to be unset',
            'count: Invalid value: "": needs to be unset',
            'source: Invalid value: "": needs to be unset',
        ],
    ),
    (
        r.SECRETS,
        {"type": "kubernetes.io/ssh-auth", "data": {"ssh-privatekey": ""}},
        ["data[ssh-privatekey]: Required value"],
    ),
    (
        r.INGRESSES,
        {**ingress(ingressClassName="a"), "metadata": {"annotations": {"kubernetes.io/ingress.class": "b"}}},
        [
            'annotations.kubernetes.io/ingress.class: Invalid value: "b": must match `ingressClassName` when both are '
            "specified"
        ],
    ),
    (
        r.INGRESSES,
        {**ingress(ingressClassName="a"), "metadata": {"annotations": {"kubernetes.io/ingress.class": "a"}}},
        [],
    ),
    (
        r.INGRESSES,
        ingress(rules=[{"http": {"paths": [{"path": "a"}]}}]),
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        r.INGRESSES,
        ingress(rules=[{"http": {"paths": [{"path": "/", "pathType": "Exact"}]}}]),
        ['spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required'],
    ),
    (r.INGRESSES, ingress(defaultBackend={"service": {"name": "1s", "port": {"name": "web"}}}), []),
    (
        r.INGRESSES,
        ingress(defaultBackend={"resource": {"kind": "a/b", "name": ""}}),
        [
            "spec.defaultBackend.resource.kind: Invalid value: \"a/b\": may not contain '/'",
            "spec.defaultBackend.resource.name: Required value",
        ],
    ),
    (
        r.INGRESS_CLASSES,
        {"spec": {"parameters": {"scope": "Namespace", "namespace": "a.b", "kind": "K", "name": "n"}}},
        [
            "spec.controller: Required value",
            'spec.parameters.namespace: Invalid value: "a.b": must not contain dots',
        ],
    ),
    (
        r.NETWORK_POLICIES,
        policy(protocol="X", port="", endPort=80),
        [
            f'spec.ingress[0].ports[0].protocol: Unsupported value: "X": {PORTS}',
            "spec.ingress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric",
            'spec.ingress[0].ports[0].port: Invalid value: "": must contain only alpha-numeric characters (a-z, 0-9), '
            "and hyphens (-)",
            'spec.ingress[0].ports[0].port: Invalid value: "": must contain at least one letter (a-z)',
        ],
    ),
]

CHANGED: list[tuple[Resource[Any], Part, Part, list[str]]] = [
    (
        r.CLUSTER_ROLE_BINDINGS,
        binding(kind="ClusterRole"),
        binding({"kind": "Group", "name": ""}, kind="ClusterRole", name="s"),
        [
            "subjects[0].name: Required value",
            'subjects[0].name: Invalid value: "": group name cannot be empty',
            f'roleRef: Invalid value: {{"APIGroup":"{GROUP}","Kind":"ClusterRole","Name":"s"}}: cannot change roleRef',
        ],
    ),
    (r.EVENTS_V1, event(), event(series={"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}), []),
    (
        r.EVENTS_V1,
        event(),
        event(note="n", type="Warning", action="Walk"),
        [
            'message: Invalid value: "n": field is immutable',
            'type: Invalid value: "Warning": field is immutable',
            'action: Invalid value: "Walk": field is immutable',
        ],
    ),
    (r.EVENTS, core_event(message="a"), core_event(message="b"), []),
]


def _ids(cases: list[Any]) -> list[str]:
    return [f"{case[0].kind}-{index}" for index, case in enumerate(cases)]


@pytest.mark.parametrize(("resource", "doc", "expected"), CREATED, ids=_ids(CREATED))
def test_created(errors_of: Callable[..., list[str]], resource: Resource[Any], doc: Part, expected: list[str]) -> None:
    """A new document earns exactly upstream's causes, in upstream's order."""
    assert errors_of(resource, doc) == expected


@pytest.mark.parametrize(("resource", "before", "after", "expected"), CHANGED, ids=_ids(CHANGED))
def test_changed(
    change_errors: Callable[..., list[str]], resource: Resource[Any], before: Part, after: Part, expected: list[str]
) -> None:
    """So does a change."""
    assert change_errors(resource, before, after) == expected
