"""`kubectl top`, `kubectl autoscale`, and claims as kubectl shows them."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.modern_kubectl

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "db", "annotations": {"simulated.minik8s.dev/cpu-cores": "0.25"}},
    "spec": {
        "containers": [{"name": "db", "image": "nginx:1", "volumeMounts": [{"name": "d", "mountPath": "/data"}]}],
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
        "terminationGracePeriodSeconds": 0,
    },
}


def test_top(kubectl: Any, web: Any) -> None:
    """Pods, their containers and nodes are listed with cores and memory."""
    kubectl("apply", "-f", "-", input=json.dumps(web))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    rows = [line.split() for line in kubectl("top", "pods", "--no-headers").splitlines()]
    assert [(cores, memory) for _, cores, memory in rows] == [("100m", "16Mi")] * 2
    assert "main" in kubectl("top", "pods", "--containers")
    assert kubectl("top", "nodes", "--no-headers").split()[0] == "node-1"


def test_autoscale(kubectl: Any, web: Any) -> None:
    """An autoscaler made by kubectl brings its target within its bounds and shows what it knows."""
    kubectl("apply", "-f", "-", input=json.dumps(web))
    kubectl("autoscale", "deployment/web", "--min=3", "--max=5")
    kubectl("wait", "deployment/web", "--for=jsonpath={.spec.replicas}=3", "--timeout=60s")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "Deployment/web" in kubectl("get", "hpa", "web")
    assert "SuccessfulRescale" in kubectl("describe", "hpa", "web")


def test_claims(kubectl: Any) -> None:
    """A claim of the default class waits for its pod, is bound with it, and takes its volume along when it goes."""
    kubectl("apply", "-f", "-", input=json.dumps(CLAIM))
    kubectl("wait", "pvc/data", "--for=jsonpath={.status.phase}=Pending", "--timeout=60s")
    kubectl("apply", "-f", "-", input=json.dumps(POD))
    kubectl("wait", "pod/db", "--for=condition=Ready", "--timeout=60s")
    assert kubectl("get", "pvc", "data", "--no-headers").split()[1] == "Bound"
    volume = kubectl("get", "pvc", "data", "-o", "jsonpath={.spec.volumeName}")
    described = kubectl("describe", "pvc", "data")
    assert "WaitForFirstConsumer" in described
    assert "ProvisioningSucceeded" in described
    assert "db" in described
    kubectl("delete", "pod/db", "pvc/data")
    kubectl("wait", f"pv/{volume}", "--for=delete", "--timeout=60s")
    assert "standard (default)" in kubectl("get", "storageclass")
