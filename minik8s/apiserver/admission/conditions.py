"""matchConditions: CEL expressions that say whether a webhook is asked at all.

Upstream: k8s.io/apiserver `pkg/admission/plugin/webhook/matchconditions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from minik8s.api.policies import compile_conditions
from minik8s.apiserver.admission.expressions import EvaluationFailed, all_hold, values_of
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.review import Versioned

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext


def met(
    ctx: ServerContext,
    conditions: Sequence[Mapping[str, Any]],
    attributes: Attributes,
    versioned: Versioned,
    *,
    optional: bool,
) -> bool:
    """Whether all hold. Raises Forbidden where one cannot be evaluated and the webhook is not optional.

    Compiled anew at each call: the engine remembers what it has compiled by its text.
    """
    programs, errors = compile_conditions(conditions, "matchConditions")
    try:
        if errors:
            raise EvaluationFailed(errors[0].message)
        return all_hold(programs, values_of(ctx, attributes, versioned))
    except EvaluationFailed as failure:
        if optional:
            return False
        raise attributes.forbidden(str(failure)) from None
