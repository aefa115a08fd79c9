"""The garbage collector against a real API server."""

from __future__ import annotations

from typing import Any

from minik8s.controllers.garbagecollector import GarbageCollector
from minik8s.machinery.meta import is_terminating, owner_references


def owned_by(*owners: Any, blocks: bool = True, **changes: Any) -> dict[str, Any]:
    """Metadata with references to these objects."""
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
            **changes,
        }
        for owner in owners
    ]
    return {"ownerReferences": references}


def test_background(virtual: Any, start: Any) -> None:
    """The owner goes at once, its dependents and theirs follow, and what has no owner stays."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            child = await world.add("secrets", "child", "default", metadata=owned_by(owner))
            await world.add("configmaps", "grandchild", "default", metadata=owned_by(child))
            await world.add("configmaps", "stranger", "default")
            await world.quiet()
            await world.client.delete(world.resource("configmaps"), "owner", namespace="default")
            assert await world.get("configmaps", "owner", "default") is None
            await world.until_gone("secrets", "child", "default")
            await world.until_gone("configmaps", "grandchild", "default")
            assert await world.get("configmaps", "stranger", "default")

    virtual(body)


def test_foreground(virtual: Any, start: Any) -> None:
    """The owner stays, terminating, until the dependents that block it are gone."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            held = {**owned_by(owner), "finalizers": ["example.com/hold"]}
            await world.add("secrets", "child", "default", metadata=held)
            await world.quiet()
            configmaps, secrets = world.resource("configmaps"), world.resource("secrets")
            await world.client.delete(configmaps, "owner", namespace="default", propagation="Foreground")
            await world.quiet()
            assert is_terminating(await world.get("configmaps", "owner", "default"))
            assert is_terminating(await world.get("secrets", "child", "default"))
            await world.client.patch(secrets, "child", {"metadata": {"finalizers": None}}, namespace="default")
            await world.until_gone("configmaps", "owner", "default")
            assert await world.get("secrets", "child", "default") is None

    virtual(body)


def test_foreground_does_not_wait_for_those_that_do_not_block(virtual: Any, start: Any) -> None:
    """A dependent without blockOwnerDeletion is deleted too, but the owner does not wait for it."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            held = {**owned_by(owner, blocks=False), "finalizers": ["example.com/hold"]}
            await world.add("secrets", "child", "default", metadata=held)
            await world.quiet()
            configmaps = world.resource("configmaps")
            await world.client.delete(configmaps, "owner", namespace="default", propagation="Foreground")
            await world.until_gone("configmaps", "owner", "default")
            await world.quiet()
            assert is_terminating(await world.get("secrets", "child", "default"))

    virtual(body)


def test_orphan(virtual: Any, start: Any) -> None:
    """Dependents lose the reference and stay; then the owner goes."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            other = await world.add("configmaps", "other", "default")
            await world.add("secrets", "child", "default", metadata=owned_by(owner, other))
            await world.quiet()
            configmaps = world.resource("configmaps")
            await world.client.delete(configmaps, "owner", namespace="default", propagation="Orphan")
            await world.until_gone("configmaps", "owner", "default")
            await world.quiet()
            child = await world.get("secrets", "child", "default")
            assert [reference["name"] for reference in owner_references(child)] == ["other"]

    virtual(body)


def test_absent_owners(virtual: Any, start: Any) -> None:
    """An owner that never existed, or whose name is another object's now, is absent; an unknown kind is not judged."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            await world.add("secrets", "never", "default", metadata=owned_by(owner, name="nobody", uid="no-such-uid"))
            await world.add("secrets", "replaced", "default", metadata=owned_by(owner, uid="an-older-uid"))
            strange = owned_by(owner, kind="Widget", apiVersion="example.com/v1", uid="unknown")
            await world.add("secrets", "unknown", "default", metadata=strange)
            await world.until_gone("secrets", "never", "default")
            await world.until_gone("secrets", "replaced", "default")
            await world.quiet(100)
            assert await world.get("secrets", "unknown", "default")
            assert await world.get("configmaps", "owner", "default")

    virtual(body)


def test_several_owners(virtual: Any, start: Any) -> None:
    """As long as one owner is there the object stays, without its references to those that are gone."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            first = await world.add("configmaps", "first", "default")
            second = await world.add("configmaps", "second", "default")
            await world.add("secrets", "child", "default", metadata=owned_by(first, second))
            await world.quiet()
            configmaps = world.resource("configmaps")
            await world.client.delete(configmaps, "first", namespace="default")
            await world.quiet()
            child = await world.get("secrets", "child", "default")
            assert [reference["name"] for reference in owner_references(child)] == ["second"]
            await world.client.delete(configmaps, "second", namespace="default")
            await world.until_gone("secrets", "child", "default")

    virtual(body)


def test_owner_in_another_namespace(virtual: Any, start: Any) -> None:
    """A namespaced owner must be in the same namespace: elsewhere it counts as absent, and an event says why."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            owner = await world.add("configmaps", "owner", "default")
            await world.quiet()
            child = await world.add("secrets", "child", "kube-public", metadata=owned_by(owner))
            await world.until_gone("secrets", "child", "kube-public")
            await world.quiet()
            [event] = await world.events("OwnerRefInvalidNamespace")
            assert event["message"] == (
                f"ownerRef [v1/ConfigMap, namespace: kube-public, name: owner, uid: {owner['metadata']['uid']}] "
                'does not exist in namespace "kube-public"'
            )
            assert event["involvedObject"]["uid"] == child["metadata"]["uid"]
            assert event["type"] == "Warning"

    virtual(body)


def test_scopes(virtual: Any, start: Any) -> None:
    """A cluster-scoped owner may own in any namespace; a namespaced owner of a cluster-scoped object is not judged."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            node = await world.add("nodes", "n1")
            await world.add("configmaps", "a", "default", metadata=owned_by(node))
            await world.add("configmaps", "b", "kube-public", metadata=owned_by(node))
            owner = await world.add("configmaps", "owner", "default")
            await world.add("nodes", "wrong", metadata=owned_by(owner))
            await world.quiet()
            assert await world.get("configmaps", "b", "kube-public")
            await world.client.delete(world.resource("nodes"), "n1")
            await world.client.delete(world.resource("configmaps"), "owner", namespace="default")
            await world.until_gone("configmaps", "a", "default")
            await world.until_gone("configmaps", "b", "kube-public")
            await world.quiet(100)
            assert await world.get("nodes", "wrong")

    virtual(body)


def test_circle(virtual: Any, start: Any) -> None:
    """Objects that own each other do not keep each other from ending in the foreground."""

    async def body(clock: Any) -> None:
        async with start(clock, GarbageCollector) as world:
            first = await world.add("configmaps", "first", "default")
            second = await world.add("configmaps", "second", "default", metadata=owned_by(first))
            configmaps = world.resource("configmaps")
            await world.client.patch(configmaps, "first", {"metadata": owned_by(second)}, namespace="default")
            await world.quiet()
            await world.client.delete(configmaps, "first", namespace="default", propagation="Foreground")
            await world.until_gone("configmaps", "first", "default")
            await world.until_gone("configmaps", "second", "default")

    virtual(body)
