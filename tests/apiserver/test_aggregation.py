"""APIs that another server serves: whether they are available, discovery, and requests that are passed on."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.request import ApiRequest
from minik8s.api.resource import custom_resource
from minik8s.api.users import named
from minik8s.apiserver.aggregation.availability import Verdict, check_all, judge
from minik8s.apiserver.aggregation.remote import RemoteApi
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.pki import Authority, server_context
from minik8s.apiserver.server import listen, serve
from minik8s.machinery.errors import ApiError, NotFound

pytestmark = pytest.mark.anyio
API = "/apis/metrics.example.com/v1beta1"
SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
NAME = "v1beta1.metrics.example.com"
GAUGES = custom_resource("metrics.example.com", "v1beta1", "gauges", "Gauge")
LISTED = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": "metrics.example.com/v1beta1",
    "resources": [
        {"name": "gauges", "singularName": "gauge", "namespaced": True, "kind": "Gauge", "verbs": ["get", "list"]},
        {"name": "gauges/scale", "namespaced": True, "kind": "Scale", "group": "autoscaling", "version": "v1",
         "verbs": ["get"]},
        {"name": "pods/requests", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]},
    ],
}  # fmt: skip
GAUGE = {"metadata": {"name": "g", "namespace": "default"}, "value": 3}


class Backend:
    """An API server of somebody else's: one ASGI app over HTTPS."""

    def __init__(self, port: int, bundle: bytes) -> None:
        self.port, self.bundle = port, base64.b64encode(bundle).decode()
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, Any]] = {
            API: (200, LISTED),
            "/openapi/v3": (200, {"paths": {API[1:]: {"serverRelativeURL": f"/openapi/v3{API}?hash=1"}}}),
            f"/openapi/v3{API}": (200, {"openapi": "3.0.0"}),
            f"{API}/namespaces/default/gauges": (200, {"metadata": {"resourceVersion": "7"}, "items": [GAUGE]}),
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        self.requests.append((scope["method"], scope["path"], dict(headers), body))
        gone = {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no such gauge"}
        code, document = self.answers.get(scope["path"], (404, gone))
        text = document if isinstance(document, bytes) else json.dumps(document).encode()
        await send({"type": "http.response.start", "status": code, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": text})

    def api_service(self, **spec: Any) -> dict[str, Any]:
        service = {"namespace": "default", "name": "metrics", "port": 443}
        base = {"group": "metrics.example.com", "version": "v1beta1", "caBundle": self.bundle, "service": service}
        spec = {**base, "groupPriorityMinimum": 100, "versionPriority": 10, **spec}
        return {"metadata": {"name": NAME}, "spec": {key: value for key, value in spec.items() if value is not None}}


@pytest.fixture
async def backend(tmp_path: Any) -> AsyncIterator[Backend]:
    """A running one, with a certificate for the Service through which it is reached."""
    authority, now = Authority.create(datetime.now(UTC)), datetime.now(UTC)
    sock = listen("127.0.0.1", 0)
    found = Backend(sock.getsockname()[1], authority.pem)
    context = server_context(authority.issue_serving(now, ["metrics.default.svc"]), tmp_path)
    async with serve(found, sock, context):  # type: ignore[arg-type]
        yield found


async def publish(server: Any, backend: Backend) -> None:
    """A Service that leads to the backend."""
    await server.ok("POST", "services", {"metadata": {"name": "metrics"}, "spec": {"ports": [{"port": 443}]}})
    labels = {"kubernetes.io/service-name": "metrics"}
    found = {
        "metadata": {"name": "metrics-1", "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": backend.port, "protocol": "TCP"}],
    }
    await server.ok("POST", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", found)


async def condition(server: Any) -> dict[str, Any]:
    await check_all(server.ctx)
    (found,) = (await server.ok("GET", f"{SERVICES}/{NAME}"))["status"]["conditions"]
    return dict(found)


async def test_an_api_becomes_available(server: Any, backend: Backend) -> None:
    """Without its Service it is not, and says why; with it it is, is discovered, and answers."""
    await server.ok("POST", SERVICES, backend.api_service())
    found = await condition(server)
    message = 'service/metrics in "default" is not present'
    assert (found["status"], found["reason"], found["message"]) == ("False", "ServiceNotFound", message)
    response = await server.call("GET", f"{API}/namespaces/default/gauges")
    assert (response.status_code, response.text) == (503, "service unavailable\n")
    await publish(server, backend)
    found = await condition(server)
    assert (found["status"], found["reason"], found["message"]) == ("True", "Passed", "all checks passed")
    revision = server.ctx.store.revision
    await check_all(server.ctx)
    assert server.ctx.store.revision == revision, "a check that finds nothing new writes"
    listed = await server.ok("GET", f"{API}/namespaces/default/gauges?limit=5")
    assert listed["items"] == [GAUGE]
    await server.ok("DELETE", f"{SERVICES}/{NAME}")
    assert (await server.call("GET", API)).status_code == 404


async def test_discovery(server: Any, backend: Backend) -> None:
    """Its group stands in all three forms of discovery and in the index of OpenAPI."""
    await server.ok("POST", SERVICES, backend.api_service())
    await publish(server, backend)
    aggregated = {"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    before = (await server.ok("GET", "/apis", headers=aggregated))["items"][-1]
    assert before["versions"] == [{"version": "v1beta1", "freshness": "Stale"}]
    await check_all(server.ctx)
    group = (await server.ok("GET", "/apis"))["groups"][-1]
    assert group == {
        "name": "metrics.example.com",
        "versions": [{"groupVersion": "metrics.example.com/v1beta1", "version": "v1beta1"}],
        "preferredVersion": {"groupVersion": "metrics.example.com/v1beta1", "version": "v1beta1"},
    }
    assert await server.ok("GET", "/apis/metrics.example.com") == {"kind": "APIGroup", "apiVersion": "v1", **group}
    assert await server.ok("GET", API) == LISTED
    version = (await server.ok("GET", "/apis", headers=aggregated))["items"][-1]["versions"][0]
    assert version["freshness"] == "Current"
    gauges, pods = version["resources"]
    assert gauges["responseKind"] == {"group": "metrics.example.com", "version": "v1beta1", "kind": "Gauge"}
    assert gauges["subresources"][0]["responseKind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert (pods["resource"], pods["verbs"], pods["scope"]) == ("pods", [], "Namespaced")
    index = (await server.ok("GET", "/openapi/v3"))["paths"]
    assert index[API[1:]]["serverRelativeURL"] == f"/openapi/v3{API}?hash=1"
    assert await server.ok("GET", f"/openapi/v3{API}?hash=1") == {"openapi": "3.0.0"}


async def test_who_asks(ruled: Any, admin: dict[str, str], backend: Backend) -> None:
    """The user is authorized here and named to the backend, which sees no credentials; nobody can name himself."""
    await ruled.ok("POST", SERVICES, backend.api_service(), headers=admin)
    ruled.http.headers.update(admin)
    await publish(ruled, backend)
    await check_all(ruled.ctx)
    path = f"{API}/namespaces/default/gauges"
    user = {"impersonate-user": "bob", "impersonate-group": "devs", "impersonate-extra-a%2fb": "c"}
    response = await ruled.call("GET", path, headers=user)
    assert response.status_code == 403
    assert 'User "bob" cannot list resource "gauges"' in response.json()["message"]
    rule = {"apiGroups": ["metrics.example.com"], "resources": ["gauges"], "verbs": ["list"]}
    roles = "/apis/rbac.authorization.k8s.io/v1"
    await ruled.ok("POST", f"{roles}/clusterroles", {"metadata": {"name": "g"}, "rules": [rule]})
    subject = {"kind": "User", "name": "bob", "apiGroup": "rbac.authorization.k8s.io"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "g"}
    binding = {"metadata": {"name": "g"}, "subjects": [subject], "roleRef": reference}
    await ruled.ok("POST", f"{roles}/clusterrolebindings", binding)
    await ruled.ok("GET", path, headers={**user, "x-remote-user": "admin", "x-remote-group": "system:masters"})
    headers = backend.requests[-1][2]
    assert (headers["x-remote-user"], headers["x-remote-extra-a%2fb"]) == ("bob", "c")
    assert headers["x-remote-group"] != "system:masters"
    assert "authorization" not in headers


async def test_in_process(server: Any, backend: Backend) -> None:
    """The client of the own process reads and writes there too, and gets the backend's errors; it cannot watch."""
    await server.ok("POST", SERVICES, backend.api_service())
    with pytest.raises(ApiError, match="service unavailable"):
        await server.client.list(GAUGES, namespace="default")
    await publish(server, backend)
    await check_all(server.ctx)
    listed = await server.client.list(GAUGES, namespace="default")
    assert (listed.items[0]["kind"], listed.items[0]["value"], listed.resource_version) == ("Gauge", 3, "7")
    with pytest.raises(NotFound, match="no such gauge"):
        await server.client.get(GAUGES, "h", namespace="default")
    backend.answers[f"{API}/namespaces/default/gauges"] = (201, GAUGE)
    made = await dispatch(server.ctx, ApiRequest("create", GAUGES, "default", body=GAUGE, user=named("alice")))
    assert made.document["value"] == 3  # type: ignore[union-attr]
    assert backend.requests[-1][0] == "POST"
    assert json.loads(backend.requests[-1][3]) == GAUGE
    with pytest.raises(ApiError, match=r"watches of gauges\.metrics\.example\.com are passed on over HTTP only"):
        await dispatch(server.ctx, ApiRequest("watch", GAUGES, "default"))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((500, b"oops"), "bad status from https://{address}: 500"),
        ((200, b"[1]"), "the answer is no JSON object"),
        ((200, b"{"), "the answer is no JSON"),
        ((200, {"kind": "Pod"}), "bad status from"),
    ],
)
async def test_backends_that_do_not_serve(server: Any, backend: Backend, answer: Any, text: str) -> None:
    """Whatever is there instead of a list of resources makes it unavailable, with the reason."""
    backend.answers[API] = answer
    await server.ok("POST", SERVICES, backend.api_service())
    await publish(server, backend)
    found = await condition(server)
    address = (await server.ok("GET", "services/metrics"))["spec"]["clusterIP"] + f":443{API}"
    assert (found["status"], found["reason"]) == ("False", "FailedDiscoveryCheck")
    assert found["message"].startswith(f"failing or missing response from https://{address}: ")
    assert text.format(address=address) in found["message"]


async def test_certificates_are_verified(server: Any, backend: Backend) -> None:
    """A bundle that did not sign the backend's certificate makes it unavailable; insecureSkipTLSVerify trusts it."""
    other = base64.b64encode(Authority.create(datetime.now(UTC)).pem).decode()
    await publish(server, backend)
    for spec, status in (({"caBundle": other}, "False"), ({"caBundle": None, "insecureSkipTLSVerify": True}, "True")):
        await server.call("DELETE", f"{SERVICES}/{NAME}")
        await server.ok("POST", SERVICES, backend.api_service(**spec))
        found = await condition(server)
        assert found["status"] == status, found


PORT = {"port": 443, "name": "https"}
SLICE = {
    "metadata": {"labels": {"kubernetes.io/service-name": "s"}},
    "endpoints": [{"addresses": ["10.0.0.1"]}],
    "ports": [{"name": "https", "port": 1}],
}
VERDICTS = [
    ({"spec": {"ports": [{"port": 80}]}}, [], "ServicePortError", 'service/s in "n" is not listening on port 443'),
    ({"spec": {"ports": [PORT]}}, [], "EndpointsNotFound", 'cannot find endpointslices for service/s in "n"'),
    ({"spec": {"ports": [{"port": 443, "name": "other"}]}}, [SLICE], "MissingEndpoints",
     'endpoints for service/s in "n" have no addresses with port name "other"'),
]  # fmt: skip


@pytest.mark.parametrize(("service", "slices", "reason", "message"), VERDICTS, ids=lambda value: str(value)[:20])
def test_judge(service: dict[str, Any], slices: list[dict[str, Any]], reason: str, message: str) -> None:
    """What objects tell is told with upstream's reasons and texts, before anybody is asked."""
    api = RemoteApi("v1.g", "g", "v1", "n", "s", 443)
    assert judge(api, service, slices) == Verdict(False, reason, message)
    assert judge(api, {"spec": {"ports": [PORT]}}, [SLICE]) is None
    assert judge(api, {"spec": {"type": "ExternalName"}}, []) is None
