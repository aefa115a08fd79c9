"""MutatingAdmissionPolicy: changes objects by what CEL expressions make, a configuration to apply or a JSON patch.

Upstream: k8s.io/apiserver `pkg/admission/plugin/policy/mutating`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minik8s.api.policies import Mutation
from minik8s.api.resource import Resource
from minik8s.api.resources import MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS
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
from minik8s.apiserver.admission.reinvocation import Reinvocation
from minik8s.cel import Budget
from minik8s.machinery.errors import ApiError, StatusCause
from minik8s.machinery.meta import Obj, name_of
from minik8s.machinery.patch.jsonpatch import apply_json_patch
from minik8s.machinery.patch.merge import merge
from minik8s.machinery.patch.typed import Node, Relation, shape_node
from minik8s.schema import codec
from minik8s.schema.decode import DecodeError

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext


class MutatingPolicies:
    """All of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._policies = Policies(ctx, MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS)

    async def mutate(self, attributes: Attributes, rounds: Reinvocation) -> None:
        """Lets every policy that applies change the object, one after the other. Raises Forbidden."""
        failures: list[Failure] = []
        for invocation in list(self._policies.invocations(attributes, failures.append)):
            try:
                await self._invoke(invocation, attributes, rounds)
            except EvaluationFailed as failure:
                failures.append(Failure(invocation.policy, invocation.binding, str(failure)))
        if counted := [failure for failure in failures if failure.counts]:
            raise _refused(attributes, counted)

    async def _invoke(self, invocation: Invocation, attributes: Attributes, rounds: Reinvocation) -> None:
        compiled, before = invocation.compiled, attributes.object
        if before is None:
            return
        if not all_hold(compiled.conditions, await self._values(invocation, attributes)):
            return
        if not rounds.calls(invocation.key):
            return
        for mutation in compiled.mutations:
            budget = Budget(BUDGET)
            values = with_variables(await self._values(invocation, attributes), compiled.variables, budget)
            made = evaluate(mutation.expression, values, budget)
            attributes.object = await self._mutated(invocation.resource, attributes, mutation, made)
        if attributes.object != before:
            rounds.changed()
        if invocation.policy["spec"].get("reinvocationPolicy") == "IfNeeded":
            rounds.called(invocation.key)

    async def _values(self, invocation: Invocation, attributes: Attributes) -> dict[str, Any]:
        versioned = await review.in_version(attributes, invocation.resource, self._ctx.registry)
        return {**values_of(self._ctx, attributes, versioned), "params": invocation.param}

    async def _mutated(self, resource: Resource[Any], attributes: Attributes, mutation: Mutation, made: Any) -> Obj:
        """The object after one mutation; raises EvaluationFailed where it does not fit."""
        registry, own = self._ctx.registry, attributes.request.resource
        current = (await review.in_version(attributes, resource, registry)).object
        try:
            if mutation.is_patch:
                changed = apply_json_patch(current or {}, _operations(made))
            else:
                changed = _applied(current or {}, made, resource)
            codec.check_encodable(changed)
            return self._ctx.dynamic.decoded(attributes, await review.converted(changed, resource, own, registry))
        except (ApiError, DecodeError, ValueError, TypeError, RecursionError) as error:
            raise EvaluationFailed(str(error)) from None


def _operations(made: Any) -> list[Obj]:
    """JSON patch operations as JSON: absent fields are left out."""
    return [{key: value for key, value in operation.items() if key == "value" or value} for operation in made or ()]


def _applied(current: Obj, config: Any, resource: Resource[Any]) -> Obj:
    """The object with an apply configuration merged into it, by the kind's own list and map types."""
    if not isinstance(config, Mapping):
        raise EvaluationFailed(f"expected Object, got {type(config).__name__}")
    node = shape_node(resource.type)
    if found := sorted(set(_atomics(config, node, ""))):
        raise EvaluationFailed(
            f"invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {', '.join(found)}"
        )
    merged: Obj = merge(current, dict(config), node)
    return {**merged, "apiVersion": current.get("apiVersion"), "kind": current.get("kind")}


def _atomics(config: Any, node: Node | None, path: str) -> list[str]:
    """Paths at which a configuration would replace a whole that it may have seen only a part of."""
    if node is None:
        return []
    if node.relation is Relation.LEAF:
        return [path] if isinstance(config, dict | list) else []
    if isinstance(config, dict):
        return [found for key, value in config.items() for found in _atomics(value, node.child(key), f"{path}.{key}")]
    if isinstance(config, list) and not node.is_list:
        return [path]
    if isinstance(config, list):
        return [found for item in config for found in _atomics(item, node.item_node, path)] if node.keys else []
    return []


def _refused(attributes: Attributes, failures: list[Failure]) -> ApiError:
    texts = []
    for failure in failures:
        bound = f" with binding '{name_of(failure.binding)}'" if failure.binding is not None else ""
        texts.append(f"policy '{name_of(failure.policy)}'{bound} denied request: {failure.text}")
    error = attributes.forbidden("", [StatusCause(message=text) for text in texts])
    error.message = texts[0]
    if not failures[0].text.startswith("failed to configure"):
        error.reason = "Invalid"
    return error
