"""What a test can ask of a cluster and do to it, besides being its client: time, rest, faults, logs, the past, forks.

A base of `Cluster` that needs nothing but its parts, so that the composition root stays readable as the task tree.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Self

from anyio.abc import TaskGroup

from minik8s.api.resource import Resource
from minik8s.apiserver.audit import AuditLog
from minik8s.apiserver.context import ServerContext, StoreWorld
from minik8s.apiserver.history import History, history, resource_of
from minik8s.apiserver.interception import Interceptor, where_of
from minik8s.apiserver.past import Past
from minik8s.apiserver.requestlog import RequestLog
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.client.why import Explanation, why
from minik8s.client.workqueue import WorkQueue
from minik8s.clock import Clock
from minik8s.components import Components
from minik8s.config import ClusterConfig
from minik8s.faults import Faults
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.nodes import NodePool
from minik8s.quiescence import queued, settle
from minik8s.snapshot import manifests, save
from minik8s.virtualtime import VirtualClock, shuffled


class Control:
    """See the module's docstring. `Cluster` fills in the parts."""

    config: ClusterConfig
    clock: Clock
    client: Client
    informers: Informers
    nodes: NodePool
    in_thread: bool
    seed: int
    _context: ServerContext
    _faults: Faults | None = None
    _running: Components | None = None
    _group: TaskGroup

    @property
    def faults(self) -> Faults:
        """What a test makes go wrong, see `minik8s.faults`; one that never fired is an error when the cluster ends."""
        self._faults = self._faults or Faults(self._context, self.nodes, self._components.crashable(self._group))
        return self._faults

    @property
    def _components(self) -> Components:
        if self._running is None:
            raise RuntimeError("the cluster is not running yet: enter it first")
        return self._running

    @property
    def world(self) -> StoreWorld:
        """What is stored, to be read without awaiting; never change what comes out."""
        return self._context.world

    def intercept(self, interceptor: Interceptor) -> None:
        """Puts a function between every request and its answer: see `apiserver.interception`."""
        self._context.interceptors.append(interceptor)

    def recording(self, /, **where: Any) -> RequestLog:
        """Notes the requests that are made while its context lasts; `where` as in `apiserver.interception.Where`.

        Raises ValueError for an option, verb or resource that there is not.
        """
        return RequestLog(self._context, where_of(self._context, where))

    def watch_queues(self, watching: Callable[[str, WorkQueue[Any]], None]) -> None:
        """Tells of the work queue of every controller, now and whenever one is made; see `WorkQueue.observer`."""
        self._components.manager.watch(lambda controller: watching(controller.name, controller.queue))

    @property
    def audit(self) -> AuditLog:
        """The requests that were answered last, the cluster's own components' aside: who asked for what."""
        return self._context.audit

    @property
    def revision(self) -> int:
        """The resourceVersion of the last write."""
        return self._context.store.revision

    def at(self, revision: int | str) -> Past:
        """The objects as they were at a resourceVersion, as far as the cluster remembers (`history`).

        Raises ValueError for one that is not yet.
        """
        return Past(self._context, int(revision))

    def history(self, subject: Resource[Any] | Doc, name: str = "", *, namespace: str = "default") -> History:
        """What became of an object, write by write: when, by whom, because of what, and what it changed. Print it.

        `history(DEPLOYMENTS, "web")`, or `history(obj)` of a document. As far back as the cluster remembers; raises
        NotFound where that is nothing.
        """
        if isinstance(subject, Resource):
            return history(self._context, subject, name, namespace if subject.namespaced else "")
        resource = resource_of(self._context, subject)
        return history(self._context, resource, name_of(subject), namespace_of(subject))

    def snapshot(self, path: Path | str) -> None:
        """Writes everything stored to a file with which `Cluster.restore(path)` begins."""
        save(self._context.store, Path(path))

    @classmethod
    def restore(cls, path: Path | str, **options: Any) -> Self:
        """A cluster that begins with a snapshot, to be entered like any: `Cluster(origin=path, **options)`.

        Raises ValueError for a file that is no snapshot, or one of another version; OSError for none.
        """
        return cls(origin=path, **options)  # type: ignore[call-arg]

    def export(self) -> str:
        """What users have made, as YAML that `kubectl apply` takes: without status, identities and what has owners."""
        return manifests(self._context)

    async def why(self, resource: Resource[Any], name: str, *, namespace: str = "default") -> Explanation:
        """Why an object is as it is, pending or failing or slow: print it. Raises NotFound."""
        where = namespace if resource.namespaced else ""
        found = await why(self.client, resource, name, where)
        return found.adding(history(self._context, resource, name, where).last_wish)

    async def settle(self, timeout: float = 5.0) -> None:
        """Returns when nothing remains to be done before the next timer: everybody has seen and done what there is.

        What only time will bring (a back-off, a probe's period, a lease) is not waited for, but processes that start
        or end are, and webhooks and extenders that have been asked. What clients outside may be about to do nobody can
        know. Raises NotSettled, which says what is still busy, after `timeout` seconds of real time.
        """
        await settle(self._outside, self._queued, timeout)

    async def advance(self, /, *, settle_timeout: float = 5.0, **duration: float) -> None:
        """Lets time pass: `advance(hours=24)`, arguments as of `timedelta`. Everything due happens, in order.

        Needs `clock="virtual"`. Real processes and clients outside live in their own time: the cluster waits until it
        has settled before each step, not for what they may still be going to do. Raises RuntimeError with another
        clock, ValueError for a time that lies behind us, NotSettled.
        """
        if not isinstance(self.clock, VirtualClock):
            raise RuntimeError('only a cluster with clock="virtual" can advance its time')
        await self.clock.advance(timedelta(**duration).total_seconds(), partial(self.settle, settle_timeout))

    def _rule_loop(self, stack: AsyncExitStack) -> None:
        """Takes hold of the loop's time and its order of tasks, where the configuration wants that. Raises NoHook."""
        if isinstance(self.clock, VirtualClock):
            stack.enter_context(self.clock.running(jumping=self.jumps and not self.in_thread))
        if self.config.shuffle:
            stack.enter_context(shuffled(Random(f"order of tasks {self.seed}")))

    @property
    def jumps(self) -> bool:
        """Whether waits are passed over: in virtual time, where nothing lives in a time of its own."""
        return self.config.clock == "virtual" and not self.config.serve and self.config.runtime == "simulated"

    def busy(self) -> list[str]:
        """What is queued or under way, for people: keys of controllers, pods to place, requests, watchers behind."""
        return [*self._outside(), *self._queued()]

    def _queued(self) -> list[str]:
        return queued(self._components.manager, self._components.scheduler, self.informers, self._context)

    def _outside(self) -> list[str]:
        """What is waited for that happens outside of the loop: processes, answers of webhooks."""
        calls, policing = self._context.webhooks.waiting, self._components.policing
        scheduler = self._components.scheduler
        return [
            *self.nodes.busy(),
            *(f"call of webhook {url}" for url, number in calls.items() if number),
            *(f"question to extender {url}" for url in (scheduler.outsiders.asked if scheduler is not None else ())),
            *(["rules for network policies"] if policing is not None and policing.busy else []),
        ]
