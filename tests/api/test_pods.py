"""What several components ask of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.pods import (
    HostPort,
    host_ports,
    in_units,
    is_pod_ready,
    is_terminal,
    pod_limits,
    pod_requests,
    ports_collide,
    qos_class,
)


def asking(cpu: str, memory: str = "", **fields: Any) -> dict[str, Any]:
    """A container that requests so much."""
    wanted = {"cpu": cpu, **({"memory": memory} if memory else {})}
    return {"name": "c", "resources": {"requests": wanted}, **fields}


def sidecar(cpu: str) -> dict[str, Any]:
    return asking(cpu, restartPolicy="Always")


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [asking("1"), asking("500m")]}, 1500),
        ({"containers": [asking("1")], "initContainers": [asking("3")]}, 3000),
        ({"containers": [asking("1")], "initContainers": [sidecar("1")]}, 2000),
        ({"containers": [asking("1")], "initContainers": [sidecar("1"), asking("3")]}, 4000),
        ({"containers": [asking("1")], "initContainers": [asking("3"), sidecar("1")]}, 3000),
        ({"containers": [asking("1")], "overhead": {"cpu": "250m"}}, 1250),
        ({"containers": [asking("1")], "resources": {"requests": {"cpu": "4"}}}, 4000),
        ({"containers": [asking("1")], "resources": {"requests": {"cpu": "4"}}, "overhead": {"cpu": "1"}}, 5000),
        ({"containers": [asking("0.0004"), asking("0.0004")]}, 1),
    ],
)
def test_requests(spec: Any, cpu: int) -> None:
    """Requests add up over apps and sidecars, peak over init containers, yield to the pod's own, and bear overhead;
    they are rounded up once, as a sum."""
    assert in_units(pod_requests({"spec": spec}))["cpu"] == cpu


def test_limits_bear_overhead_only_where_there_is_a_limit() -> None:
    """An unlimited resource stays unlimited, whatever the runtime needs."""
    spec = {"containers": [{"resources": {"limits": {"cpu": "1"}}}], "overhead": {"cpu": "1", "memory": "1Mi"}}
    assert in_units(pod_limits({"spec": spec})) == {"cpu": 2000}


def limited(**amounts: str) -> dict[str, Any]:
    return {"resources": {"limits": amounts, "requests": amounts}}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{}], "BestEffort"),
        ([{"resources": {"requests": {"nvidia.com/gpu": "1"}}}], "BestEffort"),
        ([{"resources": {"requests": {"cpu": "0"}}}], "BestEffort"),
        ([asking("1")], "Burstable"),
        ([limited(cpu="1")], "Burstable"),
        ([limited(cpu="1", memory="1Gi")], "Guaranteed"),
        ([limited(cpu="1", memory="1Gi"), {}], "Burstable"),
        ([{"resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "1"}}}], "Burstable"),
    ],
)
def test_qos(containers: Any, expected: str) -> None:
    """Guaranteed is who limits cpu and memory everywhere and requests as much, BestEffort who asks for neither."""
    assert qos_class({"spec": {"containers": containers}}) == expected


def test_host_ports_are_those_of_containers_that_keep_running() -> None:
    """Init containers that end hold no port of the node; defaults are TCP and every address."""
    port = {"containerPort": 80, "hostPort": 80}
    own = {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"}
    spec = {
        "initContainers": [{"ports": [{"containerPort": 1, "hostPort": 1}]}, {**sidecar("1"), "ports": [own]}],
        "containers": [{"ports": [port, {"containerPort": 81}]}],
    }
    assert host_ports(spec) == (("UDP", "127.0.0.1", 53), ("TCP", "0.0.0.0", 80))


@pytest.mark.parametrize(
    ("left", "right", "collide"),
    [
        (("TCP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 80), True),
        (("TCP", "0.0.0.0", 80), ("TCP", "127.0.0.1", 80), True),
        (("TCP", "127.0.0.2", 80), ("TCP", "127.0.0.1", 80), False),
        (("UDP", "0.0.0.0", 80), ("TCP", "0.0.0.0", 80), False),
        (("TCP", "0.0.0.0", 81), ("TCP", "0.0.0.0", 80), False),
    ],
)
def test_ports_collide(left: HostPort, right: HostPort, collide: bool) -> None:
    """One port of one protocol on overlapping addresses is held by one pod only."""
    assert ports_collide(left, right) is ports_collide(right, left) is collide


@pytest.mark.parametrize(
    ("status", "terminal", "ready"),
    [
        ({}, False, False),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, False, True),
        ({"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}, False, False),
        ({"phase": "Succeeded"}, True, False),
        ({"phase": "Failed"}, True, False),
    ],
)
def test_phase_and_readiness(status: Any, terminal: bool, ready: bool) -> None:
    """A pod is over when its phase says so, and ready when its condition does."""
    pod = {"status": status}
    assert (is_terminal(pod), is_pod_ready(pod)) == (terminal, ready)
