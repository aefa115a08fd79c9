"""Certificates from request to use: approved, signed, accepted; refused, failed, thrown away."""

from __future__ import annotations

import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from minik8s import Cluster
from minik8s.api.certificates import CLIENT, KUBELET_CLIENT, KUBELET_SERVING
from minik8s.api.resources import CERTIFICATE_SIGNING_REQUESTS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES
from minik8s.client.client import Client
from minik8s.controllers.certificates import is_over, lifetime
from minik8s.machinery.errors import Forbidden, Invalid
from minik8s.machinery.meta import find_condition, rfc3339

pytestmark = pytest.mark.anyio

SMALL: dict[str, Any] = {
    "nodes": 0,
    "runtime": "simulated",
    "proxy": False,
    "scheduler": False,
    "strict": True,
    "freeze": True,
    "controllers": ("serviceaccount", "csrapproving", "csrsigning", "csrcleaner"),
}
KEY = ec.generate_private_key(ec.SECP256R1())
KUBELET_USAGES = ["digital signature", "client auth"]


def csr(name: str, *organizations: str, signer: str = CLIENT, usages: Any = None, **spec: Any) -> dict[str, Any]:
    """A CertificateSigningRequest; DNS names may be given as `dns`."""
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, o) for o in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if dns := spec.pop("dns", None):
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in dns]), critical=False)
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoded = base64.b64encode(pem).decode()
    return {
        "metadata": {"name": "c"},
        "spec": {"request": encoded, "signerName": signer, "usages": usages or ["client auth"], **spec},
    }


async def approve(client: Client, kind: str = "Approved") -> Any:
    found = await client.get(CERTIFICATE_SIGNING_REQUESTS, "c")
    conditions = [{"type": kind, "status": "True", "reason": "Because", "message": "so it is"}]
    body: Any = {**found, "status": {"conditions": conditions}}
    return await client.update(CERTIFICATE_SIGNING_REQUESTS, body, subresource="approval")


def has_certificate(found: Any) -> bool:
    return bool(found["status"].get("certificate"))


def has_failed(found: Any) -> bool:
    return find_condition(found["status"].get("conditions"), "Failed") is not None


async def signed(cluster: Cluster) -> x509.Certificate:
    """The certificate, once there is one."""
    found: Any = await cluster.wait_for(CERTIFICATE_SIGNING_REQUESTS, "c", has_certificate)
    return x509.load_pem_x509_certificate(base64.b64decode(found["status"]["certificate"]))


async def test_a_users_certificate(tmp_path: Path) -> None:
    """Requested, approved, signed; then its bearer is that user, with the groups it names."""
    async with Cluster(**SMALL) as cluster:
        client = cluster.client
        await client.create(CERTIFICATE_SIGNING_REQUESTS, csr("alice", "devs", expirationSeconds=3600))
        approved = await approve(client)
        (condition,) = approved["status"]["conditions"]
        assert condition["lastUpdateTime"] == condition["lastTransitionTime"]
        certificate = await signed(cluster)
        assert certificate.not_valid_after_utc <= cluster.clock.now() + timedelta(seconds=3600)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        key = KEY.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (tmp_path / "alice.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + key)
        context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
        context.load_cert_chain(tmp_path / "alice.pem")
        async with httpx.AsyncClient(verify=context, base_url=cluster.url, trust_env=False) as http:
            answer = await http.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", content=b"{}")
        me = answer.json()["status"]["userInfo"]
        assert (me["username"], me["groups"]) == ("alice", ["devs", "system:authenticated"])


async def test_who_may_approve_and_sign() -> None:
    """Writing /approval is not enough: the signer must be his to approve for; the same with signing."""
    async with Cluster(serve=False, **{**SMALL, "controllers": ("serviceaccount",)}) as cluster:
        client = cluster.client
        rule = {
            "verbs": ["get", "update"],
            "apiGroups": ["certificates.k8s.io"],
            "resources": [
                "certificatesigningrequests",
                "certificatesigningrequests/approval",
                "certificatesigningrequests/status",
            ],
        }
        await client.create(CLUSTER_ROLES, {"metadata": {"name": "writer"}, "rules": [rule]})
        await bind(client, "writer")
        await client.create(CERTIFICATE_SIGNING_REQUESTS, csr("alice"))
        bob = client.as_user("bob")
        with pytest.raises(Forbidden, match=f'user not permitted to approve requests with signerName "{CLIENT}"'):
            await approve(bob)
        await bind(client, "system:certificates.k8s.io:kube-apiserver-client-approver")
        found = await approve(bob)
        failed: Any = {**found, "status": {"conditions": [*found["status"]["conditions"], failure()]}}
        with pytest.raises(Forbidden, match="user not permitted to sign"):
            await bob.update_status(CERTIFICATE_SIGNING_REQUESTS, failed)
        star = {
            "verbs": ["sign"],
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["signers"],
            "resourceNames": ["kubernetes.io/*"],
        }
        await client.create(CLUSTER_ROLES, {"metadata": {"name": "signer"}, "rules": [star]})
        await bind(client, "signer")
        await bob.update_status(CERTIFICATE_SIGNING_REQUESTS, failed)


def failure() -> dict[str, str]:
    return {"type": "Failed", "status": "True", "reason": "No", "message": "no"}


async def bind(client: Client, role: str, name: str = "bob") -> None:
    await client.create(
        CLUSTER_ROLE_BINDINGS,
        {
            "metadata": {"name": f"{name}-{role}"},
            "roleRef": {"kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "User", "name": name}],
        },
    )


async def test_nobody_becomes_an_administrator_by_request() -> None:
    """The group system:masters is refused when it is asked for."""
    async with Cluster(serve=False, **SMALL) as cluster:
        with pytest.raises(Forbidden, match=r"use of kubernetes\.io/kube-apiserver-client signer with"):
            await cluster.client.create(CERTIFICATE_SIGNING_REQUESTS, csr("eve", "system:masters"))
        with pytest.raises(Invalid, match="PEM block type must be CERTIFICATE REQUEST"):
            await cluster.client.create(
                CERTIFICATE_SIGNING_REQUESTS,
                {"metadata": {"name": "x"}, "spec": {"request": "eA==", "signerName": CLIENT, "usages": ["any"]}},
            )


async def test_a_kubelets_certificate() -> None:
    """A node that asks for itself is approved if it may ask, and so is a bootstrap user that asks for it."""
    async with Cluster(serve=False, **SMALL) as cluster:
        client = cluster.client
        wanted = csr("system:node:n1", "system:nodes", signer=KUBELET_CLIENT, usages=KUBELET_USAGES)
        await bind(client, "system:node-bootstrapper", "newcomer")
        await bind(client, "system:certificates.k8s.io:certificatesigningrequests:nodeclient", "newcomer")
        created: Any = await client.as_user("newcomer").create(CERTIFICATE_SIGNING_REQUESTS, wanted)
        assert created["spec"]["username"] == "newcomer"
        certificate = await signed(cluster)
        assert certificate.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
        (condition,) = (await client.get(CERTIFICATE_SIGNING_REQUESTS, "c"))["status"]["conditions"]
        assert condition["reason"] == "AutoApproved"


async def test_what_a_signer_does_not_sign() -> None:
    """An approved request that breaks the signer's rules fails, with the reason; others' requests are left alone."""
    async with Cluster(serve=False, **SMALL) as cluster:
        client = cluster.client
        wanted = csr("system:node:n1", "system:nodes", signer=KUBELET_SERVING, usages=["server auth"])
        await client.create(CERTIFICATE_SIGNING_REQUESTS, wanted)
        await approve(client)
        found: Any = await cluster.wait_for(CERTIFICATE_SIGNING_REQUESTS, "c", has_failed)
        failed = find_condition(found["status"]["conditions"], "Failed")
        assert failed is not None
        assert (failed["reason"], failed["message"]) == (
            "SignerValidationFailure",
            "DNS or IP subjectAltName is required",
        )


async def test_a_serving_certificate() -> None:
    """It keeps the names that were asked for."""
    async with Cluster(serve=False, **SMALL) as cluster:
        usages = ["digital signature", "key encipherment", "server auth"]
        wanted = csr("system:node:n1", "system:nodes", signer=KUBELET_SERVING, usages=usages, dns=["n1"])
        await cluster.client.create(CERTIFICATE_SIGNING_REQUESTS, wanted)
        await approve(cluster.client)
        certificate = await signed(cluster)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["n1"]
        assert certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_encipherment


async def test_denied_requests_stay_unsigned() -> None:
    """A decision is final."""
    async with Cluster(serve=False, **SMALL) as cluster:
        await cluster.client.create(CERTIFICATE_SIGNING_REQUESTS, csr("alice"))
        await approve(cluster.client, "Denied")
        with pytest.raises(Invalid, match='updates may not remove a condition of type "Denied"'):
            await approve(cluster.client)
        assert not has_certificate(await cluster.client.get(CERTIFICATE_SIGNING_REQUESTS, "c"))


NOW = datetime(2026, 1, 2, tzinfo=UTC)


def aged(hours: float, *kinds: str, certificate: str = "") -> dict[str, Any]:
    time = rfc3339(NOW - timedelta(hours=hours))
    conditions = [{"type": kind, "status": "True", "lastUpdateTime": time} for kind in kinds]
    issued = {"certificate": certificate} if certificate else {}
    return {"metadata": {"creationTimestamp": time}, "status": {"conditions": conditions, **issued}}


def certificate_until(end: datetime) -> str:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, end - timedelta(days=1), end)
    return base64.b64encode(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)).decode()


GOOD, ENDED = certificate_until(NOW + timedelta(days=9)), certificate_until(NOW - timedelta(minutes=1))


@pytest.mark.parametrize(
    ("request_", "over"),
    [
        (aged(23), False),
        (aged(25), True),
        (aged(0.9, "Approved", certificate=GOOD), False),
        (aged(1.1, "Approved", certificate=GOOD), True),
        (aged(0.1, "Approved", certificate=ENDED), True),
        (aged(0.1, "Approved", certificate="bm9uZQ=="), False),
        (aged(99, "Approved"), False),
        (aged(1.1, "Denied"), True),
        (aged(1.1, "Failed"), True),
        (aged(1.1, "Mine"), False),
    ],
)
def test_what_is_thrown_away(request_: Any, over: bool) -> None:
    """What was answered an hour ago, what nobody decided in a day, and whose certificate has ended."""
    assert is_over(request_, NOW) is over


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, timedelta(days=365)),
        (3600, timedelta(hours=1)),
        (60, timedelta(minutes=10)),
        (10**9, timedelta(days=365)),
    ],
)
def test_lifetimes(seconds: int | None, expected: timedelta) -> None:
    """A year, or what was asked for, but no less than ten minutes."""
    assert lifetime(seconds) == expected
