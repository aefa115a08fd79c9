"""What a test can ask of a cluster and do to it, besides being its client: time, rest, faults, logs, the past, forks.

A base of `Cluster` that needs nothing but its parts, so that the composition root stays readable as the task tree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from minik8s.api.resource import Resource
from minik8s.apiserver.audit import AuditLog
from minik8s.apiserver.context import ServerContext, StoreWorld
from minik8s.apiserver.interception import Interceptor, Where, check_where
from minik8s.apiserver.past import Past
from minik8s.apiserver.requestlog import RequestLog
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.client.why import Explanation, why
from minik8s.client.workqueue import WorkQueue
from minik8s.clock import Clock
from minik8s.config import ClusterConfig
from minik8s.controllers.manager import ControllerManager
from minik8s.faults import Component, Faults
from minik8s.nodes import NodePool
from minik8s.quiescence import queued, settle
from minik8s.scheduler.scheduler import Scheduler
from minik8s.snapshot import manifests, save
from minik8s.virtualtime import VirtualClock


class Control:
    """See the module's docstring. `Cluster` fills in the parts."""

    config: ClusterConfig
    clock: Clock
    client: Client
    informers: Informers
    nodes: NodePool
    _context: ServerContext
    _faults: Faults | None = None
    _manager: ControllerManager | None = None
    _scheduler: Scheduler | None = None
    _start_scheduler: Callable[[], None] | None = None

    @property
    def faults(self) -> Faults:
        """What a test makes go wrong, see `minik8s.faults`; one that never fired is an error when the cluster ends."""
        self._faults = self._faults or Faults(self._context, self.nodes, self._components())
        return self._faults

    def _components(self) -> dict[str, Component]:
        """What can crash, by name."""
        found: dict[str, Component] = {}
        if (manager := self._manager) is not None:
            for name in manager.names:
                found[name] = Component(partial(manager.crash, name), partial(manager.begin, name))
        if self._start_scheduler is not None:
            found["scheduler"] = Component(self._stop_scheduler, self._start_scheduler)
        return found

    def _stop_scheduler(self) -> None:
        assert self._scheduler is not None
        self._scheduler.stop()

    @property
    def world(self) -> StoreWorld:
        """What is stored, to be read without awaiting; never change what comes out."""
        return self._context.world

    def intercept(self, interceptor: Interceptor) -> None:
        """Puts a function between every request and its answer: see `apiserver.interception`."""
        self._context.interceptors.append(interceptor)

