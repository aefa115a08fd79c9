"""What controllers are called: the names of kube-controller-manager's --controllers, and which of them there are here.

Upstream has renamed its controllers once and still takes the old names; so does this table. The names of 1.36 are those
of `cmd/kube-controller-manager/names`. It lies below the configuration, which has to know them before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

DEFAULT_CONTROLLERS = (
    "namespace",
    "garbagecollector",
    "serviceaccount",
    "root-ca-cert-publisher",
    "replicationcontroller",
    "replicaset",
    "deployment",
    "endpoint",
    "endpointslice",
    "endpointslicemirroring",
    "statefulset",
    "daemonset",
    "job",
    "cronjob",
    "persistentvolumeclaim-protection",
    "persistentvolume-protection",
    "persistentvolume-binder",
    "hostpath-provisioner",
    "ephemeral-volume",
    "attachdetach",
    "ttl-after-finished",
    "horizontalpodautoscaling",
    "disruption",
    "resourcequota",
    "serviceaccount-token",
    "csrapproving",
    "csrsigning",
    "csrcleaner",
    "clusterrole-aggregation",
    "nodelifecycle",
    "taint-eviction",
    "podgc",
    "ttl",
    "legacy-serviceaccount-token-cleaner",
    "service-cidr",
    "resourceclaim",
    "validatingadmissionpolicy-status",
    "service-lb",
)
"""Those of a cluster of ours; the names are the short ones of before 1.28."""

ALL_CONTROLLERS = (*DEFAULT_CONTROLLERS, "bootstrapsigner", "tokencleaner")
"""The last ones are off by default upstream, too: only kubeadm makes use of them."""

CLOUD = ("service-lb",)
"""Those of a cloud-controller-manager: `*` does not mean them where the cluster is somebody else's."""

_CANONICAL: Mapping[str, str] = {
    "endpoints-controller": "endpoint",
    "endpointslice-mirroring-controller": "endpointslicemirroring",
    "garbage-collector-controller": "garbagecollector",
    "horizontal-pod-autoscaler-controller": "horizontalpodautoscaling",
    "root-ca-certificate-publisher-controller": "root-ca-cert-publisher",
    "replicationcontroller-controller": "replicationcontroller",
    "certificatesigningrequest-signing-controller": "csrsigning",
    "certificatesigningrequest-approving-controller": "csrapproving",
    "certificatesigningrequest-cleaner-controller": "csrcleaner",
    "node-lifecycle-controller": "nodelifecycle",
    "pod-garbage-collector-controller": "podgc",
    "persistentvolume-attach-detach-controller": "attachdetach",
    "bootstrap-signer-controller": "bootstrapsigner",
    "token-cleaner-controller": "tokencleaner",
}
"""Names of 1.36 that are more than the short one with `-controller` behind it."""

_ALIASES: Mapping[str, str] = {
    "pvc-protection": "persistentvolumeclaim-protection",
    "pv-protection": "persistentvolume-protection",
    "service": "service-lb",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner",
    "resource-claim": "resourceclaim",
}
"""Old names of upstream that are none of ours."""

_MISSING: Mapping[str, str] = {
    "device-taint-eviction-controller": "needs the device taints of dynamic resource allocation, which are not here",
    "node-ipam-controller": "is not needed here: pods have addresses of one network for all nodes",
    "node-route-controller": "is not needed here: there are no routes between nodes",
    "cloud-node-lifecycle-controller": "needs a cloud that knows which machines exist",
    "persistentvolume-expander-controller": "is not here: hostpath-provisioner lets its volumes grow",
    "volumeattributesclass-protection-controller": "is not here",
    "podcertificaterequest-cleaner-controller": "needs PodCertificateRequests, which are not served",
    "kube-apiserver-serving-clustertrustbundle-publisher-controller": "needs ClusterTrustBundles, which are not served",
    "resourcepoolstatusrequest-controller": "needs ResourcePoolStatusRequests, which are not served",
    "podgroup-protection-controller": "needs PodGroups, which are not served",
    "selinux-warning-controller": "is not here: nodes have no SELinux",
    "storageversion-garbage-collector-controller": "needs StorageVersions, which are not served",
    "storage-version-migrator-controller": "needs StorageVersionMigrations, which are not served",
}
"""Names of 1.36 that nobody answers to here, and why."""

_OLD: Mapping[str, str] = {
    "nodeipam": "node-ipam-controller",
    "route": "node-route-controller",
    "cloud-node-lifecycle": "cloud-node-lifecycle-controller",
    "persistentvolume-expander": "persistentvolume-expander-controller",
    "storage-version-gc": "storageversion-garbage-collector-controller",
}
"""Old names of those."""


def short(name: str, known: Iterable[str] = ALL_CONTROLLERS) -> str:
    """The name among `known` that upstream's `name`, of today or of before, means. Raises ValueError."""
    known = tuple(known)
    for candidate in (name, _CANONICAL.get(name), _ALIASES.get(name.removesuffix("-controller"))):
        if candidate in known:
            return candidate
    if (plain := name.removesuffix("-controller")) in known:
        return plain
    if why := _MISSING.get(_OLD.get(name, name)):
        raise ValueError(f"controller {name!r} {why}")
    raise ValueError(f"unknown controller {name!r}; there are {', '.join(known)}")


def chosen(words: Iterable[str], everything: Sequence[str] = DEFAULT_CONTROLLERS) -> tuple[str, ...]:
    """The controllers that kube-controller-manager's --controllers means: `*`, `name` and `-name`. Raises ValueError.

    `*` is `everything`; of what is said of one controller the first word counts, as upstream.
    """
    said: dict[str, bool] = {}
    for word in words:
        said.setdefault("*" if word == "*" else short(word.removeprefix("-")), not word.startswith("-"))
    known = dict.fromkeys((*said, *everything)) if "*" in said else said
    return tuple(name for name in known if name != "*" and said.get(name, True))
