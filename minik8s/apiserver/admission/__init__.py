"""Admission: what the server does to a write, or holds against it, beyond the kind's own rules.

The built-in plugins that Kubernetes turns on by default (and NodeRestriction, which kubeadm turns on), one file each,
in upstream's order (kubeapiserver `AllOrderedPlugins`). What users register at run time is `dynamic`: `hooks` of this
process, `policies` in CEL, `webhooks`; `matching` says what they are about, `review` how they see it.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from minik8s.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from minik8s.apiserver.admission.defaultingressclass import DefaultIngressClass
from minik8s.apiserver.admission.defaultstorageclass import DefaultStorageClass
from minik8s.apiserver.admission.defaulttolerationseconds import DefaultTolerationSeconds
from minik8s.apiserver.admission.deviceadminaccess import DeviceAdminAccess
from minik8s.apiserver.admission.limitranger import LimitRanger
from minik8s.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from minik8s.apiserver.admission.noderestriction import NodeRestriction
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, Operation, World
from minik8s.apiserver.admission.podsecurity import PodSecurity
from minik8s.apiserver.admission.podtopologylabels import PodTopologyLabels
from minik8s.apiserver.admission.priority import Priority
from minik8s.apiserver.admission.resourcequota import ResourceQuota
from minik8s.apiserver.admission.roleescalation import RoleEscalation
from minik8s.apiserver.admission.runtimeclass import RuntimeClass
from minik8s.apiserver.admission.serviceaccount import ServiceAccount
from minik8s.apiserver.admission.storageobjectinuseprotection import StorageObjectInUseProtection
from minik8s.apiserver.admission.taintnodesbycondition import TaintNodesByCondition
from minik8s.apiserver.admission.volumeresize import PersistentVolumeClaimResize

__all__ = ["BUILTIN_PLUGINS", "AdmissionPlugin", "Attributes", "Operation", "World", "builtin_plugins"]

BUILTIN_PLUGINS: tuple[type[AdmissionPlugin], ...] = (
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    PodSecurity,
    Priority,
    DefaultTolerationSeconds,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    PodTopologyLabels,
    RoleEscalation,
    DeviceAdminAccess,
    ResourceQuota,
)


def builtin_plugins(rng: Random, *, disabled: Collection[str] = ()) -> list[AdmissionPlugin]:
    """A new chain without the plugins named in `disabled`; random names come from `rng`.

    A server whose cluster runs no service account controller has to disable ServiceAccount, as test control planes
    do, for the accounts that pods run as never come into being.
    """
    wanted = [plugin for plugin in BUILTIN_PLUGINS if plugin.name not in disabled]
    return [ServiceAccount(rng) if plugin is ServiceAccount else plugin() for plugin in wanted]
