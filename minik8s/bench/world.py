"""What the steps of a run and its measurements work with: clients, clocks, the cluster, and what was made in it."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Final, Protocol

import attrs
from anyio.abc import TaskGroup

from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.bench.expressions import Value
from minik8s.bench.observing import Observed
from minik8s.bench.recording import Recorder
from minik8s.bench.results import Time
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.client.lister import Key, key_of
from minik8s.clock import Clock, RealClock
from minik8s.machinery.meta import Doc, Obj, namespace_of, revision_of

REAL: Final = RealClock()


class RunFailed(Exception):
    """The run cannot go on; what was measured until then is kept."""


class Progress(Protocol):
    """Is told how far a run is."""

    def step(self, name: str, total: int) -> None:
        """A step begins that consists of so many operations; 0 when nobody knows."""
        ...

    def advance(self, done: int = 1) -> None: ...

    def say(self, text: str) -> None:
        """What is being waited for."""
        ...


class Silent:
    """Nobody looks."""

    def step(self, name: str, total: int) -> None: ...

    def advance(self, done: int = 1) -> None: ...

    def say(self, text: str) -> None: ...


class Observation(Protocol):
    """Looks into the cluster under test; None where it is somebody else's."""

    async def __call__(self) -> Observed | None: ...


@attrs.define
class Written:
    """What the run has asked of each resource: how far a cache has to be to show all of it, and what is to be gone."""

    revisions: dict[Resource[Any], int] = attrs.field(factory=dict)
    gone: dict[Resource[Any], set[Key]] = attrs.field(factory=dict)

    def note(self, request: ApiRequest, answer: Obj, sent: float) -> None:
        if request.verb == "delete":
            self.gone.setdefault(request.resource, set()).add((request.namespace, request.name))
            return
        gone = self.gone.get(request.resource)
        if gone is not None and "metadata" in answer:
            gone.discard(key_of(answer))
        seen = self.revisions.get(request.resource, 0)
        self.revisions[request.resource] = max(seen, revision_of(answer) if "metadata" in answer else 0)


@attrs.define(kw_only=True)
class World:
    """One run's surroundings.

    `client` is measured, `plain` is not: measurements look through the latter. `clock` is the cluster's, and `time`
    says of what kind it is. `namespaces` are those the run has made. `strays` what else of it has no namespace.
    `shares_process`: the cluster lives in this process.
    """

    client: Client
    plain: Client
    recorder: Recorder
    informers: Informers
    clock: Clock
    time: Time
    rng: Random
    group: TaskGroup
    observe: Observation
    params: Mapping[str, Value]
    progress: Progress = attrs.field(factory=Silent)
    prefix: str = ""
    shares_process: bool = False
    namespaces: set[str] = attrs.field(factory=set)
    strays: set[tuple[Resource[Any], str]] = attrs.field(factory=set)
    written: Written = attrs.field(factory=Written)

    def is_mine(self, obj: Doc) -> bool:
        """Whether an object is in a namespace of this run, or in none."""
        return not namespace_of(obj) or namespace_of(obj) in self.namespaces
