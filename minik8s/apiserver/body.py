"""From the bytes of a request to a document that fits its kind, or to an error that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from minik8s.api.request import JSON, YAML, ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.options import Validation
from minik8s.machinery.errors import BadRequest, Invalid, UnsupportedMediaType
from minik8s.machinery.field import invalid
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import codec, protobuf, table
from minik8s.schema.decode import DecodeError, decode
from minik8s.schema.scalars import json_word

ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
CUSTOM_ACCEPTED = "application/json, application/yaml"
"""Custom resources have no protobuf form."""
MAX_STRICT_ERRORS = 100
_NOTHING: Final[Doc] = {}
_SUMMARY_LENGTH = 30
_SCHEME = 'in scheme "pkg/api/legacyscheme/scheme.go:30"'
_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
"""What Go calls the struct that it looks for version and kind with."""


def unsupported(accepted: str = ACCEPTED) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


def read_body(request: ApiRequest, expected: str, accepted: str = ACCEPTED) -> tuple[Obj, list[str]]:
    """The parsed body and the duplicate fields in it. `expected` is the kind that errors name.

    A protobuf body is decoded by the type its envelope names. Raises BadRequest or UnsupportedMediaType.
    """
    body = request.body
    if not isinstance(body, bytes):
        if not isinstance(body, dict):
            raise _unrecognized(expected, f"expected an object, got {type(body).__name__}", b"")
        return body, []
    media_type = request.content_type.partition(";")[0].strip().lower() or JSON
    if media_type == JSON:
        try:
            return codec.loads_json(body)
        except DecodeError as error:
            why = str(error).replace("type map[string]interface {}", f"type {_TYPE_META}")
            raise _unrecognized(expected, f"couldn't get version/kind; json parse error: {why}", body) from None
    if media_type not in accepted.split(", "):
        raise unsupported(accepted)
    try:
        return codec.loads_yaml(body) if media_type == YAML else (_protobuf(body, expected), [])
    except DecodeError as error:
        raise _unrecognized(expected, str(error), body) from None


def _unrecognized(expected: str, why: str, body: bytes) -> BadRequest:
    return BadRequest(f"the object provided is unrecognized (must be of type {expected}): {why} ({_summary(body)})")


def _summary(body: bytes) -> str:
    """The beginning of a body, as text if it looks like JSON."""
    if not body:
        return "<empty>"
    start = body[:_SUMMARY_LENGTH]
    shown = start.decode(errors="replace") if body.startswith(b"{") else start.hex()
    return shown if len(body) <= _SUMMARY_LENGTH else f"{shown} ..."


def _protobuf(body: bytes, expected: str) -> Obj:
    api_version, kind, raw = protobuf.decode_envelope(body)
    home = {"v1": "core/v1", "": "meta/v1"}.get(api_version, api_version)
    for group_version in (home, "meta/v1"):
        if table.has_struct(group_version, kind):
            try:
                obj = protobuf.decode_message(raw, table.struct(group_version, kind))
            except DecodeError as error:
                raise _unfit(kind, api_version, expected, str(error)) from None
            doc = {"kind": kind, "apiVersion": api_version, **obj}
            codec.check_encodable(doc)
            return doc
    raise _unfit(kind, api_version, expected, f'no kind "{kind}" is registered for version "{api_version}" {_SCHEME}')


def _unfit(kind: str, api_version: str, expected: str, why: str) -> BadRequest:
    return BadRequest(f'{kind} in version "{api_version.rpartition("/")[2]}" cannot be handled as a {expected}: {why}')


def read_object(
    request: ApiRequest, api_version: str, kind: str, validation: Validation, *, stored: Doc = _NOTHING
) -> tuple[Obj, list[str]]:
    """The body as an object of the given built-in kind, and warnings about what was dropped from it.

    Whoever calls in process often changes one part of what is `stored`: the other parts are not read again, and not
    copied. They are shared with the store and must not be changed.
    """
    doc, duplicates = read_body(request, kind)
    _check_kind(doc, api_version, kind, request)
    shared = shared_parts(doc, stored, request.subresource) if stored else _NOTHING
    return decode_object(doc, duplicates, api_version, kind, validation, shared=shared)


def shared_parts(doc: Doc, stored: Doc, subresource: str) -> Doc:
    """The parts of a document that are those of the stored one: not equal, but the same, and not changed on the way.

    By /status nothing but the status is written; elsewhere defaults go into whatever is not metadata or status.
    """
    names = doc if subresource == "status" else ("metadata", "status")
    parts = {name: doc.get(name) for name in names}
    return {name: part for name, part in parts.items() if part is stored.get(name) and isinstance(part, dict)}


def _check_kind(doc: Obj, api_version: str, kind: str, request: ApiRequest) -> None:
    _check_strings(doc, kind, request)
    given_version, given_kind = doc.get("apiVersion") or api_version, doc.get("kind") or kind
    if (given_version, given_kind) == (api_version, kind):
        return
    home = given_version if "/" in given_version else f"core/{given_version}"
    if not table.has_struct(home, given_kind):
        why = f'no kind "{given_kind}" is registered for version "{given_version}" {_SCHEME}'
        raise _unfit(given_kind, given_version, kind, why)
    if given_kind != kind:
        version, group = given_version.rpartition("/")[2], api_version.rpartition("/")[0].partition(".")[0] or "core"
        why = f"converting ({version}.{given_kind}) to ({group}.{kind}): unknown conversion"
        raise _unfit(given_kind, given_version, kind, why)
    raise _other_version(given_version, api_version)


def _check_strings(doc: Obj, kind: str, request: ApiRequest) -> None:
    """Raises BadRequest for a version or kind that is not even text."""
    for name in ("apiVersion", "kind"):
        if not isinstance(doc.get(name), str | None):
            why = f"json: cannot unmarshal {json_word(doc[name])} into Go struct field .{name} of type string"
            raw = request.body if isinstance(request.body, bytes) else b""
            raise _unrecognized(kind, f"couldn't get version/kind; json parse error: {why}", raw)


def decode_object(
    doc: Obj,
    duplicates: Sequence[str],
    api_version: str,
    kind: str,
    validation: Validation,
    resource: Resource[Any] | None = None,
    *,
    shared: Doc = _NOTHING,
) -> tuple[Obj, list[str]]:
    """A document fitted to its kind. Strict refuses unknown and duplicate fields, Warn reports them."""
    try:
        obj, problems = fit(doc, duplicates, api_version, kind, resource, shared=shared)
    except DecodeError as error:
        raise _unfit(kind, api_version, kind, str(error)) from None
    if problems and validation == "Strict":
        raise _unfit(kind, api_version, kind, "strict decoding error: " + ", ".join(problems))
    return obj, problems if validation == "Warn" else []


def decode_resource(
    doc: Obj, duplicates: Sequence[str], resource: Resource[Any], validation: Validation
) -> tuple[Obj, list[str]]:
    """A document fitted to a resource's own kind, built-in or custom."""
    return decode_object(doc, duplicates, resource.api_version, resource.kind, validation, resource)


def _check_custom(doc: Obj, resource: Resource[Any]) -> None:
    """Raises unless the document says itself that it is a custom resource of this kind; nothing is assumed for it."""
    kind, api_version = doc.get("kind"), doc.get("apiVersion") or ""
    if not kind:
        raise BadRequest("Object 'Kind' is missing in 'unstructured object has no kind'")
    if api_version != resource.api_version:
        raise _other_version(api_version, resource.api_version)
    if kind != resource.kind:
        name = (doc.get("metadata") or {}).get("name") or ""
        raise Invalid.object(resource.kind, resource.group, name, [invalid("kind", kind, f"must be {resource.kind}")])


def _other_version(given: str, expected: str) -> BadRequest:
    return BadRequest(f"the API version in the data ({given}) does not match the expected API version ({expected})")


def fit(
    doc: Obj,
    duplicates: Sequence[str],
    api_version: str,
    kind: str,
    resource: Resource[Any] | None = None,
    *,
    shared: Doc = _NOTHING,
) -> tuple[Obj, list[str]]:
    """A document as its kind has it, and what had no place in it. Raises DecodeError.

    `resource` is the one whose own kind it is; without it the kind is a built-in one. `shared`: see `decode`.
    """
    home = api_version if "/" in api_version else f"core/{api_version}"
    if resource is not None and resource.custom is not None:
        _check_custom(doc, resource)
    decoded = decode(doc, resource.type if resource is not None else table.struct(home, kind), kind, shared=shared)
    obj: Obj = {"kind": kind, "apiVersion": api_version, "metadata": {}}
    obj.update(decoded.obj)
    obj["kind"], obj["apiVersion"] = kind, api_version
    if (doc.get("metadata") or {}).get("managedFields") == []:
        obj["metadata"]["managedFields"] = [{}]  # decoding drops an empty list; here it says that nobody owns anything
    if not decoded.unknown and not duplicates:
        return obj, []
    unknown = [f'unknown field "{path}"' for path in decoded.unknown]
    twice = [f'duplicate field "{path}"' for path in duplicates]
    custom = resource is not None and resource.custom is not None  # decoded in two steps, of which this is the second
    problems = [*twice, *unknown] if custom else [*unknown, *twice]
    return obj, problems[:MAX_STRICT_ERRORS]


def read_delete_options(request: ApiRequest) -> Obj | None:
    """The DeleteOptions in the body; None when there is no body. Raises BadRequest."""
    if request.body is None or request.body == b"":
        return None
    kind = "DeleteOptions"
    doc, _ = read_body(request, kind)
    given = doc.get("kind") or kind
    try:
        if given != kind:
            raise DecodeError(f"converting ({given}) to ({kind}): unknown conversion")
        return decode(doc, table.struct("meta/v1", kind), kind).obj
    except DecodeError as error:
        raise _unfit(str(given), str(doc.get("apiVersion") or "v1"), kind, str(error)) from None


def read_resource(
    request: ApiRequest, resource: Resource[Any], validation: Validation, *, stored: Doc = _NOTHING
) -> tuple[Obj, list[str]]:
    """The body as an object of the endpoint's own kind. `stored`: see `read_object`."""
    if resource.custom is None:
        return read_object(request, resource.api_version, resource.kind, validation, stored=stored)
    doc, duplicates = read_body(request, resource.kind, CUSTOM_ACCEPTED)
    _check_strings(doc, resource.kind, request)
    return decode_resource(doc, duplicates, resource, validation)
