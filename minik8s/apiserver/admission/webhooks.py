"""Admission webhooks: asked one after the other where they mutate, side by side where they only judge.

Upstream: k8s.io/apiserver `pkg/admission/plugin/webhook`. Configurations are read from the store at every write, so a
change is in force at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS
from minik8s.apiserver.admission import review
from minik8s.apiserver.admission.matching import in_selected_namespace, is_selected_object, matched_resource
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.reinvocation import Reinvocation
from minik8s.apiserver.webhooks import WebhookError, post_review
from minik8s.machinery.errors import ApiError, BadRequest, InternalError
from minik8s.machinery.meta import Doc, name_of, uid_of
from minik8s.machinery.names import new_uid
from minik8s.machinery.patch.jsonpatch import apply_json_patch
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

DEFAULT_TIMEOUT = 10
_MUTATION = "mutation.webhook.admission.k8s.io"
_VALIDATION = "validating.webhook.admission.k8s.io"


@attrs.frozen
class Webhook:
    """One webhook of a configuration; `index` counts all webhooks of one kind, as audit annotations do."""

    configuration: str
    index: int
    spec: Mapping[str, Any]
    key: tuple[str, str]

    @property
    def name(self) -> str:
        return str(self.spec.get("name", ""))

    @property
    def is_optional(self) -> bool:
        """Whether the request goes on when the webhook cannot be asked."""
        return self.spec.get("failurePolicy") == "Ignore"


class _CallFailed(Exception):
    """The webhook could not be asked, or answered nonsense; `failurePolicy` says what that means."""


class Webhooks:
    """Both kinds of webhook of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx

    async def mutate(self, attributes: Attributes, rounds: Reinvocation) -> None:
        """Asks every mutating webhook that is concerned, each about what the one before has left."""
        for webhook in list(self._all(MUTATING_WEBHOOK_CONFIGURATIONS)):
            resource = await self._concerned(webhook, attributes)
            if resource is None or not rounds.calls(webhook.key):
                continue
            changed = False
            try:
                changed = await self._change(webhook, attributes, resource)
            except _CallFailed as failure:
                self._failed(webhook, attributes, failure, f"failed-open.{_MUTATION}", rounds.number)
            finally:
                note = _note(webhook, mutated=changed)
                attributes.annotate(f"{_MUTATION}/round_{rounds.number}_index_{webhook.index}", note)
            if changed:
                rounds.changed()
            if webhook.spec.get("reinvocationPolicy") == "IfNeeded":
                rounds.called(webhook.key)

    async def validate(self, attributes: Attributes) -> None:
        """Asks all validating webhooks that are concerned at once; raises the first refusal in their order."""
        concerned = []
        for webhook in list(self._all(VALIDATING_WEBHOOK_CONFIGURATIONS)):
            resource = await self._concerned(webhook, attributes)
            if resource is not None:
                concerned.append((webhook, resource))
        if not concerned:
            return
        errors: dict[int, ApiError] = {}

        async def judge(webhook: Webhook, resource: Resource[Any]) -> None:
            try:
                await self._judge(webhook, attributes, resource)
            except ApiError as error:
                errors[webhook.index] = error

        if len(concerned) == 1:
            await judge(*concerned[0])
        else:
            async with anyio.create_task_group() as group:
                for webhook, resource in concerned:
                    group.start_soon(judge, webhook, resource, name=f"webhook {webhook.name}")
        if errors:
            raise errors[min(errors)]

    def _all(self, resource: Resource[Any]) -> Iterator[Webhook]:
        index = 0
        for configuration in sorted(self._ctx.world.list(resource), key=name_of):
            version = f"{uid_of(configuration)}/{configuration['metadata'].get('generation', 0)}"
            for spec in configuration.get("webhooks") or ():
                yield Webhook(name_of(configuration), index, spec, (version, spec.get("name", "")))
                index += 1

    async def _concerned(self, webhook: Webhook, attributes: Attributes) -> Resource[Any] | None:
        """The resource as which the webhook is to be asked; None when it is not. Raises ApiError."""
        spec, ctx = webhook.spec, self._ctx
        rules = spec.get("rules") or ()
        resource = matched_resource(rules, attributes, ctx.registry, spec.get("matchPolicy") or "Equivalent")
        if resource is None or not is_selected_object(spec.get("objectSelector"), attributes):
            return None
        if not in_selected_namespace(spec.get("namespaceSelector"), attributes, ctx.world):
            return None
        conditions = spec.get("matchConditions")
        if not conditions:
            return resource
        versioned = await review.in_version(attributes, resource, ctx.registry)
        from minik8s.apiserver.admission.conditions import met  # here, for it loads the CEL engine

        return resource if met(ctx, conditions, attributes, versioned, optional=webhook.is_optional) else None

    async def _change(self, webhook: Webhook, attributes: Attributes, resource: Resource[Any]) -> bool:
        """Whether the webhook has changed the object."""
        versioned = await review.in_version(attributes, resource, self._ctx.registry)
        verdict = await self._ask(webhook, attributes, versioned, mutating=True)
        if not verdict.patch:
            return False
        if versioned.object is None:
            what = f'admission webhook "{webhook.name}" attempted to modify the object'
            raise InternalError(f"Internal error occurred: {what}, which is not supported for this operation")
        try:
            patched = apply_json_patch(versioned.object, verdict.patch)
            codec.check_encodable(patched)
            own, registry = attributes.request.resource, self._ctx.registry
            patched = self._ctx.dynamic.decoded(attributes, await review.converted(patched, resource, own, registry))
        except (ApiError, DecodeError, RecursionError, TypeError) as error:
            raise InternalError(f"Internal error occurred: {error}") from None
        if patched == attributes.object:
            return False
        attributes.object = patched
        return True

    async def _judge(self, webhook: Webhook, attributes: Attributes, resource: Resource[Any]) -> None:
        try:
            versioned = await review.in_version(attributes, resource, self._ctx.registry)
            await self._ask(webhook, attributes, versioned, mutating=False)
        except _CallFailed as failure:
            self._failed(webhook, attributes, failure, f"failed-open.{_VALIDATION}", 0)

    async def _ask(
        self, webhook: Webhook, attributes: Attributes, versioned: review.Versioned, *, mutating: bool
    ) -> review.Verdict:
        """The verdict of a webhook that allows the request. Raises ApiError for one that does not, or _CallFailed."""
        spec = webhook.spec
        if attributes.dry_run and spec.get("sideEffects") not in ("None", "NoneOnDryRun"):
            raise BadRequest(f'admission webhook "{webhook.name}" does not support dry run')
        uid = new_uid(self._ctx.rng)
        wanted = spec.get("admissionReviewVersions") or ()
        version = next((v for v in wanted if v in review.VERSIONS), "")
        if not version:
            raise _CallFailed(
                "could not create admission objects: webhook does not accept known AdmissionReview versions"
            )
        document = review.review_of(attributes, versioned, uid, version)
        timeout = spec.get("timeoutSeconds") or DEFAULT_TIMEOUT
        try:
            answer = await post_review(self._ctx, spec.get("clientConfig") or {}, document, timeout, name=webhook.name)
            verdict = review.verdict_of(answer, uid, version, mutating=mutating)
        except WebhookError as error:
            raise _CallFailed(str(error)) from None
        except review.BadReview as error:
            raise _CallFailed(f"received invalid webhook response: {error}") from None
        for key, value in verdict.audit_annotations.items():
            attributes.annotate(f"{webhook.name}/{key}", value)
        attributes.warnings += [w for w in verdict.warnings if w not in attributes.warnings]
        if not verdict.allowed:
            raise review.refusal(webhook.name, verdict.result)
        return verdict

    def _failed(self, webhook: Webhook, attributes: Attributes, failure: _CallFailed, key: str, number: int) -> None:
        """Goes on without the webhook, or raises InternalError, as its failure policy says."""
        if not webhook.is_optional:
            raise review.call_failed(webhook.name, str(failure)) from None
        attributes.annotate(f"{key}/round_{number}_index_{webhook.index}", webhook.name)


def _note(webhook: Webhook, **more: Doc | bool) -> str:
    return codec.dumps({"configuration": webhook.configuration, "webhook": webhook.name, **more}).decode()
