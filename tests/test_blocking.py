"""The cluster for code without an event loop."""

from __future__ import annotations

import json
import threading
import urllib.request
from datetime import timedelta
from typing import Any
from urllib.error import URLError

import pytest

from minik8s import CONFIG_MAPS, PODS, BlockingCluster, Cluster, WaitTimeout
from minik8s.machinery.errors import Forbidden, NotFound
from minik8s.testing.builders import pod, service
from minik8s.testing.eventually import eventually

WEB = """\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: minik8s/testserver:v7
    readinessProbe: {httpGet: {port: 8080, path: /readyz}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
"""


def answer(url: str) -> Any:
    """The JSON at a URL as soon as there is any: the proxy learns of a ready pod a moment after everybody else."""
    pause = threading.Event()
    for _ in range(500):
        try:
            with urllib.request.urlopen(url, timeout=10) as response:
                return json.load(response)
        except URLError:
            pause.wait(0.02)
    pytest.fail(f"nobody answers at {url}")


def test_a_service_answers() -> None:
    """A pod is applied, waited for, and reached through its Service with plain blocking code."""
    with BlockingCluster(freeze=True) as cluster:
        cluster.apply(WEB)
        cluster.wait_for(PODS, "web", "Ready")
        host, port = cluster.address_of("default", "web", 8080)
        assert answer(f"http://{host}:{port}/")["version"] == "v7"


def test_failures_come_out() -> None:
    """Errors of the API, of waiting and of the caller are raised as they are."""
    with BlockingCluster(runtime="simulated", freeze=True) as cluster:
        with pytest.raises(NotFound):
            cluster.run(cluster.client.get, PODS, "nope", namespace="default")
        with pytest.raises(WaitTimeout, match="it does not exist"):
            cluster.wait_for(PODS, "nope", "Ready", timeout=0.01)
    with pytest.raises(ZeroDivisionError), BlockingCluster(nodes=0, serve=False):
        raise ZeroDivisionError


def test_nothing_is_left() -> None:
    """After the `with` there is no thread and no directory; a start that fails leaves none either."""
    before = threading.active_count()
    with BlockingCluster(nodes=1, runtime="simulated") as cluster:
        directory = cluster.kubeconfig.parent
    assert not directory.exists()
    with pytest.raises(OSError, match="cannot listen on"):
        BlockingCluster(host="192.0.2.1").__enter__()
    assert threading.active_count() == before


def test_admission_hooks() -> None:
    """A plain function refuses what comes from any thread, given at the start or later."""

    def nothing_bad(review: Any) -> None:
        if review.name == "bad":
            review.deny("not that name")

    body: Any = {"metadata": {"name": "bad", "namespace": "default"}}
    options: Any = {"nodes": 0, "serve": False, "runtime": "simulated"}
    with BlockingCluster(admission=[nothing_bad], **options) as cluster:
        with pytest.raises(Forbidden, match='admission hook "nothing_bad" denied the request: not that name'):
            cluster.run(cluster.client.create, CONFIG_MAPS, body)
        (hook,) = cluster.admission
        cluster.admission.remove(hook)
        cluster.run(cluster.client.create, CONFIG_MAPS, body)


def test_everything_of_a_cluster_is_there() -> None:
    """Whatever a `Cluster` has, the blocking one has too, by the same name."""
    public = {name for kind in Cluster.__mro__ for name in vars(kind) if not name.startswith("_")} - {"in_thread"}
    assert public - set(dir(BlockingCluster)) == set()


def test_powers() -> None:
    """Time, faults, logs, the past, forks, snapshots and HTTP, without `await`."""
    options: Any = {"clock": "virtual", "nodes": 0, "serve": False, "runtime": "simulated", "proxy": False}
    path = "/api/v1/namespaces/default/configmaps"
    with BlockingCluster(**options) as cluster:
        revision = cluster.revision
        with cluster.recording(verb="create") as log, cluster.faults.refuse(503, resource="configmaps", times=1):
            answers = [cluster.http.post(path, json={"metadata": {"name": "a"}}).status_code for _ in range(2)]
        assert (answers, log.count()) == ([503, 201], 2)
        before = cluster.clock.now()
        cluster.advance(hours=3)
        cluster.settle()
        assert timedelta(hours=3) <= cluster.clock.now() - before < timedelta(hours=3, minutes=5)
        assert "name: a" in cluster.export()
        assert "a" not in {obj["metadata"]["name"] for obj in cluster.run(cluster.at(revision).list, CONFIG_MAPS)}
        with cluster.fork() as branch:
            assert branch.http.delete(f"{path}/a").status_code == 200
            eventually(branch, CONFIG_MAPS, lambda found: not any(f["metadata"]["name"] == "a" for f in found))
            with branch.http.stream("GET", path, params={"watch": "true"}) as answer:
                assert next(answer.iter_lines())
        assert cluster.http.get(f"{path}/a").status_code == 200


def test_not_entered() -> None:
    """Outside of its `with` a cluster says that it does not run; inside of it, it cannot be entered again."""
    with pytest.raises(RuntimeError, match="does not run"):
        _ = BlockingCluster().url
    with BlockingCluster(nodes=0, serve=False, runtime="simulated") as cluster:
        with pytest.raises(RuntimeError, match="can be entered once"):
            cluster.run(cluster.cluster.__aenter__)
        assert cluster.run(cluster.client.list, PODS).items == []


async def told(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def test_pods_of_this_process_are_asked() -> None:
    """A pod that is an ASGI app answers synchronous code by its Service's name."""
    app = pod("web", image=f"python://{__name__}:told", labels={"app": "web"})
    with BlockingCluster(runtime="simulated", serve=False, proxy=False) as cluster:
        cluster.apply([app, service("web", port=80)])
        cluster.wait_for(PODS, "web", "Ready")
        cluster.settle()
        with cluster.service_http() as http:
            assert http.get("http://web/").text == "hello"
