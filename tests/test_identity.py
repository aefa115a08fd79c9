"""Identity as a user of the package meets it: certificates, tokens, other users in Python, a pod's own token."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from minik8s import CONFIG_MAPS, PODS, Cluster
from minik8s.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS
from minik8s.client.http import HttpTransport, connect
from minik8s.machinery.errors import Forbidden, Unauthorized

pytestmark = pytest.mark.anyio

SMALL: dict[str, Any] = {
    "nodes": 0,
    "runtime": "simulated",
    "proxy": False,
    "scheduler": False,
    "strict": True,
    "freeze": True,
    "controllers": ("serviceaccount",),
}
GROUP = "rbac.authorization.k8s.io"


def viewers(*subjects: tuple[str, str]) -> dict[str, Any]:
    """A RoleBinding of `view` in the namespace default."""
    return {
        "metadata": {"name": "viewers", "namespace": "default"},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": kind, "name": name} for kind, name in subjects],
    }


async def test_another_user_in_process() -> None:
    """`client.as_user` may do what that user may; the cluster's own client stays the administrator."""
    async with Cluster(serve=False, **SMALL) as cluster:
        alice = cluster.client.as_user("alice", groups=["devs"])
        with pytest.raises(Forbidden, match='User "alice" cannot list resource "pods"'):
            await alice.list(PODS, namespace="default")
        await cluster.client.create(ROLE_BINDINGS, viewers(("Group", "devs")))
        assert (await alice.list(PODS, namespace="default")).items == []
        with pytest.raises(Forbidden):
            await alice.list(PODS)
        with pytest.raises(Forbidden):
            await alice.as_agent("x").create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}})
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}})


async def test_another_user_over_http() -> None:
    """The same over a socket: the client's user needs the right to impersonate, the other one all other rights."""
    async with Cluster(**SMALL) as cluster:
        client = connect(cluster.kubeconfig)
        try:
            alice = client.as_user("alice", groups=["devs"], extra={"acme.com/Team": ["blue"]})
            with pytest.raises(Forbidden, match='User "alice" cannot list resource "pods"'):
                await alice.list(PODS, namespace="default")
            await client.create(ROLE_BINDINGS, viewers(("Group", "devs")))
            assert (await alice.list(PODS, namespace="default")).items == []
        finally:
            await client.aclose()
        client = connect(cluster.kubeconfig_for("alice"))
        try:
            with pytest.raises(Forbidden, match='users "bob" is forbidden: User "alice" cannot impersonate'):
                await client.as_user("bob").list(PODS)
        finally:
            await client.aclose()


async def test_without_rbac() -> None:
    """Every authenticated user may do everything, there are no default roles, and roles are still objects."""
    async with Cluster(rbac=False, serve=False, **SMALL) as cluster:
        alice = cluster.client.as_user("alice")
        assert (await alice.list(CLUSTER_ROLES)).items == []
        await alice.create(CLUSTER_ROLES, {"metadata": {"name": "r"}, "rules": []})
        with pytest.raises(Forbidden):
            await cluster.client.as_user("system:anonymous").list(PODS)


async def test_declared_tokens() -> None:
    """`tokens` maps bearer tokens to users."""
    tokens = {"a": "alice", "b": {"name": "bob", "uid": "7", "groups": ["system:masters"]}}
    async with Cluster(serve=False, tokens=tokens, **SMALL) as cluster:
        for token, code in (("a", 403), ("b", 200), ("c", 401)):
            answer = await cluster.http.get("/api/v1/pods", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == code
        assert "'a'" not in repr(cluster.config), "tokens are no text for logs"


@pytest.mark.parametrize(
    "tokens",
    [
        ["a"],
        {"": "alice"},
        {"a b": "alice"},
        {"a": ""},
        {"a": {"uid": "x"}},
        {"a": {"name": "x", "role": "y"}},
        {"a": 5},
    ],
)
async def test_tokens_that_are_none(tokens: Any) -> None:
    """They are refused when the cluster is made."""
    with pytest.raises(ValueError, match="'tokens'"):
        Cluster(tokens=tokens)


def pem_of(kubeconfig: Path) -> bytes:
    """A kubeconfig's client certificate and key."""
    user = user_of(kubeconfig)
    return b"".join(base64.b64decode(user[f"client-{part}-data"]) for part in ("certificate", "key"))


def user_of(kubeconfig: Path) -> dict[str, str]:
    user: dict[str, str] = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]
    return user


async def test_client_certificates() -> None:
    """A certificate of the cluster's CA makes its owner; one of another CA is refused by TLS; without, nobody."""
    async with Cluster(**SMALL) as cluster, Cluster(**SMALL) as other:
        alice = connect(cluster.kubeconfig_for("alice", ["system:masters"]))
        try:
            assert (await alice.list(CLUSTER_ROLES)).items
        finally:
            await alice.aclose()
        context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
        async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as anonymous:
            assert (await anonymous.get("/api/v1/pods")).status_code == 403
            assert (await anonymous.get("/healthz")).text == "ok"
        path = cluster.directory / "theirs.pem"
        path.write_bytes(pem_of(other.kubeconfig_for("alice", ["system:masters"])))
        context.load_cert_chain(path)
        async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get("/healthz")


async def test_a_configured_client_ca(tmp_path: Path) -> None:
    """`client_ca` lets in who shows a certificate of another CA; a file that is none is refused in words."""
    async with Cluster(**SMALL) as other:
        (tmp_path / "ca.pem").write_bytes(other.ca_bundle)
        async with Cluster(client_ca=tmp_path / "ca.pem", **SMALL) as cluster:
            path = tmp_path / "carol.pem"
            path.write_bytes(pem_of(other.kubeconfig_for("carol", ["system:masters"])))
            context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
            context.load_cert_chain(path)
            async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as carol:
                answer = await carol.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", content=b"{}")
                assert answer.json()["status"]["userInfo"]["username"] == "carol"
    for content in (None, b"nonsense", b"\xff\xfe"):
        broken = tmp_path / "broken.pem"
        broken.unlink(missing_ok=True)
        if content is not None:
            broken.write_bytes(content)
        with pytest.raises(ValueError, match="'client_ca'"):
            async with Cluster(client_ca=broken, **SMALL):
                pass


async def test_what_delegating_servers_read() -> None:
    """The CAs whose clients are accepted stand in kube-system, for those who may read them there."""
    async with Cluster(**SMALL) as cluster:
        name, namespace = "extension-apiserver-authentication", "kube-system"
        found: Any = await cluster.client.get(CONFIG_MAPS, name, namespace=namespace)
        assert found["data"]["client-ca-file"] == cluster.ca_bundle.decode()
        scheduler = cluster.client.as_user("system:kube-scheduler")
        assert await scheduler.get(CONFIG_MAPS, name, namespace=namespace) == found
        with pytest.raises(Forbidden):
            await scheduler.list(CONFIG_MAPS, namespace=namespace)


WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


async def test_a_front_proxys_word(tmp_path: Path) -> None:
    """Over its certificate the headers say who calls; over a user's certificate, or none, they say nothing."""
    headers = {"X-Remote-User": "carol", "X-Remote-Group": "devs", "X-Remote-Uid": "7", "X-Remote-Extra-Team": "blue"}
    async with Cluster(**SMALL) as cluster:
        (tmp_path / "alice.pem").write_bytes(pem_of(cluster.kubeconfig_for("alice")))
        for path, expected in ((cluster.front_proxy_certificate(), "carol"), (tmp_path / "alice.pem", "alice")):
            context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
            context.load_cert_chain(path)
            async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as client:
                found = (await client.post(WHOAMI, content=b"{}", headers=headers)).json()["status"]["userInfo"]
                assert found["username"] == expected
                if expected == "carol":
                    assert found["groups"] == ["devs", "system:authenticated"]
                    assert (found["uid"], found["extra"]) == ("7", {"team": ["blue"]})
                    assert (await client.post(WHOAMI, content=b"{}")).status_code == 401
        context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
        async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as client:
            assert (await client.post(WHOAMI, content=b"{}", headers=headers)).status_code == 403
    async with Cluster(tls=False, **SMALL) as cluster:
        with pytest.raises(RuntimeError, match="TLS"):
            cluster.front_proxy_certificate()


async def test_a_fork_says_what_is_its_own() -> None:
    """A served fork's config map has its own CAs, not its origin's."""
    async with Cluster(**SMALL) as base, base.fork() as branch:
        name, namespace = "extension-apiserver-authentication", "kube-system"
        data = [(await c.client.get(CONFIG_MAPS, name, namespace=namespace))["data"] for c in (base, branch)]
        assert data[0].keys() == data[1].keys()
        for cluster, found in zip((base, branch), data, strict=True):
            assert found["client-ca-file"] == cluster.ca_bundle.decode()
        assert data[0]["requestheader-client-ca-file"] != data[1]["requestheader-client-ca-file"]


async def test_kubeconfigs_without_tls() -> None:
    """Where there is no TLS there are no certificates: the kubeconfig impersonates."""
    async with Cluster(tls=False, **SMALL) as cluster:
        assert user_of(cluster.kubeconfig_for("alice", ["devs"])) == {"as": "alice", "as-groups": ["devs"]}
    async with Cluster(serve=False, **SMALL) as cluster:
        with pytest.raises(RuntimeError, match="serve=False"):
            cluster.kubeconfig_for("alice")


SCRIPT = """
import json, os, ssl, urllib.request
folder = os.environ["MINIK8S_ROOT"] + "/var/run/secrets/kubernetes.io/serviceaccount"
token = open(folder + "/token").read()
context = ssl.create_default_context(cafile=folder + "/ca.crt")
for path in ("/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/secrets"):
    request = urllib.request.Request(os.environ["API"] + path, headers={"Authorization": "Bearer " + token})
    try:
        print(urllib.request.urlopen(request, context=context).status)
    except urllib.error.HTTPError as error:
        print(error.code, json.load(error)["message"])
"""


async def test_a_pod_is_its_service_account() -> None:
    """A process in a pod reads its token and may do what roles give its account."""
    async with Cluster(nodes=1, strict=True) as cluster:
        await cluster.client.create(
            CLUSTER_ROLE_BINDINGS,
            {
                "metadata": {"name": "pods"},
                "roleRef": {"kind": "ClusterRole", "name": "view"},
                "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}],
            },
        )
        container = {"name": "main", "image": "python", "command": ["python", "-c", SCRIPT]}
        container["env"] = [{"name": "API", "value": cluster.url}]  # type: ignore[assignment]
        spec = {"restartPolicy": "Never", "containers": [container]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
        await cluster.apply(pod)  # type: ignore[arg-type]
        with anyio.fail_after(60):
            await cluster.wait_for(PODS, "p", lambda pod: pod["status"].get("phase") in ("Succeeded", "Failed"))
        async with cluster.client.logs(PODS, "p", namespace="default") as chunks:
            lines = b"".join([chunk async for chunk in chunks]).decode().splitlines()
        assert lines[0] == "200", lines
        assert 'User "system:serviceaccount:default:default" cannot list resource "secrets"' in lines[1]


async def test_tokens_that_end_while_a_client_runs() -> None:
    """A client whose token has lost its account is refused at its next request, not at its next connection."""
    async with Cluster(**SMALL) as cluster:
        from minik8s import SERVICE_ACCOUNTS

        meta = {"name": "robot", "namespace": "default"}
        await cluster.client.create(SERVICE_ACCOUNTS, {"metadata": meta})
        await cluster.client.create(ROLE_BINDINGS, viewers(("User", "system:serviceaccount:default:robot")))
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        issued: Any = await cluster.client.create(
            SERVICE_ACCOUNTS, request, name="robot", namespace="default", subresource="token"
        )
        context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
        headers = {"Authorization": f"Bearer {issued['status']['token']}"}
        http = httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False, headers=headers)
        client = type(cluster.client)(HttpTransport(http))
        try:
            assert (await client.list(PODS, namespace="default")).items == []
            await cluster.client.delete(SERVICE_ACCOUNTS, "robot", namespace="default")
            with pytest.raises(Unauthorized):
                await client.list(PODS, namespace="default")
        finally:
            await client.aclose()
