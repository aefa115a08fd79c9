"""The finalize subresource of namespaces: how their controller says that nothing is left inside."""

from __future__ import annotations

from minik8s.api.request import ApiRequest
from minik8s.apiserver.admitting import admit
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import write_options
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Write, check_name, check_precondition
from minik8s.machinery.errors import Conflict
from minik8s.machinery.meta import is_terminating
from minik8s.store.protocol import RevisionMismatch


async def finalize(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Replaces spec.finalizers only; a terminating namespace without any is gone."""
    options = write_options(request)
    obj, warnings = read_resource(request, served.resource, options.validation)
    write = Write(ctx, served, request, options, warnings)
    entry = await find(ctx, served, "", request.name)
    check_name(obj, request.name)
    check_precondition(served, obj["metadata"], entry)
    finalizers = obj.get("spec", {}).get("finalizers") or []
    spec = {**entry.value["spec"], "finalizers": finalizers}
    if not finalizers:
        del spec["finalizers"]
    attributes = write.attributes("UPDATE", {**entry.value, "spec": spec}, entry.value)
    await admit(ctx, attributes)
    changed = attributes.object or entry.value
    if changed == entry.value and not is_terminating(changed):
        return write.respond(entry)
    if options.dry_run:
        return write.respond_dry(changed)
    try:
        if is_terminating(changed) and not finalizers and not changed["metadata"].get("finalizers"):
            await ctx.store.delete(entry.key, expect=entry.modified)
            return write.respond_dry(changed)
        return write.respond(await ctx.store.put(entry.key, changed, expect=entry.modified))
    except RevisionMismatch:
        raise Conflict.modified("namespaces", "", request.name) from None
