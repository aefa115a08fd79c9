"""Static pods, seen through the API: a file runs, its mirror follows, and neither harms the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import EVENTS
from minik8s.machinery.meta import annotations_of, uid_of

pytestmark = pytest.mark.anyio
VIRTUAL: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "seed": 5}


def manifest(name: str = "web", **spec: Any) -> str:
    import orjson

    spec = {"containers": [{"name": "c", "image": "busybox"}], **spec}
    return orjson.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).decode()


async def shown(cluster: Cluster) -> dict[str, Any]:
    return {pod["metadata"]["name"]: pod for pod in (await cluster.client.list(PODS, namespace="default")).items}


async def test_a_file_runs(tmp_path: Path) -> None:
    """Its mirror becomes Running on the first node; a file in a node's folder runs there, a hidden one nowhere."""
    (tmp_path / "node-2").mkdir()
    (tmp_path / "a.yaml").write_text(manifest("web"))
    (tmp_path / "node-2" / "b.json").write_text(manifest("db"))
    (tmp_path / ".c.yaml").write_text(manifest("hidden"))
    async with Cluster(nodes=2, static_pod_path=tmp_path, **VIRTUAL) as cluster:
        await cluster.wait_for(PODS, "web-node-1", "Ready")
        await cluster.wait_for(PODS, "db-node-2", "Ready")
        assert set(await shown(cluster)) == {"web-node-1", "db-node-2"}


async def test_the_mirror_decides_nothing(tmp_path: Path) -> None:
    """Deleted, gracefully or by force, it comes again, and the container has run on."""
    (tmp_path / "a.yaml").write_text(manifest())
    async with Cluster(static_pod_path=tmp_path, **VIRTUAL) as cluster:
        before = await cluster.wait_for(PODS, "web-node-1", "Ready")
        for grace in (None, 0):
            await cluster.client.delete(PODS, "web-node-1", namespace="default", grace_period=grace)
            await cluster.advance(seconds=5)
            after = (await shown(cluster))["web-node-1"]
            assert uid_of(after) != uid_of(before)
            assert after["status"]["phase"] == "Running"
            (was,), (now) = before["status"]["containerStatuses"], after["status"]["containerStatuses"][0]
            assert now["containerID"] == was["containerID"]
            before = after


async def test_another_manifest_is_another_pod(tmp_path: Path) -> None:
    """The old one ends first; with the file the mirror goes, once the pod has ended."""
    path = tmp_path / "a.yaml"
    path.write_text(manifest())
    async with Cluster(static_pod_path=tmp_path, **VIRTUAL) as cluster:
        before = await cluster.wait_for(PODS, "web-node-1", "Ready")
        path.write_text(manifest(terminationGracePeriodSeconds=5, hostname="other"))
        await cluster.advance(seconds=60)
        after = (await shown(cluster))["web-node-1"]
        assert after["spec"]["hostname"] == "other"
        mirrored = [annotations_of(pod)["kubernetes.io/config.mirror"] for pod in (before, after)]
        assert mirrored[0] != mirrored[1]
        path.unlink()
        await cluster.advance(seconds=60)
        assert await shown(cluster) == {}


async def test_bad_files_do_no_harm(tmp_path: Path) -> None:
    """Each is told of once, by its path; the others run, and so does the file itself when it is mended."""
    (tmp_path / "a.yaml").write_text("{")
    (tmp_path / "b.yaml").write_text(manifest())
    async with Cluster(static_pod_path=tmp_path, **VIRTUAL) as cluster:
        await cluster.wait_for(PODS, "web-node-1", "Ready")
        await cluster.advance(seconds=30)
        (event,) = [e for e in (await cluster.client.list(EVENTS)).items if e["reason"] == "InvalidStaticPod"]
        assert event["message"].startswith(f"static pod {tmp_path / 'a.yaml'}: ")
        assert event.get("count", 1) == 1
        (tmp_path / "a.yaml").write_text(manifest("late"))
        await cluster.wait_for(PODS, "late-node-1", "Ready")


async def test_a_pod_that_the_node_does_not_admit(tmp_path: Path) -> None:
    """Its mirror says why; a smaller one in its place runs."""
    path = tmp_path / "big.yaml"
    path.write_text(manifest(containers=[{"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "64"}}}]))
    async with Cluster(static_pod_path=tmp_path, **VIRTUAL) as cluster:
        failed: Any = await cluster.wait_for(PODS, "web-node-1", lambda pod: pod["status"]["phase"] == "Failed")
        assert failed["status"]["reason"] == "OutOfcpu"
        path.write_text(manifest())
        await cluster.wait_for(PODS, "web-node-1", "Ready")


async def test_mirrors_of_nothing_go() -> None:
    """A mirror whose node has no such pod is deleted by its kubelet."""
    async with Cluster(**VIRTUAL) as cluster:
        body: Any = {
            "metadata": {"name": "ghost", "annotations": {"kubernetes.io/config.mirror": "nothing"}},
            "spec": {"nodeName": "node-1", "containers": [{"name": "c", "image": "busybox"}]},
        }
        await cluster.client.create(PODS, body, namespace="default")
        await cluster.wait_for(PODS, "ghost", "Deleted")


async def test_the_api_may_refuse_the_mirror(tmp_path: Path) -> None:
    """The pod runs all the same, and is shown as soon as it may be."""

    def not_now(review: Any) -> None:
        if not allowed and review.name == "web-node-1":
            review.deny("not now")

    allowed: list[bool] = []
    (tmp_path / "a.yaml").write_text(manifest())
    async with Cluster(static_pod_path=tmp_path, admission=[not_now], **VIRTUAL) as cluster:
        await cluster.advance(seconds=30)
        assert await shown(cluster) == {}
        allowed.append(True)
        ready = await cluster.wait_for(PODS, "web-node-1", "Ready")
        started = ready["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        assert started < ready["metadata"]["creationTimestamp"]
