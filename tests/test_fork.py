"""Branches of a cluster, snapshots of it, and what it was before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, Cluster
from minik8s.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from minik8s.machinery.errors import Expired, NotFound

pytestmark = pytest.mark.anyio
QUIET: Any = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "freeze": True}
SIMULATED: Any = {"serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "strict": True}
LABELS = {"app": "web"}
WIDGETS = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
  - name: v1
    served: true
    storage: true
    selectableFields: [{jsonPath: .spec.color}]
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {color: {type: string}}}}
"""
WIDGET = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"color": "red"}}
WIDGETS_PATH = "/apis/example.com/v1/namespaces/default/widgets"


def deployment(replicas: int = 2) -> Any:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def config_map(name: str) -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}


async def names(cluster: Cluster, resource: Any) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in (await cluster.client.list(resource, namespace="default")).items)


async def test_branches_go_their_own_ways() -> None:
    """A branch begins with everything, and neither side sees what the other does from then on."""
    async with Cluster(**QUIET) as cluster:
        await cluster.client.create(CONFIG_MAPS, config_map("shared"))
        revision = cluster.revision
        async with cluster.fork() as branch, cluster.fork() as other:
            assert branch.at(revision).revision == revision
            await branch.client.create(CONFIG_MAPS, config_map("mine"))
            await cluster.client.create(CONFIG_MAPS, config_map("yours"))
            await other.client.delete(CONFIG_MAPS, "shared", namespace="default")
            assert "mine" in await names(branch, CONFIG_MAPS)
            assert "yours" not in await names(branch, CONFIG_MAPS)
            assert "mine" not in await names(cluster, CONFIG_MAPS)
            assert "shared" in await names(branch, CONFIG_MAPS)
            assert "shared" not in await names(other, CONFIG_MAPS)
            kept: Any = await branch.client.get(CONFIG_MAPS, "shared", namespace="default")
            assert kept is not None
            assert (
                kept["metadata"]["uid"]
                == ((await cluster.client.get(CONFIG_MAPS, "shared", namespace="default"))["metadata"]["uid"])
            )


async def test_a_branch_is_alive() -> None:
    """Workloads run in a branch as after a reboot of the nodes: the same pods, started again, kept by their owners."""
    async with Cluster(**SIMULATED) as cluster:
        await cluster.apply(deployment())
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")
        pods = await names(cluster, PODS)
        async with cluster.fork() as branch:
            await branch.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("readyReplicas") == 2)
            assert await names(branch, PODS) == pods
            await branch.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, namespace="default")
            await branch.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("readyReplicas") == 3)
        assert await names(cluster, PODS) == pods


async def test_services_keep_their_addresses() -> None:
    """What a Service holds is known to the branch: nobody else gets it."""
    async with Cluster(**QUIET) as cluster:
        ports = [{"port": 80}]
        service: Any = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"ports": ports, "type": "NodePort"}}
        taken: Any = await cluster.client.create(SERVICES, service)
        async with cluster.fork() as branch:
            again = {**service, "metadata": {"name": "b", "namespace": "default"}}
            again["spec"] = {"ports": ports, "clusterIP": taken["spec"]["clusterIP"]}
            with pytest.raises(Exception, match="provided IP is already allocated"):
                await branch.client.create(SERVICES, again)


async def test_virtual_time_goes_on() -> None:
    """A branch of a cluster in virtual time begins at the time of its origin."""
    async with Cluster(clock="virtual", seed=1, **SIMULATED) as cluster:
        await cluster.advance(hours=1)
        async with cluster.fork() as branch:
            assert branch.clock.now() >= cluster.clock.now()


@pytest.mark.parametrize("way", ["fork", "snapshot"])
async def test_custom_resources_come_along(way: str, tmp_path: Path) -> None:
    """Definitions are served in the new cluster at once, with their objects, schemas and selectable fields."""
    async with Cluster(**QUIET) as cluster:
        await cluster.apply(WIDGETS)
        assert (await cluster.http.post(WIDGETS_PATH, json=WIDGET)).status_code == 201
        cluster.snapshot(tmp_path / "file")
        other = cluster.fork() if way == "fork" else Cluster(origin=tmp_path / "file", **QUIET)
        async with other as branch:
            listed = await branch.http.get(WIDGETS_PATH, params={"fieldSelector": "spec.color=red"})
            assert [item["metadata"]["name"] for item in listed.json()["items"]] == ["w"]
            bad = {**WIDGET, "metadata": {"name": "x"}, "spec": {"color": 1}}
            assert (await branch.http.post(WIDGETS_PATH, json=bad)).status_code == 422
            await branch.client.delete(CUSTOM_RESOURCE_DEFINITIONS, "widgets.example.com")
            assert (await branch.http.get(WIDGETS_PATH)).status_code == 404
        assert (await cluster.http.get(WIDGETS_PATH)).status_code == 200


async def test_a_snapshot_is_the_same_cluster(tmp_path: Path) -> None:
    """A cluster that begins with a snapshot has the same objects to the byte, and goes on counting revisions."""
    async with Cluster(**QUIET) as cluster:
        await cluster.client.create(CONFIG_MAPS, config_map("a"))
        before: Any = await cluster.client.get(CONFIG_MAPS, "a", namespace="default")
        cluster.snapshot(tmp_path / "file")
        revision = cluster.revision
    async with Cluster.restore(str(tmp_path / "file"), **QUIET) as again:
        assert await again.client.get(CONFIG_MAPS, "a", namespace="default") == before
        assert again.revision >= revision
        with pytest.raises(Expired):
            await again.at(revision - 1).list(CONFIG_MAPS)


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', '{"version": 1, "revision": 1, "objects": [[1]]}'])
async def test_files_that_are_no_snapshot(text: str, tmp_path: Path) -> None:
    """Anything else than a snapshot is refused with the file's name, before a cluster starts."""
    (tmp_path / "file").write_text(text)
    with pytest.raises(ValueError, match="file: not a snapshot of minik8s"):
        Cluster(origin=tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        Cluster(origin=tmp_path / "none")


async def test_export() -> None:
    """What users have made comes out as manifests that make it again elsewhere; what was made for it does not."""
    async with Cluster(**SIMULATED) as cluster:
        await cluster.apply(WIDGETS)
        await cluster.http.post(WIDGETS_PATH, json=WIDGET)
        await cluster.apply(deployment())
        await cluster.client.create(CONFIG_MAPS, config_map("a"))
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")
        text = cluster.export()
    documents = list(yaml.safe_load_all(text))
    kinds = [document["kind"] for document in documents]
    assert kinds[0] == "CustomResourceDefinition"
    assert sorted(kinds) == ["ConfigMap", "CustomResourceDefinition", "Deployment", "Widget"]
    assert not any("status" in document or "uid" in document["metadata"] for document in documents)
    async with Cluster(**QUIET) as other:
        await other.apply([d for d in documents if d["kind"] != "Widget"])
        assert await names(other, DEPLOYMENTS) == ["web"]


async def test_the_past() -> None:
    """What was can be read by its revision, changed and deleted objects included; what is not yet cannot."""
    async with Cluster(**QUIET) as cluster:
        first: Any = await cluster.client.create(CONFIG_MAPS, {**config_map("a"), "data": {"x": "1"}})
        await cluster.client.patch(CONFIG_MAPS, "a", {"data": {"x": "2"}}, namespace="default")
        await cluster.client.delete(CONFIG_MAPS, "a", namespace="default")
        past = cluster.at(first["metadata"]["resourceVersion"])
        then: Any = await past.get(CONFIG_MAPS, "a", namespace="default")
        assert then["data"] == {"x": "1"}
        assert "a" in [c["metadata"]["name"] for c in await past.list(CONFIG_MAPS)]  # type: ignore[typeddict-item]
        with pytest.raises(NotFound):
            await cluster.at(cluster.revision).get(CONFIG_MAPS, "a", namespace="default")
        for revision in (0, cluster.revision + 1):
            with pytest.raises(ValueError, match=f"there is no revision {revision}; the newest is {cluster.revision}"):
                cluster.at(revision)
        await cluster.faults.compact()
        with pytest.raises(Expired, match="is forgotten"):
            await past.list(CONFIG_MAPS)
