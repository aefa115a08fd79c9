"""Aggregated ClusterRoles."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s import Cluster
from minik8s.api.resources import CLUSTER_ROLES
from minik8s.controllers.clusterroleaggregation import aggregated

pytestmark = pytest.mark.anyio


def role(name: str, *verbs: str, label: str = "") -> dict[str, Any]:
    rules = [{"verbs": [verb], "apiGroups": [""], "resources": ["pods"]} for verb in verbs]
    return {"metadata": {"name": name, "labels": {label: "true"} if label else {}}, "rules": rules}


def test_aggregated_rules() -> None:
    """Selector by selector, roles in order of their names, every rule once, a role's own rules never."""
    sums = role("sum", "own", label="a")
    sums["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"b": "true"}}, {"matchLabels": {"a": "true"}}]}
    roles = [sums, role("z", "get", label="a"), role("y", "list", "get", label="a"), role("x", "watch", label="b")]
    assert [rule["verbs"] for rule in aggregated(sums, roles)] == [["watch"], ["list"], ["get"]]


async def test_the_default_roles_grow() -> None:
    """An operator's role that is labelled for `view` reaches view, edit and admin, and leaves them with it."""
    async with Cluster(nodes=0, serve=False, proxy=False, scheduler=False, strict=True, freeze=True) as cluster:
        client = cluster.client
        before = await client.get(CLUSTER_ROLES, "admin")
        new = role("crontabs-view", "peek", label="rbac.authorization.k8s.io/aggregate-to-view")
        await client.create(CLUSTER_ROLES, new)

        def has_it(found: Any) -> bool:
            return new["rules"][0] in found["rules"]

        for name in ("view", "edit", "admin"):
            await cluster.wait_for(CLUSTER_ROLES, name, has_it)
        assert not has_it(before)
        await client.delete(CLUSTER_ROLES, "crontabs-view")
        for name in ("view", "edit", "admin"):
            await cluster.wait_for(CLUSTER_ROLES, name, lambda found: not has_it(found))
        with anyio.fail_after(5):
            assert (await client.get(CLUSTER_ROLES, "admin"))["rules"] == before["rules"]
