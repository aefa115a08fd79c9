"""Server-side apply by real kubectl: managers, conflicts, taking over from client-side apply, diff, last-applied."""

from __future__ import annotations

from typing import Any

import pytest

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels: {{tier: {tier}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: main
        image: {image}
        ports: [{{containerPort: 80}}]
"""


def manifest(tier: str = "front", replicas: int = 1, image: str = "nginx:1") -> str:
    return DEPLOYMENT.format(tier=tier, replicas=replicas, image=image)


def managers(kubectl: Any, name: str = "deployment/web") -> dict[str, tuple[str, Any]]:
    """manager -> (operation, fields), as --show-managed-fields has them, without what controllers own in status."""
    obj = kubectl.json("get", name, "--show-managed-fields")
    return {
        e["manager"]: (e["operation"], e["fieldsV1"])
        for e in obj["metadata"]["managedFields"]
        if "subresource" not in e
    }


def test_any_kubectl(kubectl: Any) -> None:
    """Applied, changed and refused, as every kubectl that has --server-side does it."""
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, input=manifest()) == "deployment.apps/web serverside-applied\n"
    kubectl(*apply, "--field-manager=robot", "--force-conflicts", input=manifest(replicas=3))
    refused = kubectl.fails(*apply, input=manifest(replicas=2))
    assert 'conflict with "robot"' in refused
    assert kubectl.json("get", "deployment", "web")["spec"]["replicas"] == 3


@pytest.mark.modern_kubectl
def test_server_side_apply(kubectl: Any) -> None:
    """Applied, changed, given up; a second manager conflicts until it forces, and then owns."""
    apply = ("apply", "--server-side", "-f", "-")
    assert kubectl(*apply, input=manifest()) == "deployment.apps/web serverside-applied\n"
    operation, fields = managers(kubectl)["kubectl"]
    assert operation == "Apply"
    assert set(fields["f:spec"]) == {"f:replicas", "f:selector", "f:template"}
    kubectl(*apply, input=manifest(replicas=2))
    refused = kubectl.fails(*apply, "--field-manager=robot", input=manifest(replicas=3))
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .spec.replicas' in refused
    assert "--force-conflicts" in refused
    kubectl(*apply, "--field-manager=robot", "--force-conflicts", input=manifest(replicas=3))
    assert managers(kubectl)["robot"][1]["f:spec"].keys() >= {"f:replicas"}
    assert "f:replicas" not in managers(kubectl)["kubectl"][1]["f:spec"]
    without_labels = manifest(replicas=3).replace("  labels: {tier: front}\n", "", 1)
    kubectl(*apply, "--field-manager=robot", input=without_labels)
    assert kubectl.json("get", "deployment", "web")["metadata"]["labels"] == {"tier": "front"}, "kubectl still owns it"
    kubectl("scale", "deployment/web", "--replicas=5")
    refused = kubectl.fails(*apply, "--field-manager=robot", input=manifest(replicas=3))
    scaler = kubectl.binary.name  # scale names no manager, so the user agent does
    assert f'conflict with "{scaler}" with subresource "scale" using apps/v1: .spec.replicas' in refused


@pytest.mark.modern_kubectl
def test_from_client_side_to_server_side(kubectl: Any) -> None:
    """kubectl's migration: what client-side apply owned is server-side apply's, and what leaves the manifest goes."""
    kubectl("apply", "-f", "-", input=manifest())
    assert managers(kubectl)["kubectl-client-side-apply"][0] == "Update"
    out = kubectl("apply", "--server-side", "-f", "-", input=manifest(image="nginx:2"))
    assert out == "deployment.apps/web serverside-applied\n"
    found = managers(kubectl)
    assert "kubectl-client-side-apply" not in found
    assert found["kubectl"][0] == "Apply"
    assert found["kubectl-last-applied"][0] == "Apply"
    without_labels = manifest(image="nginx:2").replace("  labels: {tier: front}\n", "", 1)
    kubectl("apply", "--server-side", "-f", "-", input=without_labels)
    assert "labels" not in kubectl.json("get", "deployment", "web")["metadata"]
    assert "nginx:2" in kubectl("apply", "view-last-applied", "deployment/web")
    kubectl("apply", "-f", "-", input=without_labels)  # client-side apply spells its annotation in another way
    assert "unchanged" in kubectl("apply", "-f", "-", input=without_labels), "and back again"


def test_last_applied(kubectl: Any) -> None:
    """view-last-applied shows what was applied; set-last-applied notes another manifest, and creates the note."""
    kubectl("apply", "-f", "-", input=manifest())
    assert "replicas: 1" in kubectl("apply", "view-last-applied", "deployment/web")
    kubectl("apply", "set-last-applied", "-f", "-", input=manifest(replicas=7))
    assert "replicas: 7" in kubectl("apply", "view-last-applied", "deployment/web")
    assert kubectl.json("get", "deployment", "web")["spec"]["replicas"] == 1
    kubectl("create", "configmap", "plain", "--from-literal=a=1")
    assert kubectl("apply", "view-last-applied", "cm/plain") == ""
    plain = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: plain\ndata:\n  a: '1'\n"
    kubectl("apply", "set-last-applied", "--create-annotation", "-f", "-", input=plain)
    assert 'a: "1"' in kubectl("apply", "view-last-applied", "cm/plain")


@pytest.mark.modern_kubectl
def test_diff_and_dry_run(kubectl: Any) -> None:
    """diff --server-side shows what an apply would change; a server dry run changes nothing."""
    apply = ("apply", "--server-side", "-f", "-")
    kubectl(*apply, input=manifest())
    assert kubectl("diff", "--server-side", "-f", "-", input=manifest()) == ""
    result = kubectl.run("diff", "--server-side", "-f", "-", input=manifest(image="nginx:2"))
    assert result.returncode == 1, result.stderr
    assert "-      - image: nginx:1" in result.stdout
    assert "+      - image: nginx:2" in result.stdout
    out = kubectl(*apply, "--dry-run=server", input=manifest(image="nginx:2"))
    assert out == "deployment.apps/web serverside-applied (server dry run)\n"
    assert managers(kubectl)["kubectl"][1]
    assert "nginx:1" in kubectl("get", "deployment", "web", "-o", "yaml")
    assert "managedFields" not in kubectl("get", "deployment", "web", "-o", "yaml")


def test_what_does_not_fit(kubectl: Any) -> None:
    """kubectl's own validation speaks first; without it the server refuses, in its words."""
    apply = ("apply", "--server-side", "-f", "-")
    bad = manifest() + "nonsense: 1\n"
    assert "nonsense" in kubectl.fails(*apply, input=bad)
    refused = kubectl.fails(*apply, "--validate=false", input=bad)
    assert ".nonsense: field not declared in schema" in refused


@pytest.mark.modern_kubectl
def test_status_and_replace(kubectl: Any) -> None:
    """--subresource=status writes the status alone; create, label and edit are tracked under kubectl's names."""
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=0")
    assert managers(kubectl)["kubectl-create"][0] == "Update"
    kubectl("label", "deployment/web", "a=b")
    assert managers(kubectl)["kubectl-label"][1] == {"f:metadata": {"f:labels": {"f:a": {}}}}
    kubectl("patch", "deployment/web", "-p", '{"spec":{"paused":true}}')
    assert managers(kubectl)["kubectl-patch"][1] == {"f:spec": {"f:paused": {}}}
    kubectl("patch", "deployment/web", "--subresource=status", "--type=merge", "-p", '{"status":{"collisionCount":3}}')
    obj = kubectl.json("get", "deployment", "web", "--show-managed-fields")
    entries = [e for e in obj["metadata"]["managedFields"] if e["manager"] == "kubectl-patch" and "subresource" in e]
    assert [(e["subresource"], e["fieldsV1"]) for e in entries] == [("status", {"f:status": {"f:collisionCount": {}}})]
