"""The switches of each kind, as the API's conventions list them."""

from __future__ import annotations

from minik8s.api.resources import BUILTIN, EVENTS, NODES, PODS, REPLICA_SETS, SECRETS
from minik8s.api.strategies import strategy_for

WITH_GENERATION = {
    "Pod", "PodTemplate", "ReplicationController", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job",
    "CronJob",
    "Ingress", "IngressClass", "NetworkPolicy", "PodDisruptionBudget", "EndpointSlice", "PriorityClass",
    "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "FlowSchema",
    "PriorityLevelConfiguration", "CustomResourceDefinition", "DeviceClass", "ResourceSlice",
}  # fmt: skip
VERSION_REQUIRED = {
    "Lease", "PodDisruptionBudget", "RuntimeClass", "CSIDriver", "CSINode", "CSIStorageCapacity", "VolumeAttachment",
    "APIService", "CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration",
    "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip
CREATED_BY_PUT = {
    "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Lease", "LimitRange", "Event", "Service", "Endpoints",
    "RuntimeClass",
}  # fmt: skip
RETURNED_WHEN_DELETED = {
    "Pod", "Service", "ServiceAccount", "Namespace", "PersistentVolume", "PersistentVolumeClaim", "PodTemplate",
    "ResourceQuota", "StorageClass", "CSIDriver", "CSINode", "VolumeAttachment", "VolumeAttributesClass",
    "DeviceClass", "ResourceClaim", "ResourceClaimTemplate", "ResourceSlice",
}  # fmt: skip


STATUS_ALONE = {
    "FlowSchema", "PriorityLevelConfiguration", "CustomResourceDefinition", "APIService", "VolumeAttachment",
    "ValidatingAdmissionPolicy", "ResourceClaim",
}  # fmt: skip


def kinds_with(switch: str, value: object = True) -> set[str]:
    return {r.kind for r in BUILTIN if getattr(strategy_for(r), switch) == value}


def test_switches() -> None:
    """Exactly the kinds that upstream lists have each property."""
    assert kinds_with("has_generation") == WITH_GENERATION
    assert kinds_with("requires_version") == VERSION_REQUIRED
    assert kinds_with("creates_on_update") == CREATED_BY_PUT
    assert kinds_with("returns_deleted") == RETURNED_WHEN_DELETED
    assert kinds_with("default_propagation", "Orphan") == {"Job", "ReplicationController"}
    assert kinds_with("graceful") == {"Pod"}
    assert kinds_with("status_keeps_metadata") == STATUS_ALONE


def test_indexes_are_selectable() -> None:
    """Whatever the store indexes can be asked for."""
    for resource in BUILTIN:
        strategy = strategy_for(resource)
        assert set(strategy.indexed) <= set(strategy.selectable)


def test_field_selectors() -> None:
    """Readers give text for every value, and what a missing one stands for."""
    pod = {"spec": {"nodeName": "n", "hostNetwork": True}, "status": {"phase": "Running"}}
    readers = strategy_for(PODS).selectable
    shown = {path: readers[path](pod) for path in ("spec.nodeName", "spec.host", "spec.hostNetwork", "status.podIP")}
    assert shown == {"spec.nodeName": "n", "spec.host": "n", "spec.hostNetwork": "true", "status.podIP": ""}
    assert strategy_for(NODES).selectable["spec.unschedulable"]({"spec": {}}) == "false"
    assert strategy_for(REPLICA_SETS).selectable["status.replicas"]({"status": {"replicas": 3}}) == "3"
    assert strategy_for(SECRETS).selectable["type"]({"type": "Opaque"}) == "Opaque"
    event = {"involvedObject": {"uid": "u"}, "source": {"component": "kubelet"}}
    events = strategy_for(EVENTS).selectable
    assert (events["involvedObject.uid"](event), events["source"](event)) == ("u", "kubelet")
