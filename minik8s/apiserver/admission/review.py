"""AdmissionReview: a write as webhooks and CEL expressions see it, and what a webhook may answer.

Upstream: k8s.io/apiserver `pkg/admission/plugin/webhook/request` and `plugin/cel`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import attrs

from minik8s.api.resource import Resource
from minik8s.api.users import user_info
from minik8s.apiserver.admission.matching import namespace_of_request
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.registry import Registry
from minik8s.machinery.errors import ApiError, InternalError
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")
MAX_WARNINGS = 64
"""Warnings of one answer that are passed on; what comes behind is dropped."""
MAX_ANNOTATIONS, MAX_ANNOTATION = 64, 10 * 1024
"""The same for audit annotations, and characters of one."""


class BadReview(Exception):
    """A webhook's answer that cannot be; the text goes behind `received invalid webhook response: `."""


@attrs.frozen
class Versioned:
    """The documents of a write in the version that a webhook or policy asks for."""

    resource: Resource[Any]
    object: Obj | None
    old: Doc | None


async def in_version(attributes: Attributes, resource: Resource[Any], registry: Registry) -> Versioned:
    """The write's documents as `resource` shows them. Raises ApiError where one cannot be converted."""
    own = attributes.request.resource
    if resource is own or attributes.kind is not None:
        return Versioned(resource, attributes.object, attributes.old)
    new, old = attributes.object, attributes.old
    return Versioned(
        resource,
        None if new is None else await converted(new, own, resource, registry),
        None if old is None else await converted(dict(old), own, resource, registry),
    )


async def converted(doc: Obj, source: Resource[Any], target: Resource[Any], registry: Registry) -> Obj:
    """A document of one resource as another version of it shows it; a webhook may have to be asked for that."""
    if source is target:
        return doc
    home, shown = registry.served(source), registry.served(target)
    stored = await home.custom.to_storage(doc) if home.custom is not None else home.stored(doc)
    await shown.ready([stored])
    return shown.view(stored)


def request_of(attributes: Attributes, versioned: Versioned) -> Obj:
    """The AdmissionRequest without uid, object and oldObject: also the `request` of CEL expressions."""
    request, resource = attributes.request, versioned.resource
    own = request.resource
    document: Obj = {
        "kind": _gvk(attributes, resource),
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
    }
    if request.subresource:
        document["subResource"] = request.subresource
    document["requestKind"] = _gvk(attributes, own)
    document["requestResource"] = {"group": own.group, "version": own.version, "resource": own.plural}
    if request.subresource:
        document["requestSubResource"] = request.subresource
    if name := request.name or _given_name(attributes):
        document["name"] = name
    if namespace := namespace_of_request(attributes):
        document["namespace"] = namespace
    document["operation"] = attributes.operation
    document["userInfo"] = user_info(request.user)
    document["dryRun"] = attributes.dry_run
    document["options"] = options_of(attributes)
    return document


def _given_name(attributes: Attributes) -> str:
    name: str = ((attributes.object or {}).get("metadata") or {}).get("name", "")
    return name


def _gvk(attributes: Attributes, resource: Resource[Any]) -> dict[str, str]:
    if attributes.kind is None:
        return {"group": resource.group, "version": resource.version, "kind": resource.kind}
    group, _, version = attributes.kind[0].rpartition("/")
    return {"group": group, "version": version, "kind": attributes.kind[1]}


_KINDS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def options_of(attributes: Attributes) -> Obj | None:
    """The options of the write as an object; None for connections, which have none."""
    if attributes.operation == "CONNECT":
        return None
    if attributes.options is not None:
        return dict(attributes.options)
    request = attributes.request
    kind = "CreateOptions" if attributes.operation == "CREATE" else _KINDS.get(request.verb, "UpdateOptions")
    document: Obj = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if attributes.dry_run:
        document["dryRun"] = ["All"]
    for name in ("fieldManager", "fieldValidation"):
        if value := request.options.get(name):
            document[name] = value
    if kind == "PatchOptions" and "force" in request.options:
        document["force"] = request.options["force"].lower() not in ("false", "0")
    return document


def review_of(attributes: Attributes, versioned: Versioned, uid: str, version: str) -> Obj:
    """The AdmissionReview that is sent."""
    request = {"uid": uid, **request_of(attributes, versioned)}
    options = request.pop("options")
    request["object"], request["oldObject"], request["options"] = versioned.object, versioned.old, options
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": request}


@attrs.frozen
class Verdict:
    """What a webhook has answered. `patch` is the list of JSON patch operations, None without one."""

    allowed: bool
    result: Doc
    patch: Any
    warnings: list[str]
    audit_annotations: dict[str, str]


def verdict_of(answer: Doc, uid: str, version: str, *, mutating: bool) -> Verdict:
    """Reads and checks an answer; raises BadReview. Upstream: VerifyAdmissionResponse."""
    response = answer.get("response")
    if not isinstance(response, dict):
        raise BadReview("webhook response was absent")
    if version == "v1":
        _check_identity(answer, response, uid)
    patch, kind = response.get("patch"), response.get("patchType")
    if not mutating:
        for name, value in (("patch", patch), ("patchType", kind)):
            if value:
                raise BadReview(f"validating webhook may not return response.{name}")
    if version == "v1":
        if patch and kind is None:
            raise BadReview("webhook returned response.patch but not response.patchType")
        if kind is not None and not patch and mutating:
            raise BadReview("webhook returned response.patchType but not response.patch")
        if kind is not None and kind != "JSONPatch" and mutating:
            raise BadReview(f'webhook returned invalid response.patchType of "{kind}"')
    result = response.get("status")
    return Verdict(
        response.get("allowed") is True,
        result if isinstance(result, dict) else {},
        _operations(patch) if mutating and patch else None,
        [w for w in _list(response.get("warnings")) if isinstance(w, str)][:MAX_WARNINGS],
        _annotations(_map(response.get("auditAnnotations"))),
    )


def _check_identity(answer: Doc, response: Doc, uid: str) -> None:
    if response.get("uid") != uid:
        raise BadReview(f'expected response.uid="{uid}", got "{response.get("uid") or ""}"')
    given = (answer.get("apiVersion") or "", answer.get("kind") or "")
    if given != (f"{GROUP}/v1", "AdmissionReview"):
        raise BadReview(
            f"expected webhook response of {GROUP}/v1, Kind=AdmissionReview, got "
            f"{given[0] if '/' in str(given[0]) else '/' + str(given[0])}, Kind={given[1]}"
        )


def _annotations(given: Mapping[str, Any]) -> dict[str, str]:
    """Texts for the audit log, which keeps them: no more and no longer ones than anybody needs."""
    texts = {key: value[:MAX_ANNOTATION] for key, value in given.items() if isinstance(value, str)}
    return dict(list(texts.items())[:MAX_ANNOTATIONS])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _operations(patch: Any) -> Any:
    """The operations of a base64 JSON patch; BadReview where it is none."""
    try:
        return codec.loads_value(base64.b64decode(patch, validate=True))
    except (binascii.Error, ValueError, TypeError, DecodeError) as error:
        raise BadReview(f"received undecodable patch in webhook response: {error}") from None


def refusal(webhook: str, result: Doc) -> ApiError:
    """The Status by which a webhook refuses, completed as upstream's ToStatusErr does."""
    denied = f'admission webhook "{webhook}" denied the request'
    why, reason, code = result.get("message"), result.get("reason"), result.get("code")
    if why or reason:
        message = f"{denied}: {why or reason}"
    else:
        message = f"{denied} without explanation"
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    details = result.get("details")
    status = {"message": message, "reason": reason if isinstance(reason, str) else "", "code": code}
    if isinstance(details, dict):
        status["details"] = details
    try:
        error = ApiError.from_status(status, code)
    except (AttributeError, TypeError):  # details that are none
        error = ApiError.from_status({**status, "details": {}}, code)
    error.reason = str(status["reason"])
    return error


def call_failed(webhook: str, why: str) -> InternalError:
    """The 500 of a webhook that could not be asked."""
    from minik8s.machinery.errors import StatusCause

    text = f'failed calling webhook "{webhook}": {why}'
    return InternalError(f"Internal error occurred: {text}", causes=[StatusCause(message=text)])
