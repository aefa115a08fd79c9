"""Every built-in resource of Kubernetes 1.36's GA groups, in the order in which discovery lists them.

Facts from kube-apiserver's own discovery documents. The first version of a group that appears is its preferred
one, and the first group that serves a kind stores it (`STORED_AS` names the exceptions that share storage).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minik8s.api.resource import Resource, Subresource

if TYPE_CHECKING:
    from minik8s.api import types

BINDINGS: Resource[types.Binding] = Resource("", "v1", "bindings", "Binding", True, "binding", verbs=("create",))
COMPONENT_STATUSES: Resource[types.ComponentStatus] = Resource(
    "",
    "v1",
    "componentstatuses",
    "ComponentStatus",
    False,
    "componentstatus",
    short_names=("cs",),
    verbs=(
        "get",
        "list",
    ),
)
CONFIG_MAPS: Resource[types.ConfigMap] = Resource(
    "", "v1", "configmaps", "ConfigMap", True, "configmap", short_names=("cm",)
)
ENDPOINTS: Resource[types.Endpoints] = Resource(
    "", "v1", "endpoints", "Endpoints", True, "endpoints", short_names=("ep",)
)
EVENTS: Resource[types.Event] = Resource("", "v1", "events", "Event", True, "event", short_names=("ev",))
LIMIT_RANGES: Resource[types.LimitRange] = Resource(
    "", "v1", "limitranges", "LimitRange", True, "limitrange", short_names=("limits",)
)
NAMESPACES: Resource[types.Namespace] = Resource(
    "",
    "v1",
    "namespaces",
    "Namespace",
    False,
    "namespace",
    short_names=("ns",),
    verbs=(
        "create",
        "delete",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ),
    subresources=(
        Subresource("finalize", ("update",)),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
NODES: Resource[types.Node] = Resource(
    "",
    "v1",
    "nodes",
    "Node",
    False,
    "node",
    short_names=("no",),
    subresources=(
        Subresource(
            "proxy",
            (
                "create",
                "delete",
                "get",
                "patch",
                "update",
            ),
            "NodeProxyOptions",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
PERSISTENT_VOLUME_CLAIMS: Resource[types.PersistentVolumeClaim] = Resource(
    "",
    "v1",
    "persistentvolumeclaims",
    "PersistentVolumeClaim",
    True,
    "persistentvolumeclaim",
    short_names=("pvc",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
PERSISTENT_VOLUMES: Resource[types.PersistentVolume] = Resource(
    "",
    "v1",
    "persistentvolumes",
    "PersistentVolume",
    False,
    "persistentvolume",
    short_names=("pv",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
PODS: Resource[types.Pod] = Resource(
    "",
    "v1",
    "pods",
    "Pod",
    True,
    "pod",
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource(
            "attach",
            (
                "create",
                "get",
            ),
            "PodAttachOptions",
        ),
        Subresource("binding", ("create",), "Binding"),
        Subresource(
            "ephemeralcontainers",
            (
                "get",
                "patch",
                "update",
            ),
        ),
        Subresource("eviction", ("create",), "Eviction", "policy", "v1"),
        Subresource(
            "exec",
            (
                "create",
                "get",
            ),
            "PodExecOptions",
        ),
        Subresource("log", ("get",)),
        Subresource(
            "portforward",
            (
                "create",
                "get",
            ),
            "PodPortForwardOptions",
        ),
        Subresource(
            "proxy",
            (
                "create",
                "delete",
                "get",
                "patch",
                "update",
            ),
            "PodProxyOptions",
        ),
        Subresource(
            "resize",
            (
                "get",
                "patch",
                "update",
            ),
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
POD_TEMPLATES: Resource[types.PodTemplate] = Resource("", "v1", "podtemplates", "PodTemplate", True, "podtemplate")
REPLICATION_CONTROLLERS: Resource[types.ReplicationController] = Resource(
    "",
    "v1",
    "replicationcontrollers",
    "ReplicationController",
    True,
    "replicationcontroller",
    short_names=("rc",),
    categories=("all",),
    subresources=(
        Subresource(
            "scale",
            (
                "get",
                "patch",
                "update",
            ),
            "Scale",
            "autoscaling",
            "v1",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
RESOURCE_QUOTAS: Resource[types.ResourceQuota] = Resource(
    "",
    "v1",
    "resourcequotas",
    "ResourceQuota",
    True,
    "resourcequota",
    short_names=("quota",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
SECRETS: Resource[types.Secret] = Resource("", "v1", "secrets", "Secret", True, "secret")
SERVICE_ACCOUNTS: Resource[types.ServiceAccount] = Resource(
    "",
    "v1",
    "serviceaccounts",
    "ServiceAccount",
    True,
    "serviceaccount",
    short_names=("sa",),
    subresources=(Subresource("token", ("create",), "TokenRequest", "authentication.k8s.io", "v1"),),
)
SERVICES: Resource[types.Service] = Resource(
    "",
    "v1",
    "services",
    "Service",
    True,
    "service",
    short_names=("svc",),
    categories=("all",),
    subresources=(
        Subresource(
            "proxy",
            (
                "create",
                "delete",
                "get",
                "patch",
                "update",
            ),
            "ServiceProxyOptions",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
API_SERVICES: Resource[types.APIService] = Resource(
    "apiregistration.k8s.io",
    "v1",
    "apiservices",
    "APIService",
    False,
    "apiservice",
    categories=("api-extensions",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
CONTROLLER_REVISIONS: Resource[types.ControllerRevision] = Resource(
    "apps", "v1", "controllerrevisions", "ControllerRevision", True, "controllerrevision"
)
DAEMON_SETS: Resource[types.DaemonSet] = Resource(
    "apps",
    "v1",
    "daemonsets",
    "DaemonSet",
    True,
    "daemonset",
    short_names=("ds",),
    categories=("all",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
DEPLOYMENTS: Resource[types.Deployment] = Resource(
    "apps",
    "v1",
    "deployments",
    "Deployment",
    True,
    "deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=(
        Subresource(
            "scale",
            (
                "get",
                "patch",
                "update",
            ),
            "Scale",
            "autoscaling",
            "v1",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
REPLICA_SETS: Resource[types.ReplicaSet] = Resource(
    "apps",
    "v1",
    "replicasets",
    "ReplicaSet",
    True,
    "replicaset",
    short_names=("rs",),
    categories=("all",),
    subresources=(
        Subresource(
            "scale",
            (
                "get",
                "patch",
                "update",
            ),
            "Scale",
            "autoscaling",
            "v1",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
STATEFUL_SETS: Resource[types.StatefulSet] = Resource(
    "apps",
    "v1",
    "statefulsets",
    "StatefulSet",
    True,
    "statefulset",
    short_names=("sts",),
    categories=("all",),
    subresources=(
        Subresource(
            "scale",
            (
                "get",
                "patch",
                "update",
            ),
            "Scale",
            "autoscaling",
            "v1",
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
EVENTS_V1: Resource[types.EventsEvent] = Resource(
    "events.k8s.io", "v1", "events", "Event", True, "event", short_names=("ev",)
)
SELF_SUBJECT_REVIEWS: Resource[types.SelfSubjectReview] = Resource(
    "authentication.k8s.io",
    "v1",
    "selfsubjectreviews",
    "SelfSubjectReview",
    False,
    "selfsubjectreview",
    verbs=("create",),
)
TOKEN_REVIEWS: Resource[types.TokenReview] = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False, "tokenreview", verbs=("create",)
)
LOCAL_SUBJECT_ACCESS_REVIEWS: Resource[types.LocalSubjectAccessReview] = Resource(
    "authorization.k8s.io",
    "v1",
    "localsubjectaccessreviews",
    "LocalSubjectAccessReview",
    True,
    "localsubjectaccessreview",
    verbs=("create",),
)
SELF_SUBJECT_ACCESS_REVIEWS: Resource[types.SelfSubjectAccessReview] = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    False,
    "selfsubjectaccessreview",
    verbs=("create",),
)
SELF_SUBJECT_RULES_REVIEWS: Resource[types.SelfSubjectRulesReview] = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectrulesreviews",
    "SelfSubjectRulesReview",
    False,
    "selfsubjectrulesreview",
    verbs=("create",),
)
SUBJECT_ACCESS_REVIEWS: Resource[types.SubjectAccessReview] = Resource(
    "authorization.k8s.io",
    "v1",
    "subjectaccessreviews",
    "SubjectAccessReview",
    False,
    "subjectaccessreview",
    verbs=("create",),
)
HORIZONTAL_POD_AUTOSCALERS: Resource[types.HorizontalPodAutoscaler] = Resource(
    "autoscaling",
    "v2",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    True,
    "horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
HORIZONTAL_POD_AUTOSCALERS_V1: Resource[types.HorizontalPodAutoscalerV1] = Resource(
    "autoscaling",
    "v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    True,
    "horizontalpodautoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
CRON_JOBS: Resource[types.CronJob] = Resource(
    "batch",
    "v1",
    "cronjobs",
    "CronJob",
    True,
    "cronjob",
    short_names=("cj",),
    categories=("all",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
JOBS: Resource[types.Job] = Resource(
    "batch",
    "v1",
    "jobs",
    "Job",
    True,
    "job",
    categories=("all",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
CERTIFICATE_SIGNING_REQUESTS: Resource[types.CertificateSigningRequest] = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    False,
    "certificatesigningrequest",
    short_names=("csr",),
    subresources=(
        Subresource(
            "approval",
            (
                "get",
                "patch",
                "update",
            ),
        ),
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
INGRESS_CLASSES: Resource[types.IngressClass] = Resource(
    "networking.k8s.io", "v1", "ingressclasses", "IngressClass", False, "ingressclass"
)
INGRESSES: Resource[types.Ingress] = Resource(
    "networking.k8s.io",
    "v1",
    "ingresses",
    "Ingress",
    True,
    "ingress",
    short_names=("ing",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
IP_ADDRESSES: Resource[types.IPAddress] = Resource(
    "networking.k8s.io", "v1", "ipaddresses", "IPAddress", False, "ipaddress", short_names=("ip",)
)
NETWORK_POLICIES: Resource[types.NetworkPolicy] = Resource(
    "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", True, "networkpolicy", short_names=("netpol",)
)
SERVICE_CIDRS: Resource[types.ServiceCIDR] = Resource(
    "networking.k8s.io",
    "v1",
    "servicecidrs",
    "ServiceCIDR",
    False,
    "servicecidr",
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
POD_DISRUPTION_BUDGETS: Resource[types.PodDisruptionBudget] = Resource(
    "policy",
    "v1",
    "poddisruptionbudgets",
    "PodDisruptionBudget",
    True,
    "poddisruptionbudget",
    short_names=("pdb",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
CLUSTER_ROLE_BINDINGS: Resource[types.ClusterRoleBinding] = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", False, "clusterrolebinding"
)
CLUSTER_ROLES: Resource[types.ClusterRole] = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False, "clusterrole"
)
ROLE_BINDINGS: Resource[types.RoleBinding] = Resource(
    "rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", True, "rolebinding"
)
ROLES: Resource[types.Role] = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role", True, "role")
CSI_DRIVERS: Resource[types.CSIDriver] = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", False, "csidriver")
CSI_NODES: Resource[types.CSINode] = Resource("storage.k8s.io", "v1", "csinodes", "CSINode", False, "csinode")
CSI_STORAGE_CAPACITIES: Resource[types.CSIStorageCapacity] = Resource(
    "storage.k8s.io", "v1", "csistoragecapacities", "CSIStorageCapacity", True, "csistoragecapacity"
)
STORAGE_CLASSES: Resource[types.StorageClass] = Resource(
    "storage.k8s.io", "v1", "storageclasses", "StorageClass", False, "storageclass", short_names=("sc",)
)
VOLUME_ATTACHMENTS: Resource[types.VolumeAttachment] = Resource(
    "storage.k8s.io",
    "v1",
    "volumeattachments",
    "VolumeAttachment",
    False,
    "volumeattachment",
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
VOLUME_ATTRIBUTES_CLASSES: Resource[types.VolumeAttributesClass] = Resource(
    "storage.k8s.io",
    "v1",
    "volumeattributesclasses",
    "VolumeAttributesClass",
    False,
    "volumeattributesclass",
    short_names=("vac",),
)
MUTATING_ADMISSION_POLICIES: Resource[types.MutatingAdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicies",
    "MutatingAdmissionPolicy",
    False,
    "mutatingadmissionpolicy",
    categories=("api-extensions",),
)
MUTATING_ADMISSION_POLICY_BINDINGS: Resource[types.MutatingAdmissionPolicyBinding] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingadmissionpolicybindings",
    "MutatingAdmissionPolicyBinding",
    False,
    "mutatingadmissionpolicybinding",
    categories=("api-extensions",),
)
MUTATING_WEBHOOK_CONFIGURATIONS: Resource[types.MutatingWebhookConfiguration] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    False,
    "mutatingwebhookconfiguration",
    categories=("api-extensions",),
)
VALIDATING_ADMISSION_POLICIES: Resource[types.ValidatingAdmissionPolicy] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    False,
    "validatingadmissionpolicy",
    categories=("api-extensions",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
VALIDATING_ADMISSION_POLICY_BINDINGS: Resource[types.ValidatingAdmissionPolicyBinding] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    False,
    "validatingadmissionpolicybinding",
    categories=("api-extensions",),
)
VALIDATING_WEBHOOK_CONFIGURATIONS: Resource[types.ValidatingWebhookConfiguration] = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    False,
    "validatingwebhookconfiguration",
    categories=("api-extensions",),
)
CUSTOM_RESOURCE_DEFINITIONS: Resource[types.CustomResourceDefinition] = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    "customresourcedefinition",
    short_names=(
        "crd",
        "crds",
    ),
    categories=("api-extensions",),
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
PRIORITY_CLASSES: Resource[types.PriorityClass] = Resource(
    "scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", False, "priorityclass", short_names=("pc",)
)
LEASES: Resource[types.Lease] = Resource("coordination.k8s.io", "v1", "leases", "Lease", True, "lease")
RUNTIME_CLASSES: Resource[types.RuntimeClass] = Resource(
    "node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", False, "runtimeclass"
)
ENDPOINT_SLICES: Resource[types.EndpointSlice] = Resource(
    "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", True, "endpointslice"
)
FLOW_SCHEMAS: Resource[types.FlowSchema] = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "flowschemas",
    "FlowSchema",
    False,
    "flowschema",
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)
PRIORITY_LEVEL_CONFIGURATIONS: Resource[types.PriorityLevelConfiguration] = Resource(
    "flowcontrol.apiserver.k8s.io",
    "v1",
    "prioritylevelconfigurations",
    "PriorityLevelConfiguration",
    False,
    "prioritylevelconfiguration",
    subresources=(
        Subresource(
            "status",
            (
                "get",
                "patch",
                "update",
            ),
        ),
    ),
)

BUILTIN: tuple[Resource[Any], ...] = (
    BINDINGS,
    COMPONENT_STATUSES,
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    POD_TEMPLATES,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    API_SERVICES,
    CONTROLLER_REVISIONS,
    DAEMON_SETS,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    EVENTS_V1,
    SELF_SUBJECT_REVIEWS,
    TOKEN_REVIEWS,
    LOCAL_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_ACCESS_REVIEWS,
    SELF_SUBJECT_RULES_REVIEWS,
    SUBJECT_ACCESS_REVIEWS,
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    CRON_JOBS,
    JOBS,
    CERTIFICATE_SIGNING_REQUESTS,
    INGRESS_CLASSES,
    INGRESSES,
    IP_ADDRESSES,
    NETWORK_POLICIES,
    SERVICE_CIDRS,
    POD_DISRUPTION_BUDGETS,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    ROLE_BINDINGS,
    ROLES,
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
    CUSTOM_RESOURCE_DEFINITIONS,
    PRIORITY_CLASSES,
    LEASES,
    RUNTIME_CLASSES,
    ENDPOINT_SLICES,
    FLOW_SCHEMAS,
    PRIORITY_LEVEL_CONFIGURATIONS,
)

STORED_AS: dict[Resource[Any], Resource[Any]] = {
    EVENTS_V1: EVENTS,
    HORIZONTAL_POD_AUTOSCALERS_V1: HORIZONTAL_POD_AUTOSCALERS,
}
"""Resources that are another version's view of the same stored objects."""
