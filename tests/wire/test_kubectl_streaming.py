"""kubectl with streaming lists (WatchListClient): client-go's default since 1.35, asked of older binaries."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

pytestmark = pytest.mark.modern_kubectl

STREAMED = "sendInitialEvents=true"


@pytest.fixture
def streaming(kubectl: Any) -> Any:
    """kubectl whose informers list by watching."""
    kubectl.env["KUBE_FEATURE_WatchListClient"] = "true"
    return kubectl


def traced(kubectl: Any, *args: str) -> str:
    """Runs a command that has to succeed; answers the requests it logged."""
    result = kubectl.run(*args, "-v=8")
    assert result.returncode == 0, result.stderr
    return str(result.stderr)


def test_rollout_and_wait(streaming: Any) -> None:
    """rollout status and wait see what is and what happens through one watch, and ask for no list."""
    streaming("create", "deployment", "web", "--image=nginx:1", "--replicas=2")
    requests = traced(streaming, "rollout", "status", "deployment/web", "--timeout=30s")
    assert STREAMED in requests
    assert "limit=500" not in requests, "a fallback to LIST and WATCH"
    assert STREAMED in traced(streaming, "wait", "deployment/web", "--for=condition=Available", "--timeout=30s")
    streaming("wait", "pods", "-l", "app=web", "--for=condition=Ready", "--timeout=30s")
    streaming("scale", "deployment/web", "--replicas=3")
    streaming("wait", "deployment/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=30s")


def test_delete_waits(streaming: Any) -> None:
    """delete waits until a pod that ends gracefully is gone; wait --for=delete too."""
    streaming("create", "deployment", "web", "--image=nginx:1", "--replicas=1")
    streaming("rollout", "status", "deployment/web", "--timeout=30s")
    streaming("delete", "deployment", "web", "--cascade=foreground", "--timeout=30s")
    streaming("wait", "deployment/web", "--for=delete", "--timeout=30s")
    assert streaming.json("get", "pods")["items"] == []
    assert "timed out waiting" in streaming.fails("wait", "pod/never", "--for=create", "--timeout=1s")


def test_get_watch(streaming: Any) -> None:
    """get NAME -w follows one object until it is deleted."""
    streaming("create", "configmap", "cm")
    command = [str(streaming.binary), "get", "configmap", "cm", "-w", "--output-watch-events", "--no-headers"]
    with subprocess.Popen(command, env=streaming.env, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split()[:3] == ["ADDED", "cm", "0"]
        streaming("patch", "configmap", "cm", "-p", '{"data":{"a":"1"}}')
        assert watching.stdout.readline().split()[:3] == ["MODIFIED", "cm", "1"]
        streaming("delete", "configmap", "cm")
        assert watching.stdout.readline().split()[:3] == ["DELETED", "cm", "1"]
        watching.terminate()
