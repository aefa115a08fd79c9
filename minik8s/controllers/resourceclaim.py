"""Makes the ResourceClaims that pods want from templates, and cleans up behind pods that are done with theirs.

Allocating devices is the scheduler's business; once the last pod that held a claim is done, the devices are free again.
Upstream: `pkg/controller/resourceclaim`; what is decided stands in `resourceclaim_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar, Literal

from minik8s.api.resource import Resource
from minik8s.api.resourceclaims import FINALIZER, allocation_of, claim_names, holders_of, references, uses_claims
from minik8s.api.resources import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from minik8s.client.informer import Handler, Informer
from minik8s.client.lister import Key, key_of
from minik8s.controllers import resourceclaim_plan as plan
from minik8s.controllers.runtime import Context, Controller, Requeue, TryAgain
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import (
    Doc,
    controller_of,
    evolve,
    is_terminating,
    name_of,
    namespace_of,
    revision_of,
    uid_of,
)

USERS = "resourceclaim"
"""Index of pods by the claims that they use."""
What = Literal["pod", "claim"]


class ResourceClaimController(Controller[tuple[What, Key]]):
    """Keys are pods and claims: a pod gets its claims, a claim loses those who held it."""

    name: ClassVar[str] = "resourceclaim"
    component: ClassVar[str] = "resource_claim"
    account: ClassVar[str] = "resource-claim-controller"
    wakes: ClassVar[tuple[Resource[Any], ...]] = (RESOURCE_CLAIMS, PODS)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._pod_cache, self._claim_cache = self.informers(PODS), self.informers(RESOURCE_CLAIMS)
        self._pod_cache.add_index(USERS, plan.by_claim)
        self._pods, self._claims = self._pod_cache.lister, self._claim_cache.lister
        self._templates = self.informers(RESOURCE_CLAIM_TEMPLATES).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return obj["kind"] != PODS.kind or uses_claims(obj)

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield self._pod_cache, self._on_pod
        yield self._claim_cache, self._on_claim

    def _on_pod(self, old: Doc | None, new: Doc | None) -> None:
        pod = old if new is None else new
        if pod is None or not uses_claims(pod):
            return
        if new is None or plan.is_done(new):
            for name in claim_names(pod):
                self.queue.add(("claim", (namespace_of(pod), name)))
            for claim in self._claims.by_index("owner", uid_of(pod)):
                self.queue.add(("claim", key_of(claim)))
        else:
            self.queue.add(("pod", key_of(new)))

    def _on_claim(self, old: Doc | None, new: Doc | None) -> None:
        claim = old if new is None else new
        if claim is None:
            return
        if new is not None:
            self.queue.add(("claim", key_of(new)))
        for pod in self._pods.by_index(USERS, "/".join(key_of(claim))):
            self.queue.add(("pod", key_of(pod)))

    async def process(self, key: tuple[What, Key]) -> Requeue | None:
        what, (namespace, name) = key
        if what == "pod":
            if (
                (pod := self._pods.get(name, namespace)) is not None
                and not is_terminating(pod)
                and not plan.is_done(pod)
            ):
                await self._provide(pod)
        elif (claim := self._claims.get(name, namespace)) is not None:
            await self._clean(claim)
        return None

    async def _provide(self, pod: Doc) -> None:
        """The claims of a pod: those of templates are made and written into its status. Raises TryAgain."""
        made = {}
        for reference in references(pod):
            try:
                claim = await self._make(pod, reference)
            except (ApiError, LookupError) as error:
                text = f"PodResourceClaim {reference['name']}: {error}"
                self.recorder.event(pod, "Warning", "FailedResourceClaimCreation", text)
                raise TryAgain from None
            if claim is not None:
                made[reference["name"]] = name_of(claim)
        if made:
            statuses = [{"name": name, "resourceClaimName": claim} for name, claim in made.items()]
            patch = {"metadata": {"uid": uid_of(pod)}, "status": {"resourceClaimStatuses": statuses}}
            where = {"namespace": namespace_of(pod), "subresource": "status"}
            with suppress(NotFound):
                await self.client.patch(PODS, name_of(pod), patch, type="strategic", **where)
        for name in claim_names(pod):
            claim = self._claims.get(name, namespace_of(pod))
            if claim is not None and plan.needs_reservation(pod, claim):
                status = plan.reserved(pod, claim)
                await self.client.update_status(RESOURCE_CLAIMS, evolve(claim, "status", value=status))

    async def _make(self, pod: Doc, reference: Doc) -> Any:
        """The claim of a template, made or found again; None if the pod knows it. Raises ApiError and LookupError."""
        namespace = namespace_of(pod)
        known = {name: claim for name in claim_names(pod) if (claim := self._claims.get(name, namespace))}
        if not plan.wants_claim(pod, reference, known):
            return None
        for claim in self._claims.by_index("owner", uid_of(pod)):
            if plan.is_claim_of(claim, reference):
                return claim
        wanted = reference["resourceClaimTemplateName"]
        template = self._templates.get(wanted, namespace)
        if template is None:
            raise LookupError(
                f'resource claim template "{wanted}": resourceclaimtemplate.resource.k8s.io "{wanted}" not found'
            )
        made = await self.client.create(RESOURCE_CLAIMS, plan.claim_from(pod, reference, template))
        await self._claims.caught_up(revision_of(made))
        return made

    async def _clean(self, claim: Any) -> None:
        holders = holders_of(claim)
        valid = [holder for holder in holders if await self._holds(namespace_of(claim), holder)]
        unused = not valid
        if len(valid) < len(holders) or (unused and allocation_of(claim) and is_terminating(claim)):
            status = plan.released(claim, valid)
            claim = await self.client.update_status(RESOURCE_CLAIMS, evolve(claim, "status", value=status))
        if unused and plan.may_let_go(claim) and (holders or is_terminating(claim)):
            kept = [name for name in claim["metadata"]["finalizers"] if name != FINALIZER]
            claim = await self.client.update(RESOURCE_CLAIMS, evolve(claim, "metadata", "finalizers", value=kept))
        if unused and not is_terminating(claim) and self._is_superfluous(claim):
            with suppress(NotFound):
                await self.client.delete(
                    RESOURCE_CLAIMS, name_of(claim), namespace=namespace_of(claim), uid=uid_of(claim)
                )

    async def _holds(self, namespace: str, holder: Doc) -> bool:
        """Whether who is entered still uses the claim. Only pods do; what is entered otherwise is left alone."""
        if holder.get("apiGroup") or holder["resource"] != "pods":
            return True
        pod: Any = self._pods.get(holder["name"], namespace)
        if pod is None:  # the scheduler may know more than the cache
            pod = await self.client.find(PODS, holder["name"], namespace=namespace)
        return pod is not None and uid_of(pod) == holder["uid"] and not plan.is_done(pod)

    def _is_superfluous(self, claim: Doc) -> bool:
        """Whether it was made for a pod that will not run; of pods that are gone the garbage collector knows."""
        owner = controller_of(claim)
        if owner is None or (owner.get("apiVersion"), owner["kind"]) != ("v1", PODS.kind):
            return False
        pod = self._pods.get(owner["name"], namespace_of(claim))
        return pod is not None and (uid_of(pod) != owner["uid"] or plan.is_done(pod))
