"""The endpoint and endpointslice controllers at work, on caches that follow a small API in memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.resource import Resource
from minik8s.api.resources import ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES
from minik8s.client.lister import Indexer, key_of
from minik8s.clock import RealClock
from minik8s.controllers.endpoint import EndpointController
from minik8s.controllers.endpointslice import EndpointSliceController
from minik8s.controllers.manager import run_controllers
from minik8s.controllers.runtime import Context
from minik8s.machinery.errors import ApiError, Forbidden, InternalError, NotFound, StatusCause
from minik8s.machinery.meta import evolve

pytestmark = pytest.mark.anyio


class Cache:
    """An informer whose cache is always fresh."""

    def __init__(self) -> None:
        self.lister: Indexer[Any] = Indexer()
        self.add_index = self.lister.add_index
        self.handlers: list[Callable[[Any, Any], None]] = []

    async def synced(self) -> None:
        await anyio.lowlevel.checkpoint()

    def add_handler(self, handler: Callable[[Any, Any], None]) -> Callable[[], None]:
        for obj in self.lister.all():
            handler(None, obj)
        self.handlers.append(handler)
        return lambda: self.handlers.remove(handler)


class World:
    """An API, its informers and a recorder, as far as two controllers need them."""

    def __init__(self) -> None:
        self.caches: dict[Resource[Any], Cache] = {}
        self.revision = 0
        self.writes: list[str] = []
        self.events: list[tuple[str, str, str]] = []
        self.refusal: ApiError | None = None

    def __call__(self, resource: Resource[Any], *, field_selector: str = "") -> Cache:
        return self.caches.setdefault(resource, Cache())

    def put(self, resource: Resource[Any], obj: dict[str, Any]) -> dict[str, Any]:
        self.revision += 1
        obj = evolve(obj, "metadata", "resourceVersion", value=str(self.revision))
        cache = self(resource)
        old = cache.lister.put(obj)
        cache.lister.advance(self.revision)
        for handler in list(cache.handlers):
            handler(old, obj)
        return obj

    def remove(self, resource: Resource[Any], name: str) -> None:
        cache = self(resource)
        old = cache.lister.remove(("default", name))
        if old is None:
            raise NotFound.object(resource.plural, resource.group, name)
        for handler in list(cache.handlers):
            handler(old, None)

    def as_component(self, agent: str, user: str, *, field_manager: str = "") -> "World":
        return self

    def recorder(self, component: str, host: str = "", client: Any = None) -> "World":
        return self

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.events.append((type, reason, message))

    async def create(self, resource: Resource[Any], obj: dict[str, Any]) -> dict[str, Any]:
        await self._write("create", resource)
        meta = {"uid": f"uid-{self.revision}", "name": f"{obj['metadata'].get('generateName')}{self.revision}"}
        return self.put(resource, obj | {"metadata": meta | obj["metadata"]})

    async def update(self, resource: Resource[Any], obj: dict[str, Any]) -> dict[str, Any]:
        await self._write("update", resource)
        assert self(resource).lister.get(*key_of(obj)[::-1]) is not None
        return self.put(resource, obj)

    async def delete(self, resource: Resource[Any], name: str, *, namespace: str, uid: str = "") -> None:
        await self._write("delete", resource)
        self.remove(resource, name)

    async def _write(self, verb: str, resource: Resource[Any]) -> None:
        await anyio.lowlevel.checkpoint()
        self.writes.append(f"{verb} {resource.plural}")
        if self.refusal is not None:
            raise self.refusal

    @asynccontextmanager
    async def running(self) -> AsyncIterator["World"]:
        context = Context(self, self, RealClock(), Random(1), self, strict=True)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(run_controllers, context, [EndpointController, EndpointSliceController])
                await anyio.wait_all_tasks_blocked()
                yield self
                group.cancel_scope.cancel()

    async def wrote(self) -> list[str]:
        """The writes since the last call, once the controllers have come to rest."""
        await anyio.wait_all_tasks_blocked()
        writes, self.writes = self.writes, []
        return sorted(writes)

    def endpoints(self, name: str = "web") -> list[str]:
        endpoints = self(ENDPOINTS).lister.get(name, "default") or {}
        return [a["ip"] for s in endpoints.get("subsets", ()) for a in s.get("addresses", ())]

    def slice_addresses(self) -> list[str]:
        return sorted(e["addresses"][0] for s in self(ENDPOINT_SLICES).lister.all() for e in s["endpoints"])


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    spec = {"clusterIP": "127.96.0.9", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]} | spec
    meta = {"name": name, "namespace": "default", "uid": f"svc-{name}", "creationTimestamp": "2024-01-01T00:00:00Z"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def pod(number: int, ready: bool = True, node: str = "n1", app: str = "web") -> dict[str, Any]:
    name = f"web-{number}"
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": app, "x": "y"}},
        "spec": {"nodeName": node, "containers": []},
        "status": {
            "phase": "Running",
            "podIP": f"127.64.0.{number}",
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": f"2024-01-01T00:00:{10 + number}Z"}
            ],
        },
    }


@pytest.fixture
def world() -> World:
    result = World()
    result.put(NODES, {"metadata": {"name": "n1"}})
    return result


BOTH = ["endpoints", "endpointslices"]


async def test_pods_come_and_go(world):
    """Both objects follow the pods that the selector matches: appearing, becoming unready, losing the label, going."""
    async with world.running():
        world.put(SERVICES, service())
        assert await world.wrote() == [f"create {kind}" for kind in BOTH]
        world.put(PODS, pod(1))
        world.put(PODS, pod(2))
        world.put(PODS, pod(3, app="other"))
        await world.wrote()
        assert world.endpoints() == world.slice_addresses() == ["127.64.0.1", "127.64.0.2"]
        world.put(PODS, pod(1, ready=False))
        assert await world.wrote() == [f"update {kind}" for kind in BOTH]
        assert world.endpoints() == ["127.64.0.2"]
        world.put(PODS, pod(2, app="other"))
        await world.wrote()
        assert world.slice_addresses() == ["127.64.0.1"]
        world.remove(PODS, "web-1")
        await world.wrote()
        assert world.endpoints() == world.slice_addresses() == []


async def test_what_is_right_is_left_alone(world):
    """A pass that finds everything as it should be writes nothing, and neither do pods nobody selects cause writes."""
    async with world.running():
        world.put(SERVICES, service())
        world.put(PODS, pod(1))
        await world.wrote()
        world.put(PODS, evolve(pod(1), "metadata", "annotations", value={"a": "b"}))
        world.put(PODS, pod(2, app="other"))
        assert await world.wrote() == []


async def test_the_trigger_time_is_that_of_the_change(world):
    """The annotation tells when the pod became ready, not when it was written."""
    async with world.running():
        world.put(SERVICES, service())
        await world.wrote()
        world.put(PODS, pod(1))
        await world.wrote()
        for resource in (ENDPOINTS, ENDPOINT_SLICES):
            (obj,) = world(resource).lister.all()
            assert obj["metadata"]["annotations"] == {
                "endpoints.kubernetes.io/last-change-trigger-time": "2024-01-01T00:00:11Z"
            }


async def test_interference_is_repaired(world):
    """A slice deleted, or Endpoints changed, by somebody else is put right."""
    async with world.running():
        world.put(SERVICES, service())
        world.put(PODS, pod(1))
        await world.wrote()
        (slice_,) = world(ENDPOINT_SLICES).lister.all()
        world.remove(ENDPOINT_SLICES, slice_["metadata"]["name"])
        (endpoints,) = world(ENDPOINTS).lister.all()
        world.put(ENDPOINTS, evolve(endpoints, "subsets", value=None))
        assert await world.wrote() == ["create endpointslices", "update endpoints"]
        assert world.endpoints() == world.slice_addresses() == ["127.64.0.1"]


async def test_a_deleted_service_takes_its_endpoints_with_it(world):
    """Endpoints and owned slices go; a slice that was orphaned stays."""
    async with world.running():
        world.put(SERVICES, service())
        world.put(PODS, pod(1))
        await world.wrote()
        (slice_,) = world(ENDPOINT_SLICES).lister.all()
        orphan = evolve(evolve(slice_, "metadata", "name", value="orphan"), "metadata", "ownerReferences", value=None)
        world.remove(SERVICES, "web")
        world.put(ENDPOINT_SLICES, orphan)
        assert await world.wrote() == [f"delete {kind}" for kind in BOTH]
        assert world(ENDPOINTS).lister.all() == []
        assert [s["metadata"]["name"] for s in world(ENDPOINT_SLICES).lister.all()] == ["orphan"]


async def test_services_without_a_selector_and_endpoints_without_a_service_are_left_alone(world):
    """Hand-made Endpoints and slices are nobody's business but their maker's."""
    async with world.running():
        world.put(SERVICES, service(selector=None))
        world.put(SERVICES, service("ext", type="ExternalName"))
        for name in ("web", "nobody"):
            meta = {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": name}}
            world.put(ENDPOINTS, {"metadata": meta, "subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]})
            world.put(ENDPOINT_SLICES, {"metadata": meta, "endpoints": []})
        world.remove(ENDPOINTS, "nobody")
        assert await world.wrote() == []


async def test_a_pod_waits_for_its_node(world):
    """A pod on a node that is not known becomes an endpoint as soon as the node appears."""
    async with world.running():
        world.put(SERVICES, service())
        world.put(PODS, pod(1, node="n2"))
        await world.wrote()
        assert world.slice_addresses() == []
        world.put(NODES, {"metadata": {"name": "n2"}})
        await world.wrote()
        assert world.slice_addresses() == ["127.64.0.1"]


async def test_failures_are_told_on_the_service(world):
    """A refused write becomes a Warning event with upstream's reason, and is tried again."""
    async with world.running():
        world.refusal = InternalError("boom")
        world.put(SERVICES, service())
        await anyio.wait_all_tasks_blocked()
        assert ("Warning", "FailedToCreateEndpoint", "Failed to create endpoint for service default/web: boom") in (
            world.events
        )
        assert (
            "Warning",
            "FailedToUpdateEndpointSlices",
            "Error updating Endpoint Slices for Service default/web: boom",
        ) in world.events
        world.refusal = None
        while not world(ENDPOINT_SLICES).lister.all() or not world(ENDPOINTS).lister.all():
            await anyio.wait_all_tasks_blocked()


async def test_a_terminating_namespace_is_no_failure(world):
    """Nothing can be made in a namespace that is going away: no event and no second try."""
    async with world.running():
        cause = StatusCause("NamespaceTerminating", "namespace default is being terminated", "metadata.namespace")
        world.refusal = Forbidden("no", causes=[cause])
        world.put(SERVICES, service())
        assert await world.wrote() == [f"create {kind}" for kind in BOTH]
        assert world.events == []
