"""From the least a client can send to what the server stores."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.api.strategies.podspec import pull_policy
from minik8s.machinery.meta import copy_document

CONTAINER: dict[str, Any] = {"name": "c", "image": "nginx:1.27"}
STORED_CONTAINER: dict[str, Any] = {
    **CONTAINER,
    "resources": {},
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}
STORED_SPEC: dict[str, Any] = {
    "containers": [STORED_CONTAINER],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "securityContext": {},
    "schedulerName": "default-scheduler",
}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
STORED_TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": STORED_SPEC}
SELECTOR: dict[str, Any] = {"matchLabels": {"a": "b"}}
JOB_LABELS = {
    "batch.kubernetes.io/controller-uid": "the-uid",
    "batch.kubernetes.io/job-name": "x",
    "controller-uid": "the-uid",
    "job-name": "x",
}
NEVER: dict[str, Any] = {"spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}
STORED_NEVER: dict[str, Any] = {**STORED_SPEC, "restartPolicy": "Never"}
TARGET = {"kind": "Deployment", "name": "d"}
CPU_80 = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}

CASES: list[tuple[Resource[Any], dict[str, Any], dict[str, Any]]] = [
    (
        r.PODS,
        {"spec": {"containers": [CONTAINER]}},
        {
            "spec": {**STORED_SPEC, "enableServiceLinks": True},
            "status": {"phase": "Pending", "qosClass": "BestEffort"},
        },
    ),
    (
        r.SERVICES,
        {"spec": {"ports": [{"port": 80}]}},
        {
            "spec": {
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}],
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
            },
            "status": {"loadBalancer": {}},
        },
    ),
    (
        r.SERVICES,
        {"spec": {"type": "LoadBalancer", "sessionAffinity": "ClientIP", "ports": [{"port": 80, "targetPort": "web"}]}},
        {
            "spec": {
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": "web"}],
                "type": "LoadBalancer",
                "sessionAffinity": "ClientIP",
                "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10800}},
                "internalTrafficPolicy": "Cluster",
                "externalTrafficPolicy": "Cluster",
                "allocateLoadBalancerNodePorts": True,
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
            },
            "status": {"loadBalancer": {}},
        },
    ),
    (
        r.SERVICES,
        {"spec": {"type": "ExternalName", "externalName": "example.com"}},
        {
            "spec": {"type": "ExternalName", "externalName": "example.com", "sessionAffinity": "None"},
            "status": {"loadBalancer": {}},
        },
    ),
    (
        r.SERVICES,
        {"spec": {"clusterIP": "None", "ports": [{"port": 80}]}},
        {
            "spec": {
                "clusterIP": "None",
                "clusterIPs": ["None"],
                "ports": [{"protocol": "TCP", "port": 80, "targetPort": 80}],
                "type": "ClusterIP",
                "sessionAffinity": "None",
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
            },
            "status": {"loadBalancer": {}},
        },
    ),
    (r.NAMESPACES, {}, {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
    (r.CONFIG_MAPS, {}, {}),
    (r.SECRETS, {"stringData": {"a": "b"}}, {"type": "Opaque", "data": {"a": "Yg=="}}),
    (
        r.PERSISTENT_VOLUME_CLAIMS,
        {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}},
        {
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
                "volumeMode": "Filesystem",
            },
            "status": {"phase": "Pending"},
        },
    ),
    (
        r.REPLICATION_CONTROLLERS,
        {"spec": {"template": TEMPLATE}},
        {"spec": {"replicas": 1, "selector": {"a": "b"}, "template": STORED_TEMPLATE}, "status": {"replicas": 0}},
    ),
    (
        r.REPLICA_SETS,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        {"spec": {"replicas": 1, "selector": SELECTOR, "template": STORED_TEMPLATE}, "status": {"replicas": 0}},
    ),
    (
        r.DEPLOYMENTS,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        {
            "spec": {
                "replicas": 1,
                "selector": SELECTOR,
                "template": STORED_TEMPLATE,
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
                },
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
            },
            "status": {},
        },
    ),
    (
        r.STATEFUL_SETS,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        {
            "spec": {
                "replicas": 1,
                "selector": SELECTOR,
                "template": STORED_TEMPLATE,
                "serviceName": "",
                "podManagementPolicy": "OrderedReady",
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
                "revisionHistoryLimit": 10,
                "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            },
            "status": {"replicas": 0, "availableReplicas": 0},
        },
    ),
    (
        r.DAEMON_SETS,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        {
            "spec": {
                "selector": SELECTOR,
                "template": STORED_TEMPLATE,
                "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
                "revisionHistoryLimit": 10,
            },
            "status": {
                "currentNumberScheduled": 0,
                "numberMisscheduled": 0,
                "desiredNumberScheduled": 0,
                "numberReady": 0,
            },
        },
    ),
    (
        r.JOBS,
        {"spec": {"template": NEVER}},
        {
            "spec": {
                "parallelism": 1,
                "completions": 1,
                "backoffLimit": 6,
                "completionMode": "NonIndexed",
                "suspend": False,
                "manualSelector": False,
                "podReplacementPolicy": "TerminatingOrFailed",
                "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "the-uid"}},
                "template": {"metadata": {"labels": JOB_LABELS}, "spec": STORED_NEVER},
            },
            "status": {},
        },
    ),
    (
        r.CRON_JOBS,
        {"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": NEVER}}}},
        {
            "spec": {
                "schedule": "* * * * *",
                "concurrencyPolicy": "Allow",
                "suspend": False,
                "successfulJobsHistoryLimit": 3,
                "failedJobsHistoryLimit": 1,
                "jobTemplate": {
                    "metadata": {},
                    "spec": {"template": {"metadata": {}, "spec": STORED_NEVER}},
                },
            },
            "status": {},
        },
    ),
    (
        r.HORIZONTAL_POD_AUTOSCALERS,
        {"spec": {"maxReplicas": 3, "scaleTargetRef": TARGET}},
        {
            "spec": {"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": TARGET, "metrics": [CPU_80]},
            "status": {"desiredReplicas": 0, "currentMetrics": None},
        },
    ),
    (
        r.POD_DISRUPTION_BUDGETS,
        {"spec": {"minAvailable": 1}},
        {
            "spec": {"minAvailable": 1},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
        },
    ),
    (r.NETWORK_POLICIES, {}, {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
    (
        r.ROLE_BINDINGS,
        {
            "roleRef": {"kind": "Role", "name": "r"},
            "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s"}],
        },
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "u"},
                {"kind": "ServiceAccount", "name": "s"},
            ],
        },
    ),
    (
        r.STORAGE_CLASSES,
        {"provisioner": "p"},
        {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
    ),
    (r.PRIORITY_CLASSES, {"value": 5}, {"value": 5, "preemptionPolicy": "PreemptLowerPriority"}),
    (
        r.ENDPOINT_SLICES,
        {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {}}],
            "ports": [{"name": "", "protocol": "TCP", "port": 80}],
        },
    ),
    (
        r.LIMIT_RANGES,
        {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}}]}},
        {
            "spec": {
                "limits": [
                    {
                        "type": "Container",
                        "max": {"cpu": "1"},
                        "min": {"memory": "1Mi"},
                        "default": {"cpu": "1"},
                        "defaultRequest": {"cpu": "1", "memory": "1Mi"},
                    }
                ]
            }
        },
    ),
]


def ident(value: Any) -> str:
    return value.kind if isinstance(value, Resource) else ""


@pytest.mark.parametrize(("resource", "given", "stored"), CASES, ids=ident)
def test_stored(make: Any, errors_of: Any, resource: Resource[Any], given: Any, stored: Any) -> None:
    """A minimal object gets exactly upstream's defaults and initial status, and is valid."""
    found = make(resource, given)
    assert {key: value for key, value in found.items() if key not in ("metadata", "kind", "apiVersion")} == stored
    assert errors_of(resource, given) == []


@pytest.mark.parametrize(("resource", "given", "stored"), CASES, ids=ident)
def test_defaulting_twice(make: Any, resource: Resource[Any], given: Any, stored: Any) -> None:
    """Defaults change nothing that has them already."""
    once = make(resource, given)
    again = copy_document(once)
    strategy_for(resource).default(again)
    assert again == once


def test_metadata_of_some(make: Any) -> None:
    """Namespaces, Jobs and DaemonSets also get labels or annotations."""
    assert make(r.NAMESPACES, {})["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert make(r.JOBS, {"spec": {"template": NEVER}})["metadata"]["labels"] == JOB_LABELS
    own = make(r.JOBS, {"metadata": {"labels": {"mine": "1"}}, "spec": {"template": NEVER}})
    assert own["metadata"]["labels"] == {"mine": "1"}
    daemons = make(r.DAEMON_SETS, {"spec": {"selector": SELECTOR, "template": TEMPLATE}})
    assert daemons["metadata"]["annotations"] == {"deprecated.daemonset.template.generation": "1"}


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1", "IfNotPresent"),
        ("host:5000/nginx", "Always"),
        ("host:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("nginx:latest@sha256:abc", "Always"),
        ("", "IfNotPresent"),
    ],
)
def test_pull_policy(image: str, policy: str) -> None:
    """Only the tag `latest`, said or implied, is pulled always."""
    assert pull_policy(image) == policy


def test_probes_volumes_and_resources(make: Any) -> None:
    """Parts of a pod get their defaults wherever they stand."""
    container = {
        **CONTAINER,
        "livenessProbe": {"httpGet": {"port": 80}},
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    token = {"sources": [{"serviceAccountToken": {"path": "t"}}]}
    volumes = [{"name": "a"}, {"name": "b", "configMap": {"name": "m"}}, {"name": "c", "projected": token}]
    spec = make(r.PODS, {"spec": {"containers": [container], "volumes": volumes}})["spec"]
    stored = spec["containers"][0]
    assert stored["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert stored["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    assert stored["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "m", "defaultMode": 420}},
        {
            "name": "c",
            "projected": {
                "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}],
                "defaultMode": 420,
            },
        },
    ]


def test_host_network_ports(make: Any) -> None:
    """A pod on its host's network occupies its ports there; a template does not say so yet."""
    container = {**CONTAINER, "ports": [{"containerPort": 80}]}
    spec = {"containers": [container], "hostNetwork": True}
    assert make(r.PODS, {"spec": spec})["spec"]["containers"][0]["ports"][0]["hostPort"] == 80
    template = make(r.POD_TEMPLATES, {"template": {"spec": spec}})["template"]
    assert "hostPort" not in template["spec"]["containers"][0]["ports"][0]
