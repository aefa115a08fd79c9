"""Informers of what there is none of: asleep until the first object, and not a change is missed."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import INGRESSES, NAMESPACES, Cluster

pytestmark = pytest.mark.minik8s(nodes=0, serve=False, proxy=False, scheduler=False)
INGRESS: Any = {"metadata": {"name": "a", "namespace": "default"}, "spec": {"defaultBackend": {"resource": {}}}}
INGRESS["spec"]["defaultBackend"]["resource"] = {"kind": "X", "name": "x"}


async def test_asleep(cluster: Cluster) -> None:
    """It has synced without having asked; the first object wakes it, and from then on it sees everything."""
    informer = cluster.informers(INGRESSES)
    seen: list[tuple[bool, bool]] = []
    informer.add_handler(lambda old, new: seen.append((old is None, new is None)))
    await informer.synced()
    assert (informer.statistics.lists, informer.statistics.watches) == (0, 0)
    first = await cluster.client.create(INGRESSES, INGRESS)
    await informer.lister.caught_up(int(first["metadata"]["resourceVersion"]))
    await cluster.client.patch(INGRESSES, "a", {"metadata": {"labels": {"b": "c"}}}, namespace="default")
    await cluster.client.delete(INGRESSES, "a", namespace="default")
    await cluster.settle()
    assert seen == [(True, False), (False, False), (False, True)]
    assert informer.lister.all() == []


async def test_awake(cluster: Cluster) -> None:
    """Of what there is some from the start it lists and watches as ever."""
    informer = cluster.informers(NAMESPACES)
    await informer.synced()
    assert informer.lister.get("default", "")
    assert informer.statistics.lists == 1
