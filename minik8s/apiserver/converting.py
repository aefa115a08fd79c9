"""Conversion of custom resources by webhook: ConversionReview out, converted objects back.

A webhook may change everything but what an object is and how it is called: of its metadata only labels and annotations
are taken. Upstream: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minik8s.api.definitions import Definition
from minik8s.apiserver.webhooks import WebhookError, post_review
from minik8s.machinery.errors import ApiError, unexplained
from minik8s.machinery.meta import Doc, Obj, copy_document
from minik8s.machinery.names import new_uid

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

TIMEOUT = 30.0
"""Seconds; a definition cannot ask for another one."""
SUPPORTED = ("v1", "v1beta1")


async def convert_by_webhook(
    ctx: ServerContext, definition: Definition, docs: Sequence[Doc], api_version: str
) -> list[Obj]:
    """The documents, all of one version, in another one. Raises ApiError."""
    webhook = definition.conversion["webhook"]
    who = f"{docs[0]['apiVersion']}, Kind={docs[0]['kind']}"
    version = next(v for v in webhook["conversionReviewVersions"] if v in SUPPORTED)
    uid = new_uid(ctx.rng)
    objects = [copy_document(doc) for doc in docs]
    review: Obj = {
        "kind": "ConversionReview",
        "apiVersion": f"apiextensions.k8s.io/{version}",
        "request": {"uid": uid, "desiredAPIVersion": api_version, "objects": objects},
    }
    try:
        answer = await post_review(ctx, webhook["clientConfig"], review, TIMEOUT)
        converted = _objects(answer, review)
    except (WebhookError, _BadAnswerError) as error:
        raise _failed(who, f"failed: {error}") from None
    if len(converted) != len(docs):
        raise _failed(who, f"returned {len(converted)} objects, expected {len(docs)}")
    return [
        _accepted(doc, new, api_version, who, index)
        for index, (doc, new) in enumerate(zip(docs, converted, strict=True))
    ]


class _BadAnswerError(Exception):
    """The webhook answered, but not with converted objects."""


def _failed(who: str, why: str) -> ApiError:
    return unexplained(f"conversion webhook for {who} {why}")


def _objects(answer: Doc, review: Doc) -> list[Any]:
    given = f"{answer.get('apiVersion')}, Kind={answer.get('kind')}"
    wanted = f"{review['apiVersion']}, Kind={review['kind']}"
    if given != wanted:
        raise _BadAnswerError(f"expected webhook response of {wanted}, got {given}")
    response = answer.get("response")
    if not isinstance(response, dict):
        raise _BadAnswerError("no response provided")
    uid = review["request"]["uid"]
    if response.get("uid") != uid:
        raise _BadAnswerError(f'expected webhook response with uid="{uid}", got uid="{response.get("uid", "")}"')
    result = response.get("result")
    result = result if isinstance(result, dict) else {}
    if result.get("status") != "Success":
        fallback = f"response.result.status was '{result.get('status', '')}', not 'Success'"
        raise _BadAnswerError(str(result.get("message") or fallback))
    objects = response.get("convertedObjects")
    return objects if isinstance(objects, list) else []


def _accepted(doc: Doc, new: Any, api_version: str, who: str, index: int) -> Obj:
    """A converted object, once it is the same one; with the original's metadata but for labels and annotations."""
    if not isinstance(new, dict) or not isinstance(new.get("metadata"), dict):
        raise _failed(who, f"returned invalid converted object at index {index}: no object with metadata")
    if new.get("apiVersion") != api_version:
        why = f"invalid groupVersion (expected {api_version}, received {new.get('apiVersion')})"
        raise _failed(who, f"returned invalid converted object at index {index}: {why}")
    if new.get("kind") != doc["kind"]:
        why = f"invalid kind (expected {doc['kind']}, received {new.get('kind')})"
        raise _failed(who, f"returned invalid converted object at index {index}: {why}")
    metadata: Obj = new["metadata"]
    for name in ("namespace", "name", "uid"):
        had, has = doc["metadata"].get(name) or "", metadata.get(name) or ""
        if had != has:
            label = "UID" if name == "uid" else name
            why = f"must have the same {label}: {had} != {has}"
            raise _failed(who, f"returned invalid metadata for object at index {index}: {why}")
    kept = {k: copy_document(v) for k, v in doc["metadata"].items() if k not in ("labels", "annotations")}
    for name in ("labels", "annotations"):
        found = metadata.get(name)
        if not isinstance(found, dict | None) or any(not isinstance(v, str) for v in (found or {}).values()):
            raise _failed(who, f"returned invalid metadata for object at index {index}: {name} are no map of strings")
        if found:
            kept[name] = found
    return {**new, "metadata": kept}
