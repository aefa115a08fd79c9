"""scale, binding, eviction, tokens and reviews."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.apiserver.conftest import MERGE, SUCCESS, pod

pytestmark = pytest.mark.anyio

APPS = "/apis/apps/v1/namespaces/default"


def workload(replicas: int = 2) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


@pytest.mark.parametrize("plural", ["deployments", "replicasets"])
async def test_scale(server: Any, plural: str) -> None:
    """A Scale of its own with the parent's version, written by PUT without a type and by every patch."""
    created = await server.ok("POST", f"{APPS}/{plural}", workload())
    path = f"{APPS}/{plural}/web/scale"
    scale = await server.ok("GET", path)
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    assert scale == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: created["metadata"][key] for key in kept},
        "spec": {"replicas": 2},
        "status": {"replicas": 0, "selector": "app=web"},
    }
    scaled = await server.ok("PUT", path, {**scale, "spec": {"replicas": 5}})
    assert scaled["spec"] == {"replicas": 5}
    assert scaled["metadata"]["resourceVersion"] == str(server.ctx.store.revision)
    parent = await server.ok("GET", f"{APPS}/{plural}/web")
    assert (parent["spec"]["replicas"], parent["metadata"]["generation"]) == (5, 2)
    for kind, body in (
        ("merge-patch", {"spec": {"replicas": 3}}),
        ("strategic-merge-patch", {"spec": {"replicas": 4}}),
        ("json-patch", [{"op": "replace", "path": "/spec/replicas", "value": 0}]),
    ):
        scaled = await server.ok("PATCH", path, body, type=f"application/{kind}+json")
        parent = await server.ok("GET", f"{APPS}/{plural}/web")
        assert parent["spec"]["replicas"] == scaled["spec"].get("replicas", 0)
    assert parent["spec"]["replicas"] == 0


async def test_scales_that_are_refused(server: Any) -> None:
    """Negative numbers, stale versions, other names, missing parents, other kinds."""
    await server.ok("POST", f"{APPS}/deployments", workload())
    path = f"{APPS}/deployments/web/scale"
    scale = await server.ok("GET", path)
    message = 'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    await server.refused("PUT", path, 422, "Invalid", message, {**scale, "spec": {"replicas": -1}})
    await server.refused("PATCH", path, 422, "Invalid", message, {"spec": {"replicas": -1}}, type=MERGE)
    stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "1"}}
    message = (
        'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    await server.refused("PUT", path, 409, "Conflict", message, stale)
    other = {**scale, "metadata": {"name": "zz"}}
    message = "the name of the object (zz) does not match the name on the URL (web)"
    await server.refused("PUT", path, 400, "BadRequest", message, other)
    message = 'deployments.apps "zz" not found'
    await server.refused("GET", f"{APPS}/deployments/zz/scale", 404, "NotFound", message)
    response = await server.call("PUT", path, {"kind": "Deployment", "apiVersion": "apps/v1"})
    assert response.status_code == 400
    response = await server.call("GET", f"{APPS}/daemonsets/x/scale")
    assert response.status_code == 404


@pytest.mark.parametrize("path", ["pods/p/binding", "bindings"])
async def test_binding(server: Any, path: str) -> None:
    """Gives the pod its node, its annotations and the condition, and ends its nomination; by either path."""
    await server.ok("POST", "pods", pod("p"))
    merge = {"content-type": "application/merge-patch+json"}
    nominated = await server.ok("PATCH", "pods/p/status", {"status": {"nominatedNodeName": "n1"}}, headers=merge)
    assert nominated["status"]["nominatedNodeName"] == "n1"
    binding = {"metadata": {"name": "p", "annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}}
    response = await server.call("POST", path, binding)
    assert (response.status_code, response.json()) == (201, SUCCESS)
    bound = await server.ok("GET", "pods/p")
    assert bound["spec"]["nodeName"] == "n1"
    assert bound["metadata"]["annotations"] == {"a": "b"}
    assert "nominatedNodeName" not in bound["status"]
    (condition,) = [c for c in bound["status"]["conditions"] if c["type"] == "PodScheduled"]
    assert condition["status"] == "True"
    message = 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"'
    await server.refused("POST", path, 409, "Conflict", message, binding)


async def test_bindings_that_are_refused(server: Any) -> None:
    """Pods on their way out or held back, other pods, other targets."""
    conflict = 'Operation cannot be fulfilled on pods/binding "p": '

    def to(**more: Any) -> dict[str, Any]:
        return {"metadata": {"name": "p", **more}, "target": {"name": "n1"}}

    message = 'pods "p" not found'
    await server.refused("POST", "pods/p/binding", 404, "NotFound", message, to())
    created = await server.ok("POST", "pods", pod("p", schedulingGates=[{"name": "example.com/g"}]))
    message = f"{conflict}pod p has non-empty .spec.schedulingGates"
    await server.refused("POST", "pods/p/binding", 409, "Conflict", message, to())
    message = (
        'Operation cannot be fulfilled on pods "p": StorageError: invalid object, Code: 4, '
        "Key: /registry/pods/default/p, ResourceVersion: 0, AdditionalErrorMsg: "
        f"Precondition failed: UID in precondition: x, UID in object meta: {created['metadata']['uid']}"
    )
    await server.refused("POST", "pods/p/binding", 409, "Conflict", message, to(uid="x"))
    held = pod("p2")
    held["metadata"]["finalizers"] = ["example.com/x"]
    await server.ok("POST", "pods", held)
    await server.ok("DELETE", "pods/p2")
    body = {"metadata": {"name": "p2"}, "target": {"name": "n1"}}
    message = (
        'Operation cannot be fulfilled on pods/binding "p2": pod p2 is being deleted, cannot be assigned to a host'
    )
    await server.refused("POST", "pods/p2/binding", 409, "Conflict", message, body)
    message = "name in URL does not match name in Binding object"
    await server.refused("POST", "pods/p/binding", 400, "BadRequest", message, body)
    for target in ({"kind": "Pod", "name": "n"}, {"kind": "Node"}, {}):
        response = await server.call("POST", "pods/p/binding", {"metadata": {"name": "p"}, "target": target})
        assert response.status_code == 422


async def test_tokens(server: Any) -> None:
    """A signed token that the server knows again, for as long as it lasts."""
    await server.ok("POST", "pods", pod("p"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    path = "serviceaccounts/default/token"
    response = await server.call("POST", path, {"spec": {"expirationSeconds": 600, "boundObjectRef": bound}})
    assert response.status_code == 201
    request = response.json()
    assert (request["kind"], request["apiVersion"]) == ("TokenRequest", "authentication.k8s.io/v1")
    assert request["spec"]["audiences"] == [server.ctx.tokens.issuer]
    assert request["status"]["expirationTimestamp"] == "2026-01-01T00:10:00Z"
    token = request["status"]["token"]
    reviews = "/apis/authentication.k8s.io/v1/tokenreviews"
    status = (await server.ok("POST", reviews, {"spec": {"token": token}}))["status"]
    assert status["authenticated"] is True
    assert status["user"]["username"] == "system:serviceaccount:default:default"
    headers = {"authorization": f"Bearer {token}"}
    whoami = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    me = (await server.ok("POST", whoami, {}, headers=headers))["status"]["userInfo"]
    assert "system:serviceaccounts:default" in me["groups"]
    server.clock.advance(600)
    status = (await server.ok("POST", reviews, {"spec": {"token": token}}))["status"]
    assert status == {"user": {}, "error": "[invalid bearer token, service account token has expired]"}
    assert (await server.call("POST", whoami, {}, headers=headers)).status_code == 401


SHORT = "spec.expirationSeconds: Invalid value: {}: may not specify a duration less than 10 minutes"
LONG = "spec.expirationSeconds: Invalid value: {}: may not specify a duration larger than 2^32 seconds"


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"expirationSeconds": 60}, 422, SHORT.format(60)),
        ({"expirationSeconds": 0}, 422, SHORT.format(0)),
        ({"expirationSeconds": 2**32 + 1}, 422, LONG.format(2**32 + 1)),
        ({"boundObjectRef": {"kind": "Pod", "name": "x"}}, 404, 'pods "x" not found'),
    ],
)
async def test_tokens_that_are_refused(server: Any, spec: Any, code: int, message: str) -> None:
    """Too short, too long, bound to nothing."""
    text = f'TokenRequest.authentication.k8s.io "" is invalid: {message}' if code == 422 else message
    reason = "Invalid" if code == 422 else "NotFound"
    await server.refused("POST", "serviceaccounts/default/token", code, reason, text, {"spec": spec})
    message = 'serviceaccounts "zz" not found'
    await server.refused("POST", "serviceaccounts/zz/token", 404, "NotFound", message, {})


AUTHORIZATION = "/apis/authorization.k8s.io/v1"
GET_PODS = {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}


@pytest.mark.parametrize(
    ("plural", "spec", "allowed"),
    [
        ("selfsubjectaccessreviews", GET_PODS, True),
        ("selfsubjectaccessreviews", {"nonResourceAttributes": {"path": "/foo", "verb": "get"}}, True),
        ("subjectaccessreviews", {**GET_PODS, "user": "alice"}, True),
        ("subjectaccessreviews", {**GET_PODS, "groups": ["system:authenticated"]}, True),
        ("subjectaccessreviews", {**GET_PODS, "groups": ["nobody"]}, False),
        ("subjectaccessreviews", {**GET_PODS, "user": "system:anonymous"}, False),
        (
            "subjectaccessreviews",
            {"nonResourceAttributes": {"path": "/healthz", "verb": "get"}, "user": "system:anonymous"},
            True,
        ),
    ],
)
async def test_access_reviews(server: Any, plural: str, spec: Any, allowed: bool) -> None:
    """201 with the authorizer's answer."""
    response = await server.call("POST", f"{AUTHORIZATION}/{plural}", {"spec": spec})
    assert (response.status_code, response.json()["status"]["allowed"]) == (201, allowed)


async def test_access_reviews_that_are_refused(server: Any) -> None:
    """Without attributes, with both, without anybody to ask about."""
    both = {**GET_PODS, "nonResourceAttributes": {"path": "/foo", "verb": "get"}}
    for plural, spec in (
        ("selfsubjectaccessreviews", {}),
        ("selfsubjectaccessreviews", both),
        ("subjectaccessreviews", GET_PODS),
    ):
        response = await server.call("POST", f"{AUTHORIZATION}/{plural}", {"spec": spec})
        assert response.status_code == 422
    local = f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews"
    response = await server.call("POST", local, {"spec": {**GET_PODS, "user": "alice"}})
    assert response.status_code == 201


async def test_rules_reviews(server: Any) -> None:
    """Everything, here."""
    body = {"spec": {"namespace": "default"}}
    status = (await server.ok("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", body))["status"]
    assert status["incomplete"] is False
    assert status["resourceRules"] == [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


def certificate_request() -> str:
    """A request as a CertificateSigningRequest holds it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    key = ec.generate_private_key(ec.SECP256R1())
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def test_certificate_approval(server: Any) -> None:
    """/approval writes conditions and nothing else of the status; metadata may change with it. Its writer owns both."""
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {"signerName": "example.com/s", "request": certificate_request(), "usages": ["client auth"]}
    created = await server.ok("POST", path, {"metadata": {"name": "c"}, "spec": spec})
    condition = {"type": "Approved", "status": "True", "reason": "Because"}
    body = {**created, "status": {"conditions": [condition], "certificate": "LS0t"}}
    body["spec"], body["metadata"] = {**spec, "usages": ["signing"]}, {**created["metadata"], "labels": {"a": "b"}}
    approved = await server.ok("PUT", f"{path}/c/approval", body)
    assert [c["type"] for c in approved["status"]["conditions"]] == ["Approved"]
    assert "certificate" not in approved["status"]
    assert (approved["spec"], approved["metadata"]["labels"]) == (created["spec"], {"a": "b"})
    (owned,) = [e["fieldsV1"] for e in approved["metadata"]["managedFields"] if e.get("subresource") == "approval"]
    assert set(owned) == {"f:metadata", "f:status"}


async def test_a_certificate_is_requested_by_whoever_asks(server: Any) -> None:
    """The server notes the requestor; what the body claims does not count, and later writes do not change it."""
    path = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    spec = {"signerName": "example.com/s", "request": certificate_request(), "usages": ["client auth"]}
    spec |= {"username": "root", "uid": "1"}
    created = await server.ok("POST", path, {"metadata": {"name": "c"}, "spec": spec})
    assert created["spec"]["username"] == "system:admin"
    assert created["spec"]["groups"] == ["system:masters", "system:authenticated"]
    assert "uid" not in created["spec"]
    replaced = await server.ok("PUT", f"{path}/c", {**created, "spec": spec})
    assert replaced["spec"] == created["spec"]


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        (
            "",
            400,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]",
        ),
        ("container=zz", 400, "container zz is not valid for pod p"),
        (
            "container=a&tailLines=-1",
            422,
            'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        ("container=a&tailLines=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "container=a&limitBytes=0",
            422,
            'PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
        ),
        (
            "container=a&sinceSeconds=5&sinceTime=2026-01-01T00:00:00Z",
            422,
            'PodLogOptions "p" is invalid: []: Forbidden: '
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ],
)
async def test_log_options(server: Any, query: str, code: int, message: str) -> None:
    """Checked before anybody asks a node; a pod without a node has an empty log."""
    spec = {
        "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}],
        "initContainers": [{"name": "i", "image": "i"}],
    }
    await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": spec})
    reason = "BadRequest" if code == 400 else "Invalid"
    await server.refused("GET", f"pods/p/log?{query}", code, reason, message)
    response = await server.call("GET", "pods/p/log?container=a", headers={"accept": "text/plain"})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "text/plain"


async def test_a_followed_log_begins_at_once(server: Any) -> None:
    """A container that says nothing yet is followed all the same: the answer begins, and ends with the reader."""
    left = anyio.Event()

    class SilentNode:
        async def logs(self, pod: Any, container: str, **options: Any) -> AsyncIterator[bytes]:
            try:
                await anyio.sleep_forever()
            finally:
                left.set()
            yield b""

    server.ctx.connector = SilentNode()
    spec = {"containers": [{"name": "a", "image": "i"}], "nodeName": "n"}
    await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": spec})
    with anyio.fail_after(5):
        path = "/api/v1/namespaces/default/pods/p/log?follow=true"
        async with server.http.stream("GET", path) as response:
            assert response.status_code == 200
        await left.wait()
