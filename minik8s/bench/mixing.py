"""A mix of requests on what phases have made: gets, lists, patches, applies, creations and deletions by their weights.

What is created here is deleted here first, so that the number of objects stays about what it was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from minik8s.api.resource import Resource
from minik8s.bench.expressions import Value
from minik8s.bench.scenario import BundleObject, Call, Requests
from minik8s.bench.world import RunFailed, World
from minik8s.machinery.errors import NotFound


class Mix:
    """Draws one request after another; `made` is what phases have made: (namespace, basename) -> (number, object)."""

    def __init__(
        self,
        world: World,
        requests: Requests,
        resources: Sequence[Resource[Any]],
        made: Mapping[tuple[str, str], tuple[int, BundleObject]],
        params: Mapping[str, Value],
    ) -> None:
        self._world, self._calls, self._made, self._params = world, requests.calls, made, params
        self._resources = dict(zip(map(id, requests.calls), resources, strict=True))
        self._weights = [call.weight for call in requests.calls]
        self._namespaces = requests.range.names(world.prefix)
        self._number = 0
        self._extra: deque[tuple[Resource[Any], str, str]] = deque()
        for call in requests.calls:
            self._check(call)

    def _check(self, call: Call) -> None:
        """Raises RunFailed where there is nothing to get or to patch."""
        if call.verb in ("get", "patch", "apply") and self._resources[id(call)].namespaced:
            for namespace in self._namespaces:
                if not self._made.get((namespace, call.object.basename), (0, None))[0]:
                    raise RunFailed(f"nothing to {call.verb}: no {call.object.basename} has been made in {namespace}")

    def next(self) -> Callable[[], Awaitable[None]]:
        """The next request, drawn now and made when it is called."""
        rng = self._world.rng
        call = rng.choices(self._calls, self._weights)[0]
        namespace = rng.choice(self._namespaces)
        self._number += 1
        count, _ = self._made.get((namespace, call.object.basename), (0, None))
        return partial(self._make, call, namespace, rng.randrange(count) if count else 0, self._number)

    async def _make(self, call: Call, namespace: str, index: int, number: int) -> None:
        client, resource = self._world.client, self._resources[id(call)]
        where = namespace if resource.namespaced else ""
        name = call.object.name(index)
        match call.verb:
            case "get":
                await client.get(resource, name, namespace=where)
            case "list":
                await client.list(resource, namespace="" if call.scope == "cluster" else where)
            case "patch":
                patch = {"metadata": {"annotations": {"minik8s.dev/bench": str(number)}}}
                await client.patch(resource, name, patch, namespace=where)
            case "apply":
                document = call.object.render(index, where, {**self._params, "Number": number})
                await client.apply(resource, document, manager="minik8s-bench-mix")
            case "create":
                await self._create(call, resource, where, number)
            case "delete":
                await self._delete(call, resource, where, number)

    async def _create(self, call: Call, resource: Resource[Any], where: str, number: int) -> None:
        document = call.object.render(f"x{number}", where, self._params)
        await self._world.client.create(resource, document, namespace=where)
        self._extra.append((resource, where, call.object.name(f"x{number}")))

    async def _delete(self, call: Call, resource: Resource[Any], where: str, number: int) -> None:
        """The oldest of what was created here; without any, one is made for it."""
        if not self._extra:
            await self._create(call, resource, where, number)
        resource, where, name = self._extra.popleft()
        try:
            await self._world.client.delete(resource, name, namespace=where, propagation="Background")
        except NotFound:
            return
