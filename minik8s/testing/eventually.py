"""Assertions about what a cluster comes to: `eventually`, `consistently`, `never`.

    await eventually(cluster, PODS, lambda pods: len(pods) == 3, label_selector="app=web")
    await never(cluster, PODS, lambda pods: len(pods) > 4, seconds=60)

Nobody polls: a condition is asked once for the present, and then whenever an object of the resource has changed, so
that no state of the store goes unseen. Times are the cluster's clock's, and virtual where that is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import anyio

from minik8s.api.resource import Resource
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import name_of, namespace_of

T = TypeVar("T", bound=Mapping[str, Any])
Condition = Callable[[list[Any]], object]
"""Of all objects in question, in the order of namespace and name; what it answers counts as true or false."""


async def eventually(
    cluster: Cluster, resource: Resource[T], condition: Condition, *, timeout: float = 30.0, **selection: str
) -> list[T]:
    """Waits until the condition holds, and answers the objects for which it did.

    `selection` may have namespace, label_selector and field_selector. Raises AssertionError after `timeout` seconds.
    """
    last: list[T] = []
    with anyio.move_on_after(timeout):
        async with aclosing(_states(cluster, resource, selection)) as states:
            async for last in states:
                if condition(last):
                    return last
    raise AssertionError(f"not within {timeout:g} s: {_words(condition)}; last there were {_shown(resource, last)}")


async def consistently(
    cluster: Cluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> None:
    """Holds now and in every state for so many seconds. Raises AssertionError with the state in which it did not."""
    with anyio.move_on_after(seconds):
        async with aclosing(_states(cluster, resource, selection)) as states:
            async for state in states:
                if not condition(state):
                    raise AssertionError(f"did not hold: {_words(condition)}; there were {_shown(resource, state)}")


async def never(
    cluster: Cluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> None:
    """Holds neither now nor in any state for so many seconds. Raises AssertionError with the state in which it did."""
    with anyio.move_on_after(seconds):
        async with aclosing(_states(cluster, resource, selection)) as states:
            async for state in states:
                if condition(state):
                    raise AssertionError(f"held, and never should: {_words(condition)}; {_shown(resource, state)}")


async def _states(
    cluster: Cluster, resource: Resource[Any], selection: Mapping[str, str]
) -> AsyncGenerator[list[Any], None]:
    """The objects as they are, and again after every single change."""
    first = await cluster.client.list(resource, **selection)  # type: ignore[arg-type]
    objects = {(namespace_of(obj), name_of(obj)): obj for obj in first.items}
    yield _in_order(objects)
    version = first.resource_version
    while True:
        events: Any = cluster.client.watch(resource, resource_version=version, **selection)
        async with aclosing(events):
            async for event in events:
                if event.type == "ERROR":
                    raise ApiError.from_status(event.object)
                version = event.object["metadata"]["resourceVersion"]
                key = (namespace_of(event.object), name_of(event.object))
                if event.type == "DELETED":
                    objects.pop(key, None)
                elif event.type != "BOOKMARK":
                    objects[key] = event.object
                yield _in_order(objects)


def _in_order(objects: Mapping[tuple[str, str], Any]) -> list[Any]:
    return [objects[key] for key in sorted(objects)]


def _words(condition: Condition) -> str:
    """What is asked for: a function's docstring or its name."""
    doc = (getattr(condition, "__doc__", None) or "").strip().splitlines()
    return doc[0] if doc else getattr(condition, "__name__", repr(condition))


def _shown(resource: Resource[Any], objects: list[Any]) -> str:
    if not objects:
        return f"no {resource.plural}"
    names = (f"{name_of(obj)} ({phase})" if (phase := _state_of(obj)) else name_of(obj) for obj in objects)
    return f"{len(objects)} {resource.plural}: {', '.join(names)}"


def _state_of(obj: Any) -> str:
    """The shortest word for how an object is."""
    status = obj.get("status") or {}
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    if phase := status.get("phase"):
        return str(phase)
    words = {"readyReplicas": "ready", "succeeded": "succeeded"}
    return ", ".join(f"{status[key]} {word}" for key, word in words.items() if status.get(key))
