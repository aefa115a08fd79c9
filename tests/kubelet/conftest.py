"""A world for kubelets: an API server of dictionaries, simulated containers, and time that jumps.

The loop's idle wait advances its clock instead of sleeping, so hours of back-off and grace pass in milliseconds and
every time in a test is exact.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.request import ApiRequest, ListResult, WatchEvent
from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.kubelet.kubelet import Kubelet
from minik8s.kubelet.runtime.addresses import AddressPool, no_claim
from minik8s.kubelet.runtime.behaviour import Behaviour
from minik8s.kubelet.runtime.simulated import SimulatedRuntime
from minik8s.machinery.errors import AlreadyExists, Conflict, NotFound
from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import copy_document
from minik8s.machinery.patch.mergepatch import apply_merge_patch
from minik8s.machinery.patch.strategic import apply_strategic
from minik8s.testing.clocks import run_virtually
from minik8s.virtualtime import VirtualClock


class Recorder:
    """Remembers events as (reason, message)."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.paths: dict[str, str] = {}

    def recorder(self, component: str, host: str = "", client: Any = None) -> Recorder:
        return self

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append((type, reason, message))
        self.paths[reason] = field_path

    def reasons(self) -> list[str]:
        return [reason for _, reason, _ in self.events]

    def messages(self, reason: str) -> list[str]:
        return [message for _, r, message in self.events if r == reason]


class DictTransport:
    """Just enough of an API server: one dictionary, one revision, watches."""

    def __init__(self, clock: VirtualClock) -> None:
        self.objects: dict[tuple[str, str, str], Any] = {}
        self.revision = 0
        self.log: list[tuple[int, str, WatchEvent]] = []
        self.grown = anyio.Event()
        self.clock = clock
        self.requests: list[ApiRequest] = []
        self.tokens = 0

    def key(self, request: ApiRequest, name: str = "") -> tuple[str, str, str]:
        namespace = request.namespace if request.resource.namespaced else ""
        return request.resource.group_resource, namespace, name or request.name

    async def call(self, request: ApiRequest) -> Any:
        self.requests.append(request)
        return getattr(self, request.verb)(request)

    def find(self, request: ApiRequest) -> Any:
        found = self.objects.get(self.key(request))
        if found is None:
            raise NotFound.object(request.resource.plural, request.resource.group, request.name)
        return found

    get = find

    def create(self, request: ApiRequest) -> Any:
        if request.subresource == "token":
            self.tokens += 1
            end = (self.clock.now() + timedelta(seconds=request.body["spec"]["expirationSeconds"])).isoformat()
            return {"status": {"token": f"token-{self.tokens}", "expirationTimestamp": end}}
        name = request.body["metadata"]["name"]
        if self.key(request, name) in self.objects:
            raise AlreadyExists.object(request.resource.plural, request.resource.group, name)
        meta = {"uid": f"uid-{self.revision + 1}", "generation": 1, **request.body["metadata"]}
        return self.store(self.key(request, name), {**copy_document(request.body), "metadata": meta}, "ADDED")

    def update(self, request: ApiRequest) -> Any:
        self.find(request)
        return self.store(self.key(request), copy_document(request.body), "MODIFIED")

    def patch(self, request: ApiRequest) -> Any:
        old = self.find(request)
        uid = request.body.get("metadata", {}).get("uid")
        if uid and uid != old["metadata"]["uid"]:
            raise Conflict.modified(request.resource.plural, request.resource.group, request.name)
        if "strategic" in request.content_type:
            new = apply_strategic(old, request.body, request.resource.type)
        else:
            new = apply_merge_patch(old, request.body)
        return self.store(self.key(request), copy_document(new), "MODIFIED")

    def delete(self, request: ApiRequest) -> Any:
        old = copy_document(self.find(request))
        grace = request.body.get("gracePeriodSeconds")
        wanted = request.body.get("preconditions", {}).get("uid")
        if wanted and wanted != old["metadata"]["uid"]:
            raise Conflict.modified(request.resource.plural, request.resource.group, request.name)
        if request.resource is PODS and grace != 0:
            grace = old["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
            old["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": grace}
            return self.store(self.key(request), old, "MODIFIED")
        self.store(self.key(request), old, "DELETED")
        del self.objects[self.key(request)]
        return old

    def store(self, key: tuple[str, str, str], obj: Any, type_: Any) -> Any:
        self.revision += 1
        obj["metadata"]["resourceVersion"] = str(self.revision)
        self.objects[key] = frozen = freeze(obj)
        self.log.append((self.revision, key[0], WatchEvent(type_, frozen)))
        self.grown.set()
        self.grown = anyio.Event()
        return frozen

    async def list(self, request: ApiRequest) -> ListResult:
        items = [obj for key, obj in self.objects.items() if key[0] == request.resource.group_resource]
        return ListResult(items, str(self.revision))

    @asynccontextmanager
    async def watch(self, request: ApiRequest) -> AsyncIterator[AsyncIterator[list[WatchEvent]]]:
        async def stream() -> AsyncIterator[list[WatchEvent]]:
            position = 0
            after = int(request.options.get("resourceVersion") or 0)
            while True:
                grown, batch = self.grown, self.log[position:]
                position = len(self.log)
                mine = [e for rev, name, e in batch if rev > after and name == request.resource.group_resource]
                if mine:
                    yield mine
                await grown.wait()

        yield stream()

    def stream(self, request: ApiRequest) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None: ...


def holds(condition: Callable[[], Any]) -> bool:
    """What looks at a field that is not there yet does not hold yet."""
    try:
        return bool(condition())
    except (KeyError, StopIteration):
        return False


class World:
    """One node and everything around it."""

    def __init__(
        self, clock: VirtualClock, directory: Path, behaviours: dict[str, Behaviour], missing: tuple[str, ...]
    ) -> None:
        self.clock = clock
        self.api = DictTransport(self.clock)
        self.client = Client(self.api)
        self.informers = Informers(self.client, self.clock)
        self.recorder = Recorder()
        self.directory = directory
        self.runtime = self.new_runtime(behaviours, missing)
        self.kubelet = self.new_kubelet()

    def new_runtime(self, behaviours: dict[str, Behaviour], missing: tuple[str, ...] = ()) -> SimulatedRuntime:
        return SimulatedRuntime(
            clock=self.clock,
            rng=Random(1),
            addresses=AddressPool("10.64.0.0/16", Random(3), no_claim),
            behaviours=behaviours,
            missing=missing,
        )

    def new_kubelet(self, **options: Any) -> Kubelet:
        known: dict[str, Any] = {
            "node_name": "n1",
            "client": self.client,
            "informers": self.informers,
            "clock": self.clock,
            "rng": Random(2),
            "recorders": self.recorder,
            "runtime": self.runtime,
            "directory": self.directory,
            "address": "10.0.0.1",
        }
        return Kubelet(**{**known, **options})

    async def add(self, resource: Any, obj: dict[str, Any], namespace: str = "default") -> Any:
        return await self.client.create(resource, obj, namespace=namespace if resource.namespaced else "")

    async def run_pod(self, spec: dict[str, Any], name: str = "p", **meta: Any) -> Any:
        spec = {"nodeName": "n1", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, **spec}
        return await self.add(
            PODS,
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": "default", **meta},
                "spec": spec,
                "status": {"phase": "Pending", "qosClass": "BestEffort"},
            },
        )

    def pod(self, name: str = "p") -> Any:
        """The pod as the API has it, None when it is gone."""
        return self.api.objects.get(("pods", "default", name))

    def status(self, container: str, name: str = "p") -> Any:
        status = self.pod(name)["status"]
        every = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
        every += status.get("ephemeralContainerStatuses", [])
        return next(s for s in every if s["name"] == container)

    def runs(self, container: str) -> Any:
        """The runs of the one pod's container that the kubelet remembers."""
        [worker] = self.kubelet.workers.values()
        return worker.containers[container].runs

    def runtime_env(self, container: str) -> Any:
        return self.runs(container)[-1].config.env

    def last(self, name: str) -> Any:
        """The last state of a pod, also of a deleted one."""
        return [e.object for _, kind, e in self.api.log if kind == "pods" and e.object["metadata"]["name"] == name][-1]

    async def until(self, condition: Callable[[], Any], seconds: float = 3600) -> None:
        """Waits until the API's state fulfils the condition; virtual seconds."""
        with anyio.fail_after(seconds):
            while not holds(condition):
                await self.api.grown.wait()

    async def until_phase(self, phase: str, name: str = "p") -> None:
        await self.until(lambda: self.pod(name)["status"].get("phase") == phase)

    @property
    def elapsed(self) -> float:
        return self.clock.elapsed

    @asynccontextmanager
    async def running(self, kubelet: Kubelet | None = None) -> AsyncIterator[World]:
        kubelet = kubelet or self.kubelet
        async with anyio.create_task_group() as group:
            group.start_soon(self.informers.run)
            group.start_soon(kubelet.run)
            await self.until(lambda: ("nodes", "", "n1") in self.api.objects)
            await self.until(lambda: "status" in self.api.objects["nodes", "", "n1"])
            yield self
            group.cancel_scope.cancel()


Scenario = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., None]:
    """Plays a scenario in a fresh world with a running kubelet, in virtual time."""

    def run(
        scenario: Scenario,
        behaviours: dict[str, Behaviour] | None = None,
        missing: tuple[str, ...] = (),
        started: bool = True,
    ) -> None:
        async def body(clock: VirtualClock) -> None:
            world = World(clock, tmp_path, behaviours or {}, missing)
            if not started:
                await scenario(world)
                return
            async with world.running():
                await scenario(world)

        run_virtually(body)

    return run
