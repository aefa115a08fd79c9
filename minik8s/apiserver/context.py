"""What every handler of the API server works with: the store, the registry, the clock, the seed.

One value per cluster, handed to plain functions. `NodeConnector` is the door to the nodes: the server never
imports a kubelet, the composition root connects them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import attrs
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream

from minik8s.api.inert import INERT
from minik8s.api.metrics import ContainerUsage
from minik8s.api.request import User
from minik8s.api.resource import Resource
from minik8s.api.resources import (
    API_SERVICES,
    CUSTOM_RESOURCE_DEFINITIONS,
    FLOW_SCHEMAS,
    PRIORITY_LEVEL_CONFIGURATIONS,
)
from minik8s.api.users import ANONYMOUS
from minik8s.apiserver.admission.chains import Chains
from minik8s.apiserver.admission.dynamic import DynamicAdmission
from minik8s.apiserver.admission.plugin import AdmissionPlugin
from minik8s.apiserver.aggregation.remote import RemoteApis
from minik8s.apiserver.allocation import ServiceAllocator
from minik8s.apiserver.apiservices import ApiServices
from minik8s.apiserver.audit import AuditLog
from minik8s.apiserver.authentication import Authenticator
from minik8s.apiserver.authorization import AlwaysAllow, Authorizer
from minik8s.apiserver.counting import Metrics
from minik8s.apiserver.customresources import CustomResources
from minik8s.apiserver.flowcontrol.flows import FlowControl
from minik8s.apiserver.flowcontrol.maintaining import Keeper
from minik8s.apiserver.inflight import InFlight
from minik8s.apiserver.moulds import Moulds
from minik8s.apiserver.registry import Registry
from minik8s.apiserver.serviceresolver import EndpointResolver, ServiceResolver
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.apiserver.webhooks import WebhookConnections
from minik8s.clock import Clock
from minik8s.config import AUDIT_EVENTS, SEATS
from minik8s.machinery.errors import ServiceUnavailable
from minik8s.machinery.meta import Doc
from minik8s.store.protocol import Compacted, Store

if TYPE_CHECKING:
    from minik8s.apiserver.interception import Interceptor
    from minik8s.apiserver.watching import WatchSession


class Session(Protocol):
    """A command in a container, or the container itself, at the other end of streams (None: it has no such stream)."""

    @property
    def stdin(self) -> ByteSendStream | None: ...
    @property
    def stdout(self) -> ByteReceiveStream | None: ...
    @property
    def stderr(self) -> ByteReceiveStream | None: ...

    def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int | None:
        """A command's exit code; None when a container has ended."""
        ...

    async def aclose(self) -> None:
        """A command that still runs is killed."""
        ...


class KubeletAnswer(Protocol):
    """An answer of a kubelet's own HTTP endpoints: `body`, or `chunks` of a stream."""

    @property
    def code(self) -> int: ...
    @property
    def media_type(self) -> str: ...
    @property
    def body(self) -> bytes: ...
    @property
    def chunks(self) -> AsyncIterator[bytes] | None: ...


class NodeConnector(Protocol):
    """What the server asks of a pod's node. Raises ApiError."""

    def logs(
        self,
        pod: Doc,
        container: str,
        *,
        previous: bool,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        limit_bytes: int | None,
    ) -> AsyncIterator[bytes]: ...

    async def connect(self, host: str, port: int) -> ByteStream:
        """A connection to an address of the cluster's network: a pod's, an endpoint's. Raises OSError."""
        ...

    def kubelet(self, node: str, method: str, path: str, options: Mapping[str, str]) -> KubeletAnswer:
        """What the kubelet of a node says by HTTP. Raises ApiError."""
        ...

    def has_node(self, name: str) -> bool:
        """Whether the node can be asked at all."""
        ...

    def usage(self, pod: Doc) -> Mapping[str, ContainerUsage]:
        """What the pod's running containers use, by name; empty where nobody knows."""
        ...

    async def exec(self, pod: Doc, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Session: ...

    async def attach(self, pod: Doc, container: str) -> Session: ...

    async def port_forward(self, pod: Doc, port: int) -> ByteStream:
        """A connection to a port of the pod. Raises OSError, with a message for the client."""
        ...


class NoNodes:
    """The connector of a server without nodes of its own."""

    def logs(self, pod: Doc, container: str, **options: Any) -> AsyncIterator[bytes]:
        raise _no_node(pod, "logs")

    async def exec(self, pod: Doc, container: str, command: Sequence[str], **options: Any) -> Session:
        raise _no_node(pod, "exec")

    async def attach(self, pod: Doc, container: str) -> Session:
        raise _no_node(pod, "attach")

    async def port_forward(self, pod: Doc, port: int) -> ByteStream:
        raise _no_node(pod, "port-forward")

    async def connect(self, host: str, port: int) -> ByteStream:
        raise OSError(f"dial tcp {host}:{port}: connect: network is unreachable")

    def kubelet(self, node: str, method: str, path: str, options: Mapping[str, str]) -> KubeletAnswer:
        raise ServiceUnavailable(f'node "{node}" does not serve its kubelet\'s port')

    def has_node(self, name: str) -> bool:
        return False

    def usage(self, pod: Doc) -> Mapping[str, ContainerUsage]:
        return {}


def _no_node(pod: Doc, what: str) -> ServiceUnavailable:
    return ServiceUnavailable(f'node "{pod["spec"].get("nodeName", "")}" does not serve {what}')


class StoreWorld:
    """The server's own objects as admission plugins see them."""

    def __init__(self, store: Store, registry: Registry, authorizer: Authorizer, clock: Clock) -> None:
        self._store, self._registry, self._clock = store, registry, clock
        self.authorizer = authorizer

    def now(self) -> datetime:
        return self._clock.now()

    def get(self, resource: Resource[Any], name: str, namespace: str = "") -> Doc | None:
        entry = self._store.peek(self._registry.served(resource).key(namespace, name))
        return entry.value if entry else None

    def list(self, resource: Resource[Any], namespace: str = "") -> Sequence[Doc]:
        prefix = (self._registry.served(resource).storage.group_resource,)
        entries = self._store.scan((*prefix, namespace) if namespace else prefix)
        return [entry.value for entry in entries]

    @property
    def revision(self) -> int:
        return self._store.revision

    def changes(self, resource: Resource[Any], after: int) -> Sequence[tuple[str, str, Doc | None]] | None:
        try:
            changes = self._store.changes(self._registry.served(resource).storage.group_resource, after)
        except Compacted:
            return None
        return [(*change.entry.key[1:], None if change.deleted else change.entry.value) for change in changes]


@attrs.define(eq=False)
class ServerContext:
    """The parts of one API server.

    `anonymous` is who callers without credentials are. `address` is (host, port) of the socket once there is one.
    """

    store: Store
    registry: Registry
    clock: Clock
    rng: Random
    plugins: Sequence[AdmissionPlugin]
    services: ServiceAllocator
    tokens: TokenIssuer
    inert: Mapping[str, str] = INERT
    """What is stored and not acted on."""
    connector: NodeConnector = attrs.field(factory=NoNodes)
    authorizer: Authorizer = attrs.field(factory=AlwaysAllow)
    anonymous: User = ANONYMOUS
    address: tuple[str, int] = ("127.0.0.1", 0)
    seats: int = SEATS
    """How many requests of users may be under way at once; 0 for any number."""
    flows: FlowControl = attrs.field(
        init=False, default=attrs.Factory(lambda self: FlowControl(self.store, self.clock, self.seats), takes_self=True)
    )
    """Who of them is let in."""
    inflight: InFlight = attrs.field(init=False, factory=InFlight)
    metrics: Metrics = attrs.field(init=False, factory=Metrics)
    audit: AuditLog = attrs.field(
        default=attrs.Factory(lambda self: AuditLog(AUDIT_EVENTS, self.rng, self.clock), takes_self=True)
    )
    sessions: WeakSet[WatchSession] = attrs.field(init=False, factory=WeakSet)
    """The watches that are open."""
    world: StoreWorld = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: StoreWorld(self.store, self.registry, self.authorizer, self.clock), takes_self=True
        ),
    )
    authenticator: Authenticator = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: Authenticator(self.tokens, self.world, self.clock, self.anonymous), takes_self=True
        ),
    )
    custom: CustomResources = attrs.field(init=False)
    """What follows the definitions of custom resources."""
    resolver: ServiceResolver = attrs.field(
        default=attrs.Factory(lambda self: EndpointResolver(self.world, self.rng), takes_self=True)
    )
    """Where webhooks that are named by Service answer."""
    dynamic: DynamicAdmission = attrs.field(
        init=False, default=attrs.Factory(lambda self: DynamicAdmission(self), takes_self=True)
    )
    """Hooks, policies and webhooks: admission that users register at run time."""
    moulds: Moulds = attrs.field(init=False, default=attrs.Factory(lambda self: Moulds(self.store), takes_self=True))
    """What has been worked out about new objects that are equal but for their names."""
    remotes: RemoteApis = attrs.field(init=False, factory=RemoteApis)
    """What other servers serve."""
    apis: ApiServices = attrs.field(init=False)
    """What APIService objects there are."""
    interceptors: list[Interceptor] = attrs.field(init=False, factory=list)
    """Who stands between requests and their answers; the first is asked first."""
    webhooks: WebhookConnections = attrs.field(init=False, factory=WebhookConnections)
    chains: Chains = attrs.field(init=False, default=attrs.Factory(lambda self: Chains(self.plugins), takes_self=True))
    """The plugins by what they are about."""

    @apis.default
    def _apis(self) -> ApiServices:
        apis = ApiServices(self.store, self.registry, self.clock, self.rng, self.remotes)
        self.registry.keepers[API_SERVICES.group_resource] = apis
        self.registry.keepers[FLOW_SCHEMAS.group_resource] = schemas = Keeper(self.store, self.clock, self.rng)
        self.registry.keepers[PRIORITY_LEVEL_CONFIGURATIONS.group_resource] = schemas
        return apis

    def __attrs_post_init__(self) -> None:
        self.custom.serve()

    @custom.default
    def _custom(self) -> CustomResources:
        custom = CustomResources(self)
        self.registry.keepers[CUSTOM_RESOURCE_DEFINITIONS.group_resource] = custom
        return custom

    def absent(self, resource: Resource[Any], wake: Callable[[], object]) -> int | None:
        """The revision of now if there is no object of a built-in resource, `wake` being called at the first; or None.

        For those in the process who would list and watch nothing otherwise.
        """
        if resource.custom is not None:
            return None
        return self.store.when_occupied(self.registry.served(resource).storage.group_resource, wake)

    async def aclose(self) -> None:
        """Ends the store's watches and the connections to webhooks."""
        self.audit.close()
        await self.webhooks.aclose()
        await self.store.aclose()
