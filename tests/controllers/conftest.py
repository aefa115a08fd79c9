"""A cluster's API server and some of its controllers, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from random import Random
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from minik8s.api.resource import Resource
from minik8s.api.resources import BUILTIN, EVENTS
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.cluster import Cluster
from minik8s.controllers.manager import ControllerManager
from minik8s.controllers.runtime import Context, Controller
from minik8s.machinery.errors import AlreadyExists, NotFound

RESOURCES = {resource.plural: resource for resource in reversed(BUILTIN)}
FOR_NODES = ("nodelifecycle",)
"""Controllers without which no pod is scheduled: nodes begin with a taint."""


class World:
    """What a scenario acts on. `ca` is the bundle that is published."""

    def __init__(self, cluster: Cluster, clock: Clock, ca: str, strict: bool) -> None:
        self.clock = clock
        self.client: Client = cluster.client
        self.rng = Random(1)
        self.informers = Informers(self.client, clock, self.rng)
        self.recorders = Recorders(self.client, clock, self.rng)
        served = cluster._context.registry
        self.stale: list[str] = []  # group versions that do not answer
        self.context = Context(
            self.client,
            self.informers,
            clock,
            self.rng,
            self.recorders,
            strict=strict,
            root_ca=ca,
            resources=lambda: served.known,
            stale=lambda: self.stale,
        )
        self.manager: ControllerManager
        self.group: TaskGroup

    async def add(self, plural: str, name: str, namespace: str = "", **parts: Any) -> Any:
        if plural == "pods":  # admission wants the account that a pod runs as
            with suppress(AlreadyExists):
                await self.add("serviceaccounts", "default", namespace)
        metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **parts.pop("metadata", {})}
        if plural == "pods" and not await self.get("serviceaccounts", "default", namespace):
            account = {"metadata": {"name": "default", "namespace": namespace}}
            await self.client.create(RESOURCES["serviceaccounts"], account)  # no pod without one
        return await self.client.create(RESOURCES[plural], {"metadata": metadata, **parts})

    async def get(self, plural: str, name: str, namespace: str = "") -> Any:
        """The object, None when there is none."""
        try:
            return await self.client.get(RESOURCES[plural], name, namespace=namespace)
        except NotFound:
            return None

    async def until(self, condition: Callable[[], Any], seconds: float = 3600) -> Any:
        """Waits for an awaited condition to be true; looks ten times a (virtual) second."""
        with anyio.fail_after(seconds):
            while not (result := await condition()):
                await self.clock.sleep(0.1)
        return result

    async def until_gone(self, plural: str, name: str, namespace: str = "") -> None:
        async def gone() -> bool:
            return await self.get(plural, name, namespace) is None

        await self.until(gone)

    async def until_there(self, plural: str, name: str, namespace: str = "") -> Any:
        return await self.until(lambda: self.get(plural, name, namespace))

    async def quiet(self, seconds: float = 5) -> None:
        """Lets everybody finish what there is to do."""
        await self.clock.sleep(seconds)

    async def events(self, reason: str) -> list[Any]:
        return [event for event in (await self.client.list(EVENTS)).items if event["reason"] == reason]

    def resource(self, plural: str) -> Resource[Any]:
        return RESOURCES[plural]


Start = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def start() -> Start:
    """`start(clock, *controllers)` is a world in which those controllers run, strict about bugs.

    With `nodes` it has so many of them, on which pods are scheduled and run as their annotations say.
    """

    @asynccontextmanager
    async def run(
        clock: Clock, *kinds: type[Controller[Any]], ca: str = "PEM", strict: bool = True, nodes: int = 0
    ) -> AsyncIterator[World]:
        options: Any = {"nodes": nodes, "serve": False, "proxy": False, "scheduler": nodes > 0}
        options |= {"runtime": "simulated", "controllers": FOR_NODES if nodes else ()}
        async with Cluster(clock=clock, freeze=True, seed=1, **options) as cluster:
            world = World(cluster, clock, ca, strict)
            world.manager = ControllerManager(world.context, kinds)
            if "serviceaccount" not in {kind.name for kind in kinds}:
                await world.add("serviceaccounts", "default", "default")  # no pod without one
            async with anyio.create_task_group() as group:
                world.group = group
                group.start_soon(world.informers.run)
                group.start_soon(world.recorders.run)
                group.start_soon(world.manager.run)
                yield world
                group.cancel_scope.cancel()

    return run
