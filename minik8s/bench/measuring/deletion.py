"""ObjectDeletionLatency: how long objects take from their deletion to their disappearance, finalizers and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio

from minik8s.bench.expressions import Value
from minik8s.bench.histogram import Histogram
from minik8s.bench.measuring import Measurement
from minik8s.bench.results import Result, Series
from minik8s.bench.world import RunFailed
from minik8s.client.lister import Key, key_of
from minik8s.client.manifests import resource_of
from minik8s.machinery.meta import labels_of, name_of
from minik8s.machinery.selectors import LabelSelector


class ObjectDeletionLatency(Measurement):
    """From the moment in which a watch shows a deletion timestamp to the object's end; 0 for what ends at once."""

    method = "ObjectDeletionLatency"

    async def start(self, params: Mapping[str, Value]) -> None:
        self._latency = Histogram()
        self._ending: dict[Key, float] = {}
        self._selector = LabelSelector.parse(str(params["labelSelector"]))
        self._resource = await resource_of(
            self.world.plain, {"apiVersion": params["apiVersion"], "kind": params["kind"]}
        )
        informer = self.world.informers(self._resource)
        self._lister = informer.lister
        await informer.synced()
        self._changed = anyio.Event()
        self._undo.append(informer.add_handler(self._see))

    def _means(self, obj: Any) -> bool:
        mine = self.world.is_mine(obj) if self._resource.namespaced else name_of(obj) in self._made()
        return mine and self._selector.matches(labels_of(obj))

    def _made(self) -> set[str]:
        """Names of what has no namespace: the run's own namespaces, or whatever it has written."""
        if self._resource.kind == "Namespace":
            return self.world.namespaces
        return {name for _, name in self.world.written.gone.get(self._resource, ())}

    def _see(self, old: Any, new: Any) -> None:
        obj, now = old if new is None else new, self.world.clock.monotonic()
        if not self._means(obj):
            return
        if new is None:
            self._latency.record(now - self._ending.pop(key_of(obj), now))
            self._changed.set()
        elif new["metadata"].get("deletionTimestamp"):
            self._ending.setdefault(key_of(obj), now)

    async def gather(self, params: Mapping[str, Value]) -> Sequence[Result]:
        with anyio.move_on_after(float(params["operationTimeout"])) as scope:
            while left := self._left():
                self.world.progress.say(f"{len(left)} {self._resource.plural} are still being deleted")
                await self._changed.wait()
                self._changed = anyio.Event()
        self.close()
        if scope.cancelled_caught:
            names = sorted("/".join(filter(None, key)) for key in self._left())
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise RunFailed(f"not deleted after {params['operationTimeout']:g} s: {', '.join(names[:3])}{more}")
        labels = {"resource": self._resource.group_resource}
        return [self.result("deletion latency", [Series(labels, "s", self._latency)])]

    def _left(self) -> list[Key]:
        gone = self.world.written.gone.get(self._resource, set())
        found = [key for key in gone if self._lister.get(key[1], key[0]) is not None]
        ending = [key for key in self._ending if self._lister.get(key[1], key[0]) is not None]
        return list(dict.fromkeys([*found, *ending]))
