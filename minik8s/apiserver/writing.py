"""create, update and patch: one road for every kind. `creating`, `updating` and `patching` are its beginnings.

    read body -> default -> prepare -> admission that mutates -> validate -> admission that validates
    -> (dry run stops here) -> compare and swap

A patch reads, applies and writes in a loop, so that it only conflicts when it names a resourceVersion. A write
that changes nothing stores nothing. Admission may wait for webhooks; what was read before that is only ever written
back by comparing its revision.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from minik8s.api.request import ApiRequest
from minik8s.api.validation.metadata import validate_metadata
from minik8s.apiserver import objectmeta
from minik8s.apiserver.admission.plugin import Attributes, Operation
from minik8s.apiserver.admitting import mutate, validate
from minik8s.apiserver.charging import charge
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.fieldmanagers import set_managed_fields, track
from minik8s.apiserver.ipaddresses import follow_service
from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.storageerrors import uid_conflict
from minik8s.machinery.errors import (
    BadRequest,
    Conflict,
    Invalid,
)
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.managedfields import only_times_differ
from minik8s.machinery.meta import Doc, Obj
from minik8s.store.protocol import Entry, RevisionMismatch

GENERATE_ATTEMPTS = 8
UPDATE_ATTEMPTS = 5
STATUS_LIKE = ("status",)
"""Subresources by which the status is written and nothing else."""

Change = Callable[[Entry], tuple[Obj, list[str]]]
"""From the stored entry to the document it should become, with warnings."""


@attrs.frozen
class Face:
    """An object as a subresource of another kind shows it: admission sees a Scale where a Deployment is stored.

    `take` is the object with what admission has made of its face. `kind` is (apiVersion, kind).
    """

    kind: tuple[str, str]
    show: Callable[[Doc], Obj]
    take: Callable[[Doc, Doc], Obj]


@attrs.define(eq=False)
class Write:
    """One write on its way through the server.

    `managed` are the managedFields to store when the writer has worked them out itself, as server-side apply does.
    """

    ctx: ServerContext
    served: Served
    request: ApiRequest
    options: WriteOptions
    warnings: list[str]
    managed: list[Obj] | None = None
    face: Face | None = None

    def attributes(self, operation: Operation, obj: Obj | None, old: Doc | None) -> Attributes:
        """The write as admission sees it."""
        dry_run = self.options.dry_run
        if self.face is None or obj is None:
            return Attributes(self.request, operation, obj, old, self.warnings, dry_run)
        shown, before = self.face.show(obj), self.face.show(old) if old is not None else None
        return Attributes(self.request, operation, shown, before, self.warnings, dry_run, self.face.kind)

    def dedup_owners(self, obj: Obj, *, admitted: bool) -> None:
        """Keeps one of each owner reference and says so; `admitted`, once mutating admission has seen the object."""
        if again := objectmeta.dedup_owners(obj):
            when = " after mutating admission happens" if admitted else ""
            self.warnings.append(
                f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in "
                "1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) "
                f"observed: {', '.join(again)}"
            )

    def own_fields(self, obj: Obj, old: Doc | None) -> None:
        """Brings metadata.managedFields up to date with this write."""
        if self.managed is not None:
            set_managed_fields(obj, self.managed)
        else:
            track(
                self.ctx.registry, self.options, self.served, obj, old, self.ctx.clock.now(), self.request.subresource
            )

    def respond(self, entry: Entry, code: int = 200) -> ObjectResponse:
        served, said = self.served, self._said()
        return ObjectResponse(served.view(entry.value), served.resource, served.source(entry), code, said)

    async def stored(self, entry: Entry, code: int = 200) -> ObjectResponse:
        """The answer to a write that has been stored."""
        if self.served.keeper is not None:
            await self.served.keeper.written()
        return await self.answer(entry, code)

    async def answer(self, entry: Entry, code: int = 200) -> ObjectResponse:
        """`respond`, once the version asked for can be shown."""
        await self.served.ready((entry.value,))
        return self.respond(entry, code)

    def respond_dry(self, obj: Obj, code: int = 200) -> ObjectResponse:
        return ObjectResponse(self.served.view(obj), self.served.resource, None, code, self._said())

    def _said(self) -> list[str]:
        """The warnings, each once: a write that was tried again has collected them again."""
        return self.warnings if len(self.warnings) < 2 else list(dict.fromkeys(self.warnings))


def check_precondition(served: Served, metadata: Doc, entry: Entry) -> None:
    """Raises Conflict when a body's uid or resourceVersion is not the stored object's."""
    resource, stored = served.resource, entry.value["metadata"]
    uid, version, name = metadata.get("uid"), metadata.get("resourceVersion"), stored["name"]
    if uid and uid != stored["uid"]:
        raise uid_conflict(served, stored.get("namespace", ""), name, uid, stored["uid"])
    if version and version != stored["resourceVersion"]:
        raise Conflict.modified(resource.plural, resource.group, name)


async def rewrite(write: Write, change: Change) -> ObjectResponse:
    """Reads, changes and writes back, again while somebody else writes in between."""
    request, served = write.request, write.served
    for _ in range(UPDATE_ATTEMPTS):
        entry = await find(write.ctx, served, request.namespace, request.name)
        obj, warnings = change(entry)
        write.warnings += [w for w in warnings if w not in write.warnings]
        try:
            return await _replace(write, entry, obj)
        except RevisionMismatch:
            continue
    raise Conflict.modified(served.resource.plural, served.resource.group, request.name)


async def _replace(write: Write, entry: Entry, obj: Obj) -> ObjectResponse:
    ctx, served, old = write.ctx, write.served, write.served.view(entry.value)
    obj = await prepare_replacement(write, obj, old)
    if served.keeper is not None:
        obj = served.keeper.prepare(obj)
    if (obj == old or only_times_differ(obj, old)) and served.is_current(entry.value, obj, old):
        return await write.answer(entry)
    converted = await served.custom.to_storage(obj) if served.is_remote and served.custom else None
    with ctx.services.transaction(served.storage, obj, old, dry_run=write.options.dry_run) as obj:
        if obj == old and served.is_current(entry.value, obj, old):  # it had only left out what it was given
            return await write.answer(entry)
        if write.options.dry_run:
            return write.respond_dry(obj)
        if objectmeta.is_finished(obj):
            await ctx.store.delete(entry.key, expect=entry.modified)
            for gone in (old, obj):
                ctx.services.release(served.storage, gone)
            await follow_service(ctx, served.storage, old, None)
            if served.keeper is not None:
                await served.keeper.written()
            return write.respond_dry(obj)
        stored = await ctx.store.put(entry.key, converted or served.stored(obj), expect=entry.modified)
    await follow_service(ctx, served.storage, old, obj)
    if write.request.subresource in ("", "resize"):
        await charge(ctx, served.resource, write.request.namespace, obj)
    return await write.stored(stored)


async def prepare_replacement(write: Write, obj: Obj, old: Doc) -> Obj:
    """What an update stores: the new document with everything kept, defaulted, admitted and validated."""
    served, strategy = write.served, write.served.strategy
    if write.request.subresource in STATUS_LIKE:
        strategy.default_status(obj)
    else:
        strategy.default(obj)
    _keep(write, obj, old)
    write.dedup_owners(obj, admitted=write.request.verb == "patch")  # upstream looks at a patched object only once
    strategy.date(obj, old, write.ctx.clock.now)
    write.own_fields(obj, old)
    attributes = write.attributes("UPDATE", obj, old)
    if await mutate(write.ctx, attributes) and attributes.object is not None:
        managed = obj["metadata"].get("managedFields") or []
        obj = write.face.take(obj, attributes.object) if write.face else attributes.object
        obj["metadata"] = dict(obj["metadata"])
        _keep(write, obj, old)
        write.dedup_owners(obj, admitted=True)
        set_managed_fields(obj, managed)
    errors = metadata_errors(served, obj, old)
    subresource = write.request.subresource
    if (part := strategy.parts.get(subresource)) is not None:
        errors += part.check(obj, old)
    elif subresource in STATUS_LIKE:
        errors += strategy.validate_status_update(obj, old)
    else:
        errors += strategy.validate_update(obj, old)
    if errors:
        raise Invalid.object(served.resource.kind, served.resource.group, write.request.name, errors)
    await validate(write.ctx, write.attributes("UPDATE", obj, old))
    write.warnings += strategy.warnings(obj, old)
    return obj


def _keep(write: Write, obj: Obj, old: Doc) -> None:
    """Puts back what this kind of update cannot change."""
    strategy, subresource = write.served.strategy, write.request.subresource
    objectmeta.begin_update(obj, old)
    if subresource in STATUS_LIKE:
        strategy.prepare_status_update(obj, old)
        if strategy.status_keeps_metadata:
            _keep_metadata(obj, old)
        elif strategy.status_keeps_labels:
            _keep_labels(obj, old)
        return
    if (part := strategy.parts.get(subresource)) is not None:
        part.keep(obj, old)
        if "metadata" in part.resets:
            _keep_metadata(obj, old)
    else:
        strategy.prepare_update(obj, old)
    if strategy.has_generation and objectmeta.spec_changed(obj, old, with_status=not strategy.status_is_separate):
        objectmeta.bump_generation(obj)


def metadata_errors(served: Served, obj: Doc, old: Doc | None) -> FieldErrors:
    resource = served.resource
    return validate_metadata(
        obj, old, namespaced=resource.namespaced, name_rule=served.strategy.name_errors, builtin=resource.custom is None
    )


def check_name(obj: Doc, name: str) -> None:
    """Raises BadRequest when the body is not the object that the URL names."""
    given = obj["metadata"].get("name", "")
    if not given:
        raise BadRequest(f"the name of the object ({name} based on URL) was undeterminable: name must be provided")
    if given != name:
        raise BadRequest(f"the name of the object ({given}) does not match the name on the URL ({name})")


def check_namespace(served: Served, request: ApiRequest, obj: Doc) -> None:
    """Raises BadRequest when body and URL name different namespaces."""
    given = obj["metadata"].get("namespace", "")
    if served.resource.namespaced and given and given != request.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")


def _keep_labels(obj: Obj, old: Doc) -> None:
    if (labels := old["metadata"].get("labels")) is not None:
        obj["metadata"]["labels"] = labels
    else:
        obj["metadata"].pop("labels", None)


def _keep_metadata(obj: Obj, old: Doc) -> None:
    """All metadata but who manages what."""
    managed = obj["metadata"].get("managedFields")
    obj["metadata"] = {**old["metadata"]}
    if managed is not None:
        obj["metadata"]["managedFields"] = managed
    else:
        obj["metadata"].pop("managedFields", None)
