"""A cluster for code without an event loop: it lives in a thread of its own.

    with BlockingCluster(nodes=1) as cluster:
        cluster.apply("app.yaml")
        pod = cluster.run(cluster.client.get, PODS, "web", namespace="default")

Every call goes to that thread's loop and waits for the answer, so any thread may make it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from minik8s.api.resource import Resource
from minik8s.apiserver.admission.hooks import Hooks
from minik8s.client.client import Client
from minik8s.client.manifests import Source
from minik8s.cluster import Cluster
from minik8s.machinery.meta import Obj
from minik8s.virtualtime import VirtualClock

P = ParamSpec("P")
R = TypeVar("R")


class BlockingCluster:
    """The same cluster as `Cluster`, with calls that wait. Options are those of `Cluster`."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._stack = ExitStack()
        self._portal: BlockingPortal
        self._cluster: Cluster

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            cluster = Cluster(**self._options)
            cluster.in_thread = True
            self._cluster = stack.enter_context(self._portal.wrap_async_context_manager(cluster))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls an async function in the cluster's loop and waits for its result."""

        async def call() -> R:
            clock = self._cluster.clock
            with clock.jumping() if self._cluster.jumps and isinstance(clock, VirtualClock) else nullcontext():
                return await function(*args, **kwargs)

        return self._portal.call(call)

    @property
    def cluster(self) -> Cluster:
        """The cluster itself, which belongs to its thread: call its coroutines through `run`."""
        return self._cluster

    @property
    def client(self) -> Client:
        """The in-process client; its methods belong to the cluster's loop, so call them through `run`."""
        return self._cluster.client

    @property
    def admission(self) -> Hooks:
        """The admission hooks; they are called in the cluster's thread."""
        return self._cluster.admission

    @property
    def kubeconfig(self) -> Path:
        return self._cluster.kubeconfig

    def kubeconfig_for(self, name: str, groups: Sequence[str] = ()) -> Path:
        """As `Cluster.kubeconfig_for`."""
        return self._cluster.kubeconfig_for(name, groups)

    @property
    def url(self) -> str:
        return self._cluster.url

    @property
    def token(self) -> str:
        return self._cluster.token

    def apply(self, source: Source, *, namespace: str = "default") -> list[Obj]:
        """Applies manifests: YAML text, a path, an object or several."""
        return self.run(self._cluster.apply, source, namespace=namespace)

    def wait_for(
        self,
        resource: Resource[Any],
        name: str,
        condition: str | Callable[[Any], bool],
        *,
        namespace: str = "default",
        timeout: float = 30.0,
    ) -> Any:
        """As `Cluster.wait_for`."""
        return self.run(self._cluster.wait_for, resource, name, condition, namespace=namespace, timeout=timeout)

    def settle(self, timeout: float = 5.0) -> None:
        """As `Cluster.settle`."""
        self.run(self._cluster.settle, timeout)

    def advance(self, **duration: float) -> None:
        """As `Cluster.advance`."""
        self.run(self._cluster.advance, **duration)

    def address_of(self, namespace: str, service: str, port: int | str) -> tuple[str, int]:
        """As `Cluster.address_of`."""
        return self.run(self._cluster.address_of, namespace, service, port)
