"""create: from a body to a stored object, by the road that is described in `writing`, or cast from a `mould`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from minik8s.api.inert import inert_warning
from minik8s.api.request import ApiRequest
from minik8s.apiserver import objectmeta
from minik8s.apiserver.admitting import count, must_see, mutate, stands_on, validate
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.charging import charge
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.fieldmanagers import set_managed_fields
from minik8s.apiserver.ipaddresses import follow_service
from minik8s.apiserver.moulds import Asked, Mould, MouldKey, asked_for, mould_of
from minik8s.apiserver.options import write_options
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Write, check_namespace, metadata_errors
from minik8s.machinery.errors import AlreadyExists, Invalid, MethodNotAllowed, unexplained
from minik8s.machinery.meta import Obj, is_terminating, rfc3339
from minik8s.machinery.names import generate_name, new_uid
from minik8s.store.protocol import RevisionMismatch

GENERATE_ATTEMPTS = 8
Pressed = tuple[MouldKey, Collection[str]]
"""Under which key a mould is to be kept, and the resources that it stands on."""


async def create(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """A new object, under its own name or a generated one."""
    options = write_options(request)
    ground = stands_on(ctx, request) if served.strategy.holes else None
    asked = asked_for(served, request, options) if ground is not None else None
    if asked is not None and must_see(ctx, request, asked.body):
        asked = None
    if asked is not None and (mould := ctx.moulds.find(asked.key)) is not None:
        request.audit_annotations.update(mould.notes)
        return await _create_cast(Write(ctx, served, request, options, list(mould.warnings)), mould, asked)
    obj, warnings = read_resource(request, served.resource, options.validation)
    check_namespace(served, request, obj)
    if obj["metadata"].get("resourceVersion"):
        raise unexplained("resourceVersion should not be set on objects to be created")
    pressed = (asked.key, ground) if asked is not None and ground is not None else None
    return await create_object(Write(ctx, served, request, options, warnings), obj, pressed)


async def create_object(write: Write, obj: Obj, pressed: Pressed | None = None) -> ObjectResponse:
    """Carries a decoded document to the store; if it is `pressed`, it leaves a mould of what is equal to it."""
    if write.served.custom is not None and write.served.custom.is_terminating:
        raise MethodNotAllowed("create not allowed while custom resource definition is terminating")
    obj = await _prepare_new(write, obj)

    async def store(name: str) -> ObjectResponse:
        named = obj if name == obj["metadata"].get("name", "") else _named(obj, name)
        return await _store_new(write, named, pressed)

    return await _under_a_name(write, obj["metadata"].get("name", ""), obj["metadata"].get("generateName", ""), store)


def _named(obj: Obj, name: str) -> Obj:
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


async def _create_cast(write: Write, mould: Mould, asked: Asked) -> ObjectResponse:
    """Stores a cast of a mould."""
    ctx, served = write.ctx, write.served

    async def store(name: str) -> ObjectResponse:
        obj = mould.cast(asked.fillings, name, new_uid(ctx.rng), rfc3339(ctx.clock.now()))
        if served.strategy.name_errors(name):
            errors = metadata_errors(served, obj, None)
            raise Invalid.object(served.resource.kind, served.resource.group, name, errors)
        count(ctx, write.attributes("CREATE", obj, None))
        return await _put_new(write, obj)

    return await _under_a_name(write, asked.name, asked.base, store)


async def _under_a_name(
    write: Write, name: str, base: str, store: Callable[[str], Awaitable[ObjectResponse]]
) -> ObjectResponse:
    """Stores under the name given, or under one that begins with `base` and that nothing else has."""
    if name or not base:
        return await store(name)
    for _ in range(GENERATE_ATTEMPTS):
        try:
            return await store(generate_name(base, write.ctx.rng))
        except AlreadyExists as error:
            last = error
    last.message = f"{last.message}, the server was not able to generate a unique name for the object"
    last.retry_after = 1
    raise last


async def _prepare_new(write: Write, obj: Obj) -> Obj:
    """The new object as mutating admission leaves it: without a generated name, uid and date yet, as upstream."""
    namespace = write.request.namespace
    write.served.strategy.default(obj)
    objectmeta.begin_create(obj, namespace)
    write.dedup_owners(obj, admitted=False)
    write.own_fields(obj, None)
    attributes = write.attributes("CREATE", obj, None)
    if not await mutate(write.ctx, attributes) or attributes.object is None:
        return obj
    changed = {**attributes.object, "metadata": dict(attributes.object["metadata"])}
    objectmeta.begin_create(changed, namespace)
    write.dedup_owners(changed, admitted=True)
    set_managed_fields(changed, obj["metadata"].get("managedFields") or [])
    return changed


async def _store_new(write: Write, obj: Obj, pressed: Pressed | None) -> ObjectResponse:
    """Gives an admitted object its identity, prepares, validates and stores it."""
    ctx, served = write.ctx, write.served
    resource, strategy = served.resource, served.strategy
    name = obj["metadata"].get("name", "")
    now = rfc3339(ctx.clock.now())
    objectmeta.identify(obj, uid=new_uid(ctx.rng), now=now, has_generation=strategy.has_generation)
    strategy.prepare_create(obj)
    strategy.sign(obj, write.request.user)
    if "status" not in obj and (status := served.initial_status()) is not None:
        obj["status"] = status
    errors = metadata_errors(served, obj, None) + strategy.validate_create(obj)
    if errors:
        raise Invalid.object(resource.kind, resource.group, name, errors)
    if served.keeper is not None:
        obj = served.keeper.prepare(obj)
    converted = await served.custom.to_storage(obj) if served.is_remote and served.custom else None
    await validate(ctx, write.attributes("CREATE", obj, None))
    write.warnings += strategy.warnings(obj, None)
    if inert := inert_warning(resource.group_resource, ctx.inert):
        write.warnings.append(inert)
    if pressed is not None:
        key, ground = pressed
        notes = write.request.audit_annotations
        ctx.moulds.keep(key, mould_of(obj, write.warnings, notes, ground, ctx.store.revision))
    return await _put_new(write, obj, converted)


async def _put_new(write: Write, obj: Obj, converted: Obj | None = None) -> ObjectResponse:
    """Stores an object that is as it is to be. Raises AlreadyExists."""
    ctx, served = write.ctx, write.served
    resource, name = served.resource, obj["metadata"].get("name", "")
    key = served.key(write.request.namespace, name)
    if (existing := ctx.store.peek(key)) is not None:  # should it lag, `put` will tell
        prefix = "object is being deleted: " if is_terminating(existing.value) else ""
        raise AlreadyExists.object(resource.plural, resource.group, name, prefix)
    with ctx.services.transaction(served.storage, obj, None, dry_run=write.options.dry_run) as obj:
        if write.options.dry_run:
            return write.respond_dry(obj, 201)
        try:
            entry = await ctx.store.put(key, converted or served.stored(obj), expect=0)
        except RevisionMismatch:
            raise AlreadyExists.object(resource.plural, resource.group, name) from None
    await follow_service(ctx, served.storage, None, obj)
    await charge(ctx, resource, write.request.namespace, obj)
    return await write.stored(entry, 201)
