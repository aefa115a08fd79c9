"""Helm 4: releases kept in Secrets, objects applied by the server, waits, hooks and tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from minik8s import CONFIG_MAPS, SECRETS
from minik8s.blocking import BlockingCluster

CHART = {
    "Chart.yaml": "apiVersion: v2\nname: web\nversion: 0.1.0\n",
    "values.yaml": "replicas: 1\nimage: nginx:1\n",
    "templates/config.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}", labels: {revision: "{{ .Release.Revision }}"}}
data: {server: "{{ .Capabilities.KubeVersion.Version }}", {{ if .Values.extra }}extra: "1"{{ end }}}
""",
    "templates/deployment.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "{{ .Values.image }}"}]
""",
    "templates/hook.yaml": """
apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-hook"
  annotations: {helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  template:
    metadata: {annotations: {simulated.minik8s.dev/run-seconds: "0.01"}}
    spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
""",
    "templates/tests/test.yaml": """
apiVersion: v1
kind: Pod
metadata:
  name: "{{ .Release.Name }}-test"
  annotations: {helm.sh/hook: test, simulated.minik8s.dev/run-seconds: "0.01"}
spec: {restartPolicy: Never, containers: [{name: main, image: busybox}]}
""",
}


class Helm:
    """Runs helm in a namespace; a failing command fails the test."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, namespace: str) -> None:
        self.command = [str(binary), "--namespace", namespace]
        self.env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home)}
        self.home = home

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *args],
            env=self.env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def __call__(self, *args: str) -> str:
        result = self.run(*args)
        assert result.returncode == 0, f"helm {' '.join(args)}: {result.stderr}\n{result.stdout}"
        return result.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json"))


@pytest.fixture
def helm(releases: Path, wire_cluster: BlockingCluster, namespace: str, tmp_path: Path) -> Helm:
    """helm with the chart `web` in its folder."""
    for name, text in CHART.items():
        path = tmp_path / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Helm(releases / "helm", wire_cluster.kubeconfig, tmp_path, namespace)


def test_a_release(helm: Helm) -> None:
    """Install, upgrade, history, rollback, test and uninstall, each waiting for what it does."""
    wait = ("--wait", "--timeout", "30s")
    installed = helm.json("install", "r", "web", *wait)
    assert (installed["info"]["status"], installed["version"]) == ("deployed", 1)
    assert 'server: "v1.36' in helm("get", "manifest", "r")
    helm("upgrade", "r", "web", "--set", "replicas=3,extra=true", *wait)
    assert [(r["revision"], r["status"]) for r in helm.json("history", "r")] == [(1, "superseded"), (2, "deployed")]
    helm("rollback", "r", "1", *wait)
    assert [r["revision"] for r in helm.json("list")] == ["3"]
    assert "Succeeded" in helm("test", "r", "--timeout", "30s")
    assert helm("uninstall", "r", *wait) == 'release "r" uninstalled\n'
    assert helm.json("list") == []


def test_what_it_leaves_on_the_server(helm: Helm, wire_cluster: BlockingCluster, namespace: str) -> None:
    """Objects are applied by manager `helm`; what leaves the chart leaves them; what others have changed conflicts."""

    def config() -> Any:
        return wire_cluster.run(wire_cluster.client.get, CONFIG_MAPS, "r", namespace=namespace)

    helm("install", "r", "web", "--set", "extra=true")
    assert config()["data"]["extra"] == "1"
    assert [(e["manager"], e["operation"]) for e in config()["metadata"]["managedFields"]] == [("helm", "Apply")]
    helm("upgrade", "r", "web", "--reset-values")
    assert config()["data"].keys() == {"server"}
    secrets = wire_cluster.run(wire_cluster.client.list, SECRETS, namespace=namespace, label_selector="owner=helm")
    assert [secret["type"] for secret in secrets.items] == ["helm.sh/release.v1"] * 2
    patch = {"data": {"server": "mine"}}
    wire_cluster.run(wire_cluster.client.patch, CONFIG_MAPS, "r", patch, namespace=namespace)
    refused = helm.run("upgrade", "r", "web")
    assert refused.returncode == 1
    assert ".data.server" in refused.stderr
    helm("upgrade", "r", "web", "--force-conflicts")
    assert config()["data"]["server"].startswith("v1.36")
