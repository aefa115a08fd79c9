"""Every kind but Pod: what the server says about each mistake, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}
LABELS = {"metadata": {"labels": {"a": "b"}}}


def service(**spec: Any) -> dict[str, Any]:
    return {"spec": {"ports": [{"port": 80}], **spec}}


def template(**spec: Any) -> dict[str, Any]:
    return {**LABELS, "spec": {"containers": [CONTAINER], **spec}}


def workload(**spec: Any) -> dict[str, Any]:
    return {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template(), **spec}}


def rolling(**update: Any) -> dict[str, Any]:
    return workload(strategy={"type": "RollingUpdate", "rollingUpdate": update})


def job(**spec: Any) -> dict[str, Any]:
    return {"spec": {"template": template(restartPolicy="Never"), **spec}}


def cron(**spec: Any) -> dict[str, Any]:
    return {"spec": {"schedule": "* * * * *", "jobTemplate": job(), **spec}}


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


def ingress(**path: Any) -> dict[str, Any]:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]
    return {"spec": {"rules": [{"http": {"paths": paths}}]}}


def role(**rule: Any) -> dict[str, Any]:
    return {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], **rule}]}


NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"
OPERATORS = "`operator` is 'Exists' or 'DoesNotExist'"
EXPRESSION: list[dict[str, Any]] = [{"key": "k", "operator": "In"}, {"key": "k", "operator": "Exists", "values": ["v"]}]

CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (r.SERVICES, service(ports=[]), ["spec.ports: Required value"]),
    (
        r.SERVICES,
        service(ports=[{"port": 0}]),
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    ),
    (
        r.SERVICES,
        service(ports=[{"port": 80}, {"port": 81}]),
        ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
    ),
    (
        r.SERVICES,
        service(ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}]),
        ['spec.ports[1].name: Duplicate value: "a"'],
    ),
    (
        r.SERVICES,
        service(ports=[{"name": "a", "port": 80}, {"name": "b", "port": 80}]),
        [
            'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,'
            '"NodePort":0}'
        ],
    ),
    (
        r.SERVICES,
        service(type="Foo"),
        [
            'spec.type: Unsupported value: "Foo": supported values: "ClusterIP", "ExternalName", "LoadBalancer", '
            '"NodePort"'
        ],
    ),
    (
        r.SERVICES,
        service(ports=[{"port": 80, "nodePort": 30000}]),
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ),
    (
        r.SERVICES,
        service(clusterIP="1.2.3"),
        ['spec.clusterIPs[0]: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ),
    (
        r.SERVICES,
        service(clusterIP="None", type="NodePort"),
        ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
    ),
    (r.SERVICES, service(type="ExternalName"), ["spec.externalName: Required value"]),
    (
        r.SERVICES,
        service(sessionAffinity="Foo"),
        ['spec.sessionAffinity: Unsupported value: "Foo": supported values: "ClientIP", "None"'],
    ),
    (
        r.SERVICES,
        service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 100000}}),
        [
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 100000: must be greater than 0 and "
            "less than 86400"
        ],
    ),
    (
        r.SERVICES,
        service(externalTrafficPolicy="Local"),
        ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
    ),
    (
        r.SERVICES,
        service(ipFamilyPolicy="RequireDualStack"),
        [
            'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack '
            "services"
        ],
    ),
    (
        r.SERVICES,
        service(ipFamilies=["IPv6"]),
        ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    ),
    (
        r.SERVICES,
        service(allocateLoadBalancerNodePorts=True),
        ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ),
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
    *(
        (
            resource,
            workload(selector={"matchLabels": {"x": "y"}}),
            ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
        )
        for resource in (r.REPLICA_SETS, r.DEPLOYMENTS, r.STATEFUL_SETS, r.DAEMON_SETS)
    ),
    (
        r.REPLICATION_CONTROLLERS,
        {"spec": {"selector": {"x": "y"}, "template": template()}},
        ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`'],
    ),
    (
        r.DEPLOYMENTS,
        workload(selector=None),
        [
            "spec.selector: Required value",
            'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
        ],
    ),
    *(
        (resource, workload(selector={}), [f"spec.selector: Invalid value: {{}}: empty selector is invalid for {kind}"])
        for resource, kind in (
            (r.DEPLOYMENTS, "deployment"),
            (r.REPLICA_SETS, "deployment"),
            (r.STATEFUL_SETS, "statefulset"),
            (r.DAEMON_SETS, "daemonset"),
        )
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(restartPolicy="Never")),
        ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ),
    (r.DEPLOYMENTS, workload(replicas=-1), [f"spec.replicas: Invalid value: -1: {NOT_NEGATIVE}"]),
    (
        r.DEPLOYMENTS,
        workload(selector={"matchLabels": {"a": "b"}, "matchExpressions": EXPRESSION}),
        [
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or "
            "'NotIn'",
            f"spec.selector.matchExpressions[1].values: Forbidden: may not be specified when {OPERATORS}",
            'spec.selector: Invalid value: {"matchLabels":{"a":"b"},"matchExpressions":[{"key":"k","operator":"In"},'
            '{"key":"k","operator":"Exists","values":["v"]}]}: invalid label selector',
        ],
    ),
    (
        r.DEPLOYMENTS,
        workload(strategy={"type": "Recreate", "rollingUpdate": {}}),
        [
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
        ],
    ),
    (
        r.DEPLOYMENTS,
        rolling(maxUnavailable=0, maxSurge=0),
        [
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
        ],
    ),
    (
        r.DEPLOYMENTS,
        rolling(maxUnavailable="101%"),
        ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ),
    (
        r.DEPLOYMENTS,
        workload(progressDeadlineSeconds=5, minReadySeconds=5),
        ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(activeDeadlineSeconds=5)),
        ["spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"],
    ),
    (
        r.DEPLOYMENTS,
        workload(template=template(ephemeralContainers=[{"name": "e", "image": "x"}])),
        ["spec.template.spec.ephemeralContainers: Forbidden: ephemeral containers not allowed in pod template"],
    ),
    (
        r.STATEFUL_SETS,
        workload(podManagementPolicy="Foo"),
        ["spec.podManagementPolicy: Invalid value: \"Foo\": must be 'OrderedReady' or 'Parallel'"],
    ),
    (
        r.STATEFUL_SETS,
        workload(updateStrategy={"type": "OnDelete", "rollingUpdate": {}}),
        [
            'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":0,"MaxUnavailable":null}: only allowed for '
            "updateStrategy 'RollingUpdate'"
        ],
    ),
    (
        r.DAEMON_SETS,
        workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}),
        ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
    ),
    (
        r.DAEMON_SETS,
        workload(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}),
        [
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is "
            "non-zero"
        ],
    ),
    (
        r.JOBS,
        {"spec": {"template": template()}},
        ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
    ),
    (
        r.JOBS,
        job(completionMode="Indexed", parallelism=1),
        ["spec.completions: Required value: when completion mode is Indexed"],
    ),
    (
        r.JOBS,
        job(selector={"matchLabels": {"a": "b"}}),
        [
            'spec.selector: Invalid value: {"matchLabels":{"a":"b","batch.kubernetes.io/controller-uid":"the-uid"}}: '
            "`selector` not auto-generated"
        ],
    ),
    (
        r.JOBS,
        job(podReplacementPolicy="Foo"),
        ['spec.podReplacementPolicy: Unsupported value: "Foo": supported values: "Failed", "TerminatingOrFailed"'],
    ),
    (
        r.CRON_JOBS,
        cron(schedule="x"),
        ['spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]'],
    ),
    (r.CRON_JOBS, cron(schedule=""), ["spec.schedule: Required value"]),
    (
        r.CRON_JOBS,
        cron(schedule="TZ=UTC * * * * *"),
        [
            'spec.schedule: Invalid value: "TZ=UTC * * * * *": cannot use TZ or CRON_TZ in schedule, use timeZone '
            "field instead"
        ],
    ),
    (
        r.CRON_JOBS,
        cron(timeZone="Foo/Bar"),
        ['spec.timeZone: Invalid value: "Foo/Bar": unknown time zone Foo/Bar'],
    ),
    (r.CRON_JOBS, cron(timeZone=""), ['spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string']),
    (
        r.CRON_JOBS,
        cron(concurrencyPolicy="Foo"),
        ['spec.concurrencyPolicy: Unsupported value: "Foo": supported values: "Allow", "Forbid", "Replace"'],
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
    (
        r.INGRESSES,
        {"spec": {}},
        ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
    ),
    (
        r.INGRESSES,
        ingress(pathType=None),
        ["spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified"],
    ),
    (
        r.INGRESSES,
        ingress(path="a"),
        ['spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path'],
    ),
    (
        r.INGRESSES,
        ingress(backend={}),
        ['spec.rules[0].http.paths[0].backend: Invalid value: "": resource or service backend is required'],
    ),
    (
        r.INGRESSES,
        ingress(backend={"service": {"name": "s"}}),
        ["spec.rules[0].http.paths[0].backend: Required value: port name or number is required"],
    ),
    (
        r.INGRESSES,
        {"spec": {"rules": [{"host": "1.2.3.4"}]}},
        ['spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'],
    ),
    (
        r.NETWORK_POLICIES,
        {"spec": {"ingress": [{"from": [{}]}]}},
        ["spec.ingress[0].from[0]: Required value: must specify a peer"],
    ),
    (
        r.NETWORK_POLICIES,
        {"spec": {"policyTypes": ["Foo"]}},
        ['spec.policyTypes[0]: Unsupported value: "Foo": supported values: "Ingress", "Egress"'],
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
        r.ENDPOINT_SLICES,
        {"addressType": "Foo", "endpoints": [{}]},
        [
            'addressType: Unsupported value: "Foo": supported values: "FQDN", "IPv4", "IPv6"',
            "endpoints[0].addresses: Required value: must contain at least 1 address",
        ],
    ),
    (
        r.ENDPOINTS,
        {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}, {"port": 2}]}]},
        ["subsets[0].ports[0].name: Required value", "subsets[0].ports[1].name: Required value"],
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
