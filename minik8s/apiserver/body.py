"""From the bytes of a request to a document that fits its kind, or to an error that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minik8s.api.request import JSON, PROTOBUF, YAML, ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.options import Validation
from minik8s.machinery.errors import BadRequest, UnsupportedMediaType
from minik8s.machinery.meta import Obj
from minik8s.schema import codec, protobuf, table
from minik8s.schema.decode import DecodeError, decode

ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
MAX_STRICT_ERRORS = 100


def unsupported(accepted: str = ACCEPTED) -> UnsupportedMediaType:
    return UnsupportedMediaType(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}"
    )


def read_body(request: ApiRequest, expected: str) -> tuple[Any, list[str]]:
    """The parsed body and the duplicate fields in it. `expected` is the kind that errors name.

    A protobuf body is decoded by the type its envelope names.
    """
    body = request.body
    if not isinstance(body, bytes):
        return body, []
    media_type = request.content_type.partition(";")[0].strip().lower() or JSON
    try:
        if media_type == JSON:
            return codec.loads_json(body)
        if media_type == YAML:
            return codec.loads_yaml(body)
        if media_type == PROTOBUF:
            return _protobuf(body), []
    except DecodeError as error:
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {expected}): couldn't get version/kind; {error}"
        ) from None
    raise unsupported()


def _protobuf(body: bytes) -> Obj:
    api_version, kind, raw = protobuf.decode_envelope(body)
    home = {"v1": "core/v1", "": "meta/v1"}.get(api_version, api_version)
    for group_version in (home, "meta/v1"):
        if table.has_struct(group_version, kind):
            obj = protobuf.decode_message(raw, table.struct(group_version, kind))
            return {"kind": kind, "apiVersion": api_version, **obj}
    raise DecodeError(f'no kind "{kind}" is registered for version "{api_version}"')


def read_object(request: ApiRequest, api_version: str, kind: str, validation: Validation) -> tuple[Obj, list[str]]:
    """The body as an object of the given kind, and warnings about what was dropped from it."""
    doc, duplicates = read_body(request, kind)
    if not isinstance(doc, dict):
        raise BadRequest(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            "json parse error: json: cannot unmarshal a non-object into Go value of type struct"
        )
    _check_kind(doc, api_version, kind)
    return decode_object(doc, duplicates, api_version, kind, validation)


def _check_kind(doc: Obj, api_version: str, kind: str) -> None:
    given_version, given_kind = doc.get("apiVersion") or api_version, doc.get("kind") or kind
    if given_kind != kind:
        version = api_version.rpartition("/")[2]
        given = given_version.rpartition("/")[2] if isinstance(given_version, str) else given_version
        group = api_version.rpartition("/")[0].partition(".")[0] or "core"
        raise BadRequest(
            f'{given_kind} in version "{given}" cannot be handled as a {kind}: converting '
            f"({given}.{given_kind}) to ({group}.{kind}): unknown conversion"
        )
    if given_version != api_version:
        raise BadRequest(
            f"the API version in the data ({given_version}) does not match the expected API version ({api_version})"
        )


def decode_object(
    doc: Obj, duplicates: Sequence[str], api_version: str, kind: str, validation: Validation
) -> tuple[Obj, list[str]]:
    """A document fitted to its kind. Strict refuses unknown and duplicate fields, Warn reports them."""
    home = api_version if "/" in api_version else f"core/{api_version}"
    version = api_version.rpartition("/")[2]
    try:
        decoded = decode(doc, table.struct(home, kind), kind)
    except DecodeError as error:
        raise BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from None
    obj: Obj = {"kind": kind, "apiVersion": api_version, "metadata": {}}
    obj.update(decoded.obj)
    obj["kind"], obj["apiVersion"] = kind, api_version
    problems = [f'unknown field "{path}"' for path in decoded.unknown]
    problems += [f'duplicate field "{path}"' for path in duplicates]
    if not problems or validation == "Ignore":
        return obj, []
    problems = problems[:MAX_STRICT_ERRORS]
    if validation == "Strict":
        raise BadRequest(
            f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: '
            + ", ".join(problems)
        )
    return obj, problems


def read_resource(request: ApiRequest, resource: Resource[Any], validation: Validation) -> tuple[Obj, list[str]]:
    """The body as an object of the endpoint's own kind."""
    return read_object(request, resource.api_version, resource.kind, validation)
