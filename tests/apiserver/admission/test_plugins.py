"""What each admission plugin adds, and what it refuses, in a world of a few objects."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource
from minik8s.apiserver.admission import BUILTIN_PLUGINS, builtin_plugins
from minik8s.machinery.errors import ApiError, Forbidden, Invalid, NotFound
from tests.apiserver.admission.plugins import CONTAINER, Store, admitted, attributes, pod, refused, run

READY = {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}


def sized(**resources: Any) -> dict[str, Any]:
    return pod(containers=[{**CONTAINER, "resources": resources}])


def test_the_order() -> None:
    """Plugins run in upstream's order; any can be left out."""
    names = [plugin.name for plugin in BUILTIN_PLUGINS]
    assert names[:3] == ["NamespaceLifecycle", "LimitRanger", "ServiceAccount"]
    assert names[-1] == "ResourceQuota"
    assert "ServiceAccount" not in [p.name for p in builtin_plugins(Random(1), disabled=("ServiceAccount",))]


def test_a_plain_pod() -> None:
    """A pod gets its account, its token, its priority and its tolerations."""
    spec = admitted(r.PODS, pod())["spec"]
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    token, certificate, namespace = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert certificate["configMap"]["name"] == "kube-root-ca.crt"
    assert namespace["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == "metadata.namespace"
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    ]
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")
    assert [t["key"] for t in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
    ]
    assert spec["tolerations"][0] == READY


def test_namespaces() -> None:
    """Nothing is created in a namespace that is missing or ending, and some namespaces cannot be deleted."""
    world = Store()
    lifecycle = builtin_plugins(Random(1))[0]
    del world.objects["namespaces", "", "default"]
    with pytest.raises(NotFound, match=r'^namespaces "default" not found$'):
        lifecycle.admit(attributes(r.CONFIG_MAPS, {}), world)
    ending = {"metadata": {"name": "default", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    with pytest.raises(Forbidden) as caught:
        run(attributes(r.PODS, pod()), (r.NAMESPACES, ending))
    assert caught.value.message == (
        'pods "x" is forbidden: unable to create new content in namespace default because it is being terminated'
    )
    (cause,) = caught.value.causes
    assert cause.to_dict() == {
        "reason": "NamespaceTerminating",
        "message": "namespace default is being terminated",
        "field": "metadata.namespace",
    }
    immortal = {"metadata": {"name": "kube-system"}}
    with pytest.raises(Forbidden, match=r'^namespaces "kube-system" is forbidden: this namespace may not be deleted$'):
        run(attributes(r.NAMESPACES, None, old=immortal, operation="DELETE"))
    run(attributes(r.NAMESPACES, None, old={"metadata": {"name": "mine"}}, operation="DELETE"))


def test_service_accounts() -> None:
    """A missing account refuses the pod; token and pull secrets follow the account's and the pod's wishes."""
    assert refused(r.PODS, pod(serviceAccountName="nope")) == (
        'pods "x" is forbidden: error looking up service account default/nope: serviceaccount "nope" not found'
    )
    quiet = (
        r.SERVICE_ACCOUNTS,
        {
            "metadata": {"name": "quiet"},
            "automountServiceAccountToken": False,
            "imagePullSecrets": [{"name": "registry"}],
        },
    )
    spec = admitted(r.PODS, pod(serviceAccountName="quiet"), quiet)["spec"]
    assert "volumes" not in spec
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    wanted = admitted(r.PODS, pod(serviceAccountName="quiet", automountServiceAccountToken=True), quiet)["spec"]
    assert len(wanted["volumes"]) == 1


def test_priorities() -> None:
    """A class's name becomes its number; nobody else may choose one."""
    high = (r.PRIORITY_CLASSES, {"metadata": {"name": "high"}, "value": 9, "preemptionPolicy": "Never"})
    spec = admitted(r.PODS, pod(priorityClassName="high"), high)["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (9, "Never")
    general = (r.PRIORITY_CLASSES, {"metadata": {"name": "usual"}, "value": 3, "globalDefault": True})
    spec = admitted(r.PODS, pod(), general)["spec"]
    assert (spec["priorityClassName"], spec["priority"]) == ("usual", 3)
    assert admitted(r.PODS, pod(priorityClassName="system-node-critical"))["spec"]["priority"] == 2_000_001_000
    assert refused(r.PODS, pod(priorityClassName="nope")).endswith("no PriorityClass with name nope was found")
    assert refused(r.PODS, pod(priority=5)).endswith(
        "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 0 "
        "from the given PriorityClass name"
    )
    second = {"metadata": {"name": "other"}, "value": 4, "globalDefault": True}
    assert refused(r.PRIORITY_CLASSES, second, general).endswith(
        "PriorityClass usual is already marked as default. Only one default can exist"
    )


LIMITS = (
    r.LIMIT_RANGES,
    {
        "metadata": {"name": "l"},
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "min": {"cpu": "100m"},
                    "max": {"cpu": "1"},
                    "maxLimitRequestRatio": {"cpu": "3"},
                    "default": {"cpu": "600m"},
                    "defaultRequest": {"cpu": "300m"},
                }
            ]
        },
    },
)


def test_limit_ranges() -> None:
    """Missing figures are filled in and noted, figures out of bounds refused all at once."""
    found = admitted(r.PODS, pod(), LIMITS)
    assert found["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "300m"}, "limits": {"cpu": "600m"}}
    assert found["metadata"]["annotations"] == {
        "kubernetes.io/limit-ranger": "LimitRanger plugin set: cpu request for container c; cpu limit for container c"
    }
    assert refused(r.PODS, sized(requests={"cpu": "50m"}, limits={"cpu": "2"}), LIMITS) == (
        'pods "x" is forbidden: [minimum cpu usage per Container is 100m, but request is 50m, maximum cpu usage per '
        "Container is 1, but limit is 2, cpu max limit to request ratio per Container is 3, but provided ratio is "
        "40.000000]"
    )
    whole = (
        r.LIMIT_RANGES,
        {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Pod", "max": {"memory": "1Gi"}}]}},
    )
    assert refused(r.PODS, pod(), whole).endswith("maximum memory usage per Pod is 1Gi.  No limit is specified")


def quota(**spec: Any) -> tuple[Resource[Any], dict[str, Any]]:
    return (r.RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": spec})


def test_quotas() -> None:
    """A write that would go beyond a quota is refused with what is asked, used and allowed."""
    one = quota(hard={"pods": "1"})
    present = (r.PODS, {"metadata": {"name": "p"}, **pod()})
    admitted(r.PODS, pod(), one)
    assert refused(r.PODS, pod(), one, present) == (
        'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
    )
    ended = (r.PODS, {"metadata": {"name": "p"}, **pod(), "status": {"phase": "Succeeded"}})
    admitted(r.PODS, pod(), one, ended)
    strict = quota(hard={"limits.memory": "1Gi", "requests.cpu": "1"})
    assert refused(r.PODS, pod(), strict) == (
        'pods "x" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c'
    )
    both = sized(limits={"memory": "2Gi", "cpu": "3"})
    assert refused(r.PODS, both, strict) == (
        'pods "x" is forbidden: exceeded quota: q, requested: limits.memory=2Gi,requests.cpu=3, '
        "used: limits.memory=0,requests.cpu=0, limited: limits.memory=1Gi,requests.cpu=1"
    )
    maps = (r.CONFIG_MAPS, {"metadata": {"name": "m"}})
    assert "requested: count/configmaps=1" in refused(r.CONFIG_MAPS, {}, quota(hard={"count/configmaps": "1"}), maps)
    balanced = {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    assert "services.loadbalancers=1" in refused(r.SERVICES, balanced, quota(hard={"services.loadbalancers": "0"}))


def test_quota_scopes() -> None:
    """A quota with scopes counts only the pods they select."""
    best_effort = quota(hard={"pods": "0"}, scopes=["BestEffort"])
    assert "exceeded quota" in refused(r.PODS, pod(), best_effort)
    admitted(r.PODS, sized(requests={"cpu": "1"}), best_effort)
    high = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    admitted(r.PODS, pod(), quota(hard={"pods": "0"}, scopeSelector=high))


def test_nodes_and_volumes() -> None:
    """New nodes are not ready, volumes and claims are protected, claims and Ingresses get the default class."""
    assert admitted(r.NODES, {})["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}
    classes = [
        (
            r.STORAGE_CLASSES,
            {
                "metadata": {"name": name, "annotations": marked, "creationTimestamp": f"202{year}-01-01T00:00:00Z"},
                "provisioner": "p",
            },
        )
        for name, year in (("old", 1), ("new", 6))
    ]
    asked = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    claim = admitted(r.PERSISTENT_VOLUME_CLAIMS, asked, *classes)
    assert claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert claim["spec"]["storageClassName"] == "new"
    none = admitted(r.PERSISTENT_VOLUME_CLAIMS, {"spec": {**asked["spec"], "storageClassName": ""}}, *classes)
    assert none["spec"].get("storageClassName", "") == ""
    ingress_class = (
        r.INGRESS_CLASSES,
        {
            "metadata": {"name": "web", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}},
            "spec": {"controller": "a.b/c"},
        },
    )
    assert admitted(r.INGRESSES, {"spec": {}}, ingress_class)["spec"]["ingressClassName"] == "web"


def test_runtime_classes() -> None:
    """A runtime brings its overhead and its choice of nodes, or does not exist."""
    runtime = (
        r.RUNTIME_CLASSES,
        {
            "metadata": {"name": "sandboxed"},
            "handler": "h",
            "overhead": {"podFixed": {"cpu": "10m"}},
            "scheduling": {"nodeSelector": {"kind": "special"}},
        },
    )
    spec = admitted(r.PODS, pod(runtimeClassName="sandboxed"), runtime)["spec"]
    assert (spec["overhead"], spec["nodeSelector"]) == ({"cpu": "10m"}, {"kind": "special"})
    assert refused(r.PODS, pod(runtimeClassName="nope")).endswith('pod rejected: RuntimeClass "nope" not found')


def test_claims_grow_where_their_class_allows() -> None:
    """Growing needs a bound claim and a class that says so."""
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "s"}
    small = {**spec, "resources": {"requests": {"storage": "1Gi"}}}
    old = {"metadata": {"name": "x"}, "spec": small, "status": {"phase": "Bound"}}
    larger = {"spec": {**spec, "resources": {"requests": {"storage": "2Gi"}}}}

    def grow(**fields: Any) -> None:
        storage = (r.STORAGE_CLASSES, {"metadata": {"name": "s"}, "provisioner": "p", **fields})
        run(attributes(r.PERSISTENT_VOLUME_CLAIMS, larger, old=old, operation="UPDATE"), storage)

    grow(allowVolumeExpansion=True)
    with pytest.raises(ApiError, match="only dynamically provisioned pvc can be resized"):
        grow()


def test_mirror_pods_borrow_nothing() -> None:
    """A kubelet's own pod has no account, secrets or tokens."""
    mirror = {"metadata": {"annotations": {"kubernetes.io/config.mirror": "h"}}}
    assert refused(r.PODS, {**mirror, **pod(serviceAccountName="s")}).endswith(
        "a mirror pod may not reference service accounts"
    )
    secret = pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    assert refused(r.PODS, {**mirror, **secret}).endswith("a mirror pod may not reference secrets")
    token = pod(volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}])
    assert refused(r.PODS, {**mirror, **token}).endswith("may not use service account token volume projections")
    assert "serviceAccountName" not in admitted(r.PODS, {**mirror, **pod()})["spec"]


def test_an_account_that_keeps_to_its_secrets() -> None:
    """Pods of an account so annotated use only secrets that the account lists, wherever they would use them."""
    account = (
        r.SERVICE_ACCOUNTS,
        {
            "metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
            "secrets": [{"name": "mine"}],
        },
    )
    suffix = "is not allowed because service account strict does not reference that"

    def strict(**spec: Any) -> dict[str, Any]:
        return pod(serviceAccountName="strict", **spec)

    def volume(name: str) -> dict[str, Any]:
        return strict(volumes=[{"name": "v", "secret": {"secretName": name}}])

    admitted(r.PODS, volume("mine"), account)
    assert refused(r.PODS, volume("other"), account).endswith(f'volume with secret.secretName="other" {suffix} secret')
    variable = {"name": "E", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}
    assert refused(r.PODS, strict(containers=[{**CONTAINER, "env": [variable]}]), account).endswith(
        f'container c with envVar E referencing secret.secretName="other" {suffix} secret'
    )
    source = {"secretRef": {"name": "other"}}
    assert refused(r.PODS, strict(containers=[{**CONTAINER, "envFrom": [source]}]), account).endswith(
        f'container c with envFrom referencing secret.secretName="other" {suffix} secret'
    )
    assert refused(r.PODS, strict(imagePullSecrets=[{"name": "mine"}]), account).endswith(
        f'imagePullSecrets[0].name="mine" {suffix} imagePullSecret'
    )


def admin(resource: Resource[Any], **more: Any) -> dict[str, Any]:
    devices = {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "adminAccess": True}}]}
    spec = {"devices": devices}
    return {"spec": {"spec": spec} if resource is r.RESOURCE_CLAIM_TEMPLATES else spec, **more}


@pytest.mark.parametrize("resource", [r.RESOURCE_CLAIMS, r.RESOURCE_CLAIM_TEMPLATES])
def test_devices_of_others(resource: Resource[Any]) -> None:
    """Admin access is for namespaces that an administrator has marked; what stands already may be written again."""
    marked = {"metadata": {"name": "default", "labels": {"resource.kubernetes.io/admin-access": "true"}}}
    run(attributes(resource, admin(resource)), (r.NAMESPACES, marked))
    with pytest.raises(Invalid) as told:
        run(attributes(resource, admin(resource)))
    assert str(told.value).endswith(
        "spec.devices.requests[0].adminAccess: Forbidden: admin access to devices requires the "
        "`resource.kubernetes.io/admin-access: true` label on the containing namespace"
    )
    run(attributes(resource, admin(resource), old=admin(resource), operation="UPDATE"))
