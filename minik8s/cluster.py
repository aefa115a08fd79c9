"""The composition root: a whole cluster as one async context manager.

It reads as the task tree. Everything that runs belongs to one task group: informers and event recorders, controllers,
scheduler, kubelets, proxy; the API server itself is no task, only a socket if it serves one. When the `async with`
ends, by whatever way, the group is cancelled and nothing is left: no task, process, socket or file.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import anyio.to_thread
import attrs
import httpx
from anyio.abc import TaskGroup

from minik8s.api.resource import Resource
from minik8s.apiserver.admission import builtin_plugins
from minik8s.apiserver.allocation import ServiceAllocator
from minik8s.apiserver.bootstrap import bootstrap, publish_address
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.pki import Authority, server_context
from minik8s.apiserver.registry import Registry
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.client.asgi import AppTransport
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.client.inprocess import InProcessTransport
from minik8s.client.kubeconfig import kubeconfig_document
from minik8s.client.manifests import apply_manifests
from minik8s.client.waiting import wait_for
from minik8s.clock import Clock, RealClock
from minik8s.config import ClusterConfig
from minik8s.machinery.meta import Doc, Obj, is_condition_true
from minik8s.nodes import NodePool
from minik8s.schema import codec
from minik8s.store import MemoryStore

T = TypeVar("T", bound=Mapping[str, Any])


class Cluster:
    """A Kubernetes cluster in the running event loop.

        async with Cluster(nodes=3) as cluster:
            await cluster.apply("deployment.yaml")
            await cluster.wait_for(DEPLOYMENTS, "web", "Available")

    Options are those of `ClusterConfig`. `clock` replaces the real one.
    """

    def __init__(self, config: ClusterConfig | None = None, *, clock: Clock | None = None, **options: Any) -> None:
        self.config = attrs.evolve(config, **options) if config else ClusterConfig(**options)
        self.clock: Clock = clock or RealClock()
        self.seed: int = secrets.randbits(63) if self.config.seed is None else self.config.seed
        self.rng = Random(self.seed)
        self.token = secrets.token_urlsafe(24)
        self.directory = Path()
        self.url = ""
        self.client: Client
        self.http: httpx.AsyncClient
        self.informers: Informers
        self._context = self._server()
        self._authority: Authority | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stack.__aexit__(kind, error, trace)

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for this cluster alone, in its own directory. Raises RuntimeError if it serves no socket."""
        path = self.directory / "kubeconfig"
        if not path.exists():
            if not self.url:
                raise RuntimeError("a cluster with serve=False has no address that a kubeconfig could name")
            write_kubeconfig(path, self.credentials)
        return path

    @property
    def credentials(self) -> ClusterCredentials:
        """Where this cluster is and how to be its administrator."""
        return ClusterCredentials(name="minik8s", server=self.url, ca=self.ca_bundle, token=self.token)

    @property
    def ca_bundle(self) -> bytes:
        """The PEM certificate of the cluster's CA; made when first needed."""
        if self._authority is None:
            self._authority = Authority.create(self.clock.now())
        return self._authority.pem

    async def apply(self, source: Source, *, namespace: str = "default") -> list[Obj]:
        """Applies manifests: YAML text, a path, an object or several. Answers the resulting objects."""
        return await apply_manifests(self.client, source, namespace=namespace)

    async def wait_for(
        self,
        resource: Resource[T],
        name: str,
        condition: str | Callable[[T], bool],
        *,
        namespace: str = "default",
        timeout: float = 30.0,
    ) -> T:
        """Waits until a status condition is True ("Available"), the object is "Deleted", or a function holds.

        `timeout` is in seconds; raises WaitTimeout with the last state seen.
        """
        where = namespace if resource.namespaced else ""
        return await wait_for(self.client, resource, name, condition, namespace=where, timeout=timeout)

    def _server(self) -> ServerContext:
        config, registry = self.config, Registry()
        codec = DocumentCodec(registry.indexed, frozen=config.freeze)
        tokens = TokenIssuer()
        tokens.add_admin(self.token)
        return ServerContext(
            store=MemoryStore(codec, history=config.history),
            registry=registry,
            clock=self.clock,
            rng=self.rng,
            plugins=builtin_plugins(self.rng),
            services=ServiceAllocator(config.service_cidr, config.node_port_range, self.rng),
            tokens=tokens,
            anonymous=ANONYMOUS if config.tls else ADMIN,  # client-go sends no credentials over plain HTTP
        )

    async def _start(self, stack: AsyncExitStack) -> None:
        """Enters everything in the order in which the rest needs it; the stack leaves it in reverse."""
        self.directory = self._make_directory(stack)
        context, app = self._context, HttpApp(self._context)
        await bootstrap(context)
        self.client = Client(InProcessTransport(partial(dispatch, context)))
        exchanges = await stack.enter_async_context(_task_group())
        self.http = await stack.enter_async_context(self._http_client(app, exchanges))
        if self.config.serve:
            await self._listen(stack, app)
        stack.push_async_callback(context.store.aclose)  # ends the watches, so that the socket can close at once
        await self._run_components(await stack.enter_async_context(_task_group()))

    def _make_directory(self, stack: AsyncExitStack) -> Path:
        if self.config.directory is not None:
            self.config.directory.mkdir(parents=True, exist_ok=True)
            return self.config.directory
        return Path(stack.enter_context(TemporaryDirectory(prefix="minik8s-", ignore_cleanup_errors=True)))

    def _http_client(self, app: HttpApp, group: TaskGroup) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.AsyncClient(
            transport=AppTransport(app, group), base_url="http://minik8s", headers=headers, timeout=None
        )

    async def _listen(self, stack: AsyncExitStack, app: HttpApp) -> None:
        config = self.config
        sock = listen(config.host, config.port)
        host, port = sock.getsockname()[:2]
        tls = None
        if config.tls:
            self._authority = Authority.create(self.clock.now())
            addresses = [host, "127.0.0.1", self._context.services.api_server_address]
            pair = self._authority.issue_serving(self.clock.now(), addresses)
            tls = server_context(pair, self.directory)
        await stack.enter_async_context(serve(app, sock, tls))
        self.url = f"{'https' if tls else 'http'}://{host}:{port}"
        await publish_address(self._context, host, port)

    async def _run_components(self, group: TaskGroup) -> None:
        """Starts everything that works through the client."""


@asynccontextmanager
async def _task_group() -> AsyncIterator[TaskGroup]:
    """A task group that is cancelled, not waited for, when its context ends."""
    async with anyio.create_task_group() as group:
        try:
            yield group
        finally:
            group.cancel_scope.cancel()
