"""Keeps what is served in step with the CustomResourceDefinitions in the store, on the write itself.

There is no controller to wait for: when the creation of a definition is answered, its resource is served; when an
update is answered, the new schema holds. A definition that is deleted takes its objects along: those without finalizers
at once, and itself when the last of the others is gone. Upstream does the same with five controllers
(apiextensions-apiserver `pkg/controller/{status,establish,finalizer}`), of which clients see the same conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from minik8s.api.request import ADMIN, ApiRequest
from minik8s.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from minik8s.machinery.meta import Doc, Obj, evolve, is_condition_true, is_terminating, name_of, rfc3339, set_condition
from minik8s.store.protocol import Entry, RevisionMismatch

if TYPE_CHECKING:
    from minik8s.api.definitions import Definition
    from minik8s.apiserver.context import ServerContext
    from minik8s.apiserver.customstorage import Convert, CustomStorage

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
PENDING = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionPending",
    "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will be in progress",
}
IN_PROGRESS = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionInProgress",
    "message": "CustomResource deletion is in progress",
}
_PREFIX = (CUSTOM_RESOURCE_DEFINITIONS.group_resource,)


class CustomResources:
    """The keeper of definitions (see `registry.Keeper`) of one server."""

    finishes_deletions = True

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._installed: dict[str, tuple[Doc, CustomStorage]] = {}

    def prepare(self, obj: Obj) -> Obj:
        """A definition about to be stored, with the status that it has then."""
        from minik8s.api.definitionstatus import settle_names

        others = [entry.value for entry in self._ctx.store.scan(_PREFIX)]
        return {**obj, "status": settle_names(obj, others, rfc3339(self._ctx.clock.now()))}

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        """A definition whose deletion begins: it waits for its objects."""
        if is_terminating(obj):
            return marked
        finalizers = marked["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            marked = evolve(marked, "metadata", "finalizers", value=[*finalizers, FINALIZER])
        return self._with_condition(marked, PENDING)

    async def written(self) -> None:
        """Follows a write: of a definition, or of an object of one that is being deleted."""
        while await self._settle_names() or await self._clean_up():
            pass
        self.serve()
        await self._ctx.apis.follow()

    async def _settle_names(self) -> bool:
        """Gives names that have become free to those who asked for them. Whether anything was written."""
        from minik8s.api.definitionstatus import is_settled

        for entry in [e for e in self._ctx.store.scan(_PREFIX) if not is_settled(e.value)]:
            settled = self.prepare(entry.value)
            if settled["status"] != entry.value["status"] and await self._put(entry, settled):
                return True
        return False

    def serve(self) -> None:
        """Installs, replaces and removes resources until they are what the stored definitions say."""
        registry, store = self._ctx.registry, self._ctx.store
        wanted = {name_of(e.value): e.value for e in store.scan(_PREFIX) if is_condition_true(e.value, "Established")}
        for name in [name for name in self._installed if name not in wanted]:
            _, storage = self._installed.pop(name)
            registry.remove(storage)
            self._end_watches(storage)
        for name, crd in wanted.items():
            before = self._installed.get(name)
            if before is not None and (before[0] is crd or _same(before[0], crd)):
                continue
            definition = _define(crd)
            if before is None:
                storage = _storage(definition, self._convert, plain=not store.occupied(definition.group_resource))
            else:
                storage = before[1]
                storage.redefine(definition, occupied=store.occupied(definition.group_resource))
            self._installed[name] = (crd, storage)
            registry.install(storage, _LastOnes(self) if storage.is_terminating else None)
            self._end_watches(storage)

    def _end_watches(self, storage: CustomStorage) -> None:
        """Ends the watches of versions that are no longer served; others stay and see the new schema."""
        name, registry = storage.definition.group_resource, self._ctx.registry
        for session in [s for s in self._ctx.sessions if s.resource.group_resource == name]:
            resource = session.resource
            if registry.get(resource.group, resource.version, resource.plural) is None:
                session.end()

    async def _clean_up(self) -> bool:
        """Deletes the objects of definitions that are going, and those that have none left. Whether that wrote."""
        for entry in self._ctx.store.scan(_PREFIX):
            crd = entry.value
            if not is_terminating(crd) or FINALIZER not in (crd["metadata"].get("finalizers") or ()):
                continue
            installed = self._installed.get(name_of(crd))
            if installed is None and is_condition_true(crd, "Established"):
                continue
            if installed is not None and await self._delete_objects(installed[1]):
                changed = self._with_condition(crd, IN_PROGRESS)
                if changed["status"] != crd["status"] and await self._put(entry, changed):
                    return True
                continue
            if await self._finish(entry):
                return True
        return False

    async def _delete_objects(self, storage: CustomStorage) -> bool:
        """Deletes what can be deleted; whether anything is left."""
        from minik8s.apiserver.deleting import delete_unasked

        served = self._ctx.registry.home(storage)
        resource = storage.definition.group_resource
        for entry in self._ctx.store.scan((resource,)):
            _, namespace, name = entry.key
            request = ApiRequest("delete", served.resource, namespace, name, user=ADMIN)
            await delete_unasked(self._ctx, served, request, entry)
        return self._ctx.store.occupied(resource)

    async def _finish(self, entry: Entry) -> bool:
        """Takes our finalizer off a definition without objects; it is gone if that was the last."""
        crd = entry.value
        left = [name for name in crd["metadata"]["finalizers"] if name != FINALIZER]
        done = {
            "type": "Terminating",
            "status": "False",
            "reason": "InstanceDeletionCompleted",
            "message": "removed all instances",
        }
        if left:
            changed = self._with_condition(evolve(crd, "metadata", "finalizers", value=left), done)
            return await self._put(entry, changed)
        with suppress(RevisionMismatch):
            await self._ctx.store.delete(entry.key, expect=entry.modified)
        return True

    async def _put(self, entry: Entry, obj: Obj) -> bool:
        """Stores a definition's new state; somebody else's write in between only means another round."""
        with suppress(RevisionMismatch):
            await self._ctx.store.put(entry.key, obj, expect=entry.modified)
        return True

    def _with_condition(self, crd: Doc, condition: Doc) -> Obj:
        conditions = set_condition(crd["status"].get("conditions"), condition, rfc3339(self._ctx.clock.now()))
        changed: Obj = evolve(crd, "status", "conditions", value=conditions)
        return changed

    async def _convert(self, definition: Definition, docs: Sequence[Doc], api_version: str) -> list[Obj]:
        from minik8s.apiserver.converting import convert_by_webhook

        return await convert_by_webhook(self._ctx, definition, docs, api_version)


class _LastOnes:
    """The keeper of objects whose definition is being deleted: it goes with the last of them."""

    finishes_deletions = True

    def __init__(self, definitions: CustomResources) -> None:
        self._definitions = definitions

    def prepare(self, obj: Obj) -> Obj:
        return obj

    def mark(self, obj: Doc, marked: Obj) -> Obj:
        return marked

    async def written(self) -> None:
        await self._definitions.written()


def _define(crd: Doc) -> Definition:
    """Imported when there is a first definition: most servers never have one."""
    from minik8s.api.definitions import define

    return define(crd)


def _storage(definition: Definition, convert: Convert, *, plain: bool) -> CustomStorage:
    from minik8s.apiserver.customstorage import CustomStorage

    return CustomStorage(definition, convert, plain=plain)


def _same(before: Doc, now: Doc) -> bool:
    """Whether two states of a definition serve the same."""
    return (
        before["spec"] == now["spec"]
        and before["metadata"]["uid"] == now["metadata"]["uid"]
        and before["status"]["acceptedNames"] == now["status"]["acceptedNames"]
        and is_terminating(before) == is_terminating(now)
    )
