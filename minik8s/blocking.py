"""A cluster for code without an event loop: it lives in a thread of its own.

    with BlockingCluster(nodes=1) as cluster:
        cluster.apply("app.yaml")
        pod = cluster.run(cluster.client.get, PODS, "web", namespace="default")

Every call goes to that thread's loop and waits for the answer, so any thread may make it. What a `Cluster` has this has
by the same name: each is derived from the original by one line below, from which it takes its signature, its types and
its documentation. What those answer with and has coroutines of its own (the client, `at`) is called through `run`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack, nullcontext
from functools import partial, wraps
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from minik8s.cluster import Cluster
from minik8s.virtualtime import VirtualClock

if TYPE_CHECKING:
    import httpx

    from minik8s.faults import Faults

P = ParamSpec("P")
R = TypeVar("R")


def _waiting(
    method: Callable[Concatenate[Cluster, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[BlockingCluster, P], R]:
    """A coroutine of `Cluster` as a method that waits."""

    @wraps(method)
    def call(self: BlockingCluster, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(partial(method, self.cluster), *args, **kwargs)

    return call


def _inside(method: Callable[Concatenate[Cluster, P], R]) -> Callable[Concatenate[BlockingCluster, P], R]:
    """A method of `Cluster` that is called in the cluster's thread, between whatever happens there."""

    @wraps(method)
    def call(self: BlockingCluster, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.portal.call(partial(method, self.cluster, *args, **kwargs))

    return call


class _Same(Generic[R]):
    """An attribute of `Cluster`."""

    def __init__(self, read: Callable[[Cluster], R]) -> None:
        self._read = read

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: BlockingCluster, owner: type) -> R: ...
    def __get__(self, instance: BlockingCluster | None, owner: type) -> R | Self:
        return self if instance is None else self._read(instance.cluster)


RUNNING: set[BlockingCluster] = set()
"""The clusters that have a thread now."""


class BlockingCluster:
    """The same cluster as `Cluster`, with calls that wait. Options are those of `Cluster`."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._make: Callable[[], Cluster] = partial(Cluster, *args, **options)
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._cluster: Cluster | None = None
        self._http: httpx.Client | None = None
        self._thread = 0

    @classmethod
    def around(cls, cluster: Cluster) -> Self:
        """Takes over a cluster that nobody has entered."""
        blocking = cls()
        blocking._make = lambda: cluster
        return blocking

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            cluster = self._make()
            cluster.in_thread = True
            self._portal = stack.enter_context(start_blocking_portal("asyncio"))
            RUNNING.add(self)
            stack.callback(RUNNING.discard, self)
            stack.callback(self._close_http)
            self._cluster = cluster
            stack.enter_context(self._portal.wrap_async_context_manager(cluster))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def run(self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls an async function in the cluster's loop and waits for its result."""

        async def call() -> R:
            clock = self.cluster.clock
            with clock.jumping() if self.cluster.jumps and isinstance(clock, VirtualClock) else nullcontext():
                return await function(*args, **kwargs)

        return self.portal.call(call)

    @property
    def cluster(self) -> Cluster:
        """The cluster itself, which belongs to its thread: call its coroutines through `run`."""
        if self._cluster is None:
            raise RuntimeError("this cluster does not run: it is there inside of `with BlockingCluster() as cluster`")
        return self._cluster

    @property
    def portal(self) -> BlockingPortal:
        """The way into the cluster's loop."""
        if self._portal is None:
            raise RuntimeError("this cluster does not run: it is there inside of `with BlockingCluster() as cluster`")
        return self._portal

    @classmethod
    def restore(cls, path: Path | str, **options: Any) -> BlockingCluster:
        """As `Cluster.restore`."""
        return cls(origin=path, **options)

    def fork(self, **options: Any) -> BlockingCluster:
        """As `Cluster.fork`; the branch has a thread of its own."""
        return BlockingCluster.around(_inside(Cluster.fork)(self, **options))

    @property
    def http(self) -> httpx.Client:
        """As `Cluster.http`, for one thread at a time."""
        if self._http is None:
            from minik8s.client.asgi import blocking_client

            self._http = blocking_client(self.portal.call(lambda: self.cluster.http), self.portal.call)
        return self._http

    @property
    def faults(self) -> Faults:
        """As `Cluster.faults`; what befalls nodes and components is done in the cluster's loop."""
        faults = self.cluster.faults
        if not self._thread:
            self._thread = self.portal.call(get_ident)
            faults.inside = self._in_thread
        return faults

    def _in_thread(self, act: Callable[[], object]) -> object:
        if self._thread == get_ident():
            return act()
        return self.portal.call(act)

    def service_http(self) -> httpx.Client:
        """As `Cluster.service_http`, for one thread at a time; close it, or use it as a context manager."""
        from minik8s.client.asgi import blocking_client

        return blocking_client(self.portal.call(self.cluster.service_http), self.portal.call)

    def _close_http(self) -> None:
        if self._http is not None:
            self._http.close()

    apply = _waiting(Cluster.apply)
    wait_for = _waiting(Cluster.wait_for)
    settle = _waiting(Cluster.settle)
    advance = _waiting(Cluster.advance)
    address_of = _waiting(Cluster.address_of)
    why = _waiting(Cluster.why)

    at = _inside(Cluster.at)
    history = _inside(Cluster.history)
    snapshot = _inside(Cluster.snapshot)
    export = _inside(Cluster.export)
    intercept = _inside(Cluster.intercept)
    busy = _inside(Cluster.busy)
    watch_queues = _inside(Cluster.watch_queues)
    recording = _inside(Cluster.recording)
    kubeconfig_for = _inside(Cluster.kubeconfig_for)
    front_proxy_certificate = _inside(Cluster.front_proxy_certificate)

    client = _Same(lambda cluster: cluster.client)
    """The in-process client; its methods belong to the cluster's loop, so call them through `run`."""
    admission = _Same(lambda cluster: cluster.admission)
    """The admission hooks; they are called in the cluster's thread."""
    audit = _Same(lambda cluster: cluster.audit)
    world = _Same(lambda cluster: cluster.world)
    revision = _Same(lambda cluster: cluster.revision)
    clock = _Same(lambda cluster: cluster.clock)
    config = _Same(lambda cluster: cluster.config)
    seed = _Same(lambda cluster: cluster.seed)
    rng = _Same(lambda cluster: cluster.rng)
    directory = _Same(lambda cluster: cluster.directory)
    url = _Same(lambda cluster: cluster.url)
    token = _Same(lambda cluster: cluster.token)
    ca_bundle = _Same(lambda cluster: cluster.ca_bundle)
    credentials = _Same(lambda cluster: cluster.credentials)
    kubeconfig = _Same(lambda cluster: cluster.kubeconfig)
    dns_address = _Same(lambda cluster: cluster.dns_address)
    ingress = _Same(lambda cluster: cluster.ingress)
    nodes = _Same(lambda cluster: cluster.nodes)
    informers = _Same(lambda cluster: cluster.informers)
    jumps = _Same(lambda cluster: cluster.jumps)
