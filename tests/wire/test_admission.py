"""Admission as kubectl users and an unmodified kopf operator meet it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml

from minik8s.api.resources import VALIDATING_WEBHOOK_CONFIGURATIONS
from minik8s.apiserver.pki import Authority
from minik8s.blocking import BlockingCluster
from tests.wire.test_operators import running

POLICY = """\
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}}
  variables:
  - {{name: replicas, expression: object.spec.replicas}}
  validations:
  - expression: variables.replicas <= 3
    messageExpression: "'at most 3 replicas, not ' + string(variables.replicas)"
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [{action}]
"""


@pytest.fixture
def policy(kubectl: Any, kubectl_admin: Any) -> Iterator[Any]:
    """Applies the policy to the test's own namespace with an action; it is gone after the test."""
    namespace = yaml.safe_load(Path(kubectl.env["KUBECONFIG"]).read_text())["contexts"][0]["context"]["namespace"]
    name = f"replicas-{namespace}"[:60].strip("-")

    def apply(action: str) -> str:
        kubectl_admin("apply", "-f", "-", input=POLICY.format(name=name, namespace=namespace, action=action))
        return name

    yield apply
    kubectl_admin("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)


@pytest.mark.modern_kubectl
def test_a_policy_denies_and_warns(kubectl: Any, kubectl_admin: Any, policy: Any) -> None:
    """kubectl prints why it is denied, exits with 1, and prints warnings; what was there can still be scaled down."""
    name = policy("Deny")
    told = kubectl.fails("create", "deployment", "web", "--image=nginx:1", "--replicas=5")
    who = f"ValidatingAdmissionPolicy '{name}' with binding '{name}'"
    assert f'deployments.apps "web" is forbidden: {who} denied request: at most 3 replicas, not 5' in told
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=3")
    policy("Warn")
    warned = kubectl.run("patch", "deployment", "web", "-p", '{"spec": {"replicas": 4}}')
    assert warned.returncode == 0
    assert f"Warning: Validation failed for {who}: at most 3 replicas, not 4" in warned.stderr
    listed = kubectl_admin("get", "validatingadmissionpolicy", name)
    assert listed.splitlines()[0].split() == ["NAME", "VALIDATIONS", "PARAMKIND", "AGE"]


@pytest.mark.modern_kubectl
def test_a_policy_that_does_not_compile(kubectl: Any) -> None:
    """kubectl shows the compiler's own words and where."""
    broken = POLICY.format(name="broken", namespace="x", action="Deny").replace("<= 3", "<= nope")
    told = kubectl.fails("apply", "-f", "-", input=broken.partition("---")[0])
    assert 'spec.validations[0].expression: Invalid value: "variables.replicas <= nope": compilation failed' in told
    assert "undeclared reference to 'nope'" in told


@pytest.fixture
def certificate(tmp_path: Path) -> dict[str, Any]:
    """What kopf's webhook server is given so that it needs no certificate tools of its own."""
    authority = Authority.create(datetime.now(UTC))
    pair = authority.issue_serving(datetime.now(UTC), ["127.0.0.1", "localhost"])
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    names = {"certfile": "tls.crt", "pkeyfile": "tls.key", "cafile": "ca.crt"}
    return {option: tmp_path / name for option, name in names.items()}


@pytest.mark.usefixtures("aiohttp_leftovers")
def test_a_kopf_operator_validates_and_mutates(
    wire_cluster: BlockingCluster, kubectl: Any, certificate: dict[str, Any]
) -> None:
    """kopf registers its webhooks itself; its denials, warnings and patches arrive; they are gone when it stops."""
    registry = kopf.OperatorRegistry()

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.admission.server = kopf.WebhookServer(addr="127.0.0.1", host="127.0.0.1", **certificate)
        settings.admission.managed = "test.kopf.dev"

    @kopf.on.mutate("configmaps", registry=registry, labels={"kopf": "yes"}, operations={"CREATE"})
    def fill(patch: kopf.Patch, **_: Any) -> None:
        patch.metadata.labels["filled"] = "yes"

    @kopf.on.validate("configmaps", registry=registry, labels={"kopf": "yes"})
    def check(body: Any, warnings: list[str], dryrun: bool, **_: Any) -> None:
        warnings.append("kopf has seen it")
        if "bad" in body.get("data", {}):
            raise kopf.AdmissionError("no bad data", code=403)

    def bodies(name: str, **data: str) -> str:
        labels = {"kopf": "yes"}
        return yaml.safe_dump(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": data}
        )

    with running(registry, wire_cluster.kubeconfig, namespaces=["default"]):
        wire_cluster.wait_for(
            VALIDATING_WEBHOOK_CONFIGURATIONS, "test.kopf.dev", lambda found: bool(found.get("webhooks"))
        )
        good = kubectl.run("create", "-f", "-", input=bodies("good", a="1"))
        assert (good.returncode, "Warning: kopf has seen it" in good.stderr) == (0, True), good.stderr
        assert kubectl.json("get", "configmap", "good")["metadata"]["labels"] == {"kopf": "yes", "filled": "yes"}
        told = kubectl.fails("create", "-f", "-", input=bodies("bad", bad="1"))
        assert "denied the request: no bad data" in told
        assert kubectl.fails("create", "--dry-run=server", "-f", "-", input=bodies("bad", bad="1"))
    kubectl("create", "-f", "-", input=bodies("late", bad="1"))
