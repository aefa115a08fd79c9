"""An Ingress in front of a Service of real pods: by HTTP and by TLS."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from minik8s import DEPLOYMENTS, INGRESSES, SECRETS, Cluster
from minik8s.apiserver.pki import Authority
from minik8s.testing.builders import deployment, service

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(serve=False, ingress=True)]

PROBE = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
SERVER = {"name": "server", "image": "minik8s/testserver", "readinessProbe": PROBE}


def ingress(**spec: Any) -> dict[str, Any]:
    backend = {"service": {"name": "web", "port": {"number": 8080}}}
    rule = {"host": "shop.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    metadata = {"name": "shop", "namespace": "default"}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    return {**kind, "metadata": metadata, "spec": {"rules": [rule], **spec}}


async def test_an_ingress(cluster: Cluster) -> None:
    """It gets an address, where requests for its host reach a pod, credentials too; others and the dead are told."""
    authority = Authority.create(datetime.now(UTC))
    pair = authority.issue_serving(datetime.now(UTC), ["shop.test"])
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    secret = {"metadata": {"name": "shop", "namespace": "default"}, "type": "kubernetes.io/tls", "data": encoded}
    await cluster.client.create(SECRETS, secret)
    await cluster.apply([
        deployment("web", containers=[SERVER]), service("web", port=8080, selector={"app": "web"}),
        ingress(tls=[{"hosts": ["shop.test"], "secretName": "shop"}]),
    ])  # fmt: skip
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    found = await cluster.wait_for(INGRESSES, "shop", lambda i: bool(i.get("status", {}).get("loadBalancer")))
    (address,) = found["status"]["loadBalancer"]["ingress"]
    http, https = (port["port"] for port in address["ports"])
    assert cluster.ingress is not None
    assert (address["ip"], (http, https)) == (cluster.ingress.host, cluster.ingress.ports)
    await cluster.address_of("default", "web", 8080)  # its endpoints are known
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    host = {"host": "shop.test"}
    async with httpx.AsyncClient(trust_env=False, verify=trust) as client:
        url = f"http://{address['ip']}:{http}"
        seen = (await client.get(f"{url}/echo?a=1", headers={**host, "authorization": "Bearer x"})).json()
        assert (seen["query"], seen["headers"]["authorization"]) == ({"a": "1"}, "Bearer x")
        assert (await client.get(url, headers={"host": "else.test"})).status_code == 404
        secure = f"https://{address['ip']}:{https}/healthz"
        answer = await client.get(secure, headers=host, extensions={"sni_hostname": "shop.test"})
        assert answer.text == "ok\n"
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, namespace="default")
        await cluster.wait_for(DEPLOYMENTS, "web", lambda d: not d["status"].get("replicas"))
        await cluster.settle()
        gone = await client.get(url, headers=host)
        assert (gone.status_code, gone.text) == (503, "service default/web has no ready endpoint for port 8080\n")
