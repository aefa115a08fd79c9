"""pykube-ng: objects without discovery, whose update sends everything it knows as a merge patch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pykube
import pytest

from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long a watch may go on; a safety net."""


@pytest.fixture
def api(wire_cluster: BlockingCluster, namespace: str) -> Iterator[pykube.HTTPClient]:
    """pykube's client in the test's namespace."""
    config = pykube.KubeConfig.from_file(str(wire_cluster.kubeconfig))
    config.contexts[config.current_context]["namespace"] = namespace
    client = pykube.HTTPClient(config)
    yield client
    client.session.close()


def test_objects(api: pykube.HTTPClient) -> None:
    """create, update (a merge patch with its resourceVersion), patch, lists by selector, tables and delete."""
    body = {"metadata": {"name": "cm", "labels": {"tier": "front"}}, "data": {"a": "1", "b": "2"}}
    found = pykube.ConfigMap(api, body)
    found.create()
    stale = pykube.ConfigMap.objects(api).get(name="cm")
    found.obj["data"]["a"] = "9"
    found.labels["x"] = "y"
    found.update()
    assert (found.obj["data"], found.labels) == ({"a": "9", "b": "2"}, {"tier": "front", "x": "y"})
    stale.obj["data"]["a"] = "8"
    with pytest.raises(pykube.exceptions.HTTPError, match="the object has been modified"):
        stale.update()
    found.patch({"data": {"b": None}})
    found.reload()
    assert found.obj["data"] == {"a": "9"}
    names = [o.name for o in pykube.ConfigMap.objects(api).filter(selector={"tier__in": {"front", "back"}})]
    assert names == ["cm"]
    assert [o.name for o in pykube.ConfigMap.objects(api).filter(field_selector={"metadata.name": "cm"})] == ["cm"]
    assert pykube.ConfigMap.objects(api).get_or_none(name="no") is None
    table = pykube.ConfigMap.objects(api).filter(selector="tier=front").as_table()
    assert [column["name"] for column in table.columns][:2] == ["Name", "Data"]
    assert [row["cells"][0] for row in table.rows] == ["cm"]
    found.delete()
    assert not found.exists()
    found.delete()


def test_watch(api: pykube.HTTPClient) -> None:
    """A watch from now on shows what comes, changes and goes."""
    params = {"timeoutSeconds": SECONDS}
    stream = iter(pykube.ConfigMap.objects(api).filter(selector="mine").watch(since=pykube.query.now, params=params))
    found = pykube.ConfigMap(api, {"metadata": {"name": "cm", "labels": {"mine": ""}}})
    found.create()
    found.patch({"data": {"a": "1"}})
    found.delete()
    events = [next(stream) for _ in range(3)]
    assert [(event.type, event.object.name) for event in events] == [
        ("ADDED", "cm"),
        ("MODIFIED", "cm"),
        ("DELETED", "cm"),
    ]
    stream.close()


def rolled_out(deployment: pykube.Deployment, replicas: int) -> pykube.Deployment:
    """The Deployment once it has all its replicas and its controller says that it is done."""
    stream = iter(deployment.watch())
    for event in stream:
        status = event.object.obj["status"]
        reasons = {condition["reason"] for condition in status.get("conditions", ())}
        if status.get("readyReplicas") == replicas and "NewReplicaSetAvailable" in reasons:
            stream.close()
            return event.object
    raise AssertionError("the watch ended")


def insist(obj: pykube.objects.APIObject, change: Callable[[], None]) -> None:
    """Does what sends the version that pykube knows, again while a controller has written in between."""
    for _ in range(10):
        try:
            return change()
        except pykube.exceptions.HTTPError as error:
            if error.code != 409:
                raise
        obj.reload()
    raise AssertionError("there is no end to conflicts")


def test_workloads(api: pykube.HTTPClient, wire_cluster: BlockingCluster, web: dict[str, Any]) -> None:
    """A Deployment becomes ready, is scaled, and goes with its pods; a pod's log; a node is cordoned."""
    deployment = pykube.Deployment(api, web)
    deployment.create()
    rolled_out(deployment, 2)
    insist(deployment, lambda: deployment.scale(3))
    rolled_out(deployment, 3)
    pods = list(pykube.Pod.objects(api).filter(selector="app=web"))
    assert len(pods) == 3
    assert all(pod.ready for pod in pods)
    assert "simulated start" in pods[0].logs(tail_lines=5)
    deployment.delete(propagation_policy="Foreground")
    node = next(iter(pykube.Node.objects(api).filter(field_selector={"metadata.name": "node-1"})))
    insist(node, node.cordon)
    assert node.unschedulable
    insist(node, node.uncordon)
    assert not node.unschedulable


def test_kinds_by_discovery(api: pykube.HTTPClient) -> None:
    """object_factory makes a class of what discovery says."""
    leases = pykube.object_factory(api, "coordination.k8s.io/v1", "Lease")
    lease = leases(api, {"metadata": {"name": "lock"}, "spec": {"holderIdentity": "me"}})
    lease.create()
    assert [found.obj["spec"]["holderIdentity"] for found in leases.objects(api)] == ["me"]
    assert api.version == ("1", "36")
    with pytest.raises(ValueError, match="unknown resource kind 'Nonsense'"):
        pykube.object_factory(api, "v1", "Nonsense")
