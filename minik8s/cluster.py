"""The composition root: a whole cluster as one async context manager.

It reads as the task tree. Everything that runs belongs to one task group: informers and event recorders, controllers,
scheduler, kubelets, proxy; the API server itself is no task, only a socket if it serves one. When the `async with`
ends, by whatever way, the group is cancelled and nothing is left: no task, process, socket or file.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup

from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, SERVICE_ACCOUNTS, STORAGE_CLASSES
from minik8s.api.strategies import load_all
from minik8s.apiserver.admission.hooks import Hook, HookFunction, Hooks
from minik8s.apiserver.bootstrap import bootstrap, publish_address, publish_authentication
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.http import HttpApp
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.client.inprocess import InProcessTransport
from minik8s.client.kubeconfig import ClusterCredentials
from minik8s.client.manifests import Source, apply_manifests
from minik8s.client.waiting import wait_for
from minik8s.clock import Clock, RealClock
from minik8s.components import Components
from minik8s.config import DEFAULT_CONTROLLERS, ClusterConfig
from minik8s.control import Control
from minik8s.controllers import controllers
from minik8s.controllers.hostpath_provisioner import DEFAULT_CLASS
from minik8s.controlplane import server_context
from minik8s.credentials import Credentials
from minik8s.lifetime import cancelled_group
from minik8s.machinery.causes import CAUSE
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, Obj, is_condition_true
from minik8s.nodes import NodePool
from minik8s.schema import yamlform as yamlform  # here, because `apply` would else import PyYAML at its first call
from minik8s.snapshot import load
from minik8s.store import MemoryStore
from minik8s.virtualtime import EPOCH, VirtualClock

load_all()  # every cluster needs these and what is below: their import is no part of its start
controllers(DEFAULT_CONTROLLERS)

SERVE_SECONDS = 30.0
"""How long `address_of` waits for the proxy."""
START_SECONDS = 60.0
"""How long a cluster may take to be ready for pods."""

if TYPE_CHECKING:
    import httpx

    from minik8s.ingress import IngressController


T = TypeVar("T", bound=Mapping[str, Any])

RUNNING: set[Cluster] = set()
"""The clusters of this process that were entered and not left."""


class Cluster(Control):
    """A Kubernetes cluster in the running event loop.

        async with Cluster(nodes=3) as cluster:
            await cluster.apply("deployment.yaml")
            await cluster.wait_for(DEPLOYMENTS, "web", "Available")

    Options are those of `ClusterConfig`. `clock` may also be a `Clock` of your own. `admission` are functions that are
    asked about every creation and update (`apiserver.admission.hooks`); `cluster.admission.add` takes more. `origin` is
    a snapshot to begin with.
    """

    def __init__(
        self,
        config: ClusterConfig | None = None,
        *,
        clock: Clock | Literal["real", "virtual"] = "real",
        admission: Iterable[Hook | HookFunction] = (),
        origin: Path | str | MemoryStore | None = None,
        **options: Any,
    ) -> None:
        if isinstance(clock, str) and (clock != "real" or config is None):
            options["clock"] = clock
        self.config = attrs.evolve(config, **options) if config else ClusterConfig(**options)
        self.in_thread = False
        """Whether calls come from another thread: then time only jumps while one is under way."""
        self.clock: Clock = self._clock() if isinstance(clock, str) else clock
        self.seed: int = secrets.randbits(63) if self.config.seed is None else self.config.seed
        self.rng = Random(self.seed)
        self._credentials = Credentials(self.config, self.clock)
        self.directory = Path()
        self.url = ""
        store = load(origin) if isinstance(origin, Path | str) else origin
        self._context = server_context(self.config, self.clock, self.rng, self._credentials.tokens, store)
        self._context.remotes.certificate = self._credentials.front_proxy_certificate
        for hook in admission:
            self.admission.add(hook)
        self.client: Client
        self._app = HttpApp(self._context)
        self._exchanges: TaskGroup
        self._http: httpx.AsyncClient | None = None
        self.informers: Informers
        self.nodes: NodePool
        self._stack = AsyncExitStack()
        self._entered = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError("a cluster can be entered once; make another one, or a fork of this")
        self._entered = True
        RUNNING.add(self)
        CAUSE.set(None)  # what the body does from here on is due to nobody else
        try:
            await self._start(self._stack)
        except BaseException:
            await self.__aexit__(*sys.exc_info())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Ends everything. A body's own exception goes on as it is: only a cancellation is the task groups' affair."""
        try:
            if isinstance(error, anyio.get_cancelled_exc_class()):
                return await self._stack.__aexit__(kind, error, trace)
            await self._stack.aclose()
        finally:
            RUNNING.discard(self)
        if error is None and self._faults is not None:
            self._faults.verify()
        return None

    @property
    def admission(self) -> Hooks:
        """The admission hooks: functions of this process that may change or refuse what is written."""
        return self._context.dynamic.hooks

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig file for this cluster alone, in its directory. Raises RuntimeError if it serves no socket."""
        return self._credentials.kubeconfig()

    def kubeconfig_for(self, name: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig file in the cluster's directory with which a client is the user `name` in `groups`.

        By a client certificate of the cluster's CA; without TLS, where there are none, by impersonation. Raises
        RuntimeError if the cluster serves no socket.
        """
        return self._credentials.kubeconfig_for(name, groups)

    def front_proxy_certificate(self) -> Path:
        """A PEM file with the certificate and key of a front proxy, whose X-Remote-* headers this cluster believes.

        Raises RuntimeError if the cluster does not serve TLS.
        """
        if not self.url.startswith("https:"):
            raise RuntimeError("a cluster that does not serve TLS believes no front proxy")
        return self._credentials.front_proxy_certificate()

    @property
    def credentials(self) -> ClusterCredentials:
        """Where this cluster is and how to be its administrator."""
        return self._credentials.administrator

    @property
    def token(self) -> str:
        """The administrator's bearer token."""
        return self._credentials.token

    @property
    def ca_bundle(self) -> bytes:
        """The PEM certificate of the cluster's CA; made when first needed."""
        return self._credentials.authority.pem

    @property
    def http(self) -> httpx.AsyncClient:
        """A client of the API by URL path that needs no socket, streams, and is the administrator."""
        if self._http is None:
            self._http = self._http_client()
        return self._http

    def service_http(self) -> httpx.AsyncClient:
        """A client of the pods that are Python code (`image: python://module:name`), by their Services' names."""
        from minik8s.kubelet.runtime.asgi import pod_client

        return pod_client(self.client, self.nodes.hosted)

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

    @property
    def dns_address(self) -> tuple[str, int]:
        """(host, port) at which cluster DNS answers on this machine, UDP and TCP. Raises RuntimeError without it."""
        if self._components.dns is None:
            raise RuntimeError("this cluster runs no DNS (dns=True has it)")
        return self._components.dns.address

    @property
    def ingress(self) -> IngressController | None:
        """Where Ingresses are served (`host`, `ports`), with the option `ingress`."""
        return self._components.ingress

    async def address_of(self, namespace: str, service: str, port: int | str) -> tuple[str, int]:
        """(host, port) at which a Service's port answers on this machine, once the proxy serves it.

        It is the ClusterIP, or a stand-in on 127.0.0.1 where that could not be bound. Raises RuntimeError without a
        proxy and TimeoutError when the port does not come to be served.
        """
        if self._components.proxier is None:
            raise RuntimeError("a cluster with proxy=False serves no Service addresses")
        with anyio.fail_after(SERVE_SECONDS):
            return await self._components.proxier.served_address(namespace, service, port)

    def fork(self, /, **options: Any) -> Cluster:
        """A second cluster that begins with all that is stored in this one, and goes its own way from there.

        Documents are shared, so that a branch costs milliseconds however much there is: set up once, and fork for every
        test. What lives in memory begins anew: nodes are as after a reboot, containers are started again. `options`
        change the configuration; the branch has a directory and a port of its own. Enter it like any cluster.
        """
        config = attrs.evolve(self.config, **{"directory": None, "port": 0, **options})
        store = self._context.store
        assert isinstance(store, MemoryStore)
        branch = Cluster(config, origin=store.fork())
        if isinstance(branch.clock, VirtualClock):
            branch.clock.start = self.clock.now()
        return branch

    def _clock(self) -> Clock:
        """A cluster that others can look at from outside has to begin now."""
        if self.config.clock == "real":
            return RealClock()
        return VirtualClock(EPOCH if self.jumps else RealClock().now())

    async def _start(self, stack: AsyncExitStack) -> None:
        """Enters everything in the order in which the rest needs it; the stack leaves it in reverse."""
        self._rule_loop(stack)
        self.directory = self._credentials.directory = self._make_directory(stack)
        context = self._context
        if self.config.audit_log is not None:
            context.audit.open(self.config.audit_log)
        await bootstrap(context, rbac=self.config.rbac)
        transport = InProcessTransport(partial(dispatch, context))
        self.client = Client(transport, in_process=True, absent=context.absent)
        if "hostpath-provisioner" in self.config.controllers:
            with suppress(AlreadyExists):
                await self.client.create(STORAGE_CLASSES, DEFAULT_CLASS)
        self._exchanges = await stack.enter_async_context(cancelled_group())
        stack.push_async_callback(self._close_http)
        if self.config.serve:
            await self._listen(stack)
        stack.push_async_callback(context.aclose)  # ends the watches, so that the socket can close at once
        self.informers = Informers(self.client, self.clock, self.rng)
        recorders = Recorders(self.client, self.clock, self.rng)
        self.nodes = context.connector = self._node_pool(recorders)
        await self.nodes.open(stack)
        self._group = await stack.enter_async_context(cancelled_group())
        self._running = self._make_components(recorders)
        self._components.start(self._group)
        await self._ready()

    def _make_directory(self, stack: AsyncExitStack) -> Path:
        if self.config.directory is not None:
            self.config.directory.mkdir(parents=True, exist_ok=True)
            return self.config.directory
        return Path(stack.enter_context(TemporaryDirectory(prefix="minik8s-", ignore_cleanup_errors=True)))

    def _http_client(self) -> httpx.AsyncClient:
        from minik8s.client.asgi import app_client

        return app_client(self._app, self._exchanges, self.token)

    async def _close_http(self) -> None:
        if self._http is not None:
            await self._http.aclose()

    async def _listen(self, stack: AsyncExitStack) -> None:
        """Opens the socket; what only a served cluster needs (TLS, uvicorn) is imported here."""
        from minik8s.apiserver.server import listen, serve

        config = self.config
        sock = listen(config.host, config.port)
        stack.callback(sock.close)
        host, port = sock.getsockname()[:2]
        addresses = [host, "127.0.0.1", self._context.services.api_server_address]
        tls = self._credentials.serving(addresses) if config.tls else None
        front_proxy = self._credentials.front_proxy.pem if config.tls else b""
        await stack.enter_async_context(serve(self._app, sock, tls, front_proxy))
        self.url = self._credentials.url = f"{'https' if tls else 'http'}://{host}:{port}"
        await publish_address(self._context, host, port)
        if tls:
            bundle = b"".join(self._credentials.client_cas)
            await publish_authentication(self._context, bundle.decode(), front_proxy.decode())

    def _node_pool(self, recorders: Recorders) -> NodePool:
        return NodePool(
            self.config,
            client=self.client,
            informers=self.informers,
            clock=self.clock,
            rng=self.rng,
            recorders=recorders,
            directory=self.directory,
        )

    def _make_components(self, recorders: Recorders) -> Components:
        return Components(
            config=self.config,
            server=self._context,
            credentials=self._credentials,
            directory=self.directory,
            client=self.client,
            informers=self.informers,
            clock=self.clock,
            rng=self.rng,
            recorders=recorders,
            nodes=self.nodes,
        )

    async def _ready(self) -> None:
        """Waits until pods can be created and scheduled: their account exists, the nodes are Ready and say so."""
        if "serviceaccount" in self.config.controllers:
            await self.wait_for(SERVICE_ACCOUNTS, "default", lambda _: True, timeout=START_SECONDS)
        await self._components.ready()
        for name in self.nodes.kubelets:
            await self.wait_for(NODES, name, _takes_pods, timeout=START_SECONDS)


def _takes_pods(node: Doc) -> bool:
    """Whether a node is Ready and rid of the taint that new nodes have."""
    return is_condition_true(node, "Ready") and not node["spec"].get("taints")
