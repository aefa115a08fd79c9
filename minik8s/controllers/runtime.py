"""What every controller shares: who wakes it, its queue, its workers, and what becomes of its failures.

A `Reconciler` declares its resource and what else wakes it, and gets one method that is called with the object
from the cache. A few long-lived workers per controller take keys from its queue, since a task per object would
cost more than most passes do. An `ApiError` is the world's fault and is retried ever later; any other exception is a
bug: logged with its key and counted, and it ends the cluster when the context is strict.
controller-runtime's Manager and Controller are the counterpart.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Generic, TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup

from minik8s.api.resource import Resource
from minik8s.api.resources import BUILTIN
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Handler, Informer, Informers
from minik8s.client.lister import Key, key_of
from minik8s.client.workqueue import QueueStatistics, WorkQueue
from minik8s.clock import Clock
from minik8s.controllers.authority import KeyHolder
from minik8s.logs import get_logger
from minik8s.machinery.causes import CAUSE
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, controller_of, evolve, namespace_of, revision_of

T = TypeVar("T", bound=Mapping[str, Any])
R = TypeVar("R", bound=Mapping[str, Any])
K = TypeVar("K", bound=Hashable)

log = get_logger("minik8s.controllers")


class TryAgain(Exception):
    """Raised by a pass that has failed and has said why, to whom it concerns: another follows, later every time."""


@attrs.frozen
class Requeue:
    """Asks for another pass after `seconds`."""

    seconds: float

    @staticmethod
    def after(seconds: float | None) -> Requeue | None:
        """None stays None: nothing to come back for."""
        return None if seconds is None else Requeue(seconds)


@attrs.frozen
class Context:
    """What a controller is given.

    strict      a bug in a reconciler ends the cluster (tests) instead of being logged and retried
    root_ca     the CA bundle, PEM, that kube-root-ca.crt publishes
    keys        who signs certificates and tokens; without, nobody does
    resources   what the API serves now, as discovery would say it
    stale       group versions of which discovery does not know what they serve, as `metrics.k8s.io/v1beta1`: those of
                aggregated APIs that do not answer
    volumes     the directory under which provisioned volumes lie
    load_balancers
                the network, in CIDR notation, that Services of type LoadBalancer get addresses of
    """

    client: Client
    informers: Informers
    clock: Clock
    rng: Random
    recorders: Recorders
    strict: bool = False
    root_ca: str = ""
    keys: KeyHolder | None = None
    resources: Callable[[], Sequence[Resource[Any]]] = lambda: BUILTIN
    stale: Callable[[], Sequence[str]] = lambda: ()
    volumes: Path = Path("volumes")
    load_balancers: str = "127.160.0.0/12"


@attrs.frozen
class Watch:
    """Another resource whose changes wake a controller. `keys(reconciler, obj)` names the objects to look at."""

    resource: Resource[Any]
    keys: Callable[[Any, Any], Iterable[Key]]


def owned(resource: Resource[Any]) -> Watch:
    """Objects whose controller (owner reference) is of the reconciler's kind wake their controller."""

    def keys(reconciler: Reconciler[Any], obj: Doc) -> Iterable[Key]:
        reference = controller_of(obj)
        mine = reconciler.resource
        if reference is None or reference["kind"] != mine.kind:
            return ()
        if reference["apiVersion"].rpartition("/")[0] != mine.group:
            return ()
        return ((namespace_of(obj) if mine.namespaced else "", reference["name"]),)

    return Watch(resource, keys)


def mapped(resource: Resource[Any], func: str | Callable[[Any, Any], Iterable[Key]]) -> Watch:
    """Objects wake whatever `func(reconciler, obj)` names; a string is the name of a method of the reconciler."""
    if isinstance(func, str):
        method = func
        return Watch(resource, lambda reconciler, obj: getattr(reconciler, method)(obj))
    return Watch(resource, func)


@attrs.define
class ControllerStatistics:
    """Counters since the start. `errors` are answers of the server, `bugs` everything else; `queue` is as of now."""

    passes: int = 0
    errors: int = 0
    bugs: int = 0
    queue: QueueStatistics | None = None


class InformerSource:
    """The cluster's informers, remembering which of them one controller uses: it starts when those have synced."""

    def __init__(self, informers: Informers) -> None:
        self._informers = informers
        self._used: dict[Informer[Any], None] = {}

    def __call__(self, resource: Resource[R], *, field_selector: str = "") -> Informer[R]:
        informer = self._informers(resource, field_selector=field_selector)
        self._used[informer] = None
        return informer

    def drop(self, resource: Resource[Any]) -> None:
        """Ends the informers of a resource that is gone, for everybody."""
        self._used = {informer: None for informer in self._used if informer.resource is not resource}
        self._informers.drop(resource)

    async def synced(self) -> None:
        """Waits until every informer that was asked for has its first list."""
        for informer in list(self._used):
            await informer.synced()


FIELD_MANAGER = "kube-controller-manager"
"""Who owns what controllers write: upstream they are one process, and so one manager."""


class Controller(Generic[K]):
    """A queue, the workers that empty it, and periodic loops beside them; most controllers are `Reconciler`s.

    name        upstream's name of the controller, as configuration uses it
    component   source of its events and user agent of its writes
    account     its service account in kube-system, which is its user in process; named like the component by default
    workers     how many keys it works on at once
    wakes       resources of which there must be an object (that it is `concerned_with`) before there is anything to
                do: until then the controller is not even made. Empty: it runs from the start
    """

    name: ClassVar[str]
    component: ClassVar[str]
    account: ClassVar[str] = ""
    workers: ClassVar[int] = 5
    wakes: ClassVar[tuple[Resource[Any], ...]] = ()

    def __init__(self, context: Context) -> None:
        self.context = context
        account = f"system:serviceaccount:kube-system:{self.account or self.component}"
        self.client = context.client.as_component(self.component, account, field_manager=FIELD_MANAGER)
        self.clock = context.clock
        self.rng = context.rng
        self.recorder = context.recorders.recorder(self.component, client=self.client)
        self.informers = InformerSource(context.informers)
        self.queue: WorkQueue[K] = WorkQueue(context.clock)
        self._counts = ControllerStatistics()
        self._hired = 0

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        """Whether an object of `wakes` is a reason to begin."""
        return True

    async def process(self, key: K) -> Requeue | None:
        """One pass over what the key names. May raise ApiError or OSError: the key is tried again."""
        raise NotImplementedError

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        """Whose events wake it; the handlers stay registered while it runs."""
        return ()

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        """Coroutines that run beside the workers once the caches have synced: periodic work."""
        return ()

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do before the next timer."""
        return self.queue.idle

    def statistics(self) -> ControllerStatistics:
        return attrs.evolve(self._counts, queue=self.queue.statistics())

    async def run(self) -> None:
        """Waits for its caches and works until cancelled."""
        CAUSE.set(None)  # whatever woke it is not what its loops act upon
        removals = [informer.add_handler(handler) for informer, handler in self.handlers()]
        try:
            await self.informers.synced()
            async with anyio.create_task_group() as group:
                for loop in self.loops():
                    group.start_soon(loop, name=f"{self.name} loop")
                self._hired += 1
                await self._work(group)  # the first worker is this task itself
        finally:
            for remove in removals:
                remove()
            self.queue.close()

    def _hire(self, group: TaskGroup) -> None:
        group.start_soon(self._work, group, name=f"{self.name} worker {self._hired}")
        self._hired += 1

    async def _work(self, group: TaskGroup) -> None:
        """Takes keys for ever. Whoever takes one while nobody else waits makes sure that the next finds a worker."""
        while True:
            key = await self.queue.get()
            if self._hired < self.workers and not self.queue.has_waiting_worker:
                self._hire(group)
            try:
                await self._pass(key)
            finally:
                self.queue.done(key)

    async def _pass(self, key: K) -> None:
        self._counts.passes += 1
        try:
            requeue = await self.process(key)
        except (ApiError, OSError) as error:
            self._counts.errors += 1
            quiet = isinstance(error, Conflict | NotFound)
            (log.debug if quiet else log.warning)("pass failed", controller=self.name, key=key, error=str(error))
            self.queue.add_rate_limited(key)
        except TryAgain:
            self._counts.errors += 1
            self.queue.add_rate_limited(key)
        except Exception:
            self._counts.bugs += 1
            log.exception("bug in controller", controller=self.name, key=key)
            if self.context.strict:
                raise
            self.queue.add_rate_limited(key)
        else:
            self.queue.forget(key)
            if requeue is not None:
                self.queue.add_after(key, requeue.seconds)


class Reconciler(Controller[Key], Generic[T]):
    """A controller of one resource. Subclasses declare the class variables and write `reconcile`.

    resource    what it reconciles
    watches     what wakes it beside its own resource
    """

    resource: ClassVar[Resource[Any]]
    watches: ClassVar[tuple[Watch, ...]] = ()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.informer: Informer[T] = self.informers(self.resource)
        self.lister = self.informer.lister
        for watch in self.watches:
            self.informers(watch.resource)

    async def reconcile(self, obj: T) -> Requeue | None:
        """Brings the world nearer to what `obj` asks for. `obj` is shared: never mutate it."""
        raise NotImplementedError

    async def deleted(self, namespace: str, name: str) -> None:
        """The object is gone."""

    def enqueue(self, obj: Doc) -> None:
        """Asks for a pass over an object of the reconciler's own resource."""
        self.queue.add(key_of(obj))

    async def write_status(self, obj: Any, status: Doc) -> Any:
        """Writes the status if it says anything new, and waits until the cache shows what is returned."""
        if status != (obj.get("status") or {}):
            obj = await self.client.update_status(self.resource, evolve(obj, "status", value=status))
        await self.lister.caught_up(revision_of(obj))
        return obj

    async def process(self, key: Key) -> Requeue | None:
        namespace, name = key
        obj = self.lister.get(name, namespace)
        if obj is None:
            await self.deleted(namespace, name)
            return None
        return await self.reconcile(obj)

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield self.informer, self._on_object
        for watch in self.watches:
            yield self.informers(watch.resource), self._handler(watch)

    def _on_object(self, old: T | None, new: T | None) -> None:
        obj = old if new is None else new
        if obj is not None:
            self.queue.add(key_of(obj))

    def _handler(self, watch: Watch) -> Handler[Any]:
        """Both the old and the new state wake: what an object no longer belongs to has to know as well."""
        keys, add = watch.keys, self.queue.add

        def handler(old: Any, new: Any) -> None:
            if new is not None:
                for key in keys(self, new):
                    add(key)
            if old is not None:
                for key in keys(self, old):
                    add(key)

        return handler
