"""patch: four ways to say what should change, one way to write it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.authorization import authorize_request
from minik8s.apiserver.body import decode_object, decode_resource, fit, shared_parts, unsupported
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.creating import create_object
from minik8s.apiserver.fieldmanagers import applied
from minik8s.apiserver.options import Validation, write_options
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse
from minik8s.apiserver.writing import Write, check_name, check_namespace, check_precondition, rewrite
from minik8s.machinery.errors import BadRequest, Conflict, Invalid, NotFound, UnsupportedMediaType
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Doc, Obj, evolve
from minik8s.machinery.patch.gotext import go_text, not_decoded
from minik8s.machinery.patch.jsonpatch import apply_json_patch
from minik8s.machinery.patch.mergepatch import apply_merge_patch
from minik8s.machinery.patch.shape import Shape
from minik8s.machinery.patch.strategic import apply_strategic
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError
from minik8s.store.protocol import Entry

PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)
CUSTOM_PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
_NOTHING: Final[Doc] = {}
TOO_DEEP = "the patched object is nested too deeply"


@attrs.frozen(eq=False)
class Patch:
    """A patch as it was sent, with the fields that it has twice."""

    body: Any
    content_type: str
    duplicates: Sequence[str]
    warnings: Sequence[str] = ()


async def patch(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """Changes an object or its status as the patch says."""
    request.content_type = request.content_type.partition(";")[0].strip()
    check_patch_type(request, served.resource)
    write = Write(ctx, served, request, write_options(request), [])
    given = parse_patch(request, write.options.validation)
    if request.content_type == APPLY_PATCH:
        return await _server_side_apply(write, given)

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        return _decoded(write, apply_patch(current, given, served.resource.type), current, entry, given)

    return await rewrite(write, change)


def check_patch_type(request: ApiRequest, resource: Resource[Any]) -> None:
    """Raises UnsupportedMediaType; nobody but the type table knows how lists merge strategically."""
    if resource.custom is not None and request.content_type not in CUSTOM_PATCH_TYPES:
        raise unsupported(", ".join(CUSTOM_PATCH_TYPES))
    if request.content_type not in PATCH_TYPES:
        raise UnsupportedMediaType("415: Unsupported Media Type")


async def _server_side_apply(write: Write, given: Patch) -> ObjectResponse:
    """Applies a configuration; an object that does not exist is created by it."""
    served, request, body = write.served, write.request, given.body
    registry = write.ctx.registry

    def change(entry: Entry) -> tuple[Obj, list[str]]:
        current = served.view(entry.value)
        result = applied(registry, write.options, served, request, current, body, write.ctx.clock.now())
        write.managed = result.managed_fields
        obj, warnings = _decoded(write, _checked(result.document), current, entry, given)
        return obj, [*given.warnings, *warnings]

    try:
        return await rewrite(write, change)
    except NotFound:
        if request.subresource:
            raise
    authorize_request(write.ctx.authorizer, request, "create")
    result = applied(registry, write.options, served, request, None, body, write.ctx.clock.now())
    write.managed = result.managed_fields
    resource = served.resource
    obj, warnings = decode_resource(_checked(result.document), (), resource, write.options.validation)
    write.warnings = [*given.warnings, *warnings]
    if uid := obj["metadata"].get("uid"):
        why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        raise Conflict.object(resource.plural, resource.group, request.name, why)
    obj["metadata"]["name"] = request.name
    check_namespace(served, request, obj)
    return await create_object(write, obj)


def _decoded(write: Write, changed: Obj, current: Doc, entry: Entry, given: Patch) -> tuple[Obj, list[str]]:
    """The patched document as its kind. What the patch has not touched is not decoded, as far as it can be shared:
    managedFields, most of metadata, the status, and by /status everything else."""
    kept, metadata, part = current["metadata"].get("managedFields"), changed.get("metadata"), changed
    untouched = bool(kept) and isinstance(metadata, dict) and metadata.get("managedFields") is kept
    if untouched:
        part = evolve(part, "metadata", "managedFields", value=None)
    resource = write.served.resource
    shared = shared_parts(part, current, write.request.subresource) if write.served.shares_bytes else {}
    obj, warnings = decode_patched(
        part,
        given,
        resource.api_version,
        resource.kind,
        write.options.validation,
        resource,
        shown=changed,
        shared=shared,
    )
    if "metadata" in shared:
        obj["metadata"] = dict(obj["metadata"])
    if untouched:
        obj["metadata"]["managedFields"] = kept
    _check_identity(write.request, write.served, obj, current, entry)
    return obj, warnings


def decode_patched(
    changed: Obj,
    given: Patch,
    api_version: str,
    kind: str,
    validation: Validation,
    resource: Resource[Any] | None = None,
    *,
    shown: Obj | None = None,
    shared: Doc = _NOTHING,
) -> tuple[Obj, list[str]]:
    """A patched document fitted to its kind. What does not fit is an error about the patch, not about the object:
    `shown`, if `changed` is only a part of it. `shared`: see `fit`."""
    if given.content_type == APPLY_PATCH:
        return decode_object(changed, (), api_version, kind, validation, resource, shared=shared)
    try:
        obj, unknown = fit(changed, (), api_version, kind, resource, shared=shared)
    except DecodeError as error:
        raise _unfit(
            shown or changed,
            given,
            f'{kind} in version "{api_version.rpartition("/")[2]}" cannot be handled as a {kind}: {error}',
        ) from None
    problems = [f'duplicate field "{path}"' for path in given.duplicates] + unknown
    if problems and validation == "Strict":
        raise _unfit(shown or changed, given, "strict decoding error: " + ", ".join(problems))
    return obj, problems if validation == "Warn" else []


def _unfit(changed: Obj, given: Patch, why: str) -> Invalid:
    """Upstream shows the patched object, for a strategic merge patch (which it never writes as JSON) the patch."""
    shown = go_text(given.body) if given.content_type == STRATEGIC_PATCH else codec.dumps(changed).decode()
    return Invalid.object("", "", "", [invalid("patch", shown, why)])


def apply_patch(current: Doc, given: Patch, type: Shape) -> Obj:
    """The document that the patch makes of `current`. Raises Invalid for one that nobody could ever read again."""
    try:
        if given.content_type in (MERGE_PATCH, STRATEGIC_PATCH):  # nothing comes to lie deeper than in one of the two
            _checked(given.body)
            return _apply(current, given.body, given.content_type, type)
        return _checked(_apply(current, given.body, given.content_type, type))
    except (TypeError, RecursionError):
        raise Invalid(TOO_DEEP) from None


def _checked(doc: Obj) -> Obj:
    """The document, if it can be written; the encoder's limits are found out here, not when somebody lists."""
    try:
        codec.check_encodable(doc)
    except DecodeError:
        raise Invalid(TOO_DEEP) from None
    return doc


def _apply(current: Doc, body: Any, content_type: str, type: Shape) -> Obj:
    if content_type == JSON_PATCH:
        return apply_json_patch(current, body)
    if not isinstance(body, dict):
        raise BadRequest(f"error decoding patch: {not_decoded(body, 'map[string]interface {}')}")
    if content_type == MERGE_PATCH:
        return apply_merge_patch(current, body)
    if content_type == STRATEGIC_PATCH:
        return apply_strategic(current, body, type)
    raise unsupported(", ".join((JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH)))


def parse_patch(request: ApiRequest, validation: Validation) -> Patch:
    """The patch as JSON; raises BadRequest, if it is strict also for an applied configuration with duplicate fields."""
    body, content_type = request.body, request.content_type
    if not isinstance(body, bytes):
        return Patch(body, content_type, ())
    if content_type != APPLY_PATCH:
        try:
            parsed, duplicates = codec.loads_patch(body)
        except DecodeError as error:
            raise BadRequest(f"error decoding patch: {error}") from None
        return Patch(parsed, content_type, duplicates)
    try:
        parsed, duplicates = codec.loads_yaml(body)
    except DecodeError as error:
        raise BadRequest(f"error decoding YAML: {error}") from None
    complaint = codec.yaml_complaint(duplicates) if validation != "Ignore" else ""
    if complaint and validation == "Strict":
        raise BadRequest(f"error strict decoding YAML: {complaint}")
    return Patch(parsed, content_type, (), [complaint] if complaint else [])


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
