"""Waiting for an object to become something, by watching it.

A condition is the type of a status condition that has to be True (`"Available"`), `"Deleted"`, or a function of the
object. What does not come in time is an error that shows the last state seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import anyio
import orjson

from minik8s.api.resource import Resource
from minik8s.client.client import Client
from minik8s.machinery.errors import ApiError, Expired
from minik8s.machinery.meta import Doc, is_condition_true

T = TypeVar("T", bound=Mapping[str, Any])
DELETED = "Deleted"


class WaitTimeout(TimeoutError):
    """The condition did not come true in time; `last` is the object as it was seen last, None if never."""

    def __init__(self, what: str, seconds: float, last: Doc | None) -> None:
        shown = "it does not exist" if last is None else f"its status is {_shown(last)}"
        super().__init__(f"{what} within {seconds:g} s; {shown}")
        self.last = last


async def wait_for(
    client: Client,
    resource: Resource[T],
    name: str,
    condition: str | Callable[[T], bool],
    *,
    namespace: str = "",
    timeout: float = 30.0,
) -> T:
    """The object once the condition holds; for "Deleted" its last state. Raises WaitTimeout (seconds) and ApiError.

    An object that does not exist yet is waited for.
    """
    last: list[Any] = [None]
    with anyio.move_on_after(timeout):
        while True:
            try:
                return await _watch_until(client, resource, name, condition, namespace, last)
            except Expired:
                continue
    what = condition if isinstance(condition, str) else getattr(condition, "__name__", "the condition")
    where = f"{namespace}/{name}" if namespace else name
    raise WaitTimeout(f"{resource.singular} {where} did not reach {what}", timeout, last[0])


async def _watch_until(
    client: Client,
    resource: Resource[Any],
    name: str,
    condition: str | Callable[[Any], bool],
    namespace: str,
    last: list[Any],
) -> Any:
    selector = f"metadata.name={name}"
    while True:
        found = await client.list(resource, namespace=namespace, field_selector=selector)
        if found.items:
            last[0] = found.items[0]
        elif condition == DELETED:
            return last[0]
        if found.items and _holds(condition, found.items[0]):
            return found.items[0]
        async with client.watch_batches(
            resource, namespace=namespace, field_selector=selector, resource_version=found.resource_version
        ) as batches:
            async for batch in batches:
                for event in batch:
                    if event.type == "ERROR":
                        raise ApiError.from_status(event.object)
                    gone = event.type == "DELETED"
                    last[0] = event.object
                    if (gone and condition == DELETED) or (not gone and _holds(condition, event.object)):
                        return event.object


def _holds(condition: str | Callable[[Any], bool], obj: Doc) -> bool:
    if callable(condition):
        return condition(obj)
    return condition != DELETED and is_condition_true(obj, condition)


def _shown(obj: Doc) -> str:
    return orjson.dumps(obj.get("status") or {}).decode()
