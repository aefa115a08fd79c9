"""update: replaces an object, or its status; what is not there is created, for the few kinds that allow it."""

from __future__ import annotations

from minik8s.api.request import ApiRequest
from minik8s.apiserver.authorization import authorize_request
from minik8s.apiserver.body import read_resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.creating import create_object
from minik8s.apiserver.options import write_options
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.storageerrors import uid_conflict
from minik8s.apiserver.writing import Write, check_name, check_namespace, check_precondition, rewrite
from minik8s.machinery.errors import Invalid, NotFound
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Obj
from minik8s.store.protocol import Entry


async def update(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Replaces an object, or its status; creates it for the kinds that allow it."""
    options = write_options(request)
    known = ctx.store.peek(served.key(request.namespace, request.name)) if served.shares_bytes else None
    stored = known.value if known is not None else {}
    obj, warnings = read_resource(request, served.resource, options.validation, stored=stored)
    check_namespace(served, request, obj)
    check_name(obj, request.name)
    write = Write(ctx, served, request, options, warnings)
    try:
        return await rewrite(write, lambda entry: (_checked(served, obj, entry), []))
    except NotFound:
        if uid := obj["metadata"].get("uid"):
            raise uid_conflict(served, request.namespace, request.name, uid, "") from None
        if served.strategy.creates_on_update and not request.subresource:
            authorize_request(ctx.authorizer, request, "create")
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
