"""ResourceClaims, ResourceSlices and DeviceClasses from the API server into the inventory, and allocations back.

Deciding reads the inventory (`devices.inventory`); what is written here are finalizers, allocations and who holds a
claim. Nobody waits for these caches at the start: a server that does not know dynamic resource allocation must not keep
pods without claims waiting, and pods with claims wait for theirs anyway. Upstream: `bindClaim` of the plugin.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import anyio

from minik8s.api.resourceclaims import FINALIZER, allocation_of, holder, holders_of, is_for_extended_resources
from minik8s.api.resources import DEVICE_CLASSES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from minik8s.client.client import Client
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, evolve, is_terminating, name_of, namespace_of, rfc3339, uid_of
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.framework import Event

log = get_logger("minik8s.scheduler")
T = TypeVar("T")
_RETRIES, _PAUSE = 5, 0.01
"""Attempts, and seconds between them: retry.DefaultRetry."""


class ClaimFailed(Exception):
    """A claim could not be bound; the pod is scheduled again."""


class Claims:
    """Keeps `inventory` current while `watch` is on."""

    def __init__(self, client: Client, informers: Informers, clock: Clock, inventory: Inventory) -> None:
        self.inventory = inventory
        self._client, self._clock = client, clock
        self._claims = informers(RESOURCE_CLAIMS)
        self._slices = informers(RESOURCE_SLICES)
        self._classes = informers(DEVICE_CLASSES)
        self._changed = anyio.Event()

    @property
    def has_synced(self) -> bool:
        """Whether all claims that there were at the start are known."""
        return self._claims.has_synced

    def now(self) -> datetime:
        return self._clock.now()

    def watch(self, happened: Callable[[Event, Doc], None]) -> list[Callable[[], None]]:
        """Has `happened` called with what may make pods schedulable; returns the removals."""

        def on_claim(old: Doc | None, new: Doc | None) -> None:
            self.inventory.set_claim(old, new)
            self._changed.set()
            if event := claim_event(old, new):
                happened(event, new or old or {})

        def on_slice(old: Doc | None, new: Doc | None) -> None:
            self.inventory.set_slice(old, new)
            if new is not None:
                happened(Event.DEVICE, new)

        def on_class(old: Doc | None, new: Doc | None) -> None:
            self.inventory.set_class(old, new)
            if new is not None:
                happened(Event.DEVICE_CLASS, new)

        return [
            self._classes.add_handler(on_class),
            self._slices.add_handler(on_slice),
            self._claims.add_handler(on_claim),
        ]

    # ------------------------------------------------------------------ writing

    async def bind(self, claim: Doc, allocation: Doc | None, pod: Doc) -> Doc:
        """Enters the pod into the claim, after the allocation if there is one to write; the claim as it is then.

        Raises ClaimFailed and OSError.
        """
        return await self._retried(claim, lambda current: self._bind(current, allocation, pod))

    async def _bind(self, claim: Doc, allocation: Doc | None, pod: Doc) -> Doc:
        key = f"{namespace_of(claim)}/{name_of(claim)}"
        if is_terminating(claim):
            raise ClaimFailed(f"claim {key} got deleted in the meantime")
        if allocation is not None:
            if allocation_of(claim) is not None:
                raise ClaimFailed(f"claim {key} got allocated elsewhere in the meantime")
            claim = await self._protect(claim, key)
        allocation = allocation or allocation_of(claim)
        if allocation is None:
            raise ClaimFailed(f"claim {key} got deallocated elsewhere in the meantime")
        stamp = {"allocationTimestamp": rfc3339(self._clock.now())}
        status = {
            **(claim.get("status") or {}),
            "allocation": {**stamp, **allocation},
            "reservedFor": [*holders_of(claim), holder(pod)],
        }
        what = "reservation" if allocation_of(claim) is not None else "allocation and reservation"
        return await _told(f"add {what} to claim {key}", self._write_status(claim, status))

    async def _protect(self, claim: Doc, key: str) -> Doc:
        finalizers = claim["metadata"].get("finalizers") or ()
        if FINALIZER in finalizers:
            return claim
        protected: Any = evolve(claim, "metadata", "finalizers", value=[*finalizers, FINALIZER])
        return await _told(f"add finalizer to claim {key}", self._client.update(RESOURCE_CLAIMS, protected))

    async def _write_status(self, claim: Doc, status: Doc) -> Doc:
        return await self._client.update_status(RESOURCE_CLAIMS, evolve(claim, "status", value=status))

    async def _retried(self, claim: Doc, attempt: Callable[[Doc], Awaitable[Doc]]) -> Doc:
        """Conflicts are benign: the attempt is made again with the claim as it is by then."""
        namespace, name = namespace_of(claim), name_of(claim)
        for left in reversed(range(_RETRIES)):
            try:
                return await attempt(claim)
            except Conflict as error:
                if not left:
                    raise ClaimFailed(str(error)) from None
            except ApiError as error:
                raise ClaimFailed(str(error)) from None
            await self._clock.sleep(_PAUSE)
            claim = await self._latest(namespace, name, claim)
        raise AssertionError  # the last attempt returns or raises

    async def _latest(self, namespace: str, name: str, claim: Doc) -> Doc:
        try:
            return await self._client.get(RESOURCE_CLAIMS, name, namespace=namespace)
        except ApiError as error:
            raise ClaimFailed(f"get updated claim {namespace}/{name} after conflict: {error}") from None

    async def create(self, claim: Doc) -> Doc:
        """Makes the claim for a pod's extended resources. Raises ClaimFailed and OSError."""
        metadata = {key: value for key, value in claim["metadata"].items() if key not in ("name", "uid")}
        made: Any = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", **claim, "metadata": metadata}
        what = f"create claim for extended resources {namespace_of(claim)}/{name_of(claim)}"
        return await _told(what, self._client.create(RESOURCE_CLAIMS, made))

    async def tell(self, pod: Doc, claim: Doc, mappings: Sequence[Doc]) -> None:
        """Writes into the pod's status which claim has its extended resources. Raises ClaimFailed and OSError."""
        status = {"extendedResourceClaimStatus": {"resourceClaimName": name_of(claim), "requestMappings": mappings}}
        body = {"metadata": {"uid": uid_of(pod)}, "status": status}
        where = {"namespace": namespace_of(pod), "type": "strategic", "subresource": "status"}
        try:
            await self._client.patch(PODS, name_of(pod), body, **where)
        except ApiError as error:
            key = f"{namespace_of(pod)}/{name_of(pod)}"
            raise ClaimFailed(f"update pod {key} ExtendedResourceClaimStatus: {error}") from None

    async def delete(self, claim: Doc) -> None:
        """Takes back a claim that the scheduler has made."""
        await self._attempt("delete", claim, self._delete(claim))

    async def _delete(self, claim: Doc) -> None:
        namespace, name = namespace_of(claim), name_of(claim)
        current = await self._client.get(RESOURCE_CLAIMS, name, namespace=namespace)
        if uid_of(current) != uid_of(claim):
            return
        kept = [each for each in current["metadata"].get("finalizers") or () if each != FINALIZER]
        await self._client.update(RESOURCE_CLAIMS, evolve(current, "metadata", "finalizers", value=kept))
        await self._client.delete(RESOURCE_CLAIMS, name, namespace=namespace, uid=uid_of(claim))

    async def unreserve(self, claim: Doc, pod: Doc) -> None:
        """Takes the pod out of the claim's holders again."""
        gone = [{"$patch": "delete", "uid": uid_of(pod)}]
        body = {"metadata": {"uid": uid_of(claim)}, "status": {"reservedFor": gone}}
        where = {"namespace": namespace_of(claim), "type": "strategic", "subresource": "status"}
        await self._attempt("unreserve", claim, self._client.patch(RESOURCE_CLAIMS, name_of(claim), body, **where))

    async def deallocate(self, claim: Doc) -> None:
        """Takes away what the claim has, if nobody has changed it meanwhile."""
        status = {k: v for k, v in claim["status"].items() if k not in ("allocation", "reservedFor", "devices")}
        await self._attempt("deallocate", claim, self._write_status(claim, status))

    async def _attempt(self, what: str, claim: Doc, write: Awaitable[object]) -> None:
        """What fails is done again, or not necessary any more, when the pod is tried again."""
        try:
            await write
        except NotFound:
            return
        except (ApiError, OSError) as error:
            key = f"{namespace_of(claim)}/{name_of(claim)}"
            log.warning("writing a resource claim failed", what=what, claim=key, error=str(error))

    # ------------------------------------------------------------------ waiting

    async def until(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Waits for a change of claims that makes `is_done` true, no longer than `seconds`; whether it came."""
        with anyio.move_on_after(seconds):
            while not is_done():
                self._changed = anyio.Event() if self._changed.is_set() else self._changed
                await self._changed.wait()
            return True
        return False


def claim_event(old: Doc | None, new: Doc | None) -> Event:
    """What a claim's change may mean for waiting pods; nothing when only drivers or owners have reason to care."""
    if old is not None and allocation_of(old) is not None and (new is None or allocation_of(new) is None):
        return Event.DEVICE_FREED
    if new is None and old is not None and is_for_extended_resources(old):
        return Event.RESOURCE_CLAIM
    if new is None or (old is not None and old.get("status") == new.get("status")):
        return Event(0)
    return Event.RESOURCE_CLAIM


async def _told(what: str, write: Awaitable[T]) -> T:
    """The answer; an error says what could not be done. A conflict goes its own way."""
    try:
        return await write
    except Conflict:
        raise
    except ApiError as error:
        raise ClaimFailed(f"{what}: {error}") from None
