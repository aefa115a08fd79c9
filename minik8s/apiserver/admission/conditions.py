"""matchConditions: CEL expressions that say whether a webhook or policy is asked at all.

Upstream: k8s.io/apiserver `pkg/admission/plugin/webhook/matchconditions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.review import Versioned

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext


class Conditions:
    """The conditions of one server's webhooks and policies, compiled."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx

    def met(
        self,
        key: tuple[str, str],
        conditions: Iterable[Mapping[str, Any]],
        attributes: Attributes,
        versioned: Versioned,
        *,
        optional: bool,
    ) -> bool:
        """Whether all hold. Raises Forbidden where one cannot be evaluated and the failure policy is Fail."""
        from minik8s.machinery.errors import Forbidden

        if optional:
            return False
        resource = attributes.request.resource
        raise Forbidden.object(
            resource.plural, resource.group, attributes.name, "matchConditions are not evaluated yet"
        )
