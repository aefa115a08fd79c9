"""Pods with volumes, for tests that want to know what their containers see of them."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s import EVENTS, PODS, Cluster
from minik8s.kubelet.runtime.feasibility import why_impossible
from minik8s.testing.eventually import eventually

PROBLEM = anyio.run(why_impossible)
SANDBOX = pytest.param("sandbox", marks=pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM))
RUNTIMES = pytest.mark.parametrize("runtime", ["subprocess", SANDBOX])
"""Both runtimes with real processes; `$MINIK8S_ROOT` is where their mounts are."""


def mount(name: str, path: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "mountPath": path, **fields}


def pod(
    name: str, script: str, mounts: list[Any], volumes: list[Any], container: Any = None, **spec: Any
) -> dict[str, Any]:
    """A pod that runs a script in `$MINIK8S_ROOT`."""
    command = ["sh", "-c", f'cd "$MINIK8S_ROOT"\n{script}']
    main = {"name": "main", "image": "busybox", "command": command, "volumeMounts": mounts, **(container or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [main],
            "volumes": volumes,
            **spec,
        },
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}


def ended(pod: Any) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def running(pod: Any) -> bool:
    return pod["status"].get("phase") == "Running"


def waiting(pod: Any) -> dict[str, str]:
    """Why the pod's first container waits."""
    statuses = pod["status"].get("containerStatuses") or [{}]
    found: dict[str, str] = (statuses[0].get("state") or {}).get("waiting") or {}
    return found


async def log(cluster: Cluster, name: str, container: str = "main") -> list[str]:
    async with cluster.client.logs(PODS, name, namespace="default", container=container) as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()


async def heard(cluster: Cluster, name: str, line: str) -> None:
    """Waits until a pod runs and has said a line."""
    await cluster.wait_for(PODS, name, running)
    async with cluster.client.logs(PODS, name, namespace="default", follow="true") as chunks:
        text = b""
        async for chunk in chunks:
            text += chunk
            if line in text.decode().splitlines():
                return
    raise AssertionError(f"{name} ended without {line!r}: {text.decode()}")


async def run(cluster: Cluster, body: dict[str, Any]) -> list[str]:
    """Applies a pod, waits for its end, and answers what it said."""
    name = body["metadata"]["name"]
    await cluster.apply(body)
    last = await cluster.wait_for(PODS, name, ended)
    lines = await log(cluster, name)
    assert last["status"]["phase"] == "Succeeded", (lines, last["status"])
    return lines


async def refused(cluster: Cluster, body: dict[str, Any], *reasons: str) -> str:
    """Applies a pod and waits until its container waits for one of the reasons; answers the message."""
    name = body["metadata"]["name"]
    await cluster.apply(body)
    seen = await cluster.wait_for(PODS, name, lambda pod: waiting(pod).get("reason") in reasons)
    return waiting(seen)["message"]


async def event(cluster: Cluster, name: str, reason: str, part: str) -> str:
    """The message of an event about a pod with that text in it, waited for."""
    found: list[str] = []

    def is_told(events: list[Any]) -> bool:
        about = [e for e in events if e["involvedObject"]["name"] == name and e["reason"] == reason]
        found[:] = [e["message"] for e in about if part in e.get("message", "")]
        return bool(found)

    await eventually(cluster, EVENTS, is_told, namespace="default")
    return found[0]
