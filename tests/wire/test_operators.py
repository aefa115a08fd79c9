"""A kopf operator, unmodified: handlers with finalizers, timers, daemons, indices and events on built-in kinds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kopf
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, EVENTS, PODS
from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long anything may take; a safety net."""
FINALIZER = "example.com/operator"
MINE = {"operator": "test"}

# aiohttp leaves its TLS transports to the garbage collector when their loop ends
pytestmark = [
    pytest.mark.usefixtures("aiohttp_leftovers"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]


class Seen:
    """What the handlers noted, and waiting for it from the test's thread."""

    def __init__(self) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self._changed = threading.Condition()

    def note(self, *what: Any) -> None:
        with self._changed:
            self.notes.append(what)
            self._changed.notify_all()

    def wait_for(self, *what: Any, times: int = 1) -> None:
        with self._changed:
            arrived = self._changed.wait_for(lambda: self.notes.count(what) >= times, SECONDS)
        assert arrived, f"{what} is not among {self.notes}"


@pytest.fixture
def seen() -> Seen:
    return Seen()


@contextmanager
def running(registry: kopf.OperatorRegistry, kubeconfig: Path, **options: Any) -> Iterator[None]:
    """The operator in a thread and loop of its own; its end is waited for."""
    login = kopf.ConnectionInfo(**_connection(kubeconfig))
    kopf.on.login(registry=registry)(lambda **_: login)
    ready, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def main() -> None:
        try:
            options.setdefault("standalone", True)
            asyncio.run(kopf.operator(registry=registry, ready_flag=ready, stop_flag=stop, **options))
        except BaseException as failure:
            failures.append(failure)
            ready.set()

    thread = threading.Thread(target=main, name="operator")
    thread.start()
    try:
        assert ready.wait(SECONDS), "the operator did not become ready"
        yield
    finally:
        stop.set()
        thread.join(SECONDS)
    assert not thread.is_alive(), "the operator did not stop"
    assert not failures


def _connection(kubeconfig: Path) -> dict[str, Any]:
    """What a kubeconfig of ours says, as kopf's own login handlers would pass it on."""
    import yaml

    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    return {"server": cluster["server"], "ca_data": cluster["certificate-authority-data"], "token": user["token"]}


def registry_for(seen: Seen) -> kopf.OperatorRegistry:
    """Handlers of every sort that note what they are called for."""
    registry = kopf.OperatorRegistry()
    options: dict[str, Any] = {"registry": registry, "labels": MINE}

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.persistence.finalizer = FINALIZER

    @kopf.on.create("apps", "v1", "deployments", **options)
    def created(name: str, patch: kopf.Patch, **_: Any) -> None:
        patch.metadata.annotations["example.com/seen"] = "yes"
        seen.note("created", name)

    @kopf.on.update("apps", "v1", "deployments", field="spec.replicas", **options)
    def scaled(name: str, old: int, new: int, **_: Any) -> None:
        seen.note("scaled", name, old, new)

    @kopf.on.delete("apps", "v1", "deployments", **options)
    def deleted(name: str, **_: Any) -> None:
        seen.note("deleted", name)

    @kopf.timer("configmaps", interval=0.01, **options)
    def ticked(name: str, **_: Any) -> None:
        seen.note("ticked", name)

    @kopf.daemon("configmaps", **options)
    async def daemon(name: str, body: kopf.Body, stopped: Any, **_: Any) -> None:
        kopf.info(body, reason="Watched", message="by a daemon")
        await stopped.wait()
        seen.note("daemon ended", name)

    @kopf.index("pods", id="pods_by_app", **options)
    def pods_by_app(name: str, labels: kopf.Labels, **_: Any) -> dict[str, str]:
        return {labels["app"]: name}

    @kopf.on.event("pods", **options)
    def pod_changed(name: str, type: str | None, pods_by_app: kopf.Index[str, str], **_: Any) -> None:
        seen.note(type, name, sorted(pods_by_app))

    return registry


def test_handlers_and_finalizers(
    wire_cluster: BlockingCluster, namespace: str, seen: Seen, web: dict[str, Any]
) -> None:
    """Creation, a changed field and deletion reach their handlers; the finalizer comes, holds and goes."""
    client = wire_cluster.client
    web["metadata"]["labels"] = MINE
    with running(registry_for(seen), wire_cluster.kubeconfig, clusterwide=True):
        wire_cluster.run(client.create, DEPLOYMENTS, web, namespace=namespace)
        seen.wait_for("created", "web")
        handled = wire_cluster.wait_for(
            DEPLOYMENTS,
            "web",
            lambda found: "example.com/seen" in (found["metadata"].get("annotations") or {}),
            namespace=namespace,
        )
        assert handled["metadata"]["finalizers"] == [FINALIZER]
        wire_cluster.run(client.patch, DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, namespace=namespace)
        seen.wait_for("scaled", "web", 2, 3)
        wire_cluster.run(client.delete, DEPLOYMENTS, "web", namespace=namespace)
        seen.wait_for("deleted", "web")
        wire_cluster.wait_for(DEPLOYMENTS, "web", "Deleted", namespace=namespace)


def test_timers_daemons_and_events(wire_cluster: BlockingCluster, namespace: str, seen: Seen) -> None:
    """A namespaced operator: a timer ticks, a daemon lives as long as its object, and Events are posted."""
    client = wire_cluster.client
    with running(registry_for(seen), wire_cluster.kubeconfig, namespaces=[namespace]):
        cm = {"metadata": {"name": "cm", "labels": MINE}}
        wire_cluster.run(client.create, CONFIG_MAPS, cm, namespace=namespace)
        seen.wait_for("ticked", "cm", times=3)
        wire_cluster.run(client.delete, CONFIG_MAPS, "cm", namespace=namespace)
        seen.wait_for("daemon ended", "cm")
        wire_cluster.wait_for(CONFIG_MAPS, "cm", "Deleted", namespace=namespace)
    selector = "involvedObject.name=cm,reason=Watched"
    events = wire_cluster.run(client.list, EVENTS, namespace=namespace, field_selector=selector).items
    assert [event["message"] for event in events] == ["by a daemon"]


def test_indices_and_event_handlers(wire_cluster: BlockingCluster, namespace: str, seen: Seen) -> None:
    """An index and event handlers see what was there and what comes and goes."""
    client = wire_cluster.client

    def pod(name: str) -> dict[str, Any]:
        spec = {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "busybox"}]}
        return {"metadata": {"name": name, "labels": {**MINE, "app": name}}, "spec": spec}

    wire_cluster.run(client.create, PODS, pod("before"), namespace=namespace)
    with running(registry_for(seen), wire_cluster.kubeconfig, namespaces=[namespace]):
        seen.wait_for(None, "before", ["before"])
        wire_cluster.run(client.create, PODS, pod("after"), namespace=namespace)
        seen.wait_for("ADDED", "after", ["after", "before"])
        wire_cluster.run(client.delete, PODS, "before", namespace=namespace)
        seen.wait_for("DELETED", "before", ["after"])
