"""create, update and patch: one road for every kind.

    read body -> default -> prepare -> admission -> validate -> (dry run stops here) -> compare and swap

A patch reads, applies and writes in a loop, so that it only conflicts when it names a resourceVersion. A write
that changes nothing stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from minik8s.api.inert import inert_warning
from minik8s.api.request import ApiRequest
from minik8s.api.validation.metadata import validate_metadata
from minik8s.apiserver import objectmeta
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.context import ServerContext, StoreWorld
from minik8s.apiserver.fieldmanagers import set_managed_fields, track
from minik8s.apiserver.options import WriteOptions, write_options
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.machinery.errors import AlreadyExists, BadRequest, Conflict, Invalid, NotFound, unexplained
from minik8s.machinery.field import FieldErrors, invalid
from minik8s.machinery.meta import Doc, Obj, evolve, is_terminating, rfc3339
from minik8s.machinery.names import generate_name, new_uid
from minik8s.store.protocol import Entry, RevisionMismatch

GENERATE_ATTEMPTS = 8
UPDATE_ATTEMPTS = 5

Change = Callable[[Entry], tuple[Obj, list[str]]]
"""From the stored entry to the document it should become, with warnings."""


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

    def own_fields(self, obj: Obj, old: Doc | None) -> None:
        """Brings metadata.managedFields up to date with this write."""
        if self.managed is not None:
            set_managed_fields(obj, self.managed)
        else:
            track(self.options, self.served, obj, old, self.ctx.clock.now(), self.request.subresource)

    def respond(self, entry: Entry, code: int = 200) -> ObjectResponse:
        served = self.served
        return ObjectResponse(served.view(entry.value), served.resource, served.source(entry), code, self.warnings)

    def respond_dry(self, obj: Obj, code: int = 200) -> ObjectResponse:
        return ObjectResponse(self.served.view(obj), self.served.resource, None, code, self.warnings)


async def create(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """A new object, under its own name or a generated one."""
    options = write_options(request)
    obj, warnings = read_resource(request, served.resource, options.validation)
    check_namespace(served, request, obj)
    if obj["metadata"].get("resourceVersion"):
        raise unexplained("resourceVersion should not be set on objects to be created")
    return await create_object(Write(ctx, served, request, options, warnings), obj)


async def create_object(write: Write, obj: Obj) -> ObjectResponse:
    """Carries a decoded document to the store."""
    base = obj["metadata"].get("generateName", "")
    if obj["metadata"].get("name") or not base:
        return await _create_once(write, obj)
    for _ in range(GENERATE_ATTEMPTS):
        named = {**obj, "metadata": {**obj["metadata"], "name": generate_name(base, write.ctx.rng)}}
        try:
            return await _create_once(write, named)
        except AlreadyExists as error:
            last = error
    last.message = f"{last.message}, the server was not able to generate a unique name for the object"
    last.retry_after = 1
    raise last


async def _create_once(write: Write, obj: Obj) -> ObjectResponse:
    ctx, served = write.ctx, write.served
    resource, strategy = served.resource, served.strategy
    name = obj["metadata"].get("name", "")
    now = rfc3339(ctx.clock.now())
    strategy.default(obj)
    objectmeta.begin_create(
        obj,
        namespace=write.request.namespace,
        uid=new_uid(ctx.rng),
        now=now,
        has_generation=strategy.has_generation,
    )
    strategy.prepare_create(obj)
    strategy.sign(obj, write.request.user)
    if "status" not in obj and (status := served.initial_status()) is not None:
        obj["status"] = status
    write.own_fields(obj, None)
    admit(write, "CREATE", obj, None)
    errors = metadata_errors(served, obj, None) + strategy.validate_create(obj)
    if errors:
        raise Invalid.object(resource.kind, resource.group, name, errors)
    write.warnings += strategy.warnings(obj, None)
    if inert := inert_warning(resource.group_resource):
        write.warnings.append(inert)
    key = served.key(write.request.namespace, name)
    if (existing := await ctx.store.get(key)) is not None:
        prefix = "object is being deleted: " if is_terminating(existing.value) else ""
        raise AlreadyExists.object(resource.plural, resource.group, name, prefix)
    with ctx.services.transaction(served.storage, obj, None, dry_run=write.options.dry_run) as obj:
        if write.options.dry_run:
            return write.respond_dry(obj, 201)
        try:
            entry = await ctx.store.put(key, served.stored(obj), expect=0)
        except RevisionMismatch:
            raise AlreadyExists.object(resource.plural, resource.group, name) from None
    return write.respond(entry, 201)


async def update(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Replaces an object, or its status; creates it for the kinds that allow it."""
    options = write_options(request)
    obj, warnings = read_resource(request, served.resource, options.validation)
    check_namespace(served, request, obj)
    check_name(obj, request.name)
    write = Write(ctx, served, request, options, warnings)
    try:
        return await rewrite(write, lambda entry: (_checked(served, obj, entry), []))
    except NotFound:
        if served.strategy.creates_on_update and not request.subresource:
            return await create_object(write, obj)
        raise


def _checked(served: Served, obj: Obj, entry: Entry) -> Obj:
    """A private copy of an update's body, once its identity and version agree with what is stored."""
    resource = served.resource
    if served.strategy.requires_version and not obj["metadata"].get("resourceVersion"):
        cause = invalid("metadata.resourceVersion", 0, "must be specified for an update")
        raise Invalid.object(resource.plural, resource.group, obj["metadata"]["name"], [cause])
    check_precondition(served, obj["metadata"], entry)
    return {**obj, "metadata": dict(obj["metadata"])}


def check_precondition(served: Served, metadata: Doc, entry: Entry) -> None:
    """Raises Conflict when a body's uid or resourceVersion is not the stored object's."""
    resource, stored = served.resource, entry.value["metadata"]
    uid, version, name = metadata.get("uid"), metadata.get("resourceVersion"), stored["name"]
    if uid and uid != stored["uid"]:
        raise Conflict.object(
            resource.plural,
            resource.group,
            name,
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {stored['uid']}",
        )
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
    obj = prepare_replacement(write, obj, old)
    if obj == old:
        return write.respond(entry)
    with ctx.services.transaction(served.storage, obj, old, dry_run=write.options.dry_run) as obj:
        if obj == old:  # it had only left out what it was given
            return write.respond(entry)
        if write.options.dry_run:
            return write.respond_dry(obj)
        if objectmeta.is_finished(obj):
            await ctx.store.delete(entry.key, expect=entry.modified)
            for gone in (old, obj):
                ctx.services.release(served.storage, gone)
            return write.respond_dry(obj)
        stored = await ctx.store.put(entry.key, served.stored(obj), expect=entry.modified)
    return write.respond(stored)


def prepare_replacement(write: Write, obj: Obj, old: Doc) -> Obj:
    """What an update stores: the new document with everything kept, defaulted, admitted and validated."""
    served, strategy = write.served, write.served.strategy
    is_status = write.request.subresource in ("status", "approval")
    objectmeta.begin_update(obj, old)
    strategy.default(obj)
    if is_status:
        strategy.prepare_status_update(obj, old)
        if write.request.subresource == "approval":
            conditions = obj.get("status", {}).get("conditions")
            obj["status"] = evolve(old.get("status", {}), "conditions", value=conditions)
        if strategy.status_keeps_metadata:
            obj["metadata"] = {**old["metadata"], "managedFields": obj["metadata"].get("managedFields")}
            _drop_none(obj["metadata"], "managedFields")
    else:
        strategy.prepare_update(obj, old)
        if strategy.has_generation and objectmeta.spec_changed(obj, old):
            objectmeta.bump_generation(obj)
    write.own_fields(obj, old)
    admit(write, "UPDATE", obj, old)
    errors = metadata_errors(served, obj, old)
    errors += strategy.validate_status_update(obj, old) if is_status else strategy.validate_update(obj, old)
    if errors:
        raise Invalid.object(served.resource.kind, served.resource.group, write.request.name, errors)
    write.warnings += strategy.warnings(obj, old)
    return obj


def admit(write: Write, operation: str, obj: Obj | None, old: Doc | None) -> None:
    """Runs the admission plugins: first those that change the object, then those that refuse it."""
    ctx = write.ctx
    world = StoreWorld(ctx.store, ctx.registry)
    attributes = Attributes(
        request=write.request,
        operation=operation,  # type: ignore[arg-type]
        object=obj,
        old=old,
        warnings=write.warnings,
        dry_run=write.options.dry_run,
    )
    for plugin in ctx.mutating:
        plugin.admit(attributes, world)
    for plugin in ctx.validating:
        plugin.validate(attributes, world)


def metadata_errors(served: Served, obj: Doc, old: Doc | None) -> FieldErrors:
    return validate_metadata(obj, old, namespaced=served.resource.namespaced, name_rule=served.strategy.name_errors)


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


def _drop_none(metadata: Obj, name: str) -> None:
    if metadata[name] is None:
        del metadata[name]
