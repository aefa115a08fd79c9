"""The controllers of one cluster, running together: who sleeps, who is woken, and who is made to crash.

A controller that declares `wakes` is made when it first has something to do: a cluster that never sees such an object
pays for an ear at a cache, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from minik8s.client.informer import Informers
from minik8s.controllers.runtime import Context, Controller, ControllerStatistics


class ControllerManager:
    """The controllers of one cluster, running together. Those with `wakes` are made when they have something to do."""

    def __init__(self, context: Context, kinds: Sequence[type[Controller[Any]]]) -> None:
        self._context, self._kinds = context, kinds
        self.controllers: list[Controller[Any]] = [kind(context) for kind in kinds if not kind.wakes]
        self._asleep: list[_Sleeper] = [_Sleeper(kind) for kind in kinds if kind.wakes]
        self._scopes: dict[Controller[Any], anyio.CancelScope] = {}
        self._crashed: set[str] = set()
        self._watching: list[Callable[[Controller[Any]], None]] = []
        self._group: TaskGroup

    async def run(self) -> None:
        """Runs every controller until cancelled."""
        try:
            async with anyio.create_task_group() as self._group:
                for controller in self.controllers:
                    self._start(controller)
                for sleeper in self._asleep:
                    sleeper.listen(self._context.informers, self._wake)
                await anyio.Event().wait()  # they may all be asleep
        finally:
            for sleeper in self._asleep:
                sleeper.forget()

    def watch(self, watching: Callable[[Controller[Any]], None]) -> None:
        """Tells of every controller there is, and of each that is made from now on."""
        for controller in self.controllers:
            watching(controller)
        self._watching.append(watching)

    @property
    def names(self) -> list[str]:
        """Of all controllers, those that sleep as well."""
        return list(dict.fromkeys(kind.name for kind in self._kinds))

    def crash(self, name: str) -> None:
        """Ends what runs under a name, whatever it is about. Raises KeyError when it has been ended already."""
        if name in self._crashed:
            raise KeyError(name)
        self._crashed.add(name)
        for controller in [controller for controller in self.controllers if controller.name == name]:
            self.controllers.remove(controller)
            self._scopes.pop(controller).cancel()
        for sleeper in [sleeper for sleeper in self._asleep if sleeper.kind.name == name]:
            self._asleep.remove(sleeper)
            sleeper.forget()

    def begin(self, name: str) -> None:
        """Starts anew what has been crashed, with nothing remembered; harmless for what runs."""
        if name not in self._crashed:
            return
        self._crashed.discard(name)
        for kind in [kind for kind in self._kinds if kind.name == name]:
            if kind.wakes:
                self._asleep.append(_Sleeper(kind))
                self._asleep[-1].listen(self._context.informers, self._wake)
            else:
                self._wake(kind)

    def _wake(self, kind: type[Controller[Any]]) -> None:
        controller = kind(self._context)
        self.controllers.append(controller)
        for watching in self._watching:
            watching(controller)
        self._start(controller)

    def _start(self, controller: Controller[Any]) -> None:
        scope = self._scopes[controller] = anyio.CancelScope()
        self._group.start_soon(_run_within, scope, controller, name=f"controller {controller.name}")

    @property
    def idle(self) -> bool:
        return all(controller.idle for controller in self.controllers)

    def statistics(self) -> dict[str, ControllerStatistics]:
        """By the controllers' names; those that have never had anything to do are not in it."""
        return {controller.name: controller.statistics() for controller in self.controllers}


async def _run_within(scope: anyio.CancelScope, controller: Controller[Any]) -> None:
    with scope:
        await controller.run()


@attrs.define(eq=False)
class _Sleeper:
    """A controller that nobody has needed so far: no object of it, no queue, no task, only an ear at the caches."""

    kind: type[Controller[Any]]
    _removals: list[Callable[[], None]] = attrs.field(factory=list)
    _woken: bool = False

    def listen(self, informers: Informers, wake: Callable[[type[Controller[Any]]], None]) -> None:
        """Calls `wake`, once, as soon as there is an object of what the controller waits for."""

        def heard(old: Any, new: Any) -> None:
            if not self._woken and self.kind.concerned_with(old if new is None else new):
                self._woken = True
                self.forget()
                wake(self.kind)

        for resource in self.kind.wakes:
            self._removals.append(informers(resource).add_handler(heard))
        if self._woken:  # by what was there already
            self.forget()

    def forget(self) -> None:
        """Listens no longer."""
        for remove in self._removals:
            remove()
        self._removals.clear()


async def run_controllers(context: Context, kinds: Sequence[type[Controller[Any]]]) -> None:
    """Runs these controllers until cancelled."""
    await ControllerManager(context, kinds).run()
