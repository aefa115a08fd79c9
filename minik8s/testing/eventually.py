"""Assertions about what a cluster comes to: `eventually`, `consistently`, `never`.

    await eventually(cluster, PODS, lambda pods: len(pods) == 3, label_selector="app=web")
    await never(cluster, PODS, lambda pods: len(pods) > 4, seconds=60)

Nobody polls: a condition is asked once for the present, and then whenever an object of the resource has changed, so
that no state of the store goes unseen. Times are the cluster's clock's, and virtual where that is. With a
`BlockingCluster` they wait themselves, and want no `await`. What a condition has to be a matcher tells best
(`testing.matching`): `eventually(cluster, PODS, every({"status": {"phase": "Running"}}))` says what is not as wanted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar, overload

import anyio

from minik8s.api.resource import Resource
from minik8s.blocking import BlockingCluster
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import name_of, namespace_of
from minik8s.testing.matching import Explains
from minik8s.virtualtime import wait_meant

T = TypeVar("T", bound=Mapping[str, Any])
AnyCluster: TypeAlias = Cluster | BlockingCluster
Condition = Callable[[list[Any]], object]
"""Of all objects in question, in the order of namespace and name; what it answers counts as true or false."""


@overload
def eventually(
    cluster: Cluster, resource: Resource[T], condition: Condition, *, timeout: float = 30.0, **selection: str
) -> Coroutine[Any, Any, list[T]]: ...
@overload
def eventually(
    cluster: BlockingCluster, resource: Resource[T], condition: Condition, *, timeout: float = 30.0, **selection: str
) -> list[T]: ...
def eventually(
    cluster: AnyCluster, resource: Resource[Any], condition: Condition, *, timeout: float = 30.0, **selection: str
) -> Any:
    """Waits until the condition holds, and answers the objects for which it did.

    `selection` may have namespace, label_selector and field_selector. Raises AssertionError after `timeout` seconds.
    """
    return _in_loop(cluster, _eventually, resource, condition, timeout, selection)


@overload
def consistently(
    cluster: Cluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> Coroutine[Any, Any, None]: ...
@overload
def consistently(
    cluster: BlockingCluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> None: ...
def consistently(
    cluster: AnyCluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> Any:
    """Holds now and in every state for so many seconds. Raises AssertionError with the state in which it did not."""
    return _in_loop(cluster, _throughout, resource, condition, seconds, selection, True)


@overload
def never(
    cluster: Cluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> Coroutine[Any, Any, None]: ...
@overload
def never(
    cluster: BlockingCluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> None: ...
def never(
    cluster: AnyCluster, resource: Resource[Any], condition: Condition, *, seconds: float = 10.0, **selection: str
) -> Any:
    """Holds neither now nor in any state for so many seconds. Raises AssertionError with the state in which it did."""
    return _in_loop(cluster, _throughout, resource, condition, seconds, selection, False)


def _in_loop(cluster: AnyCluster, check: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
    """A coroutine in the test's own loop; the answer itself where the cluster has a thread of its own."""
    if isinstance(cluster, Cluster):
        return check(cluster, *args)
    return cluster.run(check, cluster.cluster, *args)


async def _eventually(
    cluster: Cluster, resource: Resource[T], condition: Condition, timeout: float, selection: Mapping[str, str]
) -> list[T]:
    last: list[T] = []
    wait_meant(timeout)
    with anyio.move_on_after(timeout):
        async with aclosing(_states(cluster, resource, selection)) as states:
            async for last in states:
                if condition(last):
                    return last
    found = f"{_shown(resource, last)}{_difference(condition, last)}"
    raise AssertionError(f"not within {timeout:g} s: {_words(condition)}; last there were {found}")


async def _throughout(
    cluster: Cluster,
    resource: Resource[Any],
    condition: Condition,
    seconds: float,
    selection: Mapping[str, str],
    holds: bool,
) -> None:
    """In every state for so many seconds the condition holds, or does not."""
    wait_meant(seconds)
    with anyio.move_on_after(seconds):
        async with aclosing(_states(cluster, resource, selection)) as states:
            async for state in states:
                if bool(condition(state)) is not holds:
                    what = "did not hold" if holds else "held, and never should"
                    hint = _difference(condition, state) if holds else ""
                    raise AssertionError(f"{what}: {_words(condition)}; there were {_shown(resource, state)}{hint}")


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


def _difference(condition: Condition, objects: list[Any]) -> str:
    """What is not as it was wanted, of a matcher, which can tell; a function cannot."""
    lines: list[str] = condition.differences(objects) if isinstance(condition, Explains) else []
    return "".join(f"\n  {line}" for line in lines)


def _words(condition: Condition) -> str:
    """What is asked for: a function's docstring or its name."""
    doc = (getattr(condition, "__doc__", None) or "").strip().splitlines()
    return doc[0] if doc and hasattr(condition, "__name__") else getattr(condition, "__name__", repr(condition))


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
