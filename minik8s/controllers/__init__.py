"""Controllers: coroutines that keep what is equal to what is wanted.

Upstream's counterpart is kube-controller-manager. `runtime.py` is what they share; every controller is a file under
its upstream name, with its decisions in a pure plan beside it. They know nothing but the client, so each works against
any API server. Left out so far: everything not in `CONTROLLERS`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from minik8s.controllernames import short

if TYPE_CHECKING:
    from minik8s.controllers.runtime import Controller

CONTROLLERS: dict[str, tuple[str, ...]] = {
    "namespace": ("namespace:NamespaceController",),
    "garbagecollector": ("garbagecollector:GarbageCollector",),
    "serviceaccount": ("serviceaccount:ServiceAccountController",),
    "root-ca-cert-publisher": ("root_ca:RootCAPublisher",),
    "replicationcontroller": ("replication:ReplicationController",),
    "replicaset": ("replicaset:ReplicaSetController",),
    "deployment": ("deployment:DeploymentController",),
    "endpoint": ("endpoint:EndpointController",),
    "endpointslice": ("endpointslice:EndpointSliceController",),
    "endpointslicemirroring": ("endpointslicemirroring:EndpointSliceMirroringController",),
    "statefulset": ("statefulset:StatefulSetController",),
    "daemonset": ("daemonset:DaemonSetController",),
    "job": ("job:JobController",),
    "cronjob": ("cronjob:CronJobController",),
    "persistentvolumeclaim-protection": ("volume_protection:PVCProtectionController",),
    "persistentvolume-protection": ("volume_protection:PVProtectionController",),
    "persistentvolume-binder": (
        "persistentvolume_binder:PersistentVolumeClaimBinder",
        "persistentvolume_binder:PersistentVolumeBinder",
    ),
    "hostpath-provisioner": (
        "hostpath_provisioner:HostPathProvisioner",
        "hostpath_provisioner:HostPathDeleter",
    ),
    "ephemeral-volume": ("ephemeral_volume:EphemeralVolumeController",),
    "attachdetach": ("attachdetach:AttachDetachController",),
    "ttl-after-finished": ("ttl_after_finished:TTLAfterFinishedController",),
    "horizontalpodautoscaling": ("horizontal:HorizontalController",),
    "disruption": ("disruption:DisruptionController", "stale_disruption:StaleDisruptionController"),
    "resourcequota": ("resourcequota:ResourceQuotaController",),
    "serviceaccount-token": ("serviceaccount_tokens:ServiceAccountTokenController",),
    "csrapproving": ("certificates:CSRApprovingController",),
    "csrsigning": ("certificates:CSRSigningController",),
    "csrcleaner": ("certificates:CSRCleaner",),
    "clusterrole-aggregation": ("clusterroleaggregation:ClusterRoleAggregationController",),
    "nodelifecycle": ("nodelifecycle:NodeLifecycleController",),
    "taint-eviction": ("tainteviction:TaintEvictionController",),
    "podgc": ("podgc:PodGCController",),
    "ttl": ("ttl:TTLController",),
    "legacy-serviceaccount-token-cleaner": ("legacy_serviceaccount_token_cleaner:LegacyServiceAccountTokenCleaner",),
    "service-cidr": ("service_cidr:ServiceCIDRController",),
    "resourceclaim": ("resourceclaim:ResourceClaimController",),
    "validatingadmissionpolicy-status": ("validatingadmissionpolicy_status:ValidatingAdmissionPolicyStatusController",),
    "bootstrapsigner": ("bootstrapsigner:BootstrapSigner",),
    "tokencleaner": ("tokencleaner:TokenCleaner",),
    "service-lb": ("service_lb:ServiceLBController",),
}
"""Short name -> the classes behind it, as module:class; imported when asked for."""


def controllers(names: Iterable[str]) -> list[type[Controller[Any]]]:
    """The classes of these controllers, by any name that upstream has for them. Raises ValueError for another."""
    found: list[type[Controller[Any]]] = []
    for name in names:
        for path in CONTROLLERS[short(name, CONTROLLERS)]:
            module, _, attribute = path.partition(":")
            found.append(getattr(importlib.import_module(f"{__name__}.{module}"), attribute))
    return found
