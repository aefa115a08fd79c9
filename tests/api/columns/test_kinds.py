"""The cells of every kind that has columns of its own, as object and expected row."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.columns import DEFAULT, SCALE, STATUS, columns_for, columns_for_kind
from minik8s.api.resources import BUILTIN, PODS

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
CREATED = "2026-01-01T00:00:00Z"
AGE = "60m"

TEMPLATE = {
    "metadata": {"labels": {"app": "x"}},
    "spec": {"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "j"}], "nodeSelector": {"k": "v"}},
}
SELECTOR = {"matchLabels": {"app": "x"}}


def row(group: str, kind: str, body: dict[str, Any], **meta: Any) -> list[Any]:
    """The cells of an object `x` created an hour ago, without the first one."""
    obj = {"kind": kind, **body, "metadata": {"name": "x", "creationTimestamp": CREATED, **meta}}
    columns = columns_for_kind(group, kind)
    cells = columns.cells(obj, NOW)
    assert columns is not DEFAULT
    assert len(cells) == len(columns.definitions)
    return cells[1:]


CORE: list[tuple[str, dict[str, Any], list[Any]]] = [
    ("ConfigMap", {"data": {"a": "1"}, "binaryData": {"b": "", "c": ""}}, [3, AGE]),
    ("Secret", {"type": "Opaque", "data": {"a": ""}}, ["Opaque", 1, AGE]),
    ("ServiceAccount", {}, [AGE]),
    ("Namespace", {"status": {"phase": "Active"}}, ["Active", AGE]),
    ("ResourceQuota", {"status": {"hard": {"pods": "5", "limits.cpu": "2", "cpu": "1"}, "used": {"pods": "1"}}},
     ["cpu: 0/1, pods: 1/5", "limits.cpu: 0/2", AGE]),
    ("ComponentStatus", {"conditions": [{"type": "Healthy", "status": "True", "message": "ok"}]},
     ["Healthy", "ok", ""]),
    ("Node", {"spec": {"unschedulable": True}, "status": {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "L", "kernelVersion": "6.1", "architecture": "amd64",
                     "containerRuntimeVersion": "r://1"}}},
     ["Ready,SchedulingDisabled", "<none>", AGE, "v1.36.0", "10.0.0.1", "<none>", "L", "6.1 (amd64)", "r://1"]),
    ("Node", {}, ["Unknown", "<none>", AGE, "", "<none>", "<none>", "<unknown>", "<unknown>", "<unknown>"]),
    ("PodTemplate", {"template": TEMPLATE}, ["a,b", "i,j", "app=x"]),
    ("ReplicationController", {"spec": {"replicas": 3, "selector": {"app": "x"}, "template": TEMPLATE},
                               "status": {"replicas": 2, "readyReplicas": 1}},
     [3, 2, 1, AGE, "a,b", "i,j", "app=x"]),
    ("Service", {"spec": {"type": "ClusterIP", "clusterIP": "10.1.0.1", "clusterIPs": ["10.1.0.1"],
                          "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
                          "selector": {"app": "x"}}},
     ["ClusterIP", "10.1.0.1", "<none>", "80/TCP,53/UDP", AGE, "app=x"]),
    ("Service", {"spec": {"type": "NodePort", "clusterIPs": ["10.1.0.1"], "externalIPs": ["1.1.1.1", "2.2.2.2"],
                          "ports": [{"port": 80, "nodePort": 30000, "protocol": "TCP"}]}},
     ["NodePort", "10.1.0.1", "1.1.1.1,2.2.2.2", "80:30000/TCP", AGE, "<none>"]),
    ("Service", {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.1.0.1"]}},
     ["LoadBalancer", "10.1.0.1", "<pending>", "<none>", AGE, "<none>"]),
    ("Service", {"spec": {"type": "LoadBalancer", "clusterIPs": ["10.1.0.1"], "externalIPs": ["9.9.9.9"]},
                 "status": {"loadBalancer": {"ingress": [{"ip": "8.8.8.8"}]}}},
     ["LoadBalancer", "10.1.0.1", "8.8.8.8,9.9.9.9", "<none>", AGE, "<none>"]),
    ("Service", {"spec": {"type": "ExternalName", "externalName": "a.b"}},
     ["ExternalName", "<none>", "a.b", "<none>", AGE, "<none>"]),
    ("Service", {"spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]}},
     ["ClusterIP", "None", "<none>", "<none>", AGE, "<none>"]),
    ("Endpoints", {}, ["<none>", AGE]),
    ("Endpoints", {"subsets": [{"addresses": [{"ip": "a"}, {"ip": "fd::1"}], "ports": [{"port": 80}, {"port": 81}]}]},
     ["a:80,[fd::1]:80,a:81 + 1 more...", AGE]),
    ("Endpoints", {"subsets": [{"addresses": [{"ip": "a"}]}]}, ["a", AGE]),
    ("PersistentVolume", {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
                                   "persistentVolumeReclaimPolicy": "Retain", "storageClassName": "s",
                                   "claimRef": {"namespace": "n", "name": "c"}, "volumeMode": "Filesystem"},
                          "status": {"phase": "Bound"}},
     ["1Gi", "RWO,RWX", "Retain", "Bound", "n/c", "s", "<unset>", "", AGE, "Filesystem"]),
    ("PersistentVolumeClaim", {"spec": {"storageClassName": "s"}, "status": {"phase": "Pending"}},
     ["Pending", "", "", "", "s", "<unset>", AGE, "<unset>"]),
    ("PersistentVolumeClaim", {"spec": {"volumeName": "v", "volumeMode": "Block"},
                               "status": {"phase": "Bound", "capacity": {"storage": "1Gi"},
                                          "accessModes": ["ReadWriteOncePod"]}},
     ["Bound", "v", "1Gi", "RWOP", "", "<unset>", AGE, "Block"]),
    ("Event", {"involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec"}, "type": "Normal", "reason": "R",
               "message": " m\n", "source": {"component": "kubelet", "host": "n"}, "count": 3,
               "firstTimestamp": "2026-01-01T00:50:00Z", "lastTimestamp": "2026-01-01T00:59:00Z"},
     ["Normal", "R", "pod/p", "spec", "kubelet, n", "m", "10m", 3, "x"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "expected"), CORE)
def test_core(kind: str, body: dict[str, Any], expected: list[Any]) -> None:
    """Core kinds."""
    assert row("", kind, body) == expected


OTHERS: list[tuple[str, str, dict[str, Any], list[Any]]] = [
    ("apps", "Deployment", {"spec": {"replicas": 3, "selector": SELECTOR, "template": TEMPLATE},
                            "status": {"readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1}},
     ["1/3", 2, 1, AGE, "a,b", "i,j", "app=x"]),
    ("apps", "Deployment", {"spec": {"selector": {"matchExpressions": [{"key": "a", "operator": "?"}]}}},
     ["0/0", 0, 0, AGE, "", "", "<invalid>"]),
    ("apps", "ReplicaSet", {"spec": {"replicas": 0, "selector": SELECTOR, "template": TEMPLATE}},
     [0, 0, 0, AGE, "a,b", "i,j", "app=x"]),
    ("apps", "StatefulSet", {"spec": {"replicas": 2, "template": TEMPLATE}, "status": {"readyReplicas": 2}},
     ["2/2", AGE, "a,b", "i,j"]),
    ("apps", "DaemonSet", {"spec": {"selector": SELECTOR, "template": TEMPLATE},
                           "status": {"desiredNumberScheduled": 5, "currentNumberScheduled": 4, "numberReady": 3,
                                      "updatedNumberScheduled": 2, "numberAvailable": 1}},
     [5, 4, 3, 2, 1, "k=v", AGE, "a,b", "i,j", "app=x"]),
    ("apps", "ControllerRevision", {"revision": 2}, ["<none>", 2, AGE]),
    ("batch", "Job", {"spec": {"completions": 3, "selector": SELECTOR, "template": TEMPLATE},
                      "status": {"succeeded": 1, "startTime": "2026-01-01T00:58:30Z"}},
     ["Running", "1/3", "90s", AGE, "a,b", "i,j", "app=x"]),
    ("batch", "Job", {"spec": {"parallelism": 2},
                      "status": {"startTime": CREATED, "completionTime": "2026-01-01T00:00:05Z",
                                 "conditions": [{"type": "Complete", "status": "True"}]}},
     ["Complete", "0/1 of 2", "5s", AGE, "", "", "<none>"]),
    ("batch", "CronJob", {"spec": {"schedule": "* * * * *", "suspend": False,
                                   "jobTemplate": {"spec": {"template": TEMPLATE}}},
                          "status": {"active": [{}], "lastScheduleTime": "2026-01-01T00:59:00Z"}},
     ["* * * * *", "<none>", "False", 1, "60s", AGE, "a,b", "i,j", "<none>"]),
    ("networking.k8s.io", "Ingress", {"spec": {"ingressClassName": "c", "tls": [{}], "rules": [
        {"host": h} for h in "abcd"]}, "status": {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}]}}},
     ["c", "a,b,c + 1 more...", "1.1.1.1", "80, 443", AGE]),
    ("networking.k8s.io", "Ingress", {"spec": {"rules": [{}]}}, ["<none>", "*", "", "80", AGE]),
    ("networking.k8s.io", "IngressClass", {"spec": {"controller": "c", "parameters": {
        "kind": "K", "apiGroup": "g", "name": "n"}}}, ["c", "K.g/n", AGE]),
    ("networking.k8s.io", "NetworkPolicy", {"spec": {"podSelector": {}}}, ["<none>", AGE]),
    ("networking.k8s.io", "IPAddress", {"spec": {"parentRef": {"resource": "services", "namespace": "n",
                                                               "name": "s"}}}, ["services/n/s"]),
    ("networking.k8s.io", "ServiceCIDR", {"spec": {"cidrs": ["10.0.0.0/8", "fd00::/64"]}},
     ["10.0.0.0/8,fd00::/64", AGE]),
    ("discovery.k8s.io", "EndpointSlice", {"addressType": "IPv4", "ports": [{"port": 80}, {"name": "n"}, {}],
                                           "endpoints": [{"addresses": ["a", "b"]}, {"addresses": ["c"]},
                                                         {"addresses": ["d"]}]},
     ["IPv4", "80,n,*", "a,b,c + 1 more...", AGE]),
    ("discovery.k8s.io", "EndpointSlice", {"addressType": "IPv4"}, ["IPv4", "<unset>", "<unset>", AGE]),
    ("policy", "PodDisruptionBudget", {"spec": {"minAvailable": 0}, "status": {"disruptionsAllowed": 1}},
     ["0", "N/A", 1, AGE]),
    ("rbac.authorization.k8s.io", "RoleBinding", {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [
        {"kind": "User", "name": "u"}, {"kind": "User", "name": "v"}, {"kind": "Group", "name": "g"},
        {"kind": "ServiceAccount", "namespace": "n", "name": "s"}]}, ["Role/r", AGE, "u, v", "g", "n/s"]),
    ("storage.k8s.io", "StorageClass", {"provisioner": "p", "allowVolumeExpansion": True},
     ["p", "Delete", "Immediate", True, AGE]),
    ("storage.k8s.io", "CSIDriver", {"spec": {"tokenRequests": [{"audience": "a"}, {"audience": "b"}]}},
     [True, False, False, "a,b", False, "<none>", AGE]),
    ("storage.k8s.io", "CSINode", {"spec": {"drivers": [{}, {}]}}, [2, AGE]),
    ("storage.k8s.io", "VolumeAttachment", {"spec": {"attacher": "a", "nodeName": "n", "source": {
        "persistentVolumeName": "v"}}, "status": {"attached": True}}, ["a", "v", "n", True, AGE]),
    ("storage.k8s.io", "VolumeAttributesClass", {"driverName": "d"}, ["d", AGE]),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", {"webhooks": [{}]}, [1, AGE]),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", {"spec": {"validations": [{}, {}], "paramKind": {
        "apiVersion": "v1", "kind": "ConfigMap"}}}, [2, "v1/ConfigMap", AGE]),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", {"spec": {"mutations": [{}]}}, [1, "<unset>", AGE]),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", {"spec": {"policyName": "p", "paramRef": {
        "namespace": "n", "name": "c"}}}, ["p", "n/c", AGE]),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", {"spec": {"policyName": "p", "paramRef": {
        "selector": SELECTOR}}}, ["p", "app=x", AGE]),
    ("apiregistration.k8s.io", "APIService", {}, ["Local", "Unknown", AGE]),
    ("apiregistration.k8s.io", "APIService", {"spec": {"service": {"namespace": "n", "name": "s"}}, "status": {
        "conditions": [{"type": "Available", "status": "False", "reason": "R"}]}}, ["n/s", "False (R)", AGE]),
    ("certificates.k8s.io", "CertificateSigningRequest", {"spec": {"signerName": "s", "username": "u",
                                                                   "expirationSeconds": 3600 * 24},
                                                          "status": {"conditions": [{"type": "Approved"}],
                                                                     "certificate": "Q"}},
     [AGE, "s", "u", "24h", "Approved,Issued"]),
    ("coordination.k8s.io", "Lease", {"spec": {"holderIdentity": "h"}}, ["h", AGE]),
    ("scheduling.k8s.io", "PriorityClass", {"value": 5}, [5, False, AGE, "PreemptLowerPriority"]),
    ("node.k8s.io", "RuntimeClass", {"handler": "h"}, ["h", AGE]),
    ("resource.k8s.io", "DeviceClass", {}, [AGE]),
    ("resource.k8s.io", "ResourceClaim", {}, ["pending", AGE]),
    ("resource.k8s.io", "ResourceClaim", {"status": {"allocation": {"devices": {}}, "reservedFor": [{"uid": "u"}]}},
     ["allocated,reserved", AGE]),
    ("resource.k8s.io", "ResourceClaimTemplate", {}, [AGE]),
    ("resource.k8s.io", "ResourceSlice", {"spec": {"driver": "d", "pool": {"name": "p"}}},
     ["<unset>", "d", "p", AGE]),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", {"spec": {"priorityLevelConfiguration": {"name": "p"},
                                                             "matchingPrecedence": 7}},
     ["p", 7, "<none>", AGE, "?"]),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", {"spec": {"type": "Limited", "limited": {
        "nominalConcurrencyShares": 5, "limitResponse": {"queuing": {"queues": 2, "handSize": 3,
                                                                     "queueLengthLimit": 4}}}}},
     ["Limited", 5, 2, 3, 4, AGE]),
]  # fmt: skip


@pytest.mark.parametrize(("group", "kind", "body", "expected"), OTHERS)
def test_groups(group: str, kind: str, body: dict[str, Any], expected: list[Any]) -> None:
    """Kinds of the other groups."""
    assert row(group, kind, body) == expected


def test_default_marks() -> None:
    """Default classes carry a mark after their name."""
    meta = {"name": "s", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    assert columns_for_kind("storage.k8s.io", "StorageClass").cells({"metadata": meta}, NOW)[0] == "s (default)"
    meta = {"name": "i", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    assert columns_for_kind("networking.k8s.io", "IngressClass").cells({"metadata": meta}, NOW)[0] == "i (default)"


def test_labels_and_owners() -> None:
    """Node roles come from labels, a revision's controller from its owner, terminating volumes say so."""
    roles = {"node-role.kubernetes.io/b": "", "kubernetes.io/role": "a", "node-role.kubernetes.io/": ""}
    assert row("", "Node", {}, labels=roles)[1] == "a,b"
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": True}
    assert row("apps", "ControllerRevision", {}, ownerReferences=[owner])[0] == "statefulset.apps/web"
    claim = row("", "PersistentVolumeClaim", {"status": {"phase": "Bound"}}, deletionTimestamp=CREATED)
    assert claim[0] == "Terminating"


@pytest.mark.parametrize(
    ("conditions", "deleted", "status"),
    [
        (["Failed"], True, "Failed"),
        ([], True, "Terminating"),
        (["Suspended"], False, "Suspended"),
        (["FailureTarget"], False, "FailureTarget"),
        (["SuccessCriteriaMet"], False, "SuccessCriteriaMet"),
    ],
)
def test_job_status(conditions: list[str], deleted: bool, status: str) -> None:
    """The first condition that says something about the job's end wins."""
    meta = {"deletionTimestamp": CREATED} if deleted else {}
    body = {"status": {"conditions": [{"type": c, "status": "True"} for c in conditions]}}
    assert row("batch", "Job", body, **meta)[0] == status


def resource(name: str, target: dict[str, Any], kind: str = "resource") -> dict[str, Any]:
    type_ = kind[0].upper() + kind[1:]
    return {"type": type_, kind: {"name": name, "target": target}}


def current(value: dict[str, Any], kind: str = "resource") -> dict[str, Any]:
    return {"type": kind[0].upper() + kind[1:], kind: {"current": value}}


@pytest.mark.parametrize(
    ("metrics", "status", "text"),
    [
        ([], [], "<none>"),
        ([resource("cpu", {"averageUtilization": 80})], [current({"averageUtilization": 20})], "cpu: 20%/80%"),
        ([resource("cpu", {"averageUtilization": 80})], [], "cpu: <unknown>/80%"),
        ([resource("cpu", {})], [], "cpu: <unknown>/<auto>"),
        ([resource("cpu", {"averageValue": "1"})], [current({"averageValue": "500m"})], "cpu: 500m/1"),
        ([resource("", {"averageValue": "1"}, "pods")], [current({"averageValue": "2"}, "pods")], "2/1"),
        ([resource("", {"value": "1"}, "object")], [current({"value": "2"}, "object")], "2/1"),
        ([resource("", {"averageValue": "1"}, "external")], [], "<unknown>/1 (avg)"),
        ([resource(n, {"averageUtilization": 1}) for n in "abc"], [],
         "a: <unknown>/1%, b: <unknown>/1% + 1 more..."),
    ],
)  # fmt: skip
def test_autoscaler(metrics: list[Any], status: list[Any], text: str) -> None:
    """An autoscaler's targets are current/target for each metric, two at most."""
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": metrics, "maxReplicas": 5}
    cells = row("autoscaling", "HorizontalPodAutoscaler", {"spec": spec, "status": {"currentMetrics": status}})
    assert cells == ["Deployment/web", text, "<unset>", 5, 0, AGE]


def test_autoscaler_v1() -> None:
    """The v1 form names its one target and value elsewhere."""
    body = {"spec": {"targetCPUUtilizationPercentage": 50, "minReplicas": 2}, "status": {}}
    assert row("autoscaling", "HorizontalPodAutoscaler", body)[1:3] == ["cpu: <unknown>/50%", "2"]


def test_events() -> None:
    """Both spellings of Event, with series and singletons."""
    body = {
        "regarding": {"kind": "Node", "name": "n"},
        "eventTime": "2026-01-01T00:50:00.000000Z",
        "note": "m",
        "reportingController": "c",
        "reportingInstance": "i",
        "series": {"count": 4, "lastObservedTime": "2026-01-01T00:59:00.000000Z"},
    }
    obj = {"metadata": {"name": "e"}, **body}
    cells = columns_for_kind("events.k8s.io", "Event").cells(obj, NOW)
    assert cells == ["60s", "", "", "node/n", "", "c, i", "m", "10m", 4, "e"]
    del obj["series"]
    cells = columns_for_kind("events.k8s.io", "Event").cells(obj, NOW)
    assert (cells[0], cells[8]) == ("10m", 1)


def test_defaults_scale_and_status() -> None:
    """Kinds without columns show name and creation; Scale and Status have columns as well."""
    meta = {"name": "x", "creationTimestamp": CREATED}
    assert columns_for_kind("", "LimitRange").cells({"metadata": meta}, NOW) == ["x", CREATED]
    scale = {"metadata": meta, "spec": {"replicas": 2}, "status": {"replicas": 1}}
    assert SCALE.cells(scale, NOW) == ["x", 2, 1, AGE]
    assert STATUS.cells({"status": "Failure", "reason": "NotFound", "message": "m"}, NOW) == [
        "Failure",
        "NotFound",
        "m",
    ]


def test_every_resource_survives_an_empty_object() -> None:
    """Whatever is missing from an object, its row has as many cells as columns."""
    for resource_ in BUILTIN:
        columns = columns_for(resource_)
        assert len(columns.cells({"metadata": {"name": "x"}}, NOW)) == len(columns.definitions)


def test_definitions() -> None:
    """A column definition says type, format and priority as kubectl reads them."""
    name, *_, gates = columns_for(PODS).definitions
    assert name.to_dict()["format"] == "name"
    assert gates.to_dict() == {
        "name": "Readiness Gates",
        "type": "string",
        "format": "",
        "description": "",
        "priority": 1,
    }
