"""kubectl as somebody: by certificate, by token, by impersonation; roles, bindings and questions about them."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from minik8s.blocking import BlockingCluster

pytestmark = pytest.mark.modern_kubectl


@pytest.fixture
def alice(kubectl: Any, wire_cluster: BlockingCluster) -> Any:
    """kubectl with a certificate of alice, who is a developer, in the test's namespace."""
    namespace = kubectl("config", "view", "--minify", "-o", "jsonpath={..namespace}")
    path = wire_cluster.kubeconfig_for("alice", ["devs"])
    mine = type(kubectl)(kubectl.binary, path, kubectl.env["HOME"])
    mine("config", "set-context", "--current", "--namespace", namespace)
    return mine


def test_a_certificates_user(kubectl: Any, alice: Any) -> None:
    """The certificate says who it is; roles say what she may do."""
    me = alice.json("auth", "whoami")["status"]["userInfo"]
    assert (me["username"], me["groups"]) == ("alice", ["devs", "system:authenticated"])
    assert 'User "alice" cannot list resource "pods"' in alice.fails("get", "pods")
    assert alice.run("auth", "can-i", "create", "deployments").stdout == "no\n"
    kubectl("create", "rolebinding", "editors", "--clusterrole=edit", "--group=devs")
    assert alice("auth", "can-i", "create", "deployments") == "yes\n"
    alice("create", "configmap", "c", "--from-literal=a=b")
    assert alice("get", "configmap", "c", "-o", "jsonpath={.data.a}") == "b"
    rules = alice("auth", "can-i", "--list")
    assert "deployments.apps" in rules
    assert "[create delete deletecollection patch update]" in rules
    assert 'cannot create resource "roles"' in alice.fails("create", "role", "r", "--verb=get", "--resource=pods")


def test_an_administrator_of_a_namespace(kubectl: Any, alice: Any) -> None:
    """She grants what she has, and is told what she has not."""
    kubectl("create", "rolebinding", "admins", "--clusterrole=admin", "--user=alice")
    alice("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps")
    alice("create", "rolebinding", "readers", "--role=reader", "--user=bob")
    assert kubectl("auth", "can-i", "list", "pods", "--as=bob") == "yes\n"
    assert kubectl.run("auth", "can-i", "delete", "pods", "--as=bob").stdout == "no\n"
    refusal = alice.fails("create", "rolebinding", "more", "--clusterrole=cluster-admin", "--user=bob")
    assert 'user "alice" (groups=["devs" "system:authenticated"]) is attempting to grant RBAC permissions' in refusal
    assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refusal


def test_reconcile(kubectl: Any) -> None:
    """`auth reconcile` creates roles and bindings and adds what is missing from them."""
    role = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: %s}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get%s]}
"""
    namespace = kubectl("config", "view", "--minify", "-o", "jsonpath={..namespace}")
    for verbs in ("", ", list"):
        done = kubectl.run("auth", "reconcile", "-f", "-", input=role % (namespace, verbs))
        assert (done.returncode, "reconciled" in done.stdout, "missing rules added" in done.stderr) == (0, True, True)
    held = {verb for rule in kubectl.json("get", "role", "reader")["rules"] for verb in rule["verbs"]}
    assert held == {"get", "list"}


def test_a_service_accounts_token(kubectl: Any) -> None:
    """`create token` makes one that works until the account is gone; a bad one is Unauthorized."""
    kubectl("create", "serviceaccount", "robot")
    namespace = kubectl("config", "view", "--minify", "-o", "jsonpath={..namespace}")
    token = kubectl("create", "token", "robot", "--duration=10m").strip()
    kubectl("config", "set-credentials", "robot", f"--token={token}")
    kubectl("config", "set-context", "--current", "--user=robot")
    assert (
        kubectl.json("auth", "whoami")["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:robot"
    )
    assert "cannot list resource" in kubectl.fails("get", "pods")
    kubectl("config", "set-context", "--current", "--user=minik8s")
    kubectl("create", "rolebinding", "viewers", "--clusterrole=view", f"--serviceaccount={namespace}:robot")
    kubectl("config", "set-context", "--current", "--user=robot")
    kubectl("get", "configmaps")
    kubectl("config", "set-context", "--current", "--user=minik8s")
    kubectl("delete", "serviceaccount", "robot")
    kubectl("config", "set-context", "--current", "--user=robot")
    assert "Unauthorized" in kubectl.fails("get", "configmaps")


def test_what_there_is_by_default(kubectl: Any) -> None:
    """The default roles are there to be described and bound."""
    text = kubectl("describe", "clusterrole", "view")
    assert "pods/log" in text
    assert "secrets" not in text
    kubectl("create", "clusterrole", "peeker", "--verb=get", "--resource=pods", "--dry-run=server")
    kubectl("create", "clusterrole", "metrics", "--verb=get", "--non-resource-url=/metrics", "--dry-run=server")


REQUEST = """\
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: %s}
spec:
  request: %s
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 86400
  usages: [client auth]
"""


def test_a_certificate_request(kubectl: Any, tmp_path: Any) -> None:
    """The road that the documentation of Kubernetes shows: request, approve, fetch, use; or deny."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "carol")])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    encoded = base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()
    name = kubectl.binary.name.replace("kubectl.", "carol-")
    assert "created" in kubectl("apply", "-f", "-", input=REQUEST % (name, encoded))
    assert "Pending" in kubectl("get", "csr", name)
    assert "approved" in kubectl("certificate", "approve", name)
    kubectl("wait", f"csr/{name}", "--for=jsonpath={.status.certificate}")
    assert "Approved,Issued" in kubectl("get", "csr", name)
    assert "carol" in kubectl("describe", "csr", name)
    certificate = kubectl("get", "csr", name, "-o", "jsonpath={.status.certificate}")
    (tmp_path / "crt").write_bytes(base64.b64decode(certificate))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key").write_bytes(pem)
    files = (f"--client-certificate={tmp_path}/crt", f"--client-key={tmp_path}/key")
    kubectl("config", "set-credentials", "carol", *files)
    kubectl("config", "set-context", "--current", "--user=carol")
    assert kubectl.json("auth", "whoami")["status"]["userInfo"]["username"] == "carol"
    kubectl("config", "set-context", "--current", "--user=minik8s")
    kubectl("apply", "-f", "-", input=REQUEST % (f"{name}-2", encoded))
    assert "denied" in kubectl("certificate", "deny", f"{name}-2")
    assert "Denied" in kubectl("get", "csr", f"{name}-2")
    kubectl("delete", "csr", name, f"{name}-2")
