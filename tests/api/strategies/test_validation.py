"""Every kind but Pod: what the server says about each mistake, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}
LABELS = {"metadata": {"labels": {"a": "b"}}}


def template(**spec: Any) -> dict[str, Any]:
    return {**LABELS, "spec": {"containers": [CONTAINER], **spec}}


def claim(**spec: Any) -> dict[str, Any]:
    return {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}}


def volume(**spec: Any) -> dict[str, Any]:
    return {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/a"}, **spec}
    }


def secret(kind: str, **data: str) -> dict[str, Any]:
    return {"type": kind, "data": data}


def autoscaler(**spec: Any) -> dict[str, Any]:
    return {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}, **spec}}


def role(**rule: Any) -> dict[str, Any]:
    return {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], **rule}]}


NOT_NEGATIVE = "must be greater than or equal to 0"

CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (
        r.CONFIG_MAPS,
        {"data": {"a": "x" * 1048577}},
        ["[]: Too long: may not be more than 1048576 bytes"],
    ),
    (
        r.CONFIG_MAPS,
        {"data": {"a": "x"}, "binaryData": {"a": "eA=="}},
        ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ),
    (
        r.CONFIG_MAPS,
        {"data": {"a/b": "x"}},
        [
            "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' "
            "or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        ],
    ),
    (r.SECRETS, secret("kubernetes.io/tls"), ["data[tls.crt]: Required value", "data[tls.key]: Required value"]),
    (r.SECRETS, secret("kubernetes.io/dockerconfigjson"), ["data[.dockerconfigjson]: Required value"]),
    (
        r.SECRETS,
        secret("kubernetes.io/basic-auth"),
        ["data[username]: Required value", "data[password]: Required value"],
    ),
    (r.SECRETS, secret("kubernetes.io/ssh-auth"), ["data[ssh-privatekey]: Required value"]),
    (
        r.SECRETS,
        secret("kubernetes.io/service-account-token"),
        ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
    ),
    (
        r.NODES,
        {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}, {"key": "k", "effect": "NoSchedule"}]}},
        [
            'metadata.taints[1]: Duplicate value: {"Key":"k","Value":"","Effect":"NoSchedule","TimeAdded":null}: '
            "taints must be unique by key and effect pair"
        ],
    ),
    (r.NODES, {"spec": {"taints": [{"key": "k"}]}}, ["metadata.taints[0].effect: Required value"]),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        claim(accessModes=[]),
        ["spec.accessModes: Required value: at least 1 access mode is required"],
    ),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        claim(accessModes=["Foo"]),
        [
            'spec.accessModes: Unsupported value: "Foo": supported values: "ReadOnlyMany", "ReadWriteMany", '
            '"ReadWriteOnce", "ReadWriteOncePod"'
        ],
    ),
    (r.PERSISTENT_VOLUME_CLAIMS, claim(resources={}), ["spec.resources[storage]: Required value"]),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        claim(resources={"requests": {"storage": "0"}}),
        ['spec.resources[storage]: Invalid value: "0": must be greater than zero'],
    ),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        claim(accessModes=["ReadWriteOncePod", "ReadWriteOnce"]),
        ["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"],
    ),
    (r.PERSISTENT_VOLUMES, volume(capacity={}), ["spec.capacity: Required value"]),
    (r.PERSISTENT_VOLUMES, volume(accessModes=[]), ["spec.accessModes: Required value"]),
    (r.PERSISTENT_VOLUMES, volume(hostPath=None), ["spec: Required value: must specify a volume type"]),
    (
        r.PERSISTENT_VOLUMES,
        volume(persistentVolumeReclaimPolicy="Foo"),
        [
            'spec.persistentVolumeReclaimPolicy: Unsupported value: "Foo": supported values: "Delete", "Recycle", '
            '"Retain"'
        ],
    ),
    (
        r.PERSISTENT_VOLUMES,
        volume(hostPath=None, local={"path": "/a"}),
        ["spec.nodeAffinity: Required value: Local volume requires node affinity"],
    ),
    (
        r.HORIZONTAL_POD_AUTOSCALERS,
        autoscaler(maxReplicas=0),
        ["spec.maxReplicas: Required value: must be set and greater than 0"],
    ),
    (
        r.HORIZONTAL_POD_AUTOSCALERS,
        autoscaler(minReplicas=5),
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    ),
    (
        r.HORIZONTAL_POD_AUTOSCALERS_V1,
        autoscaler(targetCPUUtilizationPercentage=0),
        ["spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"],
    ),
    (
        r.POD_DISRUPTION_BUDGETS,
        {"spec": {"minAvailable": 1, "maxUnavailable": 1}},
        [
            'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":1,'
            '"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set'
        ],
    ),
    (r.ROLES, role(verbs=[]), ["rules[0].verbs: Required value: verbs must contain at least one value"]),
    (
        r.CLUSTER_ROLES,
        role(apiGroups=[], resources=[]),
        [
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ],
    ),
    (
        r.ROLES,
        {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
        [
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        ],
    ),
    (
        r.ROLE_BINDINGS,
        {"roleRef": {"kind": "Foo", "name": "r"}, "subjects": [{"kind": "Bar", "name": "x"}]},
        [
            'roleRef.kind: Unsupported value: "Foo": supported values: "Role", "ClusterRole"',
            'subjects[0].kind: Unsupported value: "Bar": supported values: "ServiceAccount", "User", "Group"',
        ],
    ),
    (r.STORAGE_CLASSES, {}, ["provisioner: Required value"]),
    (
        r.PRIORITY_CLASSES,
        {"value": 1_000_000_001},
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    (
        r.EVENTS,
        {"involvedObject": {"namespace": "other"}},
        ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ),
    (
        r.LEASES,
        {"spec": {"leaseDurationSeconds": 0, "leaseTransitions": -1}},
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            f"spec.leaseTransitions: Invalid value: -1: {NOT_NEGATIVE}",
        ],
    ),
    (
        r.LIMIT_RANGES,
        {"spec": {"limits": [{"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]}},
        ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
    ),
    (
        r.LIMIT_RANGES,
        {"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}]}},
        ['spec.limits[1].type: Duplicate value: "Pod"'],
    ),
    (
        r.RESOURCE_QUOTAS,
        {"spec": {"hard": {"pods": "1500m"}}},
        ['spec.hard[pods]: Invalid value: "1500m": must be an integer'],
    ),
    (
        r.CUSTOM_RESOURCE_DEFINITIONS,
        {
            "metadata": {"name": "x.y"},
            "spec": {
                "group": "example.com",
                "scope": "Foo",
                "names": {"kind": "Foo", "plural": "foos"},
                "versions": [{"name": "v1", "served": True, "storage": True}],
            },
        },
        [
            'metadata.name: Invalid value: "x.y": must be spec.names.plural+"."+spec.group',
            'spec.scope: Unsupported value: "Foo": supported values: "Cluster", "Namespaced"',
            "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
        ],
    ),
    (  # a kind without rules of its own: the type table knows
        r.PRIORITY_LEVEL_CONFIGURATIONS,
        {"spec": {"type": "Foo"}},
        ['spec.type: Unsupported value: "Foo": supported values: "Exempt", "Limited"'],
    ),
    (
        r.FLOW_SCHEMAS,
        {"spec": {}},
        ["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
    ),
]


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=[f"{c[0].kind}-{i}" for i, c in enumerate(CASES)])
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected
