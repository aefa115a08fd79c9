"""kubectl creates, reads, changes and deletes objects, without a warning."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
data:
  color: {color}
"""

LIST = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}, data: {a: "1"}}
- {apiVersion: v1, kind: Secret, metadata: {name: two}, stringData: {b: "2"}}
"""


@pytest.mark.modern_kubectl
def test_create_in_all_its_forms(kubectl: Any) -> None:
    """Every generator that sends typed (protobuf) bodies creates its object."""
    kubectl("create", "configmap", "cm", "--from-literal=a=b", "--from-literal=c=d")
    kubectl("create", "secret", "generic", "s", "--from-literal=password=hunter2")
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "deployment", "web", "--image=nginx:1.27", "--replicas=2", "--port=80")
    kubectl("create", "service", "clusterip", "svc", "--tcp=80:8080")
    kubectl("create", "service", "nodeport", "np", "--tcp=80")
    kubectl("create", "service", "externalname", "ext", "--external-name=example.com")
    kubectl("create", "job", "once", "--image=busybox", "--", "true")
    kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 3 * * *")
    kubectl("create", "quota", "q", "--hard=pods=10")
    kubectl("create", "role", "reader", "--verb=get", "--resource=pods")
    kubectl("create", "rolebinding", "readers", "--role=reader", "--user=jane")
    kubectl("create", "poddisruptionbudget", "pdb", "--selector=app=web", "--min-available=1")
    kubectl("create", "ingress", "ing", "--rule=example.com/=svc:80")
    assert kubectl.json("get", "configmap", "cm")["data"] == {"a": "b", "c": "d"}
    assert kubectl.json("get", "secret", "s")["data"] == {"password": "aHVudGVyMg=="}
    assert (
        kubectl.json("get", "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "nginx:1.27"
    )
    assert kubectl.json("get", "cronjob", "nightly")["spec"]["concurrencyPolicy"] == "Allow"


def test_apply_creates_configures_and_prunes_fields(kubectl: Any) -> None:
    """Client-side apply creates, finds nothing to do, changes, and removes what left the manifest."""
    assert "created" in kubectl("apply", "-f", "-", input=CONFIG.format(color="red"))
    assert "unchanged" in kubectl("apply", "-f", "-", input=CONFIG.format(color="red"))
    assert "configured" in kubectl("apply", "-f", "-", input=CONFIG.format(color="blue") + "  size: big\n")
    assert kubectl.json("get", "cm", "settings")["data"] == {"color": "blue", "size": "big"}
    kubectl("apply", "-f", "-", input=CONFIG.format(color="blue"))
    assert kubectl.json("get", "cm", "settings")["data"] == {"color": "blue"}


def test_apply_a_list(kubectl: Any) -> None:
    """A file whose top object is a List is validated and applied item by item."""
    out = kubectl("apply", "-f", "-", input=LIST)
    assert out.splitlines() == ["configmap/one created", "secret/two created"]


def test_get_in_every_output_form(kubectl: Any) -> None:
    """Tables, wide, yaml, json, name, jsonpath, custom columns, go templates, labels and sorting."""
    kubectl("create", "configmap", "b", "--from-literal=a=1")
    kubectl("create", "configmap", "a", "--from-literal=a=1", "--from-literal=b=2")
    kubectl("label", "configmap", "a", "tier=front")
    rows = kubectl("get", "configmaps", "a", "b").splitlines()
    assert rows[0].split() == ["NAME", "DATA", "AGE"]
    assert rows[1].split()[:2] == ["a", "2"]
    assert "tier=front" in kubectl("get", "cm", "a", "--show-labels")
    assert kubectl("get", "cm", "a", "-L", "tier").splitlines()[0].split() == ["NAME", "DATA", "AGE", "TIER"]
    assert kubectl("get", "cm", "-l", "tier=front", "-o", "name") == "configmap/a\n"
    assert kubectl("get", "cm", "a", "-o", "jsonpath={.data.b}") == "2"
    columns = "custom-columns=N:.metadata.name,D:.data.a"
    assert kubectl("get", "cm", "a", "-o", columns).splitlines()[1].split() == ["a", "1"]
    assert kubectl("get", "cm", "a", "-o", "go-template={{.metadata.name}}") == "a"
    assert "kind: ConfigMap" in kubectl("get", "cm", "a", "-o", "yaml")
    names = [line.split()[0] for line in kubectl("get", "cm", "--sort-by=.metadata.name", "--no-headers").splitlines()]
    assert names == sorted(names)
    wide = kubectl("get", "nodes", "-o", "wide").splitlines()[0]
    assert "CONTAINER-RUNTIME" in wide
    kubectl("create", "deployment", "web", "--image=nginx")
    assert "deployment.apps/web" in kubectl("get", "all")
    assert json.loads(kubectl("get", "--raw", "/api/v1/namespaces/default"))["kind"] == "Namespace"


def test_label_annotate_and_patch(kubectl: Any) -> None:
    """label, annotate and the three kinds of patch change what they say."""
    kubectl("create", "deployment", "web", "--image=nginx")
    kubectl("label", "deployment", "web", "tier=front")
    kubectl("label", "deployment", "web", "tier=back", "--overwrite")
    kubectl("annotate", "deployment", "web", "note=hello")
    kubectl(
        "patch",
        "deployment",
        "web",
        "-p",
        '{"spec":{"template":{"spec":{"containers":[{"name":"nginx","tty":true}]}}}}',
    )
    kubectl("patch", "deployment", "web", "--type=merge", "-p", '{"spec":{"minReadySeconds":1}}')
    kubectl(
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        '[{"op":"add","path":"/spec/revisionHistoryLimit","value":3}]',
    )
    kubectl("label", "deployment", "web", "app-")
    web = kubectl.json("get", "deployment", "web")
    assert web["metadata"]["labels"] == {"tier": "back"}
    assert web["metadata"]["annotations"]["note"] == "hello"
    container = web["spec"]["template"]["spec"]["containers"][0]
    assert (container["tty"], container["image"]) == (True, "nginx")
    assert (web["spec"]["minReadySeconds"], web["spec"]["revisionHistoryLimit"]) == (1, 3)


def test_edit(kubectl: Any, tmp_path: Path) -> None:
    """edit fetches, lets an editor change, and patches."""
    kubectl("create", "configmap", "cm", "--from-literal=a=before")
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i s/before/after/ "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    kubectl.env["EDITOR"] = str(editor)
    assert "edited" in kubectl("edit", "configmap", "cm")
    assert kubectl.json("get", "cm", "cm")["data"] == {"a": "after"}


@pytest.mark.modern_kubectl
def test_replace_and_diff(kubectl: Any, tmp_path: Path) -> None:
    """replace puts a whole object, replace --force recreates it, diff shows what apply would do."""
    kubectl("apply", "-f", "-", input=CONFIG.format(color="red"))
    changed = CONFIG.format(color="green")
    result = kubectl.run("diff", "-f", "-", input=changed)
    assert result.returncode == 1, result.stderr
    assert "+  color: green" in result.stdout
    kubectl("replace", "-f", "-", input=changed)
    before = kubectl.json("get", "cm", "settings")
    assert before["data"] == {"color": "green"}
    file = tmp_path / "cm.yaml"
    file.write_text(changed)
    kubectl("replace", "--force", "-f", str(file))
    assert kubectl.json("get", "cm", "settings")["metadata"]["uid"] != before["metadata"]["uid"]


@pytest.mark.modern_kubectl
def test_explain_and_discovery(kubectl: Any) -> None:
    """explain knows fields and types; api-resources, api-versions, version and cluster-info answer."""
    assert "containers\t<[]Container>" in kubectl("explain", "pod.spec")
    assert "FIELD: replicas <integer>" in kubectl("explain", "deployment.spec.replicas")
    assert "deployments" in kubectl("api-resources", "--api-group=apps")
    assert "apps/v1" in kubectl("api-versions").split()
    assert "v1.36" in kubectl("version")
    assert "Kubernetes control plane" in kubectl("cluster-info")


def test_delete_in_all_its_forms(kubectl: Any) -> None:
    """delete by name, label and --all, with and without waiting."""
    for name in ("a", "b", "c", "d"):
        kubectl("create", "configmap", name)
    kubectl("label", "cm", "b", "c", "doomed=yes")
    assert '"a" deleted' in kubectl("delete", "cm", "a")
    kubectl("delete", "cm", "-l", "doomed=yes", "--wait=false")
    assert kubectl("get", "cm", "-o", "name", "--field-selector=metadata.name=d") == "configmap/d\n"
    kubectl("delete", "cm", "--all")
    assert "configmap/d" not in kubectl("get", "cm", "-o", "name")
    assert "NotFound" in kubectl.fails("get", "cm", "a")
    kubectl("delete", "cm", "a", "--ignore-not-found")


@pytest.mark.modern_kubectl
def test_errors_are_the_servers(kubectl: Any) -> None:
    """Bad input comes back as Kubernetes says it."""
    unknown = CONFIG.format(color="red") + "nonsense: true\n"
    assert 'strict decoding error: unknown field "nonsense"' in kubectl.fails("apply", "-f", "-", input=unknown)
    bad = CONFIG.format(color="red").replace("settings", "Not_A_Name")
    assert "a lowercase RFC 1123 subdomain must consist of" in kubectl.fails("create", "-f", "-", input=bad)
    kubectl("create", "configmap", "cm")
    assert 'configmaps "cm" already exists' in kubectl.fails("create", "configmap", "cm")
    assert "the server doesn't have a resource type" in kubectl.fails("get", "nonsense")
    assert "unable to parse requirement" in kubectl.fails("get", "pods", "-l", "a b")
