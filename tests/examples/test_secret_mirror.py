"""Shows how to test a level-triggered controller: one pass at a time, also one that fails in the middle."""

from __future__ import annotations

from collections.abc import Iterator

import lightkube
import pytest
import secret_mirror

from minik8s import SECRETS
from minik8s.blocking import BlockingCluster

MANIFESTS = """
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
apiVersion: v1
kind: Secret
metadata: {name: token, namespace: default, labels: {example.com/mirror: "yes"}}
stringData: {key: value}
"""


@pytest.fixture
def light(blocking_cluster: BlockingCluster) -> Iterator[lightkube.Client]:
    """A client that finds the cluster by KUBECONFIG, as the controller's own would."""
    blocking_cluster.apply(MANIFESTS)
    client = lightkube.Client()
    yield client
    client._client._client.close()


def copies(cluster: BlockingCluster) -> list[str]:
    found = cluster.run(cluster.client.list, SECRETS, label_selector="example.com/copy=yes")
    return [f"{secret['metadata']['namespace']}/{secret['metadata']['name']}" for secret in found.items]


def test_copies_follow(blocking_cluster: BlockingCluster, light: lightkube.Client) -> None:
    """A copy appears, and goes when its source goes."""
    secret_mirror.reconcile(light)
    assert "shop/token" in copies(blocking_cluster)
    blocking_cluster.run(blocking_cluster.client.delete, SECRETS, "token", namespace="default")
    secret_mirror.reconcile(light)
    assert copies(blocking_cluster) == []


def test_second_try(blocking_cluster: BlockingCluster, light: lightkube.Client) -> None:
    """A pass that the server refuses is made good by the next."""
    with (
        blocking_cluster.faults.refuse(500, verb="patch", resource="secrets", namespace="shop"),
        pytest.raises(lightkube.ApiError),
    ):
        secret_mirror.reconcile(light)
    assert "shop/token" not in copies(blocking_cluster)
    secret_mirror.reconcile(light)
    assert "shop/token" in copies(blocking_cluster)
