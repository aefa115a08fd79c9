"""kubectl drives workloads: they run, roll, pause, scale, are waited for, described and logged."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: pod
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: busybox}
  - {name: side, image: busybox}
"""


def deploy(kubectl: Any, replicas: int = 2) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", f"--replicas={replicas}")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_rollout_commands(kubectl: Any) -> None:
    """set image rolls; history lists; undo returns; pause and resume hold and go on; restart rolls again."""
    deploy(kubectl)
    kubectl("set", "image", "deployment/web", "nginx=nginx:2")
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    history = kubectl("rollout", "history", "deployment/web").split()
    assert {"1", "2"} <= set(history)
    assert "nginx:1" in kubectl("rollout", "history", "deployment/web", "--revision=1")
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deployment", "web", "-o", image) == "nginx:1"
    kubectl("rollout", "pause", "deployment/web")
    kubectl("set", "env", "deployment/web", "A=B")
    assert kubectl.json("get", "deployment", "web")["spec"]["paused"] is True
    kubectl("rollout", "resume", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("rollout", "restart", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(kubectl.json("get", "pods")["items"]) >= 2


@pytest.mark.modern_kubectl
def test_scale_set_and_wait(kubectl: Any) -> None:
    """scale, set resources and wait for conditions, jsonpath and deletion."""
    deploy(kubectl, 1)
    kubectl("scale", "deployment/web", "--replicas=3")
    kubectl("scale", "deployment/web", "--replicas=2", "--current-replicas=3")
    kubectl("wait", "deployment/web", "--for=condition=Available", "--timeout=30s")
    kubectl("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=2", "--timeout=30s")
    kubectl("set", "resources", "deployment/web", "--requests=cpu=10m")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl("delete", "deployment", "web")
    kubectl("wait", "pods", "-l", "app=web", "--for=delete", "--timeout=30s")


@pytest.mark.modern_kubectl
def test_expose_and_run(kubectl: Any) -> None:
    """expose makes a Service that finds its endpoints; run makes a pod that can be waited for."""
    deploy(kubectl)
    kubectl("expose", "deployment", "web", "--port=80", "--target-port=8080")
    service = kubectl.json("get", "service", "web")
    assert service["spec"]["selector"] == {"app": "web"}
    selector = "kubernetes.io/service-name=web"
    kubectl(
        "wait", "endpointslice", "-l", selector, "--for=jsonpath={.endpoints[1].conditions.ready}=true", "--timeout=30s"
    )
    kubectl("run", "one", "--image=busybox", "--labels=a=b")
    kubectl("wait", "pod/one", "--for=condition=Ready", "--timeout=30s")
    assert kubectl("get", "pod", "one", "-o", "jsonpath={.status.phase}") == "Running"


def test_logs(kubectl: Any) -> None:
    """logs by container, with tail, timestamps and selectors."""
    kubectl("apply", "-f", "-", input=POD)
    kubectl("wait", "pod/pod", "--for=condition=Ready", "--timeout=30s")
    everything = kubectl("logs", "pod", "-c", "main").splitlines()
    assert everything
    assert kubectl("logs", "pod", "-c", "main", "--tail=1").splitlines() == everything[-1:]
    stamped = kubectl("logs", "pod", "-c", "main", "--timestamps").splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == everything
    assert "container nope is not valid for pod pod" in kubectl.fails("logs", "pod", "-c", "nope")
    previous = kubectl.fails("logs", "pod", "-c", "main", "--previous")
    assert 'previous terminated container "main" in pod "pod" not found' in previous
    kubectl("label", "pod", "pod", "app=x")
    assert kubectl("logs", "-l", "app=x", "-c", "side", "--since=1h")


@pytest.mark.modern_kubectl
def test_describe_and_events(kubectl: Any) -> None:
    """describe shows objects with their events, and events lists them."""
    deploy(kubectl)
    kubectl("expose", "deployment", "web", "--port=80")
    pod = kubectl("get", "pods", "-o", "name").splitlines()[0]
    kubectl("wait", pod, "--for=condition=Ready", "--timeout=30s")
    described = kubectl("describe", pod)
    assert "Successfully assigned" in described
    assert "Container image" in described or "Successfully pulled image" in described
    assert "ScalingReplicaSet" in kubectl("describe", "deployment", "web")
    assert "Endpoints:" in kubectl("describe", "service", "web")
    assert "KubeletReady" in kubectl("describe", "node", "node-1")
    assert "Active" in kubectl("describe", "namespace", "default")
    assert "SuccessfulCreate" in kubectl("events")
    assert "SuccessfulCreate" in kubectl("get", "events")


@pytest.mark.modern_kubectl
def test_delete_cascades(kubectl: Any) -> None:
    """background and foreground deletion take the pods along, orphan leaves them."""
    for cascade in ("background", "foreground"):
        deploy(kubectl)
        kubectl("delete", "deployment", "web", f"--cascade={cascade}")
        kubectl("wait", "pods", "-l", "app=web", "--for=delete", "--timeout=30s")
    deploy(kubectl)
    kubectl("delete", "deployment", "web", "--cascade=orphan")
    assert len(kubectl.json("get", "replicasets")["items"]) == 1
    kubectl("delete", "replicaset", "--all")
    kubectl("delete", "pods", "--all", "--grace-period=1")
    assert kubectl.json("get", "pods")["items"] == []


def test_get_watch(kubectl: Any) -> None:
    """get -w shows what is, then what happens."""
    kubectl("create", "configmap", "first")
    command = [
        str(kubectl.binary),
        "get",
        "configmaps",
        "-w",
        "-o",
        "name",
        "--field-selector=metadata.name!=kube-root-ca.crt",
    ]
    with subprocess.Popen(command, env=kubectl.env, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "configmap/first\n"
        kubectl("create", "configmap", "second")
        assert watching.stdout.readline() == "configmap/second\n"
        watching.terminate()


@pytest.mark.modern_kubectl
def test_pending_pods_say_why(kubectl: Any) -> None:
    """A pod that fits nowhere stays Pending, with the scheduler's reason in its condition and events."""
    kubectl("run", "big", "--image=busybox", '--overrides={"spec":{"nodeSelector":{"no":"where"}}}')
    kubectl("wait", "pod/big", "--for=jsonpath={.status.conditions[0].reason}=Unschedulable", "--timeout=30s")
    message = kubectl("get", "pod", "big", "-o", "jsonpath={.status.conditions[0].message}")
    assert message.startswith("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
