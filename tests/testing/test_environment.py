"""A pod's environment for a test's own process: in-cluster configuration of unmodified clients."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kubernetes
import lightkube
import pytest
from kubernetes.config import incluster_config
from lightkube.config.kubeconfig import KubeConfig

from minik8s import BlockingCluster
from minik8s.testing.builders import namespace, role, role_binding, service_account

pytestmark = pytest.mark.minik8s(
    nodes=0,
    proxy=False,
    manifests=[
        namespace("shop"),
        service_account("operator", namespace="shop"),
        role("reader", namespace="shop", resources=["configmaps"], verbs=["list"]),
        role_binding("reader", namespace="shop", role="reader", account="shop/operator"),
    ],
    service_account="shop/operator",
)


def test_incluster(blocking_cluster: BlockingCluster) -> None:
    """`load_incluster_config()` works unmodified, and one is the account: may what it may, and nothing else."""
    assert "KUBECONFIG" not in os.environ
    configuration: Any = kubernetes.client.Configuration()
    kubernetes.config.load_incluster_config(configuration)
    with kubernetes.client.ApiClient(configuration) as connection:
        api = kubernetes.client.CoreV1Api(connection)
        assert [found.metadata.name for found in api.list_namespaced_config_map("shop").items] == ["kube-root-ca.crt"]
        with pytest.raises(kubernetes.client.ApiException, match="system:serviceaccount:shop:operator"):
            api.list_namespaced_secret("shop")


def test_directory(blocking_cluster: BlockingCluster) -> None:
    """Clients that take the account's directory find in it what a pod would."""
    where = blocking_cluster.directory / "serviceaccount"
    config = KubeConfig.from_service_account(str(where)).get()
    assert config.namespace == "shop"
    client = lightkube.Client(config=config)
    found = list(client.list(lightkube.resources.core_v1.ConfigMap, namespace="shop"))
    assert [obj.metadata.name for obj in found] == ["kube-root-ca.crt"]
    client._client._client.close()
    assert Path(incluster_config.SERVICE_TOKEN_FILENAME) == where / "token"


@pytest.mark.minik8s(service_account="")
def test_administrator(blocking_cluster: BlockingCluster) -> None:
    """Without an account one is the administrator, and the clients' constants are as they were."""
    assert os.environ["KUBECONFIG"] == str(blocking_cluster.kubeconfig)
    assert incluster_config.SERVICE_TOKEN_FILENAME.startswith("/var/run/")
