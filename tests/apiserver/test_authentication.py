"""Whose token it is: audiences, dates, what it is bound to, and what a request and a TokenReview make of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from minik8s.api.request import User
from minik8s.api.resources import PODS, SECRETS, SERVICE_ACCOUNTS
from minik8s.apiserver.authentication import Authenticator, Certificate
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.machinery.errors import Unauthorized
from minik8s.testing.clocks import ManualClock

pytestmark = pytest.mark.anyio

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
TOKEN = "serviceaccounts/default/token"
INVALIDATED = "[invalid bearer token, service account token has been invalidated]"


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "i"}], "nodeName": "n1"}
    return {"metadata": {"name": name, "namespace": "default", **metadata}, "spec": spec}


async def issue(server: Any, **spec: Any) -> str:
    token: str = (await server.ok("POST", TOKEN, {"spec": spec}))["status"]["token"]
    return token


async def review(server: Any, token: str, *audiences: str) -> Any:
    body = {"spec": {"token": token, **({"audiences": list(audiences)} if audiences else {})}}
    return (await server.ok("POST", REVIEWS, body))["status"]


async def whoami(server: Any, token: str) -> Any:
    response = await server.call("POST", WHOAMI, {}, headers={"authorization": f"Bearer {token}"})
    return response.json()["status"]["userInfo"] if response.status_code == 201 else response.status_code


async def test_a_pods_token(server: Any) -> None:
    """Its bearer is the account, with the token's id and the pod and node it is bound to; it dies with the pod."""
    await server.ok("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
    created = await server.ok("POST", "pods", pod("p"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": created["metadata"]["uid"]}
    token = await issue(server, boundObjectRef=bound)
    me = await whoami(server, token)
    assert me["username"] == "system:serviceaccount:default:default"
    assert me["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    node = await server.ok("GET", "/api/v1/nodes/n1")
    extra = me["extra"]
    assert extra.pop("authentication.kubernetes.io/credential-id")[0].startswith("JTI=")
    assert extra == {
        "authentication.kubernetes.io/pod-name": ["p"],
        "authentication.kubernetes.io/pod-uid": [created["metadata"]["uid"]],
        "authentication.kubernetes.io/node-name": ["n1"],
        "authentication.kubernetes.io/node-uid": [node["metadata"]["uid"]],
    }
    await server.client.delete(PODS, "p", namespace="default", grace_period=0)
    assert await review(server, token) == {"user": {}, "error": INVALIDATED}
    assert await whoami(server, token) == 401
    await server.ok("POST", "pods", pod("p"))
    assert await whoami(server, token) == 401, "another pod of that name is another pod"


async def test_a_token_lasts_while_its_pod_ends(server: Any) -> None:
    """A pod that is being deleted may still use its token, up to a minute after its time is over."""
    await server.ok("POST", "pods", pod("p", finalizers=["acme.com/wait"]))
    token = await issue(server, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    await server.client.delete(PODS, "p", namespace="default", grace_period=0)
    assert (await whoami(server, token))["username"]
    server.clock.advance(61)
    assert await whoami(server, token) == 401


async def test_a_secrets_and_an_accounts_end(server: Any) -> None:
    """A token ends with the secret it is bound to, and with its account, also when that is made anew."""
    await server.client.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    token = await issue(server, boundObjectRef={"kind": "Secret", "apiVersion": "v1", "name": "s"})
    free = await issue(server)
    await server.client.delete(SECRETS, "s", namespace="default")
    assert await whoami(server, token) == 401
    assert (await whoami(server, free))["username"]
    await server.client.delete(SERVICE_ACCOUNTS, "default", namespace="default")
    await server.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    assert await whoami(server, free) == 401


async def test_audiences(server: Any) -> None:
    """A token is for whom it names: the server lets in who bears one for it, reviews say which of theirs it is for."""
    mine, other = server.ctx.tokens.issuer, await issue(server, audiences=["vault", "consul"])
    assert await whoami(server, other) == 401
    assert (await review(server, other, "vault", "x"))["audiences"] == ["vault"]
    error = f'[invalid bearer token, token audiences ["vault" "consul"] is invalid for the target audiences ["{mine}"]]'
    assert await review(server, other) == {"user": {}, "error": error}
    plain = await issue(server)
    assert (await review(server, plain))["audiences"] == [mine]
    assert (await review(server, plain, mine, "x"))["audiences"] == [mine]
    assert "error" in await review(server, plain, "x")


async def test_dates(server: Any) -> None:
    """A token begins when it is issued and ends when it says."""
    token = await issue(server, expirationSeconds=600)
    server.clock.advance(-1)
    assert "not valid yet" in (await review(server, token))["error"]
    server.clock.advance(600)
    assert (await review(server, token))["authenticated"]
    server.clock.advance(1)
    assert "has expired" in (await review(server, token))["error"]


async def test_kubelets_tokens_last_longer_than_they_say(server: Any) -> None:
    """Clients that never reload their token keep working for a year, though the pod's file is renewed every hour."""
    await server.ok("POST", "pods", pod("p"))
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    answer = await server.ok("POST", TOKEN, {"spec": {"expirationSeconds": 3607, "boundObjectRef": bound}})
    assert answer["status"]["expirationTimestamp"] == "2026-01-01T01:00:07Z"
    server.clock.advance(7200)
    assert (await whoami(server, answer["status"]["token"]))["username"]


@pytest.mark.parametrize(
    ("bound", "code", "message"),
    [
        (
            {"kind": "Deployment", "apiVersion": "apps/v1", "name": "d"},
            400,
            "cannot bind token to object of type apps/v1, Kind=Deployment",
        ),
        (
            {"kind": "ConfigMap", "apiVersion": "v1", "name": "c"},
            400,
            "cannot bind token to object of type /v1, Kind=ConfigMap",
        ),
        (
            {"kind": "Pod", "apiVersion": "v1", "name": "p", "uid": "u"},
            409,
            'Operation cannot be fulfilled on Pod "p": the UID in the bound object reference (u) does not match the '
            "UID in record. The object might have been deleted and then recreated",
        ),
        (
            {"kind": "Pod", "apiVersion": "v1", "name": "other"},
            400,
            'cannot bind token for serviceaccount "default" to pod running with different serviceaccount "robot"',
        ),
    ],
)
async def test_what_no_token_is_bound_to(server: Any, bound: Any, code: int, message: str) -> None:
    """Other kinds, another object of that name, a pod that runs as somebody else."""
    await server.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "robot", "namespace": "default"}})
    await server.ok("POST", "pods", pod("p"))
    other = pod("other")
    other["spec"]["serviceAccountName"] = "robot"
    await server.ok("POST", "pods", other)
    reason = "BadRequest" if code == 400 else "Conflict"
    await server.refused("POST", TOKEN, code, reason, message, {"spec": {"boundObjectRef": bound}})


async def test_the_token_of_a_secret(server: Any) -> None:
    """A legacy token is good while the Secret that holds it does, and while its account is the same."""
    account = await server.client.get(SERVICE_ACCOUNTS, "default", namespace="default")
    meta = {
        "name": "s",
        "namespace": "default",
        "annotations": {"kubernetes.io/service-account.name": "default"},
    }
    secret = {"metadata": meta, "type": "kubernetes.io/service-account-token"}
    token = server.ctx.tokens.issue_legacy(account, secret)
    assert await whoami(server, token) == 401
    await server.client.create(SECRETS, {**secret, "data": {"token": base64.b64encode(token.encode()).decode()}})
    me = await whoami(server, token)
    assert (me["username"], "extra" in me) == ("system:serviceaccount:default:default", False)
    assert (await review(server, token, server.ctx.tokens.issuer))["authenticated"]
    assert "error" in await review(server, token, "vault")
    await server.client.patch(SECRETS, "s", {"data": {"token": "eA=="}}, namespace="default")
    assert await whoami(server, token) == 401


async def test_reviews_without_a_token(server: Any) -> None:
    """There is nothing to review."""
    message = "token is required for TokenReview in authentication"
    for body in ({}, {"spec": {}}, {"spec": {"token": ""}}):
        await server.refused("POST", REVIEWS, 400, "BadRequest", message, body)
    assert await review(server, "x") == {"user": {}, "error": "invalid bearer token"}


async def test_declared_tokens(server: Any) -> None:
    """A static token's user is who was declared, in reviews too, and for this server only."""
    server.ctx.tokens.static["t"] = User("bob", "7", ("ops", "system:authenticated"), {"a": ("b",)})
    status = await review(server, "t")
    user = {"username": "bob", "uid": "7", "groups": ["ops", "system:authenticated"], "extra": {"a": ["b"]}}
    assert status == {"authenticated": True, "user": user, "audiences": [server.ctx.tokens.issuer]}
    assert "error" in await review(server, "t", "vault")


async def test_a_token_of_a_browser(guarded: Any, admin: Any) -> None:
    """A WebSocket's client may send its token as a subprotocol; nonsense there is refused."""
    token = admin["authorization"].removeprefix("Bearer ")
    prefix = "base64url.bearer.authorization.k8s.io."
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    for value, code in (
        (f"v4.channel.k8s.io, {prefix}{encoded}", 200),
        (f"{prefix}{encoded}", 200),
        (f"{prefix}eHg", 401),
        (f"{prefix}é", 401),
        (f"{prefix}a", 401),
        ("v4.channel.k8s.io", 403),
    ):
        headers = {"sec-websocket-protocol": value.encode()}
        assert (await guarded.call("GET", "pods", headers=headers)).status_code == code, value


class Nothing:
    """A server without objects."""

    def get(self, *_: Any) -> None:
        return None


def test_certificates() -> None:
    """A certificate's common name is the user, its organizations are groups; if it names one, no token is read."""
    authenticator = Authenticator(TokenIssuer(static={"t": User("bob")}), Nothing(), ManualClock(), User("nobody"))
    alice = Certificate("alice", ("devs", "ops"), "ab12")
    user = authenticator.caller("Bearer t", "", alice)
    assert (user.name, user.groups) == ("alice", ("devs", "ops", "system:authenticated"))
    assert user.extra == {"authentication.kubernetes.io/credential-id": ("X509SHA256=ab12",)}
    assert authenticator.caller("Bearer t", "", Certificate("", ("devs",))).name == "bob"
    assert authenticator.caller("", "", Certificate("")).name == "nobody"
    with pytest.raises(Unauthorized):
        authenticator.caller("Bearer x")
