"""Secrets that hold a service account's token."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik8s import SECRETS, SERVICE_ACCOUNTS, Cluster
from minik8s.machinery.errors import NotFound

pytestmark = pytest.mark.anyio

ACCOUNT = "kubernetes.io/service-account.name"
SMALL: dict[str, Any] = {
    "nodes": 0,
    "runtime": "simulated",
    "proxy": False,
    "scheduler": False,
    "strict": True,
    "freeze": True,
    "controllers": ("serviceaccount", "serviceaccount-token"),
}


def secret(account: str, **annotations: str) -> dict[str, Any]:
    meta = {"name": "s", "namespace": "default", "annotations": {ACCOUNT: account, **annotations}}
    return {"metadata": meta, "type": "kubernetes.io/service-account-token"}


async def test_it_is_filled_and_works_and_goes_with_its_account() -> None:
    """Token, CA and namespace come into it; the token is the account's, until the account goes."""
    async with Cluster(**SMALL) as cluster:
        client = cluster.client
        await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "robot", "namespace": "default"}})
        account = await client.get(SERVICE_ACCOUNTS, "robot", namespace="default")
        await client.create(SECRETS, secret("robot"))
        found: Any = await cluster.wait_for(SECRETS, "s", lambda s: "token" in (s.get("data") or {}))
        data = {key: base64.b64decode(value) for key, value in found["data"].items()}
        assert (data["namespace"], data["ca.crt"]) == (b"default", cluster.ca_bundle)
        assert found["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == account["metadata"]["uid"]
        headers = {"Authorization": f"Bearer {data['token'].decode()}"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        me = await cluster.http.post(path, content=b"{}", headers=headers)
        assert me.json()["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"
        await client.delete(SERVICE_ACCOUNTS, "robot", namespace="default")
        await cluster.wait_for(SECRETS, "s", "Deleted")
        assert (await cluster.http.post(path, content=b"{}", headers=headers)).status_code == 401


@pytest.mark.parametrize("annotations", [{}, {"kubernetes.io/service-account.uid": "another"}])
async def test_secrets_of_nobody(annotations: dict[str, str]) -> None:
    """A Secret for an account that does not exist, or is another one by now, is removed."""
    async with Cluster(serve=False, **SMALL) as cluster:
        await cluster.client.create(SECRETS, secret("default" if annotations else "nobody", **annotations))
        await cluster.wait_for(SECRETS, "s", "Deleted")
        with pytest.raises(NotFound):
            await cluster.client.get(SECRETS, "s", namespace="default")
