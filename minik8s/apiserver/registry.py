"""Which resources this server serves, and everything that belongs to each: strategy, storage, columns.

A kind's behaviour is looked up when it is first asked for, so that making a registry costs next to nothing.
Custom resources are added and removed here at run time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from minik8s.api.conversion import convert
from minik8s.api.metrics import METRICS
from minik8s.api.resource import Resource
from minik8s.api.resource import version_priority as priority
from minik8s.api.resources import BUILTIN, STORED_AS
from minik8s.api.strategies import strategy_for
from minik8s.api.strategy import Strategy
from minik8s.apiserver.codec import Reader
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, copy_document
from minik8s.schema.decode import decode
from minik8s.store.protocol import Entry

if TYPE_CHECKING:
    from minik8s.apiserver.customstorage import CustomStorage


class Keeper(Protocol):
    """Follows the writes to a kind on which depends what the server serves.

    `finishes_deletions` says whether a deletion only marks the object, because the keeper removes it itself.
    """

    finishes_deletions: bool

    def prepare(self, obj: Obj) -> Obj:
        """What is going to be stored, from what is about to be."""
        ...

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        """The same for the beginning of a deletion; `obj` is what is stored."""
        ...

    async def written(self) -> None:
        """After a write or deletion, before it is answered."""
        ...


@attrs.define(eq=False)
class Served:
    """A resource with its behaviour. `storage` is the resource under whose name its objects are kept.

    `custom` is there for custom resources: what their versions share. `keeper` follows every write.
    """

    resource: Resource[Any]
    strategy: Strategy
    storage: Resource[Any]
    custom: CustomStorage | None = None
    keeper: Keeper | None = None
    _status: tuple[Obj | None] | None = None

    @property
    def shares_bytes(self) -> bool:
        """Whether the stored document is what this resource shows, byte for byte."""
        if self.custom is not None:
            return self.custom.shares_bytes(self.resource)
        return self.storage is self.resource

    def key(self, namespace: str, name: str) -> tuple[str, str, str]:
        return (self.storage.group_resource, namespace, name)

    def view(self, stored: Obj) -> Obj:
        """A stored document as this version shows it; see `ready`."""
        if self.custom is not None:
            return self.custom.view(stored, self.resource)
        return stored if self.shares_bytes else convert(stored, self.resource)

    def stored(self, obj: Obj) -> Obj:
        """A document of this version as it is stored; see `to_storage`."""
        if self.custom is not None:
            return self.custom.stored(obj)
        return obj if self.shares_bytes else convert(obj, self.storage)

    @property
    def is_remote(self) -> bool:
        """Whether views have to be awaited, because a webhook makes them."""
        return self.custom is not None and self.custom.is_remote

    async def ready(self, stored: Iterable[Obj]) -> None:
        """Makes sure that `view` can answer for these documents. Raises ApiError."""
        if self.custom is not None and self.custom.is_remote:
            await self.custom.ready(stored, self.resource)

    def is_current(self, stored: Obj, obj: Doc, old: Doc) -> bool:
        """Whether writing `obj`, which equals `old`, would store what is stored.

        Not where another version is stored now; nor for 1 and true, which are equal, but not to a custom resource.
        """
        return self.custom is None or (stored["apiVersion"] == self.storage.api_version and self.custom.same(obj, old))

    def initial_status(self) -> Obj | None:
        """The status that a new object has before anybody has written one; None for a kind without status."""
        if self._status is None:
            self._status = (decode({}, self.resource.type, self.resource.kind).obj.get("status"),)
        return copy_document(self._status[0])

    def source(self, entry: Entry) -> Entry | None:
        """The entry, if its bytes are what this version shows."""
        return entry if self.shares_bytes else None


class Registry:
    """Resources by group, version and plural name."""

    def __init__(self, resources: Iterable[Resource[Any]] = (*BUILTIN, *METRICS)) -> None:
        self._resources = {(r.group, r.version, r.plural): r for r in resources}
        self._served: dict[tuple[str, str, str], Served] = {}
        self._siblings: dict[str, list[Served]] = {}
        self._indexed: dict[str, Mapping[str, Reader]] = {}
        self._stored = {r.group_resource: STORED_AS.get(r, r) for r in reversed(self._resources.values())}
        self._own = {(r.group, r.version) for r in self._resources.values()}
        self._custom: dict[str, CustomStorage] = {}
        self._homes: dict[str, Served] = {}
        self.keepers: dict[str, Keeper] = {}
        """By group-resource; to be filled before the resource is first asked for."""
        self.generation = 0
        """Grows when what is served changes."""

    def install(self, storage: CustomStorage, keeper: Keeper | None) -> None:
        """Serves the versions of a definition, in place of what has been served of it."""
        self._custom[storage.definition.name] = storage
        self._forget(storage)
        home = storage.definition.storage.resource
        for version in storage.definition.versions:
            key = _key(version.resource)
            taken = key[:2] in self._own  # nobody takes over what is built in
            served = None if taken else self._served.get(key)
            served = served or Served(version.resource, version.strategy, home, storage)
            served.resource, served.strategy, served.storage = version.resource, version.strategy, home
            served.custom, served.keeper = storage, keeper
            if version.resource is home:
                self._homes[home.group_resource] = served
            if version.served and not taken:
                self._served[key] = served
                self._resources[key] = version.resource
        for key in [key for key, s in self._served.items() if s.custom is storage and key not in self._resources]:
            del self._served[key]
        self._sort()

    def remove(self, storage: CustomStorage) -> None:
        """Serves a definition's resources no more."""
        del self._custom[storage.definition.name]
        self._forget(storage)
        for key in [key for key, served in self._served.items() if served.custom is storage]:
            del self._served[key]
        self._sort()

    def home(self, storage: CustomStorage) -> Served:
        """A definition's storage version, which need not be served to anybody."""
        return self._homes[storage.definition.group_resource]

    def _forget(self, storage: CustomStorage) -> None:
        resource = storage.definition.group_resource
        self._siblings.pop(resource, None)
        self._homes.pop(resource, None)
        for key in [key for key, r in self._resources.items() if r.custom is not None and r.group_resource == resource]:
            del self._resources[key]

    def _sort(self) -> None:
        """Custom resources follow the built-in ones, by group, then by version as clients prefer it, then by name."""
        custom = [key for key, r in self._resources.items() if r.custom is not None]
        for key in sorted(custom, key=lambda key: (key[0], priority(key[1]), key[2])):
            self._resources[key] = self._resources.pop(key)
        self.generation += 1

    @property
    def known(self) -> list[Resource[Any]]:
        """All served resources in discovery order; each stays the same object as long as it is served unchanged."""
        return list(self._resources.values())

    @property
    def resources(self) -> list[Resource[Any]]:
        """All served resources in discovery order."""
        return list(self._resources.values())

    @property
    def group_versions(self) -> dict[tuple[str, str], bool]:
        """The group versions that are served, and whether each is one of custom resources."""
        return {key[:2]: resource.custom is not None for key, resource in self._resources.items()}

    def has_group_version(self, group: str, version: str) -> bool:
        return any(key[:2] == (group, version) for key in self._resources)

    def find(self, group: str, version: str, plural: str) -> Resource[Any]:
        """Raises NotFound, as an unknown path does."""
        found = self.get(group, version, plural)
        if found is None:
            raise NotFound.path()
        return found

    def get(self, group: str, version: str, plural: str) -> Resource[Any] | None:
        """A served resource, None when there is none of that name."""
        return self._resources.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource[Any] | None:
        """The served resource of a kind."""
        same = (r for r in self._resources.values() if r.kind == kind)
        return next((found for found in same if found.api_version == api_version), None)

    def sharing(self, resource: Resource[Any]) -> list[Resource[Any]]:
        """Other resources that show the same stored objects: other versions, or the same kind in another group."""
        home = self.served(resource).storage.group_resource
        same = (r for r in self._resources.values() if STORED_AS.get(r, r).group_resource == home)
        return [other for other in same if other.api_version != resource.api_version]

    def served(self, resource: Resource[Any]) -> Served:
        """A resource's behaviour; raises NotFound when it is not served."""
        key = (resource.group, resource.version, resource.plural)
        found = self._served.get(key)
        if found is None:
            resource = self.find(*key)
            found = Served(resource, strategy_for(resource), STORED_AS.get(resource, resource))
            found.keeper = self.keepers.get(resource.group_resource)
            self._served[key] = found
        return found

    def storage_of(self, group_resource: str) -> str:
        """Under which name a resource's objects are kept: its own, but for a kind that has moved between groups."""
        stored = self._stored.get(group_resource)
        return stored.group_resource if stored is not None else group_resource

    def siblings(self, served: Served) -> list[Served]:
        """All versions of a kind that share storage with it, itself among them."""
        found = self._siblings.get(served.storage.group_resource)
        if found is None:
            stored = served.storage.group_resource
            found = [self.served(r) for r in self._resources.values() if STORED_AS.get(r, r).group_resource == stored]
            self._siblings[stored] = found
        return found

    def indexed(self, group_resource: str) -> Mapping[str, Reader]:
        """The field selector paths of a stored resource that the store may keep an index for."""
        readers = self._indexed.get(group_resource)
        if readers is None:
            if group_resource not in self._stored:
                return {}
            strategy = self.served(self._stored[group_resource]).strategy
            readers = {path: strategy.selectable[path] for path in strategy.indexed}
            self._indexed[group_resource] = readers
        return readers


def _key(resource: Resource[Any]) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural
