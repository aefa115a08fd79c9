"""What a pod asks for, and which service class that puts it in."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.pods import host_ports, is_pod_ready, is_terminal, pod_limits, pod_requests, qos_class


def container(requests: dict[str, str] | None = None, limits: dict[str, str] | None = None, **more: Any) -> Any:
    resources = {"requests": requests, "limits": limits}
    return {"name": "c", "resources": {k: v for k, v in resources.items() if v is not None}, **more}


def pod(*containers: Any, **spec: Any) -> Any:
    return {"spec": {"containers": list(containers), **spec}}


def cpu(amount: str, **more: Any) -> Any:
    return container({"cpu": amount}, **more)


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (pod(cpu("1"), cpu("500m")), "1500m"),
        (pod(cpu("1"), initContainers=[cpu("3")]), "3"),
        (pod(cpu("1"), initContainers=[cpu("2", **SIDECAR)]), "3"),
        (pod(cpu("1"), initContainers=[cpu("2", **SIDECAR), cpu("4")]), "6"),
        (pod(cpu("1"), initContainers=[cpu("4"), cpu("2", **SIDECAR)]), "4"),
        (pod(cpu("1"), overhead={"cpu": "100m"}), "1100m"),
        (pod(cpu("1"), resources={"requests": {"cpu": "5"}}), "5"),
    ],
)
def test_requests(found: Any, wanted: str) -> None:
    """Containers and sidecars add up, init containers take turns, overhead comes on top."""
    assert str(pod_requests(found)["cpu"]) == wanted


def test_limits() -> None:
    """Overhead counts only for what is limited."""
    limited = pod(container(limits={"cpu": "1"}), overhead={"cpu": "1", "memory": "1Gi"})
    assert {name: str(amount) for name, amount in pod_limits(limited).items()} == {"cpu": "2"}


BOTH = {"cpu": "1", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (pod(container()), "BestEffort"),
        (pod(container({"cpu": "0"})), "BestEffort"),
        (pod(container({"example.com/gpu": "1"})), "BestEffort"),
        (pod(container({"cpu": "1"})), "Burstable"),
        (pod(container(BOTH, BOTH)), "Guaranteed"),
        (pod(container(BOTH, {**BOTH, "cpu": "2"})), "Burstable"),
        (pod(container(BOTH, BOTH), container()), "Burstable"),
        (pod(container(BOTH, BOTH), initContainers=[container()]), "Burstable"),
        (pod(container({"cpu": "1"}, {"cpu": "1"})), "Burstable"),
    ],
)
def test_qos_class(found: Any, wanted: str) -> None:
    """Guaranteed asks for exactly its limits, of both resources, in every container."""
    assert qos_class(found) == wanted


def test_states_and_ports() -> None:
    """Readiness, the end, and the ports on the node are read off where they stand."""
    ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert (is_pod_ready(ready), is_terminal(ready)) == (True, False)
    assert is_terminal({"status": {"phase": "Succeeded"}})
    assert not is_terminal({})
    ports = [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81, "protocol": "UDP", "hostIP": "10.0.0.1"}]
    assert host_ports(pod({"name": "c", "ports": ports})["spec"]) == (("UDP", "10.0.0.1", 81),)
