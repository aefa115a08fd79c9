"""The cache behind an informer, and its read-only face.

Controllers read thousands of objects a second and must not ask the server for them. A `Lister` answers from
memory: by name, by namespace, by index or by label. Indexes are built when first asked for and then kept
up event by event, so an event pays only for the indexes that somebody uses. The objects are the shared
documents: never mutate one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

import anyio

from minik8s.machinery.meta import Doc, controller_of, labels_of
from minik8s.machinery.selectors import LabelSelector

T = TypeVar("T", bound=Mapping[str, Any])
IndexFunc = Callable[[T], Iterable[str]]
Key = tuple[str, str]
"""(namespace, name); the namespace of cluster-scoped objects is ""."""


def key_of(obj: Doc) -> Key:
    """The cache key of an object."""
    meta = obj["metadata"]
    return meta.get("namespace", ""), meta["name"]


def by_owner(obj: Doc) -> tuple[str, ...]:
    """The controller's uid."""
    reference = controller_of(obj)
    return () if reference is None else (reference["uid"],)


def by_node(obj: Doc) -> tuple[str, ...]:
    """The node a pod is assigned to."""
    node = (obj.get("spec") or {}).get("nodeName")
    return (node,) if node else ()


def by_namespace(obj: Doc) -> tuple[str, ...]:
    return (obj["metadata"].get("namespace", ""),)


def by_label(obj: Doc) -> tuple[str, ...]:
    """`key=value` of every label."""
    return tuple([f"{key}={value}" for key, value in labels_of(obj).items()])


BUILTIN_INDEXES: Mapping[str, IndexFunc[Any]] = {
    "owner": by_owner,
    "node": by_node,
    "namespace": by_namespace,
    "label": by_label,
}


class _Index(Generic[T]):
    """value -> key -> object, for one index function."""

    __slots__ = ("_buckets", "_func")

    def __init__(self, func: IndexFunc[T]) -> None:
        self._func = func
        self._buckets: dict[str, dict[Key, T]] = {}

    def values(self) -> list[str]:
        return list(self._buckets)

    def get(self, value: str) -> Mapping[Key, T]:
        """What has that value, by key; not to be changed, nor kept."""
        return self._buckets.get(value, {})

    def replace(self, key: Key, old: T | None, new: T | None) -> None:
        before = () if old is None else tuple(self._func(old))
        after = () if new is None else tuple(self._func(new))
        if before != after:
            for value in before:
                bucket = self._buckets[value]
                bucket.pop(key, None)
                if not bucket:
                    del self._buckets[value]
        if new is not None:
            for value in after:
                self._buckets.setdefault(value, {})[key] = new


class Lister(Generic[T]):
    """Read-only, indexed view of a cache; as fresh as `revision`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, T]] = {}
        self._functions: dict[str, IndexFunc[T]] = dict(BUILTIN_INDEXES)
        self._indexes: dict[str, _Index[T]] = {}
        self._waiters: list[tuple[int, int, anyio.Event]] = []
        self._tickets = count()
        self.revision = 0
        """The newest resourceVersion the cache has seen."""

    def __len__(self) -> int:
        return sum(map(len, self._objects.values()))

    def get(self, name: str, namespace: str = "") -> T | None:
        """The object of that name, or None."""
        space = self._objects.get(namespace)
        return None if space is None else space.get(name)

    def all(self, namespace: str = "") -> list[T]:
        """The objects of a namespace; "" means every namespace."""
        if namespace:
            return list(self._objects.get(namespace, {}).values())
        return [obj for space in self._objects.values() for obj in space.values()]

    def by_index(self, index: str, value: str) -> list[T]:
        """The objects for which the index function gave `value`. Raises KeyError for an unknown index."""
        return list(self._index(index).get(value).values())

    def index_values(self, index: str) -> list[str]:
        """The values under which the index has any object. Raises KeyError for an unknown index."""
        return self._index(index).values()

    def select(self, selector: LabelSelector, namespace: str = "") -> list[T]:
        """The objects whose labels match; "" means every namespace."""
        return [obj for obj in self._candidates(selector, namespace) if selector.matches(labels_of(obj))]

    async def caught_up(self, revision: int) -> None:
        """Waits until the cache has seen `revision`.

        That must be the resourceVersion of a written (or deleted) object of this resource: writes to other
        resources raise the store's revision without an event here.
        """
        if self.revision >= revision:
            return
        seen = anyio.Event()
        heappush(self._waiters, (revision, next(self._tickets), seen))
        await seen.wait()

    def _candidates(self, selector: LabelSelector, namespace: str) -> list[T]:
        """The namespace, or those with the rarest of the labels asked for, whichever is less."""
        if not selector.pairs:
            return [] if selector.nothing else self.all(namespace)
        labels = self._index("label")
        rarest = min([labels.get(f"{key}={value}") for key, value in selector.pairs], key=len)
        if namespace and len(self._objects.get(namespace, ())) <= len(rarest):
            return self.all(namespace)
        return [obj for key, obj in rarest.items() if not namespace or key[0] == namespace]

    def _index(self, name: str) -> _Index[T]:
        built = self._indexes.get(name)
        if built is None:
            built = self._indexes[name] = self._build(self._functions[name])
        return built

    def _build(self, func: IndexFunc[T]) -> _Index[T]:
        index = _Index(func)
        for namespace, space in self._objects.items():
            for name, obj in space.items():
                index.replace((namespace, name), None, obj)
        return index


class Indexer(Lister[T]):
    """The writable side, for the informer alone."""

    def add_index(self, name: str, func: IndexFunc[T]) -> None:
        """Declares an index. Raises ValueError for a name that stands for another function."""
        if self._functions.setdefault(name, func) is not func:
            raise ValueError(f"index {name!r} is declared already, with another function")

    def put(self, obj: T) -> T | None:
        """Stores the object and returns what it replaces."""
        namespace, name = key = key_of(obj)
        space = self._objects.get(namespace)
        if space is None:
            space = self._objects[namespace] = {}
        old = space.get(name)
        space[name] = obj
        for index in self._indexes.values():
            index.replace(key, old, obj)
        return old

    def remove(self, key: Key) -> T | None:
        """Forgets an object and returns it."""
        namespace, name = key
        space = self._objects.get(namespace)
        old = space.pop(name, None) if space else None
        if old is None:
            return None
        if not space:
            del self._objects[namespace]
        for index in self._indexes.values():
            index.replace(key, old, None)
        return old

    def all_keys(self) -> list[Key]:
        return [(namespace, name) for namespace, space in self._objects.items() for name in space]

    def advance(self, revision: int) -> None:
        """Says how fresh the cache is now, and wakes who waited for it."""
        self.revision = revision
        while self._waiters and self._waiters[0][0] <= revision:
            heappop(self._waiters)[2].set()
