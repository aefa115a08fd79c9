"""Waiting for an object to become something."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from minik8s.api.resources import CONFIG_MAPS, NODES
from minik8s.client.client import Client
from minik8s.client.waiting import WaitTimeout, wait_for
from minik8s.cluster import Cluster

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """The client of a control plane alone."""
    options: Any = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "controllers": ()}
    with anyio.fail_after(20):
        async with Cluster(freeze=True, **options) as running:
            yield running.client


async def config(client: Client, **data: str) -> None:
    await client.create(CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "default"}, "data": data})


def has(key: str) -> Callable[[Any], bool]:
    return lambda obj: key in obj.get("data", {})


async def test_what_holds_already(client: Client) -> None:
    """An object that is as wanted is answered at once."""
    await config(client, a="1")
    found = await wait_for(client, CONFIG_MAPS, "c", has("a"), namespace="default")
    assert found["data"] == {"a": "1"}


async def test_what_comes_later(client: Client) -> None:
    """An object that does not exist yet, and then is not as wanted yet, is waited for."""
    async with anyio.create_task_group() as group:
        seen: list[Any] = []

        async def wait() -> None:
            seen.append(await wait_for(client, CONFIG_MAPS, "c", has("b"), namespace="default"))

        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await config(client, a="1")
        await client.patch(CONFIG_MAPS, "c", {"data": {"b": "2"}}, namespace="default")
    assert seen[0]["data"] == {"a": "1", "b": "2"}


async def test_deletion(client: Client) -> None:
    """ "Deleted" is the object's last state, or at once None for one that never was."""
    assert await wait_for(client, CONFIG_MAPS, "c", "Deleted", namespace="default") is None
    await config(client, a="1")
    async with anyio.create_task_group() as group:
        seen: list[Any] = []

        async def wait() -> None:
            seen.append(await wait_for(client, CONFIG_MAPS, "c", "Deleted", namespace="default"))

        group.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await client.delete(CONFIG_MAPS, "c", namespace="default")
    assert seen[0]["data"] == {"a": "1"}


async def test_conditions(client: Client) -> None:
    """A condition's type means that its status is "True"."""
    await client.create(NODES, {"metadata": {"name": "n"}})
    async with anyio.create_task_group() as group:
        seen: list[Any] = []

        async def wait() -> None:
            seen.append(await wait_for(client, NODES, "n", "Ready"))

        group.start_soon(wait)
        for status in ("False", "Unknown", "True"):
            conditions = [{"type": "Ready", "status": status}]
            await client.patch(NODES, "n", {"status": {"conditions": conditions}}, subresource="status")
    assert seen[0]["status"]["conditions"][0]["status"] == "True"


@pytest.mark.parametrize(("exists", "says"), [(False, "it does not exist"), (True, "its status is {}")])
async def test_in_vain(client: Client, exists: bool, says: str) -> None:
    """What does not come in time is a TimeoutError that says what was waited for and what was seen last."""
    if exists:
        await config(client, a="1")
    with pytest.raises(TimeoutError) as caught:
        await wait_for(client, CONFIG_MAPS, "c", "Ready", namespace="default", timeout=0.01)
    assert isinstance(caught.value, WaitTimeout)
    assert str(caught.value) == f"configmap default/c did not reach Ready within 0.01 s; {says}"
    assert (caught.value.last is not None) is exists
