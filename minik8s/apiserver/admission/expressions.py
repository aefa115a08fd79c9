"""What the expressions of policies and webhooks are evaluated with: the write's documents, its namespace, its user.

Upstream: k8s.io/apiserver `pkg/admission/plugin/cel`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from minik8s import cel
from minik8s.api.request import User
from minik8s.api.resources import NAMESPACES
from minik8s.api.users import ACCOUNT_PREFIX, named
from minik8s.apiserver.admission.matching import namespace_of_request
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.review import Versioned, request_of
from minik8s.apiserver.authorization import AccessAttributes, is_privileged
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Obj

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

BUDGET = 10_000_000
"""Cost units for all expressions of one policy and its parameters. Upstream: RuntimeCELCostBudget."""
CONDITIONS_BUDGET = BUDGET // 4
"""RuntimeCELCostBudgetMatchConditions."""
_SHOWN_META = (
    "name", "generateName", "namespace", "labels", "annotations", "resourceVersion", "creationTimestamp",
    "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "finalizers",
)  # fmt: skip


class EvaluationFailed(Exception):
    """An expression has no value here; the text is upstream's."""


def evaluate(program: cel.Program, values: Mapping[str, Any], budget: cel.Budget) -> Any:
    """The expression's result; raises EvaluationFailed."""
    try:
        return program.evaluate(values, budget=budget)
    except cel.BudgetError:
        raise EvaluationFailed(
            "validation failed due to running out of cost budget, no further validation rules will be run"
        ) from None
    except cel.EvaluationError as error:
        raise EvaluationFailed(f"expression '{program.source}' resulted in error: {error}") from None


def values_of(ctx: ServerContext, attributes: Attributes, versioned: Versioned) -> dict[str, Any]:
    """The variables of one write; raises NotFound when its namespace is gone."""
    authorizer = cel.Authorizer(partial(_decide, ctx, attributes.request.user))
    request, resource = attributes.request, versioned.resource
    return {
        "object": versioned.object,
        "oldObject": versioned.old,
        "request": request_of(attributes, versioned),
        "namespaceObject": _namespace(ctx, attributes),
        "authorizer": authorizer,
        "authorizer.requestResource": authorizer.resource_check(
            resource.group, resource.plural, request.subresource, namespace_of_request(attributes), request.name
        ),
    }


def with_variables(
    values: Mapping[str, Any], variables: Sequence[tuple[str, cel.Program]], budget: cel.Budget
) -> dict[str, Any]:
    """The same with `variables`, each evaluated when it is first asked for, and once."""
    extended = dict(values)
    lazy = cel.Lazy()
    extended["variables"] = lazy
    for name, program in variables:
        lazy[name] = partial(program.value, extended, budget=budget)
    return extended


def _namespace(ctx: ServerContext, attributes: Attributes) -> Obj | None:
    """The write's namespace as far as expressions may see it; None for what is in no namespace."""
    name = attributes.request.namespace
    if not name or attributes.request.resource is NAMESPACES:
        return None
    found = ctx.world.get(NAMESPACES, name)
    if found is None:
        raise NotFound.object("namespaces", "", name)
    metadata = {key: found["metadata"][key] for key in _SHOWN_META if key in found["metadata"]}
    metadata["UID"] = found["metadata"].get("uid", "")
    return {
        "metadata": metadata,
        "spec": {"finalizers": list(found["spec"].get("finalizers") or ())},
        "status": {"phase": (found.get("status") or {}).get("phase", "")},
    }


def _decide(ctx: ServerContext, user: User, check: cel.Check) -> cel.Decision:
    """What the server's authorizer says to an expression's question."""
    if check.service_account is not None:
        user = named(ACCOUNT_PREFIX + ":".join(check.service_account))
    question = AccessAttributes(
        user, check.verb, check.group, "*", check.resource, check.subresource, check.namespace, check.name, check.path,
        field_selector=check.field_selector, label_selector=check.label_selector,
    )  # fmt: skip
    if is_privileged(user):
        return cel.Decision(True)
    decision = ctx.authorizer.authorize(question)
    return cel.Decision(decision.allowed, decision.reason)


def all_hold(conditions: Iterable[tuple[str, cel.Program]], values: Mapping[str, Any]) -> bool:
    """Whether all conditions hold; raises EvaluationFailed when none is false and one cannot be evaluated."""
    budget, failed = cel.Budget(CONDITIONS_BUDGET), []
    for _, program in conditions:
        try:
            if evaluate(program, values, budget) is not True:
                return False
        except EvaluationFailed as failure:
            failed.append(str(failure))
    if failed:
        raise EvaluationFailed(failed[0] if len(failed) == 1 else f"[{', '.join(failed)}]")
    return True
