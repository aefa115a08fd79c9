"""Informers: a cache of one resource, kept up by a watch and shared by everybody in the cluster.

An informer lists once and then watches from the list's version. A dropped stream is resumed where it
stopped; when history has moved on (410) it lists again and tells its handlers the difference, so a handler
sees every object's last state but perhaps not every state between. client-go's Reflector and
SharedIndexInformer are the counterpart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any, Generic, TypeVar

import anyio
import anyio.abc
import anyio.lowlevel
import attrs

from minik8s.api.request import WatchEvent
from minik8s.api.resource import Resource
from minik8s.client.backoff import Backoff
from minik8s.client.client import Client
from minik8s.client.lister import Indexer, Lister, key_of
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.causes import CAUSE
from minik8s.machinery.errors import ApiError, Expired, ServiceUnavailable, TooManyRequests
from minik8s.machinery.meta import uid_of

__all__ = ["Handler", "Informer", "InformerStatistics", "Informers", "Lister"]

T = TypeVar("T", bound=Mapping[str, Any])
Handler = Callable[[T | None, T | None], None]
"""(old, new): added (None, new), updated (old, new), deleted (old, None). Called in the loop: must be short."""

log = get_logger("minik8s.client.informer")


@attrs.define
class InformerStatistics:
    """Counters since the informer was made. `lists` above 1 means that history had to be abandoned."""

    events: int = 0
    lists: int = 0
    watches: int = 0


class Informer(Generic[T]):
    """Cache and notifications of one resource, optionally narrowed by a field selector."""

    def __init__(
        self, client: Client, clock: Clock, rng: Random, resource: Resource[T], field_selector: str = ""
    ) -> None:
        self.resource = resource
        self.field_selector = field_selector
        self.statistics = InformerStatistics()
        self._client = client
        self._clock = clock
        self._backoff = Backoff(rng)
        self._cache: Indexer[T] = Indexer()
        self._handlers: tuple[Handler[T], ...] = ()
        self._synced = anyio.Event()
        self._version = ""
        self._progress = False
        self._plural = resource.group_resource

    @property
    def lister(self) -> Lister[T]:
        """The cache, to read."""
        return self._cache

    @property
    def has_synced(self) -> bool:
        """Whether the first list is in the cache."""
        return self._synced.is_set()

    def add_handler(self, handler: Handler[T]) -> Callable[[], None]:
        """Calls `handler` for what is there (as added) and for every change from now on; returns its removal."""

        def remove() -> None:
            self._handlers = tuple(h for h in self._handlers if h is not registered)

        def registered(old: T | None, new: T | None) -> None:
            handler(old, new)

        cause = CAUSE.get()
        for obj in self._cache.all():
            self._tell_cause(obj)
            handler(None, obj)
        CAUSE.set(cause)
        self._handlers = (*self._handlers, registered)
        return remove

    def add_index(self, name: str, func: Callable[[T], Iterable[str]]) -> None:
        """Makes `lister.by_index(name, value)` work; ValueError when the name stands for another function."""
        self._cache.add_index(name, func)

    async def synced(self) -> None:
        """Waits until the first list is in the cache."""
        await self._synced.wait()

    def sleep(self, wake: Callable[[], object]) -> bool:
        """Whether there is nothing to be seen yet, which it knows then, until `wake` is called.

        A cluster has an informer for every resource, and no object of most: those cost no list, watch and task.
        """
        revision = None if self._version else self._client.absent(self.resource, wake)
        if revision is None:
            return False
        self._version = str(revision)
        self._cache.advance(revision)
        self._synced.set()
        return True

    async def run(self) -> None:
        """Lists and watches until cancelled; every failure is retried."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
            except Expired:
                self._version = ""
            except (TooManyRequests, ServiceUnavailable, OSError) as error:
                log.debug("watch interrupted", resource=self.resource.group_resource, error=str(error))
            except ApiError as error:
                log.warning("watch failed", resource=self.resource.group_resource, error=str(error))
                self._version = ""
            await self._pause()

    async def _pause(self) -> None:
        """A stream that brought something is resumed at once; one that did not, ever later."""
        if self._progress:
            self._progress = False
            self._backoff.reset()
            await anyio.lowlevel.checkpoint()
        else:
            await self._clock.sleep(self._backoff.next())

    async def _list(self) -> None:
        result = await self._client.list(self.resource, field_selector=self.field_selector)
        self.statistics.lists += 1
        self._replace(result.items)
        self._version = result.resource_version
        self._cache.advance(int(self._version or 0))
        self._synced.set()

    async def _watch(self) -> None:
        self.statistics.watches += 1
        async with self._client.watch_batches(
            self.resource,
            field_selector=self.field_selector,
            resource_version=self._version,
            allowWatchBookmarks="true",
        ) as stream:
            async for batch in stream:
                self._progress = True
                self._apply(batch)

    def _apply(self, batch: list[WatchEvent]) -> None:
        version = self._version
        try:
            for event in batch:
                if event.type == "ERROR":
                    raise ApiError.from_status(event.object)
                if event.type == "DELETED":
                    self._delete(event.object)
                elif event.type != "BOOKMARK":
                    self._store(event.object)
                version = event.object["metadata"]["resourceVersion"]
        finally:
            self.statistics.events += len(batch)
            self._version = version
            self._cache.advance(int(version or 0))

    def _store(self, obj: Any) -> None:
        old = self._cache.put(obj)
        self._tell_cause(obj)
        for handler in self._handlers:
            handler(old, obj)

    def _delete(self, last: Any) -> None:
        """Tells handlers the last state, which is newer than the cached one."""
        if self._cache.remove(key_of(last)) is not None:
            self._tell_cause(last)
            for handler in self._handlers:
                handler(last, None)

    def _tell_cause(self, obj: Any) -> None:
        """Whatever handlers set going from here on is due to this object's change."""
        meta = obj["metadata"]
        CAUSE.set((self._plural, meta.get("namespace", ""), meta["name"], meta.get("resourceVersion", ""), False))

    def _replace(self, items: list[T]) -> None:
        """Makes the cache equal to `items`, telling handlers what that changes."""
        fresh = {key_of(obj): obj for obj in items}
        for key in self._cache.all_keys():
            old = self._cache.get(key[1], key[0])
            new = fresh.get(key)
            if old is not None and (new is None or uid_of(new) != uid_of(old)):
                self._delete(old)
        for key, obj in fresh.items():
            old = self._cache.get(key[1], key[0])
            if old is None or old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
                self._store(obj)


class Informers:
    """The informers of one cluster: asking twice for the same resource gives the same one."""

    def __init__(self, client: Client, clock: Clock, rng: Random | None = None) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng or Random(0)
        self._informers: dict[tuple[Resource[Any], str], Informer[Any]] = {}
        self._scopes: dict[Informer[Any], anyio.CancelScope] = {}
        """What those run in that may be dropped. Only custom resources can go: others are spared the scope, since a
        cluster starts one of these for every resource."""
        self._group: anyio.abc.TaskGroup | None = None

    def __call__(self, resource: Resource[T], *, field_selector: str = "") -> Informer[T]:
        """The informer of that resource, started when `run` is running and else as soon as it is."""
        key = (resource, field_selector)
        informer = self._informers.get(key)
        if informer is None:
            informer = Informer(self._client, self._clock, self._rng, resource, field_selector)
            self._informers[key] = informer
            self._start(informer)
        return informer

    def __iter__(self) -> Iterator[Informer[Any]]:
        return iter(list(self._informers.values()))

    async def run(self) -> None:
        """Keeps every informer running, also those asked for later, until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                for informer in self._informers.values():
                    self._start(informer)
                await anyio.Event().wait()
            finally:
                self._group = None

    def drop(self, resource: Resource[Any]) -> None:
        """Ends the informers of a custom resource that is not served any more; asked for again, it gets a new one."""
        for key in [key for key in self._informers if key[0] is resource]:
            if (scope := self._scopes.pop(self._informers.pop(key), None)) is not None:
                scope.cancel()

    def _start(self, informer: Informer[Any]) -> None:
        if self._group is None or informer.sleep(partial(self._run, informer)):
            return
        self._run(informer)

    def _run(self, informer: Informer[Any]) -> None:
        if self._group is None:
            return
        run = informer.run
        if informer.resource.custom is not None:
            run = partial(_run_within, self._scopes.setdefault(informer, anyio.CancelScope()), informer)
        self._group.start_soon(run, name=f"informer {informer.resource.group_resource}")


async def _run_within(scope: anyio.CancelScope, informer: Informer[Any]) -> None:
    with scope:
        await informer.run()
