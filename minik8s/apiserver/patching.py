"""patch: four ways to say what should change, one way to write it."""

from __future__ import annotations

from typing import Any

from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, ApiRequest
from minik8s.apiserver.body import decode_object, unsupported
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.fieldmanagers import applied
from minik8s.apiserver.options import write_options
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Write, check_name, check_namespace, check_precondition, create_object, rewrite
from minik8s.machinery.errors import BadRequest, Invalid, NotFound, UnsupportedMediaType
from minik8s.machinery.meta import Doc, Obj, evolve
from minik8s.machinery.patch.jsonpatch import apply_json_patch
from minik8s.machinery.patch.mergepatch import apply_merge_patch
from minik8s.machinery.patch.strategic import apply_strategic
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError
from minik8s.store.protocol import Entry

TOO_DEEP = "the patched object is nested too deeply"


async def patch(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Changes an object or its status as the patch says."""
    request.content_type = request.content_type.partition(";")[0].strip()
    if request.content_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH):
        raise UnsupportedMediaType("415: Unsupported Media Type")
    write = Write(ctx, served, request, write_options(request), [])
    body = parse_patch(request)
    if request.content_type == APPLY_PATCH:
        return await _server_side_apply(write, body)

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        return _decoded(write, apply_patch(current, body, request.content_type, served), current, entry)

    return await rewrite(write, change)


async def _server_side_apply(write: Write, body: Any) -> ObjectResponse:
    """Applies a configuration; an object that does not exist is created by it."""
    served, request = write.served, write.request

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        result = applied(write.ctx.registry, write.options, served, request, current, body, write.ctx.clock.now())
        write.managed = result.managed_fields
        return _decoded(write, _checked(result.document), current, entry)

    try:
        return await rewrite(write, change)
    except NotFound:
        if request.subresource:
            raise
    result = applied(write.ctx.registry, write.options, served, request, None, body, write.ctx.clock.now())
    write.managed = result.managed_fields
    resource = served.resource
    obj, write.warnings = decode_object(
        _checked(result.document), (), resource.api_version, resource.kind, write.options.validation
    )
    obj["metadata"]["name"] = request.name
    check_namespace(served, request, obj)
    return await create_object(write, obj)


def _decoded(write: Write, changed: Obj, current: Doc, entry: Entry) -> tuple[Obj, list[str]]:
    """The patched document as its kind. The managedFields, half of it, are decoded only if the patch touched them."""
    resource = write.served.resource
    kept, metadata = current["metadata"].get("managedFields"), changed.get("metadata")
    untouched = bool(kept) and isinstance(metadata, dict) and metadata.get("managedFields") is kept
    if untouched:
        changed = evolve(changed, "metadata", "managedFields", value=None)
    obj, warnings = decode_object(changed, (), resource.api_version, resource.kind, write.options.validation)
    if untouched:
        obj["metadata"]["managedFields"] = kept
    _check_identity(write.request, write.served, obj, current, entry)
    return obj, warnings


def apply_patch(current: Doc, body: Any, content_type: str, served: Served) -> Obj:
    """The document that the patch makes of `current`. Raises Invalid for one that nobody could ever read again."""
    try:
        return _checked(_apply(current, body, content_type, served))
    except (TypeError, RecursionError):
        raise Invalid(TOO_DEEP) from None


def _checked(doc: Obj) -> Obj:
    """The document, if it can be written; the encoder's limits are found out here, not when somebody lists."""
    try:
        codec.check_encodable(doc)
    except DecodeError:
        raise Invalid(TOO_DEEP) from None
    return doc


def _apply(current: Doc, body: Any, content_type: str, served: Served) -> Obj:
    if content_type == JSON_PATCH:
        return apply_json_patch(current, body)
    if not isinstance(body, dict):
        raise BadRequest("error decoding patch: json: cannot unmarshal a non-object into a map")
    if content_type == MERGE_PATCH:
        return apply_merge_patch(current, body)
    if content_type == STRATEGIC_PATCH:
        return apply_strategic(current, body, served.resource.type)
    raise unsupported(", ".join((JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)))


def parse_patch(request: ApiRequest) -> Any:
    """The patch as JSON; raises BadRequest."""
    if not isinstance(request.body, bytes):
        return request.body
    try:
        if request.content_type == APPLY_PATCH:
            return codec.loads_yaml(request.body)[0]
        return codec.loads_value(request.body)
    except DecodeError as error:
        raise BadRequest(f"error decoding patch: {error}") from None


def _check_identity(request: ApiRequest, served: Served, obj: Obj, current: Doc, entry: Entry) -> None:
    metadata = obj["metadata"]
    check_name(obj, request.name)
    if (given := metadata.get("namespace", "")) != request.namespace:
        raise BadRequest(
            f"the namespace of the object ({given}) does not match the namespace on the request ({request.namespace})"
        )
    if (
        metadata.get("resourceVersion") != current["metadata"]["resourceVersion"]
        or metadata.get("uid") != (current["metadata"]["uid"])
    ):
        check_precondition(served, metadata, entry)
