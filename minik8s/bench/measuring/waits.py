"""Measurements that wait: for pods to run, for controllers to have theirs, for time to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from minik8s.api.resources import PODS
from minik8s.bench.expressions import Value
from minik8s.bench.measuring import Measurement
from minik8s.bench.measuring.pods import is_running
from minik8s.bench.results import Result
from minik8s.bench.world import RunFailed, World
from minik8s.client.informer import Informer
from minik8s.client.lister import Key, key_of
from minik8s.client.manifests import resource_of
from minik8s.machinery.meta import Doc, labels_of
from minik8s.machinery.selectors import LabelSelector


class Bell:
    """Rings when something has changed since one last waited for it."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = anyio.Event()


class Census:
    """How many objects of the run there are and how many of them are as they should be, kept up by a watch."""

    def __init__(
        self,
        world: World,
        selector: LabelSelector,
        bell: Bell,
        settled: Callable[[Any], bool],
        size: Callable[[Any], int],
    ) -> None:
        self._world, self._selector, self._is_settled, self._size = world, selector, settled, size
        self._there: dict[Key, tuple[int, bool]] = {}
        self._bell = bell
        self.size = self.settled = 0

    @property
    def total(self) -> int:
        return len(self._there)

    def see(self, old: Any, new: Any) -> None:
        obj = old if new is None else new
        if not (self._selector.matches(labels_of(obj)) and self._world.is_mine(obj)):
            return
        size, settled = self._there.pop(key_of(obj), (0, False))
        self.size -= size
        self.settled -= settled
        if new is not None:
            entry = self._there[key_of(obj)] = (self._size(new), self._is_settled(new))
            self.size += entry[0]
            self.settled += entry[1]
        self._bell.ring()


class _Waiting(Measurement):
    """What waits for pods."""

    def __init__(self, world: World, identifier: str) -> None:
        super().__init__(world, identifier)
        self._bell = Bell()

    async def _count(self, resource: Any, census: Census) -> Informer[Any]:
        informer = self.world.informers(resource)
        await informer.synced()
        self._undo.append(informer.add_handler(census.see))
        return informer

    def _pods(self, selector: LabelSelector) -> Census:
        return Census(self.world, selector, self._bell, lambda p: is_running(p) and not _is_ending(p), lambda _: 1)


class WaitForControlledPodsRunning(_Waiting):
    """Done when the controllers that the selector means have seen their last change, and exactly as many pods are there
    as they want together, all of them running. Pods bear the labels of their controllers, as in clusterloader2's own
    scenarios. What was deleted has to be gone."""

    method = "WaitForControlledPodsRunning"

    async def start(self, params: Mapping[str, Value]) -> None:
        self.close()
        self._timeout = float(params["operationTimeout"])
        selector = LabelSelector.parse(str(params["labelSelector"]))
        self._resource = await resource_of(
            self.world.plain, {"apiVersion": params["apiVersion"], "kind": params["kind"]}
        )
        self._controllers = Census(self.world, selector, self._bell, has_settled, wanted)
        self._running = self._pods(selector)
        self._lister = (await self._count(self._resource, self._controllers)).lister
        await self._count(PODS, self._running)

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        """May be called again after more changes."""
        with anyio.move_on_after(self._timeout) as scope:
            await self._lister.caught_up(self.world.written.revisions.get(self._resource, 0))
            while not self._is_done():
                self.world.progress.say(self._state())
                await self._bell.wait()
        if scope.cancelled_caught:
            raise RunFailed(f"{self.identifier}: after {self._timeout:g} s there are {self._state()}")
        return ()

    def _is_done(self) -> bool:
        pods, controllers = self._running, self._controllers
        gone = self.world.written.gone.get(self._resource, ())
        return (
            controllers.settled == controllers.total
            and pods.total == pods.settled == controllers.size
            and not any(self._lister.get(name, namespace) for namespace, name in gone)
        )

    def _state(self) -> str:
        pods, controllers = self._running, self._controllers
        return (
            f"{pods.settled} running pods of {pods.total}, where {controllers.total} {self._resource.plural} "
            f"want {controllers.size}"
        )


class WaitForRunningPods(_Waiting):
    """Done when so many pods run."""

    method = "WaitForRunningPods"

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        wanted, timeout = int(params["desiredPodCount"]), float(params["timeout"])
        pods = self._pods(LabelSelector.parse(str(params["labelSelector"])))
        with anyio.move_on_after(timeout) as scope:
            informer = await self._count(PODS, pods)
            await informer.lister.caught_up(self.world.written.revisions.get(PODS, 0))
            while pods.settled != wanted:
                self.world.progress.say(f"{pods.settled} of {wanted} pods run")
                await self._bell.wait()
        self.close()
        if scope.cancelled_caught:
            raise RunFailed(f"{self.identifier}: after {timeout:g} s {pods.settled} of {wanted} pods run")
        return ()


class Sleep(Measurement):
    """Lets the cluster's time pass."""

    method = "Sleep"

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        self.world.progress.say(f"{params['duration']:g} s pass")
        await self.world.clock.sleep(float(params["duration"]))
        return ()


def _is_ending(obj: Doc) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))


def wanted(controller: Doc) -> int:
    """How many pods a controller is to have: its replicas, a Job's completions, a DaemonSet's nodes."""
    spec, status = controller.get("spec") or {}, controller.get("status") or {}
    if _is_ending(controller):
        return 0
    if controller.get("kind") == "DaemonSet":
        return int(status.get("desiredNumberScheduled", 0))
    if controller.get("kind") == "Job":
        return int(spec.get("completions") or spec.get("parallelism") or 1)
    return int(spec.get("replicas", 1))


def has_settled(controller: Doc) -> bool:
    """Whether its status is about its present state, and no pod of an older one is counted."""
    status, generation = controller.get("status") or {}, controller["metadata"].get("generation", 0)
    if _is_ending(controller) or status.get("observedGeneration", 0) < generation:
        return False
    if controller.get("kind") in ("Deployment", "StatefulSet"):
        return int(status.get("updatedReplicas", 0)) == wanted(controller)
    return True
