"""Keeps a pod's volumes true to the objects they show: mounts them, hears of changes, renews tokens.

What could not be mounted is told in events and tried again with back-off, sooner when an object of the pod changes.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Protocol

import anyio

from minik8s.kubelet.backoff import mount_delay
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.latch import Latch
from minik8s.kubelet.pod_spec import referenced
from minik8s.kubelet.volumes.failures import MountFailure
from minik8s.kubelet.volumes.manager import PodVolumes
from minik8s.machinery.meta import Doc, namespace_of


class VolumeHost(Protocol):
    """A pod's worker, as far as its volumes need it."""

    node: NodeContext
    pod: Doc

    def surroundings(self) -> Surroundings: ...
    def event(self, reason: str, message: str) -> None: ...
    def objects_changed(self) -> None: ...
    def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> bool: ...
    def set_timer(self, name: str, seconds: float, callback: Callable[[], object]) -> None: ...


class VolumeKeeper:
    """Looks after the volumes of one pod."""

    __slots__ = ("_changed", "_host", "_is_mounted", "_refreshing", "volumes")

    def __init__(self, host: VolumeHost, directory: Path, images: Mapping[str, Path]) -> None:
        self._host = host
        self.volumes = PodVolumes(host.node, directory, images)
        self._changed = Latch()
        self._is_mounted = False
        self._refreshing = False

    async def mount(self) -> None:
        """Returns once every volume is there."""
        delay = 0.0
        while True:
            self._changed = Latch()
            failures = await self._set_up()
            if not failures:
                break
            self._report(failures)
            delay = mount_delay(delay)
            with anyio.move_on_after(delay):
                await self._changed.wait()
        self._is_mounted = True
        self._plan_renewal()

    def listen(self) -> Callable[[], None]:
        """Hears of changes to the ConfigMaps and Secrets that the pod refers to; returns how to hear no more."""
        config_maps, secrets = referenced(self._host.pod)
        listen = self._host.node.dispatch.subscribe_objects
        return listen(namespace_of(self._host.pod), config_maps, secrets, self._object_changed)

    def refresh_soon(self) -> None:
        """Brings mounted volumes up to date, once for any number of changes."""
        if self._is_mounted and not self._refreshing:
            self._refreshing = self._host.spawn(self.refresh)

    def _object_changed(self, old: Doc | None, new: Doc | None) -> None:
        self._changed.set()
        self._host.objects_changed()
        self.refresh_soon()

    async def _set_up(self) -> list[MountFailure]:
        return await self.volumes.set_up(self._host.pod, self._host.surroundings())

    async def refresh(self) -> None:
        """Brings mounted volumes up to date; what runs goes on with what it has, so that failures are only told of."""
        self._refreshing = False
        self._report(await self._set_up())
        self._plan_renewal()

    def _report(self, failures: list[MountFailure]) -> None:
        for failure in failures:
            self._host.event(failure.reason, failure.message)

    def _plan_renewal(self) -> None:
        if (when := self.volumes.renew_at) is not None:
            left = (when - self._host.node.clock.now()).total_seconds()
            self._host.set_timer("renewal", left, self.refresh_soon)
