"""delete and deletecollection: at once where nobody has to be waited for, else marked and left to finish.

`plan_deletion` decides; the rest carries it out. What has to be waited for: finalizers (a propagation policy adds
one), an agent that ends the object gracefully (pods), a namespace's content.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver import objectmeta
from minik8s.apiserver.admitting import admit
from minik8s.apiserver.body import read_delete_options
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.ipaddresses import follow_service
from minik8s.apiserver.options import DeleteOptions, WriteOptions, delete_options, options_document
from minik8s.apiserver.reading import find, list_result, page_of
from minik8s.apiserver.registry import Keeper, Served
from minik8s.apiserver.response import ListResponse, ObjectResponse
from minik8s.apiserver.selection import selection
from minik8s.apiserver.writing import Write
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, parse_time, rfc3339, uid_of
from minik8s.store.protocol import Entry, RevisionMismatch

MAX_GRACE_SECONDS = 1 << 31
"""Beyond this (68 years) a grace period is as good as for ever, and dates have an end."""
JOB_WARNING = (
    "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set "
    "propagationPolicy=Orphan to suppress this warning"
)


@attrs.frozen
class DeletionPlan:
    """What a DELETE does to an object: remove it, store a marked one, or nothing (it is under way already)."""

    action: Literal["remove", "mark", "keep"]
    marked: Obj | None = None


def plan_deletion(served: Served, obj: Doc, options: DeleteOptions, now: datetime) -> DeletionPlan:
    """Pure: the present object and the wish, to what happens next."""
    strategy = served.strategy
    grace = _grace(served, obj, options)
    graceful = strategy.graceful and grace > 0 and not strategy.deletable_at_once(obj, grace)
    finalizers = objectmeta.deletion_finalizers(obj, propagation(served, obj, options))
    if not graceful and not finalizers:
        return DeletionPlan("remove")
    if is_terminating(obj):
        return _again(obj, finalizers, grace if graceful else 0, now)
    when = rfc3339(now + timedelta(seconds=grace if graceful else 0))
    marked = objectmeta.mark_deleted(obj, when=when, grace=grace if graceful else 0, finalizers=finalizers)
    return DeletionPlan("mark", marked)


def _grace(served: Served, obj: Doc, options: DeleteOptions) -> int:
    grace = served.strategy.grace_period(obj) if options.grace is None else options.grace
    return 1 if grace < 0 else min(grace, MAX_GRACE_SECONDS)


def propagation(served: Served, obj: Doc, options: DeleteOptions) -> str:
    """The policy in force: the caller's, else the one a finalizer already asks for, else the kind's default."""
    if options.propagation:
        return options.propagation
    finalizers = obj["metadata"].get("finalizers") or ()
    if objectmeta.ORPHAN_FINALIZER in finalizers:
        return "Orphan"
    if objectmeta.FOREGROUND_FINALIZER in finalizers:
        return "Foreground"
    return served.strategy.default_propagation


def _again(obj: Doc, finalizers: list[str], grace: int, now: datetime) -> DeletionPlan:
    """A second deletion may only shorten the grace or change the policy."""
    metadata = obj["metadata"]
    if finalizers == list(metadata.get("finalizers") or ()) and grace >= metadata["deletionGracePeriodSeconds"]:
        return DeletionPlan("keep")
    left = min(grace, metadata["deletionGracePeriodSeconds"])
    when = min(parse_time(metadata["deletionTimestamp"]), now + timedelta(seconds=left))
    marked = objectmeta.mark_deleted(obj, when=rfc3339(when), grace=left, finalizers=finalizers)
    if "generation" in metadata:
        marked["metadata"]["generation"] = metadata["generation"]
    return DeletionPlan("mark", marked)


async def delete(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Deletes one object, or begins to."""
    options = delete_options(request, read_delete_options(request))
    while True:
        entry = await find(ctx, served, request.namespace, request.name)
        write = _write(ctx, served, request, options)
        if (
            served.strategy.default_propagation == "Orphan"
            and served.resource.plural == "jobs"
            and not options.propagation
        ):
            write.warnings.append(JOB_WARNING)
        try:
            return await delete_entry(write, entry, options)
        except RevisionMismatch:
            continue


async def delete_entry(write: Write, entry: Entry, options: DeleteOptions, *, admitted: bool = False) -> ObjectResponse:
    """One attempt; raises RevisionMismatch when somebody wrote in between."""
    ctx, served, obj = write.ctx, write.served, entry.value
    check_preconditions(served, obj, options)
    if not admitted:
        attributes = write.attributes("DELETE", None, write.served.view(obj))
        attributes.options = options_document(options)
        await admit(ctx, attributes)
    if served.resource.plural == "namespaces" and not served.resource.group:
        return await _delete_namespace(write, entry, options)
    plan = plan_deletion(served, obj, options, ctx.clock.now())
    if served.keeper is not None and served.keeper.finishes_deletions and served.custom is None:
        plan = _kept(served.keeper, plan, obj, ctx.clock.now())
    if plan.action == "keep":
        return await write.answer(entry)
    if plan.marked is not None:
        if options.dry_run:
            return write.respond_dry(plan.marked)
        return await write.stored(await ctx.store.put(entry.key, plan.marked, expect=entry.modified))
    if not options.dry_run:
        entry = await ctx.store.delete(entry.key, expect=entry.modified) or entry
        ctx.services.release(served.storage, obj)
        await follow_service(ctx, served.storage, obj, None)
        if served.keeper is not None:
            await served.keeper.written()
    if served.strategy.returns_deleted:
        return await write.answer(entry)
    return ObjectResponse(deleted_status(served, obj), warnings=write.warnings)


def _kept(keeper: Keeper, plan: DeletionPlan, obj: Doc, now: datetime) -> DeletionPlan:
    """A deletion that the keeper has to finish: it is marked whatever the caller wishes."""
    marked = plan.marked
    if plan.action == "remove" and not is_terminating(obj):
        finalizers = list(obj["metadata"].get("finalizers") or ())
        marked = objectmeta.mark_deleted(obj, when=rfc3339(now), grace=0, finalizers=finalizers)
    return plan if marked is None else DeletionPlan("mark", keeper.mark(obj, marked))


async def delete_unasked(ctx: ServerContext, served: Served, request: ApiRequest, entry: Entry) -> None:
    """Deletes an object, or begins to, on the server's own account: nobody is asked and nobody is answered.

    What goes wrong (a conversion webhook that does not answer, for one) goes wrong with the answer; who calls looks at
    what is left.
    """
    options = DeleteOptions(dry_run=False)
    with suppress(ApiError, RevisionMismatch):
        await delete_entry(_write(ctx, served, request, options), entry, options, admitted=True)


async def _delete_namespace(write: Write, entry: Entry, options: DeleteOptions) -> ObjectResponse:
    """A namespace is marked Terminating; its controller empties it and removes the finalizer in its spec."""
    obj = entry.value
    now = rfc3339(write.ctx.clock.now())
    marked = obj
    if not is_terminating(obj):
        metadata = {**obj["metadata"], "deletionTimestamp": now}
        marked = {**obj, "metadata": metadata, "status": {**obj.get("status", {}), "phase": "Terminating"}}
    if options.dry_run:
        return write.respond_dry(marked)
    if not obj["spec"].get("finalizers") and not obj["metadata"].get("finalizers"):
        return write.respond(await write.ctx.store.delete(entry.key, expect=entry.modified) or entry)
    if marked is obj:
        return write.respond(entry)
    return write.respond(await write.ctx.store.put(entry.key, marked, expect=entry.modified))


async def delete_collection(ctx: ServerContext, served: Served, request: ApiRequest) -> ListResponse:
    """Deletes everything selected, or with a limit that much of it; answers the objects as they were before."""
    options = delete_options(request, read_delete_options(request))
    chosen = selection(served, request)
    page = await page_of(ctx, request, chosen)
    for entry in page.entries:
        single = attrs.evolve(request, name=name_of(entry.value), namespace=entry.key[1], verb="delete")
        await _delete_one_of_many(ctx, served, single, attrs.evolve(options, uid=options.uid or uid_of(entry.value)))
    await served.ready([entry.value for entry in page.entries])
    result = list_result(served, page, chosen)
    result.resource_version = str(ctx.store.revision)
    return ListResponse(result, served.resource)


async def _delete_one_of_many(ctx: ServerContext, served: Served, request: ApiRequest, options: DeleteOptions) -> None:
    """Deletes an object of a collection, also when somebody writes it meanwhile; if it is gone, so much the better."""
    while True:
        try:
            current = await find(ctx, served, request.namespace, request.name)
            await delete_entry(_write(ctx, served, request, options), current, options)
        except RevisionMismatch:
            continue
        except (NotFound, Conflict):
            pass
        return


def deleted_status(served: Served, obj: Doc) -> Obj:
    """The Status that answers a finished deletion."""
    details = {"name": name_of(obj), "kind": served.resource.plural, "uid": uid_of(obj)}
    if served.resource.group:
        details = {"name": name_of(obj), "group": served.resource.group, "kind": served.resource.plural}
        details["uid"] = uid_of(obj)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def check_preconditions(served: Served, obj: Doc, options: DeleteOptions) -> None:
    """Raises Conflict when the object is not the one that the caller means."""
    uid, version = uid_of(obj), obj["metadata"]["resourceVersion"]
    why = ""
    if options.uid and options.uid != uid:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
    elif options.resource_version and options.resource_version != version:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion "
            f"in record ({version}). The object might have been modified"
        )
    if why:
        raise Conflict.object(served.resource.kind, served.resource.group, name_of(obj), why)


def _write(ctx: ServerContext, served: Served, request: ApiRequest, options: DeleteOptions) -> Write:
    return Write(ctx, served, request, WriteOptions(options.dry_run, "", "Ignore", force=False), [])
