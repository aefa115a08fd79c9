"""The strategies of the core group, by plural."""

from __future__ import annotations

from collections.abc import Mapping

from minik8s.api.strategies.core.config import ConfigMapStrategy, SecretStrategy
from minik8s.api.strategies.core.endpoints import EndpointsStrategy
from minik8s.api.strategies.core.event import CoreEventStrategy
from minik8s.api.strategies.core.namespace import NamespaceStrategy
from minik8s.api.strategies.core.node import NodeStrategy
from minik8s.api.strategies.core.pod import PodStrategy
from minik8s.api.strategies.core.podtemplate import PodTemplateStrategy, ReplicationControllerStrategy
from minik8s.api.strategies.core.quota import LimitRangeStrategy, ResourceQuotaStrategy
from minik8s.api.strategies.core.service import ServiceStrategy
from minik8s.api.strategies.core.serviceaccount import ServiceAccountStrategy
from minik8s.api.strategies.core.volumes import PersistentVolumeClaimStrategy, PersistentVolumeStrategy
from minik8s.api.strategies.kind import KindStrategy

STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "configmaps": ConfigMapStrategy,
    "endpoints": EndpointsStrategy,
    "events": CoreEventStrategy,
    "limitranges": LimitRangeStrategy,
    "namespaces": NamespaceStrategy,
    "nodes": NodeStrategy,
    "persistentvolumeclaims": PersistentVolumeClaimStrategy,
    "persistentvolumes": PersistentVolumeStrategy,
    "pods": PodStrategy,
    "podtemplates": PodTemplateStrategy,
    "replicationcontrollers": ReplicationControllerStrategy,
    "resourcequotas": ResourceQuotaStrategy,
    "secrets": SecretStrategy,
    "serviceaccounts": ServiceAccountStrategy,
    "services": ServiceStrategy,
}
