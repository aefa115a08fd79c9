"""A cluster as a whole: what it takes, what it leaves behind, and how it fails."""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from minik8s.api.resources import API_SERVICES, DEPLOYMENTS, NODES, PODS
from minik8s.cluster import Cluster
from minik8s.config import ClusterConfig
from minik8s.controllers.replicaset import ReplicaSetController
from minik8s.kubelet.runtime.protocol import ImageError
from minik8s.scheduler.scheduler import Scheduler

SMALL: dict[str, Any] = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "controllers": ()}
SIMULATED: dict[str, Any] = {"runtime": "simulated", "serve": False, "proxy": False, "freeze": True, "strict": True}
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def deployment(replicas: int = 1) -> dict[str, Any]:
    """A Deployment whose pods say hello and sleep."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo hello; sleep 1000"]}
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    """Runs a body that must not hang."""

    async def guarded() -> Any:
        with anyio.fail_after(60):
            return await body()

    return anyio.run(guarded)


def descendants() -> set[int]:
    """Every process below this one."""
    parents: dict[int, list[int]] = {}
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(directory.name))
    found, todo = set(), [os.getpid()]
    while todo:
        todo += (children := parents.get(todo.pop(), []))
        found.update(children)
    return found


def alive(pid: int) -> bool:
    """Whether a process exists and is not merely waiting to be reaped by its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descriptors() -> dict[str, str]:
    """This process's open files and sockets."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:
            continue  # the descriptor of this very listing
    return found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, of this test alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@linux
def test_nothing_is_left(scratch: Path) -> None:
    """After a cluster with real processes, sockets, a watch and a followed log, no task, thread, process, descriptor
    or file of it is left."""
    seen: set[int] = set()

    async def body() -> None:
        tasks = asyncio.all_tasks()
        async with Cluster(freeze=True, strict=True) as cluster:
            await cluster.apply(deployment())
            await cluster.wait_for(DEPLOYMENTS, "web", "Available")
            pod = (await cluster.client.list(PODS, namespace="default")).items[0]["metadata"]["name"]
            seen.update(descendants())
            context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
            headers = {"Authorization": f"Bearer {cluster.token}"}
            async with httpx.AsyncClient(base_url=cluster.url, verify=context, headers=headers) as http:
                log = f"/api/v1/namespaces/default/pods/{pod}/log?follow=true"
                async with http.stream("GET", log) as one, cluster.http.stream("GET", "/api/v1/pods?watch=1") as other:
                    assert (one.status_code, other.status_code) == (200, 200)
            assert cluster.directory.parent == scratch
        assert asyncio.all_tasks() == tasks

    run(body)  # what the interpreter opens and keeps on first use is not the cluster's
    gc.collect()
    before, threads = descriptors(), set(threading.enumerate())
    seen.clear()
    run(body)
    gc.collect()
    assert seen, "there were processes"
    assert [pid for pid in seen if alive(pid)] == []
    assert descriptors() == before
    assert set(threading.enumerate()) == threads
    assert list(scratch.iterdir()) == []


def test_a_given_directory_stays(tmp_path: Path) -> None:
    """A directory of the user's own is made if need be, holds the kubeconfig, and is not removed."""

    async def body() -> None:
        async with Cluster(directory=tmp_path / "mine" / "own", **{**SMALL, "serve": True}) as cluster:
            assert cluster.kubeconfig.parent == tmp_path / "mine" / "own"
            assert cluster.kubeconfig.stat().st_mode & 0o077 == 0, "it holds the administrator's token"

    run(body)
    assert (tmp_path / "mine" / "own").is_dir()


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt("mine"), ExceptionGroup("mine", [OSError()])])
def test_the_bodys_exception_passes_as_it_is(error: BaseException) -> None:
    """What is raised inside `async with Cluster()` comes out unwrapped, the very object."""

    async def body() -> None:
        with pytest.raises(type(error)) as caught:
            async with Cluster(**SIMULATED):
                raise error
        assert caught.value is error

    run(body)


def test_cancelling_the_body_ends_the_cluster() -> None:
    """A cancelled scope around a cluster ends it, and goes no further than the scope."""

    async def body() -> bool:
        with anyio.CancelScope() as scope:
            async with Cluster(**SIMULATED):
                scope.cancel()
                await anyio.sleep_forever()
        return scope.cancelled_caught

    assert run(body)


def test_a_bug_of_a_component_ends_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a component raises interrupts the body and comes out of the `async with`."""
    bug = anyio.Event()

    async def broken(self: Scheduler) -> None:
        await bug.wait()
        raise LookupError("a bug")

    monkeypatch.setattr(Scheduler, "run", broken)

    async def body() -> None:
        async with Cluster(**SIMULATED):
            bug.set()
            await anyio.sleep_forever()

    with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
        run(body)


@pytest.mark.parametrize("strict", [True, False])
def test_a_bug_of_a_controller(strict: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reconciler's bug ends a strict cluster; another logs it and tries again."""
    passes = 0
    again = anyio.Event()
    right = ReplicaSetController.reconcile

    async def broken(self: ReplicaSetController, obj: Any) -> Any:
        nonlocal passes
        passes += 1
        if passes == 1:
            raise LookupError("a bug")
        again.set()
        return await right(self, obj)

    monkeypatch.setattr(ReplicaSetController, "reconcile", broken)

    async def body() -> None:
        async with Cluster(**{**SIMULATED, "strict": strict}) as cluster:
            await cluster.apply(deployment())
            await again.wait()

    if strict:
        with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
            run(body)
    else:
        run(body)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"nodez": 1}, TypeError, "nodez"),
        ({"nodes": -1}, ValueError, "nodes"),
        ({"runtime": "docker"}, ValueError, "runtime"),
        ({"port": 70000}, ValueError, "port"),
        ({"history": 0}, ValueError, "history"),
        ({"controllers": ("replicaset", "replicasets")}, ValueError, "unknown controller 'replicasets'"),
        ({"images": {"Upper/Case": "true"}}, ImageError, "must be lowercase"),
        ({"images": {"tool": ""}}, ValueError, "an image needs a command"),
        ({"service_cidr": "127.96.0.0/40"}, ValueError, "service_cidr.*127.96.0.0/40"),
        ({"pod_cidr": "10.0.0.1/8"}, ValueError, "pod_cidr.*10.0.0.1/8.*host bits"),
        ({"node_port_range": (32000, 31000)}, ValueError, "node_port_range"),
    ],
)
def test_wrong_options_are_refused(options: Any, error: type[Exception], says: str, scratch: Path) -> None:
    """An option that cannot be is an error that names it; nothing is left of the attempt."""

    async def body() -> None:
        tasks = asyncio.all_tasks()
        with pytest.raises(error, match=says):
            async with Cluster(**{**SIMULATED, **options}):
                pass
        assert asyncio.all_tasks() == tasks

    run(body)
    assert list(scratch.iterdir()) == []


def test_a_taken_port_is_told() -> None:
    """A cluster that cannot listen raises OSError with the address, unwrapped."""

    async def body() -> None:
        async with Cluster(**{**SMALL, "serve": True}) as first:
            port = httpx.URL(first.url).port
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
                async with Cluster(port=port, **{**SMALL, "serve": True}):
                    pass

    run(body)


def test_config_and_options() -> None:
    """Options on top of a config win over it; the config itself is not touched."""
    config = ClusterConfig(nodes=3, seed=5)
    cluster = Cluster(config, seed=6)
    assert (cluster.config.nodes, cluster.config.seed, cluster.seed) == (3, 6, 6)
    assert config.seed == 5


def test_without_a_socket() -> None:
    """With serve=False there is no address and no kubeconfig, but the API answers in process, both ways."""

    async def body() -> None:
        async with Cluster(**{**SIMULATED, "nodes": 2}) as cluster:
            assert cluster.url == ""
            with pytest.raises(RuntimeError, match="serve=False"):
                _ = cluster.kubeconfig
            names = {node["metadata"]["name"] for node in (await cluster.client.list(NODES)).items}
            answer = (await cluster.http.get("/api/v1/nodes")).json()
            assert names == {node["metadata"]["name"] for node in answer["items"]} == {"node-1", "node-2"}
            with pytest.raises(RuntimeError, match="proxy=False"):
                await cluster.address_of("default", "kubernetes", 443)

    run(body)


def test_without_tls() -> None:
    """With tls=False the socket speaks plain HTTP, whoever comes is the administrator, and no CA is made."""

    async def body() -> None:
        async with Cluster(tls=False, **{**SMALL, "serve": True}) as cluster:
            assert cluster.url.startswith("http://127.0.0.1:")
            assert cluster.credentials.ca == b""
            assert "certificate-authority-data" not in cluster.kubeconfig.read_text()
            async with httpx.AsyncClient(base_url=cluster.url) as http:
                assert (await http.get("/api/v1/nodes")).status_code == 200

    run(body)


def test_with_tls() -> None:
    """By default the socket has a certificate of the cluster's own CA, and nobody looks around without a token."""

    async def body() -> None:
        async with Cluster(**{**SMALL, "serve": True}) as cluster:
            context = ssl.create_default_context(cadata=cluster.ca_bundle.decode())
            async with httpx.AsyncClient(base_url=cluster.url, verify=context) as http:
                assert (await http.get("/api/v1/nodes")).status_code == 403
                token = {"Authorization": f"Bearer {cluster.token}"}
                assert (await http.get("/api/v1/nodes", headers=token)).status_code == 200

    run(body)


def test_clusters_side_by_side() -> None:
    """Two clusters of one process share nothing: each has its own objects and serves its own socket."""

    async def body() -> None:
        options = {**SIMULATED, "serve": True}
        async with Cluster(**options) as one, Cluster(**options) as other:
            await one.apply(deployment())
            await one.wait_for(DEPLOYMENTS, "web", "Available")
            assert (await other.client.list(DEPLOYMENTS)).items == []
            assert one.url != other.url

    run(body)


def test_the_seed_decides_names_and_uids() -> None:
    """Clusters of one seed give their pods the same names and UIDs, clusters of different seeds do not."""

    async def names(seed: int) -> set[tuple[str, str]]:
        async with Cluster(seed=seed, **SIMULATED) as cluster:
            await cluster.apply(deployment(3))
            await cluster.wait_for(DEPLOYMENTS, "web", "Available")
            pods = (await cluster.client.list(PODS, namespace="default")).items
            return {(pod["metadata"]["name"], pod["metadata"]["uid"]) for pod in pods}

    first, second, other = run(lambda: names(1)), run(lambda: names(1)), run(lambda: names(2))
    assert len(first) == 3
    assert first == second
    assert first.isdisjoint(other)


def test_importing_is_light() -> None:
    """`import minik8s` alone loads neither the server's libraries nor a component."""
    script = (
        "import sys, minik8s; print([m for m in ('anyio', 'httpx', 'uvicorn', 'minik8s.cluster') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_aggregated_apis_are_watched_over() -> None:
    """A running cluster says of an API that others should serve whether it is available, without being asked."""

    async def body() -> None:
        async with Cluster(**SMALL, clock="virtual") as cluster:
            spec = {"group": "x.io", "version": "v1", "service": {"namespace": "default", "name": "s"},
                    "groupPriorityMinimum": 1, "versionPriority": 1}  # fmt: skip
            await cluster.client.create(API_SERVICES, {"metadata": {"name": "v1.x.io"}, "spec": spec})
            found = await cluster.wait_for(API_SERVICES, "v1.x.io", lambda api: bool(api["status"].get("conditions")))
            assert found["status"]["conditions"][0]["reason"] == "ServiceNotFound"

    run(body)
