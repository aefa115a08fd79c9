"""Pods: what the server says about each mistake, to the letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.resources import PODS

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "v"}, "spec": {"containers": [CONTAINER], **spec}}


def container(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{**CONTAINER, **fields}])


def env(**variable: Any) -> dict[str, Any]:
    return container(env=[{"name": "A", **variable}])


def mount(*mounts: dict[str, Any]) -> dict[str, Any]:
    spec = {"volumes": [{"name": "v", "emptyDir": {}}]}
    return pod(containers=[{**CONTAINER, "volumeMounts": list(mounts)}], **spec)


def volume(**source: Any) -> dict[str, Any]:
    return pod(volumes=[{"name": "v", **source}])


def probe(kind: str = "livenessProbe", **fields: Any) -> dict[str, Any]:
    return container(**{kind: {"exec": {"command": ["true"]}, **fields}})


def toleration(**fields: Any) -> dict[str, Any]:
    return pod(tolerations=[fields])


C = "spec.containers[0]"
CASES: list[tuple[dict[str, Any], list[str]]] = [
    (pod(containers=[]), ["spec.containers: Required value"]),
    (container(name=""), [f"{C}.name: Required value"]),
    (container(name="A_b"), [f'{C}.name: Invalid value: "A_b": {LABEL}']),
    (container(name="a" * 64), [f'{C}.name: Invalid value: "{"a" * 64}": must be no more than 63 characters']),
    (pod(containers=[CONTAINER, CONTAINER]), ['spec.containers[1].name: Duplicate value: "c"']),
    (pod(initContainers=[CONTAINER]), ['spec.initContainers[0].name: Duplicate value: "c"']),
    (container(image=""), [f"{C}.image: Required value"]),
    (container(image=" x "), [f'{C}.image: Invalid value: " x ": must not have leading or trailing whitespace']),
    (
        container(imagePullPolicy="Foo"),
        [f'{C}.imagePullPolicy: Unsupported value: "Foo": supported values: "Always", "IfNotPresent", "Never"'],
    ),
    (
        pod(restartPolicy="Foo"),
        ['spec.restartPolicy: Unsupported value: "Foo": supported values: "Always", "OnFailure", "Never"'],
    ),
    (
        pod(dnsPolicy="Foo"),
        [
            'spec.dnsPolicy: Unsupported value: "Foo": supported values: "ClusterFirstWithHostNet", "ClusterFirst", '
            '"Default", "None"'
        ],
    ),
    (
        pod(dnsPolicy="None"),
        ["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    ),
    (
        pod(activeDeadlineSeconds=0),
        ["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
    ),
    (pod(terminationGracePeriodSeconds=-5), []),
    (container(ports=[{"containerPort": 0}]), [f"{C}.ports[0].containerPort: Required value"]),
    (
        container(ports=[{"containerPort": 70000}]),
        [f"{C}.ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
    ),
    (
        container(ports=[{"containerPort": 1, "name": "x"}, {"containerPort": 2, "name": "x"}]),
        [f'{C}.ports[1].name: Duplicate value: "x"'],
    ),
    (
        container(ports=[{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 80}]),
        [f'{C}.ports[1].hostPort: Duplicate value: "TCP//80"'],
    ),
    (container(ports=[{"containerPort": 80}, {"containerPort": 80}]), []),
    (
        container(ports=[{"containerPort": 80, "protocol": "FOO"}]),
        [f'{C}.ports[0].protocol: Unsupported value: "FOO": supported values: "SCTP", "TCP", "UDP"'],
    ),
    (env(name=""), [f"{C}.env[0].name: Required value"]),
    (
        env(name="a=b"),
        [
            f'{C}.env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable '
            "ASCII characters other than '='"
        ],
    ),
    (
        env(value="v", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
        [f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty'],
    ),
    (
        env(valueFrom={}),
        [
            f'{C}.env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
            "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        ],
    ),
    (
        env(valueFrom={"fieldRef": {"fieldPath": "spec.foo"}}),
        [
            f'{C}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.foo": error converting fieldPath: field '
            "label not supported: spec.foo"
        ],
    ),
    (
        env(valueFrom={"fieldRef": {"fieldPath": "status.phase"}}),
        [
            f'{C}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: '
            '"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
            '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"'
        ],
    ),
    (env(valueFrom={"fieldRef": {"fieldPath": "metadata.labels['k']"}}), []),
    (
        env(valueFrom={"resourceFieldRef": {"resource": "limits.foo"}}),
        [
            f'{C}.env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.foo": supported values: '
            '"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage", '
            '"requests.memory"'
        ],
    ),
    (
        env(valueFrom={"configMapKeyRef": {"name": "m", "key": ""}}),
        [f"{C}.env[0].valueFrom.configMapKeyRef.key: Required value"],
    ),
    (
        container(envFrom=[{}]),
        [f'{C}.envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`'],
    ),
    (mount({"name": "nope", "mountPath": "/x"}), [f'{C}.volumeMounts[0].name: Not found: "nope"']),
    (mount({"name": "v", "mountPath": ""}), [f"{C}.volumeMounts[0].mountPath: Required value"]),
    (
        mount({"name": "v", "mountPath": "/x"}, {"name": "v", "mountPath": "/x"}),
        [f'{C}.volumeMounts[1].mountPath: Invalid value: "/x": must be unique'],
    ),
    (
        mount({"name": "v", "mountPath": "/x", "subPath": "../a"}),
        [f"{C}.volumeMounts.subPath: Invalid value: \"../a\": must not contain '..'"],
    ),
    (
        mount({"name": "v", "mountPath": "/x", "subPath": "/a"}),
        [f'{C}.volumeMounts.subPath: Invalid value: "/a": must be a relative path'],
    ),
    (
        pod(volumes=[{"name": "v"}, {"name": "v"}]),
        ['spec.volumes[1].name: Duplicate value: "v"'],
    ),
    (
        volume(emptyDir={}, hostPath={"path": "/a"}),
        ["spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
    ),
    (volume(configMap={}), ["spec.volumes[0].configMap.name: Required value"]),
    (volume(secret={}), ["spec.volumes[0].secret.secretName: Required value"]),
    (
        volume(persistentVolumeClaim={"claimName": ""}),
        ["spec.volumes[0].persistentVolumeClaim.claimName: Required value"],
    ),
    (
        volume(configMap={"name": "m", "defaultMode": 1000}),
        [
            "spec.volumes[0].configMap.defaultMode: Invalid value: 1000: must be a number between 0 and 0777 (octal), "
            "both inclusive"
        ],
    ),
    (
        volume(configMap={"name": "m", "items": [{"key": "k", "path": "../x"}]}),
        ["spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'"],
    ),
    (
        volume(hostPath={"path": "/a/../b"}),
        ["spec.volumes[0].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'"],
    ),
    (
        volume(hostPath={"path": "/a", "type": "Foo"}),
        [
            'spec.volumes[0].hostPath.type: Unsupported value: "Foo": supported values: "", "BlockDevice", '
            '"CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'
        ],
    ),
    (
        container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        [f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'],
    ),
    (
        container(resources={"requests": {"cpu": "-1"}}),
        [f'{C}.resources.requests[cpu]: Invalid value: "-1": must be greater than or equal to 0'],
    ),
    (
        container(resources={"requests": {"foo": "1"}, "limits": {"foo": "1"}}),
        [
            f'{C}.resources.{part}[foo]: Invalid value: "foo": {text}'
            for part in ("limits", "requests")
            for text in (
                "must be a standard resource type or fully qualified",
                "must be a standard resource for containers",
            )
        ],
    ),
    (
        container(resources={"limits": {"example.com/gpu": "1.5"}}),
        [
            f'{C}.resources.{part}[example.com/gpu]: Invalid value: "1500m": must be an integer'
            for part in ("limits", "requests")
        ],
    ),
    (
        container(resources={"requests": {"example.com/gpu": "1"}}),
        [f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources"],
    ),
    (container(livenessProbe={}), [f"{C}.livenessProbe: Required value: must specify a handler type"]),
    (
        probe(httpGet={"port": 80}),
        [f"{C}.livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type"],
    ),
    (probe(successThreshold=2), [f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1"]),
    (probe("startupProbe", successThreshold=2), [f"{C}.startupProbe.successThreshold: Invalid value: 2: must be 1"]),
    (probe("readinessProbe", successThreshold=2), []),
    (
        probe("readinessProbe", terminationGracePeriodSeconds=5),
        [f"{C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"],
    ),
    (container(lifecycle={"preStop": {}}), [f"{C}.lifecycle.preStop: Required value: must specify a handler type"]),
    (
        container(lifecycle={"preStop": {"sleep": {"seconds": 100}}}),
        [
            f"{C}.lifecycle.preStop.sleep: Invalid value: 100: must be non-negative and less than "
            "terminationGracePeriodSeconds (30)"
        ],
    ),
    (
        pod(securityContext={"runAsUser": -1}),
        ["spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive"],
    ),
    (
        container(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        [
            f'{C}.securityContext: Invalid value: {{"privileged":true,"allowPrivilegeEscalation":false}}: cannot set '
            "`allowPrivilegeEscalation` to false and `privileged` to true"
        ],
    ),
    (pod(hostname="a.b"), ['spec.hostname: Invalid value: "a.b": must not contain dots']),
    (
        toleration(operator="Equal", value="v"),
        [
            'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which '
            'means "match all values and all keys"'
        ],
    ),
    (
        toleration(key="k", operator="Exists", value="x"),
        ["spec.tolerations[0].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'"],
    ),
    (
        toleration(key="k", operator="Foo"),
        ['spec.tolerations[0].operator: Unsupported value: "Foo": supported values: "Equal", "Exists"'],
    ),
    (
        toleration(key="k", effect="Foo"),
        [
            'spec.tolerations[0].effect: Unsupported value: "Foo": supported values: "NoSchedule", "PreferNoSchedule", '
            '"NoExecute"'
        ],
    ),
    (
        toleration(key="k", effect="NoSchedule", tolerationSeconds=5),
        [
            "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when "
            "`tolerationSeconds` is set"
        ],
    ),
    (
        pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
        [
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required "
            "value: must have at least one node selector term"
        ],
    ),
    (
        pod(topologySpreadConstraints=[{"maxSkew": 0, "topologyKey": "k", "whenUnsatisfiable": "x"}]),
        [
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            'spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: "x": supported values: '
            '"DoNotSchedule", "ScheduleAnyway"',
        ],
    ),
    (
        pod(initContainers=[{"name": "i", "image": "x", "livenessProbe": {"exec": {"command": ["true"]}}}]),
        [
            "spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without "
            "restartPolicy=Always"
        ],
    ),
    (
        pod(ephemeralContainers=[{"name": "e", "image": "x"}]),
        ["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    ),
    (
        pod(hostAliases=[{"ip": "x", "hostnames": ["a"]}]),
        ['spec.hostAliases[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ),
    (
        pod(hostPID=True, shareProcessNamespace=True),
        [
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot "
            "both be enabled"
        ],
    ),
]


@pytest.mark.parametrize(("doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(errors_of: Callable[..., list[str]], doc: dict[str, Any], expected: list[str]) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(PODS, doc) == expected


def test_all_at_once(errors_of: Callable[..., list[str]]) -> None:
    """A document with several mistakes is told all of them."""
    found = errors_of(PODS, pod(containers=[{"name": "A"}], restartPolicy="x", hostname="a.b"))
    assert [text.partition(":")[0] for text in found] == [
        "spec.containers[0].name",
        "spec.containers[0].image",
        "spec.restartPolicy",
        "spec.hostname",
    ]
