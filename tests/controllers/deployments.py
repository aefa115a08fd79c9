"""Deployments and ReplicaSets to plan for, and a world in which plans are carried out without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from minik8s.controllers.deployment_plan import Plan, plan
from minik8s.controllers.deployment_revision import REVISION
from minik8s.machinery.meta import evolve, find_condition, rfc3339

START = datetime(2026, 1, 1, tzinfo=UTC)


def deployment(replicas: int = 3, image: str = "v1", **spec: Any) -> Any:
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", "uid": "D", "generation": 1, "annotations": {"team": "x"}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": image}]}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}},
            "revisionHistoryLimit": 10,
            "progressDeadlineSeconds": 600,
            **spec,
        },
        "status": {},
    }


def with_image(obj: Any, image: str) -> Any:
    containers = [{"name": "c", "image": image}]
    changed = evolve(obj, "spec", "template", "spec", "containers", value=containers)
    return evolve(changed, "metadata", "generation", value=obj["metadata"]["generation"] + 1)


def replica_set(name: str, size: int, *, available: int | None = None, age: int = 0, **annotations: str) -> Any:
    available = size if available is None else available
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "creationTimestamp": rfc3339(START - timedelta(minutes=age)),
            "annotations": annotations,
            "generation": 1,
        },
        "spec": {"replicas": size, "selector": {}, "template": {"metadata": {}, "spec": {"name": name}}},
        "status": {
            "replicas": size,
            "readyReplicas": available,
            "availableReplicas": available,
            "observedGeneration": 1,
        },
    }


class Simulation:
    """A Deployment whose plans are carried out, and whose ReplicaSets get available pods when told."""

    def __init__(self, dep: Any) -> None:
        self.deployment = dep
        self.sets: dict[str, Any] = {}
        self.now = START
        self.events: list[str] = []
        self.pods: dict[str, list[Any]] = {}

    def step(self) -> Plan:
        """Decides, applies, and lets what has shrunk lose its unavailable pods first."""
        self.now += timedelta(seconds=1)
        todo = plan(self.deployment, list(self.sets.values()), self.pods, self.now)
        self.deployment = evolve(self.deployment, "status", value=todo.status)
        if todo.revision:
            self.deployment = evolve(self.deployment, "metadata", "annotations", REVISION, value=todo.revision)
        if todo.create is not None:
            name = todo.create["metadata"]["name"]
            meta = {"uid": f"uid-{name}", "creationTimestamp": rfc3339(self.now), "generation": 1}
            self.sets[name] = {**todo.create, "metadata": {**todo.create["metadata"], **meta}, "status": {}}
        for change in todo.changes:
            self.sets[change.after["metadata"]["name"]] = change.after
            self.events += [change.event] if change.event else []
        for gone in todo.delete:
            del self.sets[gone["metadata"]["name"]]
        for name, rs in self.sets.items():
            self._report(name, min(self.available(rs), rs["spec"]["replicas"]))
        return todo

    def _report(self, name: str, available: int) -> None:
        replicas = self.sets[name]["spec"]["replicas"]
        status = {"replicas": replicas, "readyReplicas": available, "availableReplicas": available}
        self.sets[name] = evolve(self.sets[name], "status", value={**status, "observedGeneration": 1})

    def available(self, rs: Any) -> int:
        return int(rs["status"].get("availableReplicas", 0))

    def start_pods(self, most: int = 1000) -> None:
        """Lets up to so many pods become available, in all sets together."""
        for name, rs in self.sets.items():
            more = min(most, rs["spec"]["replicas"] - self.available(rs))
            most -= more
            self._report(name, self.available(rs) + more)

    def settle(self) -> None:
        """Everything becomes available and every step is made until nothing changes."""
        for _ in range(200):
            self.start_pods()
            before = (self.deployment, dict(self.sets))
            self.step()
            if (self.deployment, dict(self.sets)) == before:
                return
        raise AssertionError("it never settles")

    @property
    def specified(self) -> int:
        return sum(rs["spec"]["replicas"] for rs in self.sets.values())

    @property
    def usable(self) -> int:
        return sum(map(self.available, self.sets.values()))

    def condition(self, type_: str) -> tuple[str, str, str]:
        found = find_condition(self.deployment["status"]["conditions"], type_)
        assert found is not None, self.deployment["status"]
        return found["status"], found["reason"], found["message"]
