"""The objects of one CustomResourceDefinition: stored in one version, shown in all.

An object is stored as it was last written. Where that is not how a version shows it now (it was written in another
version, or under an older schema) its view is made when it is read: converted, pruned, defaulted. Views are kept as
long as the stored document is. Conversion by a webhook has to be awaited, so whoever reads calls `ready` first, which
costs nothing for all others. Upstream: apiextensions-apiserver `pkg/apiserver/customresource_handler.go`, `conversion`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from minik8s.api.definitions import Definition
from minik8s.api.resource import Resource
from minik8s.machinery.errors import InternalError
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema.constraints import same
from minik8s.schema.decode import decode
from minik8s.schema.defaulting import fill_defaults

MAX_VIEWS = 2_000
"""Documents whose views are kept; beyond that all are forgotten and made again."""

Convert = Callable[[Definition, Sequence[Doc], str], Awaitable[list[Obj]]]
"""A conversion webhook's answer: the documents in the version that is named."""


class CustomStorage:
    """What all versions of a custom resource share. `plain` says that stored documents are what the storage version
    shows, byte for byte; it ends with the first change of that version or its schema while objects exist."""

    def __init__(self, definition: Definition, convert: Convert, *, plain: bool) -> None:
        self.definition = definition
        self.plain = plain
        self._convert = convert
        self._views: dict[tuple[int, str], tuple[Doc, Obj]] = {}

    @property
    def is_terminating(self) -> bool:
        return self.definition.is_terminating

    @property
    def is_remote(self) -> bool:
        """Whether a webhook converts."""
        return bool(self.definition.conversion.get("strategy") == "Webhook")

    def redefine(self, definition: Definition, *, occupied: bool) -> None:
        """Takes a new definition over."""
        old, new = self.definition.storage, definition.storage
        if (old.resource.version, old.schema) != (new.resource.version, new.schema):
            self.plain = self.plain and not occupied
        self.definition = definition
        self._views.clear()

    def same(self, obj: Doc, old: Doc) -> bool:
        """Whether two documents have the same values, of the same JSON types, beside their metadata."""
        return all(same(obj.get(key), old.get(key)) for key in {*obj, *old} - {"metadata"})

    def shares_bytes(self, resource: Resource[Any]) -> bool:
        return self.plain and resource.version == self.definition.storage.resource.version

    def view(self, stored: Obj, resource: Resource[Any]) -> Obj:
        """A stored document in a version. Raises InternalError when a webhook should have been asked before."""
        if self.shares_bytes(resource):
            return stored
        known = self._views.get((id(stored), resource.version))
        if known is not None and known[0] is stored:
            return known[1]
        if stored["apiVersion"] != resource.api_version and self.is_remote:
            raise InternalError(f"{resource.api_version} of {self.definition.name} has not been converted")
        return self._keep(stored, {**stored, "apiVersion": resource.api_version}, resource)

    def stored(self, obj: Obj) -> Obj:
        """A document of any version as it is stored."""
        storage = self.definition.storage.resource
        if obj["apiVersion"] == storage.api_version:
            return obj
        return _normal({**obj, "apiVersion": storage.api_version}, storage)

    async def ready(self, stored: Iterable[Obj], resource: Resource[Any]) -> None:
        """Makes the views for which a webhook has to be asked. Raises ApiError when it does not answer well."""
        if not self.is_remote:
            return
        stored = list(stored)
        if len(self._views) + len(stored) > MAX_VIEWS:
            self._views.clear()
        waiting: dict[int, Obj] = {
            id(doc): doc
            for doc in stored
            if doc["apiVersion"] != resource.api_version and not self._knows(doc, resource)
        }
        by_version: dict[str, list[Obj]] = {}
        for doc in waiting.values():
            by_version.setdefault(doc["apiVersion"], []).append(doc)
        for docs in by_version.values():
            converted = await self._convert(self.definition, docs, resource.api_version)
            for doc, new in zip(docs, converted, strict=True):
                self._keep(doc, new, resource)

    async def to_storage(self, obj: Obj) -> Obj:
        """`stored`, by whatever converts. Raises ApiError."""
        storage = self.definition.storage.resource
        if not self.is_remote or obj["apiVersion"] == storage.api_version:
            return self.stored(obj)
        converted = await self._convert(self.definition, [obj], storage.api_version)
        return _normal(converted[0], storage)

    def _knows(self, stored: Obj, resource: Resource[Any]) -> bool:
        known = self._views.get((id(stored), resource.version))
        return known is not None and known[0] is stored

    def _keep(self, stored: Obj, doc: Obj, resource: Resource[Any]) -> Obj:
        view = _normal(doc, resource)
        if len(self._views) >= MAX_VIEWS and not self.is_remote:
            self._views.clear()
        self._views[id(stored), resource.version] = (stored, view)
        return view


def _normal(doc: Obj, resource: Resource[Any]) -> Obj:
    """A document as the version's present schema has it; what is stored is never changed."""
    obj = decode(doc, resource.type, resource.kind).obj
    fill_defaults(obj, resource.type)
    return obj
