"""Every built-in resource of Kubernetes 1.36's GA groups, in the order in which discovery lists them.

Facts from kube-apiserver's own discovery documents. The first version of a group that appears is its preferred
one, and the first group that serves a kind stores it (`STORED_AS` names the exceptions that share storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minik8s.api.resource import Resource, Subresource

if TYPE_CHECKING:
    from minik8s.api import types

_CHANGE = ("get", "patch", "update")
_CONNECT = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")
_STATUS = Subresource("status", _CHANGE)
_SCALE = Subresource("scale", _CHANGE, "Scale", "autoscaling", "v1")

BINDINGS: Resource[types.Binding] = Resource("", "v1", "bindings", "Binding", True, verbs=("create",))
COMPONENT_STATUSES: Resource[types.ComponentStatus] = Resource(
    "", "v1", "componentstatuses", "ComponentStatus", False, short_names=("cs",), verbs=("get", "list")
)
CONFIG_MAPS: Resource[types.ConfigMap] = Resource("", "v1", "configmaps", "ConfigMap", True, short_names=("cm",))
ENDPOINTS: Resource[types.Endpoints] = Resource("", "v1", "endpoints", "Endpoints", True, short_names=("ep",))
EVENTS: Resource[types.Event] = Resource("", "v1", "events", "Event", True, short_names=("ev",))
LIMIT_RANGES: Resource[types.LimitRange] = Resource(
    "", "v1", "limitranges", "LimitRange", True, short_names=("limits",)
)
NAMESPACES: Resource[types.Namespace] = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(Subresource("finalize", ("update",)), _STATUS),
)
NODES: Resource[types.Node] = Resource(
    "",
    "v1",
    "nodes",
    "Node",
    False,
    short_names=("no",),
    subresources=(Subresource("proxy", _PROXY, "NodeProxyOptions"), _STATUS),
)
PERSISTENT_VOLUME_CLAIMS: Resource[types.PersistentVolumeClaim] = Resource(
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, short_names=("pvc",), subresources=(_STATUS,)
)
PERSISTENT_VOLUMES: Resource[types.PersistentVolume] = Resource(
    "", "v1", "persistentvolumes", "PersistentVolume", False, short_names=("pv",), subresources=(_STATUS,)
)
PODS: Resource[types.Pod] = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    True,
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource("attach", _CONNECT, "PodAttachOptions"),
        Subresource("binding", ("create",), "Binding"),
        Subresource("ephemeralcontainers", _CHANGE),
        Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
        Subresource("exec", _CONNECT, "PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", _CONNECT, "PodPortForwardOptions"),
        Subresource("proxy", _PROXY, "PodProxyOptions"),
        Subresource("resize", _CHANGE),
        _STATUS,
    ),
)
POD_TEMPLATES: Resource[types.PodTemplate] = Resource("", "v1", "podtemplates", "PodTemplate", True)
REPLICATION_CONTROLLERS: Resource[types.ReplicationController] = Resource(
    "",
    "v1",
    "replicationcontrollers",
    "ReplicationController",
    True,
    short_names=("rc",),
    categories=("all",),
    subresources=(_SCALE, _STATUS),
)
RESOURCE_QUOTAS: Resource[types.ResourceQuota] = Resource(
    "", "v1", "resourcequotas", "ResourceQuota", True, short_names=("quota",), subresources=(_STATUS,)
)
SECRETS: Resource[types.Secret] = Resource("", "v1", "secrets", "Secret", True)
SERVICE_ACCOUNTS: Resource[types.ServiceAccount] = Resource(
    "",
    "v1",
    "serviceaccounts",
    "ServiceAccount",
    True,
    short_names=("sa",),
    subresources=(Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),),
)
SERVICES: Resource[types.Service] = Resource(
    "",
    "v1",
    "services",
    "Service",
    True,
    short_names=("svc",),
    categories=("all",),
    subresources=(Subresource("proxy", _PROXY, "ServiceProxyOptions"), _STATUS),
)
API_SERVICES: Resource[types.APIService] = Resource(
    "apiregistration.k8s.io",
    "v1",
    "apiservices",
    "APIService",
    False,
    categories=("api-extensions",),
    subresources=(_STATUS,),
)
CONTROLLER_REVISIONS: Resource[types.ControllerRevision] = Resource(
    "apps", "v1", "controllerrevisions", "ControllerRevision", True
)
DAEMON_SETS: Resource[types.DaemonSet] = Resource(
    "apps", "v1", "daemonsets", "DaemonSet", True, short_names=("ds",), categories=("all",), subresources=(_STATUS,)
)
DEPLOYMENTS: Resource[types.Deployment] = Resource(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    True,
    short_names=("deploy",),
    categories=("all",),
    subresources=(_SCALE, _STATUS),
)
REPLICA_SETS: Resource[types.ReplicaSet] = Resource(
    "apps",
    "v1",
    "replicasets",
    "ReplicaSet",
    True,
    short_names=("rs",),
    categories=("all",),
    subresources=(_SCALE, _STATUS),
)
STATEFUL_SETS: Resource[types.StatefulSet] = Resource(
    "apps",
    "v1",
    "statefulsets",
    "StatefulSet",
    True,
    short_names=("sts",),
    categories=("all",),
    subresources=(_SCALE, _STATUS),
)
EVENTS_V1: Resource[types.EventsEvent] = Resource("events.k8s.io", "v1", "events", "Event", True, short_names=("ev",))
SELF_SUBJECT_REVIEWS: Resource[types.SelfSubjectReview] = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", False, verbs=("create",)
)
TOKEN_REVIEWS: Resource[types.TokenReview] = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False, verbs=("create",)
)
LOCAL_SUBJECT_ACCESS_REVIEWS: Resource[types.LocalSubjectAccessReview] = Resource(
    "authorization.k8s.io", "v1", "localsubjectaccessreviews", "LocalSubjectAccessReview", True, verbs=("create",)
)
SELF_SUBJECT_ACCESS_REVIEWS: Resource[types.SelfSubjectAccessReview] = Resource(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False, verbs=("create",)
)
SELF_SUBJECT_RULES_REVIEWS: Resource[types.SelfSubjectRulesReview] = Resource(
    "authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", False, verbs=("create",)
)
SUBJECT_ACCESS_REVIEWS: Resource[types.SubjectAccessReview] = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False, verbs=("create",)
)
HORIZONTAL_POD_AUTOSCALERS: Resource[types.HorizontalPodAutoscaler] = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    True,
    short_names=("hpa",),
    categories=("all",),
    subresources=(_STATUS,),
)
HORIZONTAL_POD_AUTOSCALERS_V1: Resource[types.HorizontalPodAutoscalerV1] = Resource(
    "autoscaling",
    "v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    True,
    short_names=("hpa",),
    categories=("all",),
    subresources=(_STATUS,),
)
CRON_JOBS: Resource[types.CronJob] = Resource(
    "batch", "v1", "cronjobs", "CronJob", True, short_names=("cj",), categories=("all",), subresources=(_STATUS,)
)
JOBS: Resource[types.Job] = Resource("batch", "v1", "jobs", "Job", True, categories=("all",), subresources=(_STATUS,))
CERTIFICATE_SIGNING_REQUESTS: Resource[types.CertificateSigningRequest] = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    False,
    short_names=("csr",),
    subresources=(Subresource("approval", _CHANGE), _STATUS),
)
INGRESS_CLASSES: Resource[types.IngressClass] = Resource(
    "networking.k8s.io", "v1", "ingressclasses", "IngressClass", False
)
INGRESSES: Resource[types.Ingress] = Resource(
    "networking.k8s.io", "v1", "ingresses", "Ingress", True, short_names=("ing",), subresources=(_STATUS,)
)
IP_ADDRESSES: Resource[types.IPAddress] = Resource(
    "networking.k8s.io", "v1", "ipaddresses", "IPAddress", False, short_names=("ip",)
)
NETWORK_POLICIES: Resource[types.NetworkPolicy] = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, short_names=("netpol",)
)
SERVICE_CIDRS: Resource[types.ServiceCIDR] = Resource(
    "networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", False, subresources=(_STATUS,)
)
POD_DISRUPTION_BUDGETS: Resource[types.PodDisruptionBudget] = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, short_names=("pdb",), subresources=(_STATUS,)
)
CLUSTER_ROLE_BINDINGS: Resource[types.ClusterRoleBinding] = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False
)
CLUSTER_ROLES: Resource[types.ClusterRole] = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False
)
ROLE_BINDINGS: Resource[types.RoleBinding] = Resource(
    "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True
)
ROLES: Resource[types.Role] = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True)
CSI_DRIVERS: Resource[types.CSIDriver] = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False)
CSI_NODES: Resource[types.CSINode] = Resource("storage.k8s.io", "v1", "csinodes", "CSINode", False)
CSI_STORAGE_CAPACITIES: Resource[types.CSIStorageCapacity] = Resource(
    "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", True
)
STORAGE_CLASSES: Resource[types.StorageClass] = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", False, short_names=("sc",)
)
VOLUME_ATTACHMENTS: Resource[types.VolumeAttachment] = Resource(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", False, subresources=(_STATUS,)
)
VOLUME_ATTRIBUTES_CLASSES: Resource[types.VolumeAttributesClass] = Resource(
    "storage.k8s.io", "v1", "volumeattributesclasses", "VolumeAttributesClass", False, short_names=("vac",)
)
MUTATING_ADMISSION_POLICIES: Resource[types.MutatingAdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    False,
    categories=("api-extensions",),
)
MUTATING_ADMISSION_POLICY_BINDINGS: Resource[types.MutatingAdmissionPolicyBinding] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    False,
    categories=("api-extensions",),
)
MUTATING_WEBHOOK_CONFIGURATIONS: Resource[types.MutatingWebhookConfiguration] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    False,
    categories=("api-extensions",),
)
VALIDATING_ADMISSION_POLICIES: Resource[types.ValidatingAdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    False,
    categories=("api-extensions",),
    subresources=(_STATUS,),
)
VALIDATING_ADMISSION_POLICY_BINDINGS: Resource[types.ValidatingAdmissionPolicyBinding] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    False,
    categories=("api-extensions",),
)
VALIDATING_WEBHOOK_CONFIGURATIONS: Resource[types.ValidatingWebhookConfiguration] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    False,
    categories=("api-extensions",),
)
CUSTOM_RESOURCE_DEFINITIONS: Resource[types.CustomResourceDefinition] = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=(_STATUS,),
)
PRIORITY_CLASSES: Resource[types.PriorityClass] = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, short_names=("pc",)
)
LEASES: Resource[types.Lease] = Resource("coordination.k8s.io", "v1", "leases", "Lease", True)
RUNTIME_CLASSES: Resource[types.RuntimeClass] = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False)
ENDPOINT_SLICES: Resource[types.EndpointSlice] = Resource(
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True
)
DEVICE_CLASSES: Resource[types.DeviceClass] = Resource("resource.k8s.io", "v1", "deviceclasses", "DeviceClass", False)
RESOURCE_CLAIMS: Resource[types.ResourceClaim] = Resource(
    "resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", True, subresources=(_STATUS,)
)
RESOURCE_CLAIM_TEMPLATES: Resource[types.ResourceClaimTemplate] = Resource(
    "resource.k8s.io", "v1", "resourceclaimtemplates", "ResourceClaimTemplate", True
)
RESOURCE_SLICES: Resource[types.ResourceSlice] = Resource(
    "resource.k8s.io", "v1", "resourceslices", "ResourceSlice", False
)
FLOW_SCHEMAS: Resource[types.FlowSchema] = Resource(
    "flowcontrol.apiserver.k8s.io", "v1", "flowschemas", "FlowSchema", False, subresources=(_STATUS,)
)
PRIORITY_LEVEL_CONFIGURATIONS: Resource[types.PriorityLevelConfiguration] = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "prioritylevelconfigurations",
    "PriorityLevelConfiguration",
    False,
    subresources=(_STATUS,),
)

BUILTIN: tuple[Resource[Any], ...] = tuple(value for value in globals().values() if isinstance(value, Resource))
"""All of the above, in their order."""

STORED_AS: dict[Resource[Any], Resource[Any]] = {
    EVENTS_V1: EVENTS,
    HORIZONTAL_POD_AUTOSCALERS_V1: HORIZONTAL_POD_AUTOSCALERS,
}
"""Resources that are another version's view of the same stored objects."""
