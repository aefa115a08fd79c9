"""Reading what was: the objects of one revision, as long as the store remembers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from minik8s.api.resource import Resource
from minik8s.machinery.errors import Expired, NotFound
from minik8s.machinery.meta import labels_of
from minik8s.machinery.selectors import LabelSelector
from minik8s.store.protocol import Compacted, Entry

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

T = TypeVar("T", bound=Mapping[str, Any])


class Past:
    """The cluster at one revision. Raises ValueError for one that is not yet."""

    def __init__(self, ctx: ServerContext, revision: int) -> None:
        if not 0 < revision <= ctx.store.revision:
            raise ValueError(f"there is no revision {revision}; the newest is {ctx.store.revision}")
        self._ctx, self.revision = ctx, revision

    async def list(self, resource: Resource[T], *, namespace: str = "", label_selector: str = "") -> list[T]:
        """Objects of a namespace, or of all when it is "". Raises Expired."""
        selector = LabelSelector.parse(label_selector)
        served = self._ctx.registry.served(resource)
        shown: list[Any] = [served.view(entry.value) for entry in await self._entries(resource, namespace)]
        return [obj for obj in shown if selector.matches(labels_of(obj))]

    async def get(self, resource: Resource[T], name: str, *, namespace: str = "") -> T:
        """One object. Raises NotFound or Expired."""
        for entry in await self._entries(resource, namespace):
            if entry.key[2] == name:
                found: Any = self._ctx.registry.served(resource).view(entry.value)
                return found
        raise NotFound.object(resource.plural, resource.group, name)

    async def _entries(self, resource: Resource[Any], namespace: str) -> Sequence[Entry]:
        group_resource = self._ctx.registry.served(resource).storage.group_resource
        prefix = (group_resource, namespace) if namespace else (group_resource,)
        try:
            return (await self._ctx.store.range(prefix, at=self.revision)).entries
        except Compacted as error:
            raise Expired(f"revision {self.revision} is forgotten; the oldest is {error.oldest}") from None
