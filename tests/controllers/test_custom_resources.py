"""Controllers that know no kinds, with custom resources: garbage collection, namespaces, quotas."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resource import custom_resource
from minik8s.api.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, RESOURCE_QUOTAS
from minik8s.controllers.garbagecollector import GarbageCollector
from minik8s.controllers.namespace import NamespaceController
from minik8s.controllers.resourcequota import ResourceQuotaController
from minik8s.machinery.errors import Forbidden

FOOS = custom_resource("example.com", "v1", "foos", "Foo")
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


async def define(world: Any) -> None:
    """Defines foos in two versions, of which controllers need to look at one."""
    schema = {"openAPIV3Schema": ANYTHING}
    versions = [{"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1", "v1beta1")]
    spec = {"group": "example.com", "scope": "Namespaced", "names": {"plural": "foos", "kind": "Foo"}}
    crd = {"metadata": {"name": "foos.example.com"}, "spec": {**spec, "versions": versions}}
    await world.client.create(CUSTOM_RESOURCE_DEFINITIONS, crd)


async def add(world: Any, name: str, namespace: str = "default", **metadata: Any) -> Any:
    """A foo."""
    metadata = {"name": name, "namespace": namespace, **metadata}
    return await world.client.create(FOOS, {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": metadata})


def owned_by(owner: Any) -> dict[str, Any]:
    """References to an owner."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
    return {"ownerReferences": [{**reference, **{k: owner["metadata"][k] for k in ("name", "uid")}}]}


def test_owners_and_dependents_may_be_custom(virtual: Any, start: Any) -> None:
    """A definition made while the collector runs is followed at once, and no more when it is gone."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            await define(world)
            owner = await add(world, "owner")
            child = await add(world, "child", **owned_by(owner))
            await world.add("configmaps", "grandchild", "default", metadata=owned_by(child))
            await world.quiet(1)
            assert len([i for i in world.informers if i.resource.group == "example.com"]) == 1
            await world.client.delete(FOOS, "owner", namespace="default")
            await world.until_gone("configmaps", "grandchild", "default")
            assert not (await world.client.list(FOOS)).items
            await world.client.delete(CUSTOM_RESOURCE_DEFINITIONS, "foos.example.com")
            await world.quiet(1)
            assert not [i for i in world.informers if i.resource.group == "example.com"]
            await define(world)
            owner = await add(world, "owner")
            await world.client.create(
                CONFIG_MAPS, {"metadata": {"name": "child", "namespace": "default", **owned_by(owner)}}
            )
            await world.quiet(1)
            await world.client.delete(FOOS, "owner", namespace="default")
            await world.until_gone("configmaps", "child", "default")

    virtual(body)


def test_a_namespace_takes_its_custom_resources_along(virtual: Any, start: Any) -> None:
    """It terminates when they are gone, and waits for their finalizers."""

    async def body(clock: Any) -> None:
        async with start(clock, NamespaceController) as world:
            await define(world)
            await world.client.create(NAMESPACES, {"metadata": {"name": "team"}})
            await add(world, "free", "team")
            await add(world, "held", "team", finalizers=["example.com/hold"])
            await world.client.delete(NAMESPACES, "team")
            await world.quiet()
            assert [foo["metadata"]["name"] for foo in (await world.client.list(FOOS, namespace="team")).items] == [
                "held"
            ]
            await world.client.patch(FOOS, "held", {"metadata": {"finalizers": None}}, namespace="team")
            await world.until_gone("namespaces", "team")

    virtual(body)


def test_quotas_count_custom_resources(virtual: Any, start: Any) -> None:
    """As `count/<plural>.<group>`: admission refuses the one too many, the status tells how many there are."""

    async def body(clock: Any) -> None:
        async with start(clock, ResourceQuotaController) as world:
            await define(world)
            quota = {
                "metadata": {"name": "q", "namespace": "default"},
                "spec": {"hard": {"count/foos.example.com": "1"}},
            }
            await world.client.create(RESOURCE_QUOTAS, quota)
            await world.quiet()
            await add(world, "one")
            with pytest.raises(Forbidden, match=r"exceeded quota: q, requested: count/foos.example.com=1, used"):
                await add(world, "two")

            async def counted() -> bool:
                status = (await world.client.get(RESOURCE_QUOTAS, "q", namespace="default"))["status"]
                return bool(status["used"] == {"count/foos.example.com": "1"})

            await world.until(counted)

    virtual(body)
