"""ValidatingAdmissionPolicy: refuses, warns or leaves a note where an expression is not true.

Upstream: k8s.io/apiserver `pkg/admission/plugin/policy/validating`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.policies import Validation
from minik8s.api.resource import Resource
from minik8s.api.resources import VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS
from minik8s.apiserver.admission import review
from minik8s.apiserver.admission.expressions import (
    BUDGET,
    EvaluationFailed,
    all_hold,
    evaluate,
    values_of,
    with_variables,
)
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.policies import Failure, Invocation, Policies
from minik8s.cel import Budget
from minik8s.machinery.errors import ApiError, StatusCause
from minik8s.machinery.meta import Doc, name_of
from minik8s.schema import codec

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

MAX_ANNOTATION = 10 * 1024
MAX_MESSAGE = 5 * 1024
FAILURE_KEY = "validation.policy.admission.k8s.io/validation_failure"
_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}


@attrs.frozen
class Denial:
    """One expression that is not true, or could not be evaluated."""

    text: str
    reason: str
    index: int = 0


class ValidatingPolicies:
    """All of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._policies = Policies(ctx, VALIDATING_ADMISSION_POLICIES, VALIDATING_ADMISSION_POLICY_BINDINGS)

    async def validate(self, attributes: Attributes) -> None:
        """Raises ApiError with the first denial; all the others are evaluated too, for their warnings and notes."""
        denied: list[ApiError] = []
        notes: dict[str, list[str]] = {}
        seen: dict[Resource[Any], tuple[review.Versioned, dict[str, Any]]] = {}

        def failed(failure: Failure) -> None:
            if failure.counts:
                denied.append(_denied(attributes, failure.policy, failure.binding, Denial(failure.text, "Invalid")))

        for invocation in list(self._policies.invocations(attributes, failed)):
            if invocation.resource not in seen:
                versioned = await review.in_version(attributes, invocation.resource, self._ctx.registry)
                seen[invocation.resource] = (versioned, values_of(self._ctx, attributes, versioned))
            values = {**seen[invocation.resource][1], "params": invocation.param}
            for denial in self._evaluate(invocation, values, notes):
                denied += self._act(attributes, invocation, denial)
        for key, texts in notes.items():
            attributes.annotate(key, ", ".join(texts))
        if denied:
            raise denied[0]

    def _evaluate(
        self, invocation: Invocation, values: Mapping[str, Any], notes: dict[str, list[str]]
    ) -> Iterator[Denial]:
        """What a policy has against the write. An expression that fails counts as the failure policy says."""
        compiled = invocation.compiled
        strict = invocation.policy["spec"].get("failurePolicy", "Fail") != "Ignore"
        try:
            if not all_hold(compiled.conditions, values):
                return
        except EvaluationFailed as failure:
            if strict:
                yield Denial(str(failure), "Invalid")
            return
        budget = Budget(BUDGET)
        values = with_variables(values, compiled.variables, budget)
        for index, validation in enumerate(compiled.validations):
            try:
                if evaluate(validation.expression, values, budget) is not True:
                    reason = validation.spec.get("reason") or "Invalid"
                    yield Denial(_message(validation, values, budget), reason, index)
            except EvaluationFailed as failure:
                if strict:
                    yield Denial(str(failure), "Invalid", index)
        yield from self._annotate(invocation, values, notes, strict=strict)

    @staticmethod
    def _annotate(
        invocation: Invocation, values: Mapping[str, Any], notes: dict[str, list[str]], *, strict: bool
    ) -> Iterator[Denial]:
        budget = Budget(BUDGET)
        for key, program in invocation.compiled.annotations:
            try:
                value = evaluate(program, values, budget)
            except EvaluationFailed as failure:
                if strict:
                    yield Denial(str(failure), "Invalid")
                continue
            text = value.strip()[:MAX_ANNOTATION] if isinstance(value, str) else ""
            if not text:
                continue
            texts = notes.setdefault(f"{name_of(invocation.policy)}/{key}", [])
            if text not in texts:
                texts.append(text)

    @staticmethod
    def _act(attributes: Attributes, invocation: Invocation, denial: Denial) -> Iterator[ApiError]:
        """Carries out the binding's validationActions; yields the error where they say Deny."""
        policy, binding = invocation.policy, invocation.binding
        actions = binding["spec"].get("validationActions") or ()
        if "Audit" in actions:
            note = {
                "message": denial.text,
                "policy": name_of(policy),
                "binding": name_of(binding),
                "expressionIndex": denial.index,
                "validationActions": list(actions),
            }
            attributes.request.audit_annotations.setdefault(FAILURE_KEY, codec.dumps([note]).decode())  # type: ignore[arg-type]
        if "Warn" in actions:
            who = f"'{name_of(policy)}' with binding '{name_of(binding)}'"
            attributes.warnings.append(f"Validation failed for ValidatingAdmissionPolicy {who}: {denial.text}")
        if "Deny" in actions:
            yield _denied(attributes, policy, binding, denial)


def _message(validation: Validation, values: Mapping[str, Any], budget: Budget) -> str:
    """What the client is told: messageExpression's text if it is one good line, else message, else the expression."""
    if validation.message is not None:
        try:
            text = evaluate(validation.message, values, budget)
        except EvaluationFailed:
            text = ""
        text = text.strip() if isinstance(text, str) else ""
        if text and len(text) <= MAX_MESSAGE and "\n" not in text:
            return text
    given: str = (validation.spec.get("message") or "").strip()
    return given or f"failed expression: {validation.expression.source.strip()}"


def _denied(attributes: Attributes, policy: Doc, binding: Doc | None, denial: Denial) -> ApiError:
    bound = f" with binding '{name_of(binding)}'" if binding is not None else ""
    text = f"ValidatingAdmissionPolicy '{name_of(policy)}'{bound} denied request: {denial.text}"
    error = attributes.forbidden(text, [StatusCause(message=text)])
    error.reason, error.code = denial.reason, _CODES.get(denial.reason, 422)
    return error
