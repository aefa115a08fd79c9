"""What users have registered at run time: hooks, admission policies, webhooks.

The engines are imported when the first such object or hook exists: until then all of this is two look-ups a write.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from minik8s.api.resources import NAMESPACES
from minik8s.apiserver.admission.hooks import Hooks, ask
from minik8s.apiserver.admission.matching import EXEMPT
from minik8s.apiserver.admission.namespacelifecycle import NamespaceLifecycle
from minik8s.apiserver.admission.plugin import Attributes
from minik8s.apiserver.admission.reinvocation import Reinvocation
from minik8s.apiserver.body import decode_object, decode_resource
from minik8s.machinery.meta import Obj, copy_document

if TYPE_CHECKING:
    from minik8s.apiserver.admission.mutatingpolicy import MutatingPolicies
    from minik8s.apiserver.admission.validatingpolicy import ValidatingPolicies
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
    def _webhooks(self) -> Webhooks:
        from minik8s.apiserver.admission.webhooks import Webhooks

        return Webhooks(self._ctx)

    @cached_property
    def _mutating_policies(self) -> MutatingPolicies:
        from minik8s.apiserver.admission.mutatingpolicy import MutatingPolicies

        return MutatingPolicies(self._ctx)

    @cached_property
    def _validating_policies(self) -> ValidatingPolicies:
        from minik8s.apiserver.admission.validatingpolicy import ValidatingPolicies

        return ValidatingPolicies(self._ctx)

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
        occupied = self._ctx.store.occupied
        if (occupied(MUTATING_WEBHOOKS) or occupied(MUTATING_POLICIES)) and not _is_exempt(attributes):
            await self._mutate_in_rounds(attributes)
        return attributes.object is not before

    async def _mutate_in_rounds(self, attributes: Attributes) -> None:
        """Policies and webhooks; and once more, built-in plugins before them, when something has changed."""
        policies, webhooks = Reinvocation(), Reinvocation()
        await self._mutate_once(attributes, policies, webhooks)
        if not policies.is_needed and not webhooks.is_needed:
            return
        for plugin in self._ctx.chains.of(attributes.request.resource.group_resource).mutating:
            plugin.admit(attributes, self._ctx.world)
        policies.begin_again(attributes.object)
        webhooks.number = 1
        await self._mutate_once(attributes, policies, webhooks)

    async def _mutate_once(self, attributes: Attributes, policies: Reinvocation, webhooks: Reinvocation) -> None:
        occupied = self._ctx.store.occupied
        if occupied(MUTATING_POLICIES):
            await self._mutating_policies.mutate(attributes, policies)
        policies.end_round(copy_document(attributes.object))
        if occupied(MUTATING_WEBHOOKS):
            if webhooks.number:
                webhooks.begin_again(attributes.object)
            await self._webhooks.mutate(attributes, webhooks)
        webhooks.end_round(copy_document(attributes.object))

    async def validate(self, attributes: Attributes) -> None:
        """Runs everything that validates, and looks once more at the namespace after what was waited for."""
        for hook in list(self.hooks.validating):
            await ask(hook, attributes)
        if not _is_exempt(attributes):
            occupied = self._ctx.store.occupied
            if occupied(VALIDATING_POLICIES):
                await self._validating_policies.validate(attributes)
            if occupied(VALIDATING_WEBHOOKS):
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
    return attributes.request.resource.group_resource in EXEMPT
