"""Builders of pods and nodes, and one whole decision, for the scheduler's tests."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal, Scheduling
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.registry import default_plugins
from minik8s.scheduler.profile import Profile


def make_node(
    name: str, *, labels: Any = None, cpu: str = "4", memory: str = "8Gi", pods: str = "10", **spec: Any
) -> Any:
    status = {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}
    labels = {"kubernetes.io/hostname": name, **(labels or {})}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def make_pod(
    name: str, *, labels: Any = None, namespace: str = "ns", requests: Any = None, ports: Any = (), **spec: Any
) -> Any:
    container = {"name": "c", "image": "x", "resources": {"requests": requests or {}}}
    if ports:
        container["ports"] = [{"hostPort": port} for port in ports]
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {"schedulerName": "default-scheduler", "containers": [container], **spec},
        "status": {"phase": "Pending"},
    }


class World:
    """A cache with a default profile."""

    def __init__(self, nodes: Any = (), pods: Any = ()) -> None:
        self.cache = Cache()
        for node in nodes:
            self.cache.set_node(node)
        for pod in pods:
            self.cache.set_pod(pod)
        self.profile = Profile("default-scheduler", default_plugins())
        self.scheduling = Scheduling(self.profile, self.cache, Random(1))

    def decide(self, pod: Any) -> Decision | Refusal:
        return self.scheduling.decide(PodInfo(pod))

    def place(self, pod: Any) -> str:
        """Decides and assumes; the node's name."""
        info = PodInfo(pod)
        decision = self.scheduling.decide(info)
        assert isinstance(decision, Decision), decision
        self.cache.assume(info, decision.node)
        return decision.node

    def why(self, pod: Any) -> str:
        """The message of a pod that must not fit."""
        refusal = self.decide(pod)
        assert isinstance(refusal, Refusal), refusal
        return refusal.diagnosis.message


@pytest.fixture
def node() -> Callable[..., Any]:
    return make_node


@pytest.fixture
def pod() -> Callable[..., Any]:
    return make_pod


@pytest.fixture
def world() -> Callable[..., World]:
    return World
