"""minik8s: a Kubernetes you can import.

    from minik8s import Cluster, DEPLOYMENTS

    async with Cluster(nodes=3) as cluster:
        await cluster.apply("deployment.yaml")
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")

The names below are the public API; they are imported when first used, so that importing minik8s is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minik8s.api.resource import custom_resource as custom_resource
    from minik8s.api.resources import *  # noqa: F403
    from minik8s.blocking import BlockingCluster as BlockingCluster
    from minik8s.client.client import Client as Client
    from minik8s.client.waiting import WaitTimeout as WaitTimeout
    from minik8s.cluster import Cluster as Cluster
    from minik8s.config import ClusterConfig as ClusterConfig
    from minik8s.machinery.errors import ApiError as ApiError

_HOMES = {
    "ApiError": "minik8s.machinery.errors",
    "BlockingCluster": "minik8s.blocking",
    "Client": "minik8s.client.client",
    "Cluster": "minik8s.cluster",
    "ClusterConfig": "minik8s.config",
    "WaitTimeout": "minik8s.client.waiting",
    "custom_resource": "minik8s.api.resource",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name) or ("minik8s.api.resources" if name.isupper() else None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)
