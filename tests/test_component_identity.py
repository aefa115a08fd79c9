"""The cluster's own components are who they are upstream, as admission and the audit log see them."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import DEPLOYMENTS, Cluster
from minik8s.api.request import User

pytestmark = pytest.mark.anyio

ACCOUNT = "system:serviceaccount:kube-system:"
WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
        },
    },
}


async def test_who_does_what() -> None:
    """A Deployment's way to a running pod, with the user of each step; their groups are those of such users."""
    seen: dict[tuple[str, str], User] = {}

    async with Cluster(nodes=1, runtime="simulated", serve=False, strict=True, freeze=True) as cluster:

        def note(review: Any) -> None:
            seen.setdefault((review.operation, review.resource), review.user)

        cluster.admission.add(note, resources=["*", "*/*"], operations=["*"])
        await cluster.apply(WEB)
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")
        me = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
        assert me["metadata"]["name"] == "web"
    names = {key: user.name for key, user in seen.items()}
    assert names["CREATE", "replicasets.apps"] == f"{ACCOUNT}deployment-controller"
    assert names["CREATE", "pods"] == f"{ACCOUNT}replicaset-controller"
    assert names["CREATE", "pods/binding"] == "system:kube-scheduler"
    node = seen["UPDATE", "pods/status"]
    assert node.name.startswith("system:node:")
    assert node.groups == ("system:nodes", "system:authenticated")
    assert seen["CREATE", "replicasets.apps"].groups == (
        "system:serviceaccounts",
        "system:serviceaccounts:kube-system",
        "system:authenticated",
    )
