"""Every built-in kind through the official Python client's models, which refuse an answer of the wrong shape."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.rest import ApiException

from minik8s.blocking import BlockingCluster

ANSWERED_BY_OBJECT = {
    *("pod", "service", "service_account", "namespace", "persistent_volume", "persistent_volume_claim", "pod_template"),
    *("resource_quota", "storage_class", "csi_driver", "csi_node", "volume_attachment", "volume_attributes_class"),
    *("job", "replication_controller"),  # orphaning is their default: they are still there
    "custom_resource_definition",  # its objects go first
}
"""Kinds whose deletion answers the object, all others a Status."""

CONTAINERS = {"containers": [{"name": "main", "image": "busybox"}]}
SELECTOR = {"matchLabels": {"app": "x"}}
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": CONTAINERS}
JOB = {"template": {"spec": {**CONTAINERS, "restartPolicy": "Never"}}}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "x"}
ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}
CSR = (
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHTE1EOENBUUF3RERFS01BZ0dBMVVFQXd3QmVEQXFNQVVHQXl0bGNBTWhB"
    "STluNkUySG5TMEJaR1ZpdVB4RwpKb3NQTEF3dGlQeExORGZGYllRSlBvcGVvQUF3QlFZREsyVndBMEVBOFZBSVhjd0NIaklwcGwySnhkTTVo"
    "QXpjCjM2S1dKUHF1U1RvanlVRkRaY3pRWXlwNzEwdXVvZmpiem9kQnYxdytyYUhyUy9yZXUrN0s2dDBnK1VpV0NRPT0KLS0tLS1FTkQgQ0VS"
    "VElGSUNBVEUgUkVRVUVTVC0tLS0tCg=="
)
WIDGETS = {
    "group": "example.com",
    "scope": "Namespaced",
    "names": {"plural": "widgets", "kind": "Widget"},
    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}],
}
PODS_RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}

KINDS: dict[str, dict[str, dict[str, Any]]] = {
    "CoreV1Api": {
        "config_map": {"data": {"a": "1"}},
        "secret": {"stringData": {"a": "1"}},
        "service": {"spec": {"ports": [{"port": 80}]}},
        "service_account": {},
        "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 1}]}]},
        "pod": {"spec": CONTAINERS},
        "pod_template": {"template": TEMPLATE},
        "replication_controller": {"spec": {"replicas": 0, "selector": {"app": "x"}, "template": TEMPLATE}},
        "resource_quota": {"spec": {"hard": {"pods": "10"}}},
        "limit_range": {"spec": {"limits": [{"type": "Pod", "max": {"cpu": "8"}}]}},
        "persistent_volume_claim": {
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        },
        "persistent_volume": {
            "spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}
        },
        "node": {},
        "namespace": {},
        "event": {"involvedObject": {"kind": "Pod", "name": "x", "namespace": "default"}, "reason": "Tested"},
    },
    "AppsV1Api": {
        "deployment": {"spec": {"replicas": 0, "selector": SELECTOR, "template": TEMPLATE}},
        "replica_set": {"spec": {"replicas": 0, "selector": SELECTOR, "template": TEMPLATE}},
        "stateful_set": {"spec": {"replicas": 0, "serviceName": "x", "selector": SELECTOR, "template": TEMPLATE}},
        "daemon_set": {"spec": {"selector": SELECTOR, "template": TEMPLATE}},
        "controller_revision": {"revision": 1, "data": {"a": "1"}},
    },
    "BatchV1Api": {
        "job": {"spec": JOB},
        "cron_job": {"spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": JOB}}},
    },
    "AutoscalingV1Api": {"horizontal_pod_autoscaler": {"spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}}},
    "AutoscalingV2Api": {"horizontal_pod_autoscaler": {"spec": {"maxReplicas": 3, "scaleTargetRef": SCALED}}},
    "NetworkingV1Api": {
        "ingress": {"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}},
        "ingress_class": {"spec": {"controller": "example.com/x"}},
        "network_policy": {"spec": {"podSelector": {}}},
        "service_cidr": {"spec": {"cidrs": ["10.200.0.0/16"]}},
    },
    "PolicyV1Api": {"pod_disruption_budget": {"spec": {"minAvailable": 1, "selector": SELECTOR}}},
    "RbacAuthorizationV1Api": {
        "role": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        "role_binding": {"roleRef": ROLE, "subjects": [{"kind": "ServiceAccount", "name": "x"}]},
        "cluster_role": {"rules": [{"nonResourceURLs": ["/version"], "verbs": ["get"]}]},
        "cluster_role_binding": {"roleRef": ROLE},
    },
    "StorageV1Api": {
        "storage_class": {"provisioner": "example.com/x"},
        "csi_driver": {"spec": {}},
        "csi_node": {"spec": {"drivers": []}},
        "csi_storage_capacity": {"storageClassName": "x"},
        "volume_attachment": {
            "spec": {"attacher": "example.com", "nodeName": "x", "source": {"persistentVolumeName": "x"}}
        },
        "volume_attributes_class": {"driverName": "example.com", "parameters": {"a": "1"}},
    },
    "SchedulingV1Api": {"priority_class": {"value": 5}},
    "CoordinationV1Api": {"lease": {"spec": {"holderIdentity": "x", "renewTime": "2026-01-01T00:00:00.000001Z"}}},
    "NodeV1Api": {"runtime_class": {"handler": "x"}},
    "DiscoveryV1Api": {"endpoint_slice": {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}},
    "CertificatesV1Api": {
        "certificate_signing_request": {
            "spec": {"request": CSR, "signerName": "example.com/x", "usages": ["client auth"]}
        }
    },
    "ApiextensionsV1Api": {
        "custom_resource_definition": {"metadata": {"name": "widgets.example.com"}, "spec": WIDGETS}
    },
    "ApiregistrationV1Api": {
        "api_service": {
            "metadata": {"name": "v1.example.com"},
            "spec": {"group": "example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100},
        }
    },
    "AdmissionregistrationV1Api": {
        "validating_webhook_configuration": {"webhooks": []},
        "mutating_webhook_configuration": {"webhooks": []},
        "validating_admission_policy": {
            "spec": {
                "validations": [{"expression": "true"}],
                "matchConstraints": {"resourceRules": [PODS_RULE]},
            }
        },
        "validating_admission_policy_binding": {"spec": {"policyName": "x", "validationActions": ["Deny"]}},
    },
    "FlowcontrolApiserverV1Api": {
        "flow_schema": {"spec": {"priorityLevelConfiguration": {"name": "exempt"}}},
        "priority_level_configuration": {"spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}},
    },
}


@pytest.fixture(scope="module")
def quiet_api() -> Iterator[client.ApiClient]:
    """A client of a cluster without nodes and controllers: nobody else changes what a test works on."""
    with BlockingCluster(nodes=0, controllers=("serviceaccount",), scheduler=False) as cluster:
        api = config.new_client_from_config(str(cluster.kubeconfig))
        yield api
        api.rest_client.pool_manager.clear()


@pytest.mark.parametrize(("group", "kind"), [(group, kind) for group in KINDS for kind in KINDS[group]])
def test_every_kind_fits_its_model(quiet_api: client.ApiClient, group: str, kind: str) -> None:
    """create, read, list, patch, replace and delete answer what the client's model of the kind accepts."""
    body = {"metadata": {"name": "x"}, **KINDS[group][kind]}
    name = body["metadata"]["name"]
    group_api = getattr(client, group)(quiet_api)
    namespaced = hasattr(group_api, f"create_namespaced_{kind}")

    def call(verb: str, *args: Any, suffix: str = "") -> Any:
        operation = getattr(group_api, f"{verb}_namespaced_{kind}{suffix}" if namespaced else f"{verb}_{kind}{suffix}")
        where = {"namespace": "default"} if namespaced else {}
        return operation(**dict(zip(("name", "body") if verb != "create" else ("body",), args, strict=False)), **where)

    created = call("create", body)
    assert call("read", name).metadata.uid == created.metadata.uid
    assert name in [item.metadata.name for item in call("list").items]
    assert call("patch", name, {"metadata": {"labels": {"a": "1"}}}).metadata.labels["a"] == "1"
    found = call("read", name)
    found.metadata.annotations = {"b": "2"}
    assert call("replace", name, found).metadata.annotations["b"] == "2"
    if getattr(created, "status", None) is not None:
        status = call("read", name, suffix="_status")
        assert call("replace", name, status, suffix="_status").status == status.status
    deleted = call("delete", name)
    answered = deleted["kind"] if isinstance(deleted, dict) else deleted.kind
    assert (answered != "Status") == (kind in ANSWERED_BY_OBJECT)


def test_unknown_kinds_of_optional_apis_are_not_found(quiet_api: client.ApiClient) -> None:
    """A group that is not served is a clean 404."""
    with pytest.raises(ApiException) as missing:
        client.StoragemigrationV1Api(quiet_api).list_storage_version_migration()
    assert missing.value.status == 404
