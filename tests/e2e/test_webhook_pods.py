"""A webhook that is a pod: an ordinary server behind a Service, found by its name, trusted by its certificate."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, Cluster
from minik8s.api.resources import ENDPOINT_SLICES, MUTATING_WEBHOOK_CONFIGURATIONS, SECRETS, SERVICES
from minik8s.apiserver.pki import Authority
from minik8s.kubelet.runtime.feasibility import why_impossible
from minik8s.machinery.errors import InternalError

PROBLEM = anyio.run(why_impossible)
pytestmark = pytest.mark.anyio


@pytest.fixture(params=["subprocess", pytest.param("sandbox", marks=pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM))])
def cluster_options(request: pytest.FixtureRequest, cluster_options: dict[str, Any]) -> dict[str, Any]:
    """In either network: the machine's, and one that pods have of their own."""
    return cluster_options | {"serve": False, "runtime": request.param}


SERVER = """
import base64, http.server, json, os, ssl

root = os.environ["MINIK8S_ROOT"] + "/tls/"


class Webhook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        patch = [{"op": "add", "path": "/data/by", "value": os.environ["HOSTNAME"]}]
        response = {"uid": review["request"]["uid"], "allowed": True, "patchType": "JSONPatch",
                    "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        body = json.dumps({**review, "response": response}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8443), Webhook)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(root + "tls.crt", root + "tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def deployment() -> dict[str, Any]:
    container = {
        "name": "hook",
        "image": "python",
        "command": ["python", "-c", SERVER],
        "ports": [{"containerPort": 8443}],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
    }
    template = {"metadata": {"labels": {"app": "hook"}}, "spec": spec}
    selector = {"matchLabels": {"app": "hook"}}
    return {"metadata": {"name": "hook", "namespace": "default"}, "spec": {"selector": selector, "template": template}}


async def test_a_webhook_in_a_pod(cluster: Cluster) -> None:
    """The server finds the pod through the Service's endpoints and says when there is none; the pod's patch counts."""
    now = datetime.now(UTC)
    authority = Authority.create(now)
    pair = authority.issue_serving(now, ["hook.default.svc"])
    client = cluster.client
    await client.create(
        SECRETS,
        {
            "metadata": {"name": "tls", "namespace": "default"},
            "stringData": {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()},
        },
    )
    ports = [{"port": 443, "targetPort": 8443}]
    service = {
        "metadata": {"name": "hook", "namespace": "default"},
        "spec": {"selector": {"app": "hook"}, "ports": ports},
    }
    await client.create(SERVICES, service)
    webhook = {
        "name": "hook.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "clientConfig": {
            "service": {"namespace": "default", "name": "hook", "path": "/review"},
            "caBundle": base64.b64encode(authority.pem).decode(),
        },
        "objectSelector": {"matchLabels": {"hooked": "yes"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
    }
    await client.create(MUTATING_WEBHOOK_CONFIGURATIONS, {"metadata": {"name": "hook"}, "webhooks": [webhook]})
    config: Any = {"metadata": {"name": "a", "namespace": "default", "labels": {"hooked": "yes"}}, "data": {"k": "v"}}
    with pytest.raises(InternalError, match='no endpoints available for service "hook"'):
        await client.create(CONFIG_MAPS, config)
    await client.create(DEPLOYMENTS, deployment())
    await cluster.wait_for(DEPLOYMENTS, "hook", "Available")
    (pod,) = (await client.list(PODS, namespace="default")).items
    slices = (await client.list(ENDPOINT_SLICES, namespace="default")).items
    name = next(s["metadata"]["name"] for s in slices if s["metadata"]["name"].startswith("hook-"))
    await cluster.wait_for(
        ENDPOINT_SLICES, name, lambda found: any(e["conditions"]["ready"] for e in found["endpoints"])
    )
    made = await client.create(CONFIG_MAPS, config)
    assert made["data"] == {"k": "v", "by": pod["metadata"]["name"]}
