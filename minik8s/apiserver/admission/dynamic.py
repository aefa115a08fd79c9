"""What users have registered at run time: hooks, admission policies, webhooks.

The engines are imported when the first such object or hook exists: until then all of this is two look-ups a write.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.hooks import Hooks, ask
from minik8s.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.reinvocation import Reinvocation
from minik8s.apiserver.body import decode_object, decode_resource
from minik8s.machinery.meta import Obj, copy_document

if TYPE_CHECKING:
    from minik8s.apiserver.admission.conditions import Conditions
    from minik8s.apiserver.admission.webhooks import Webhooks
    from minik8s.apiserver.context import ServerContext

GROUP = "admissionregistration.k8s.io"
MUTATING_POLICIES = f"mutatingadmissionpolicybindings.{GROUP}"
MUTATING_WEBHOOKS = f"mutatingwebhookconfigurations.{GROUP}"
VALIDATING_POLICIES = f"validatingadmissionpolicybindings.{GROUP}"
VALIDATING_WEBHOOKS = f"validatingwebhookconfigurations.{GROUP}"


class DynamicAdmission:
    """Admission beyond the built-in plugins of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self.hooks = Hooks()

    @cached_property
    def _conditions(self) -> Conditions:
        from minik8s.apiserver.admission.conditions import Conditions

        return Conditions(self._ctx)

    @cached_property
    def _webhooks(self) -> Webhooks:
        from minik8s.apiserver.admission.webhooks import Webhooks

        return Webhooks(self._ctx, self._conditions)

    @property
    def mutates(self) -> bool:
        """Whether anybody may want to change a write."""
        occupied = self._ctx.store.occupied
        return bool(self.hooks.mutating) or occupied(MUTATING_WEBHOOKS) or occupied(MUTATING_POLICIES)

    @property
    def validates(self) -> bool:
        """Whether anybody may want to refuse one."""
        occupied = self._ctx.store.occupied
        return bool(self.hooks.validating) or occupied(VALIDATING_WEBHOOKS) or occupied(VALIDATING_POLICIES)

    async def mutate(self, attributes: Attributes) -> bool:
        """Runs everything that mutates; whether the object is another one now."""
        before = attributes.object
        for hook in list(self.hooks.mutating):
            changed = await ask(hook, attributes)
            if changed is not None and changed != attributes.object:
                attributes.object = self.decoded(attributes, changed)
        if self._ctx.store.occupied(MUTATING_WEBHOOKS) and not _is_exempt(attributes):
            await self._mutate_in_rounds(attributes)
        return attributes.object is not before

    async def _mutate_in_rounds(self, attributes: Attributes) -> None:
        """Webhooks; and once more built-in plugins and webhooks, when something has changed."""
        webhooks = Reinvocation()
        await self._webhooks.mutate(attributes, webhooks)
        webhooks.end_round(copy_document(attributes.object))
        if not webhooks.is_needed:
            return
        for plugin in self._ctx.mutating:
            plugin.admit(attributes, self._ctx.world)
        webhooks.begin_again(attributes.object)
        await self._webhooks.mutate(attributes, webhooks)

    async def validate(self, attributes: Attributes) -> None:
        """Runs everything that validates, and looks once more at the namespace after what was waited for."""
        for hook in list(self.hooks.validating):
            await ask(hook, attributes)
        if self._ctx.store.occupied(VALIDATING_WEBHOOKS) and not _is_exempt(attributes):
            await self._webhooks.validate(attributes)
        self._recheck(attributes)

    def _recheck(self, attributes: Attributes) -> None:
        if attributes.operation == "CREATE" and attributes.request.resource is not NAMESPACES:
            NamespaceLifecycle().admit(attributes, self._ctx.world)

    def decoded(self, attributes: Attributes, doc: Obj) -> Obj:
        """A changed document as its kind, with its defaults. Raises BadRequest when it is not one any more."""
        resource = attributes.request.resource
        if attributes.kind is not None:
            return decode_object(doc, (), *attributes.kind, "Ignore")[0]
        obj, _ = decode_resource(doc, (), resource, "Ignore")
        self._ctx.registry.served(resource).strategy.default(obj)
        return obj


def _is_exempt(attributes: Attributes) -> bool:
    from minik8s.apiserver.admission.matching import EXEMPT

    return attributes.request.resource.group_resource in EXEMPT
