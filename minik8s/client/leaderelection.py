"""Leader election: of several processes that do the same work, one does it and the others wait for its end.

They agree on a Lease. Whoever holds it renews it; whoever does not takes it once it has not changed for as long as it
is good for, measured by the watcher's own clock, so that clocks need not agree. Stored state alone does not tell
whether a holder is alive, therefore `decide` is given when the record was last seen to change. Upstream: client-go
`tools/leaderelection`, with its times.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from random import Random
from typing import Any, Literal

import anyio
import attrs

from minik8s.api.resources import LEASES
from minik8s.client.client import Client
from minik8s.client.events import EventRecorder
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj, rfc3339_micro

JITTER = 1.2
"""client-go JitterFactor: a waiting candidate looks again after between one and 2.2 retry periods."""

log = get_logger("minik8s.client.leaderelection")


class LeadershipLost(RuntimeError):
    """The Lease could not be renewed in time: somebody else may be working by now, so this process must stop."""


@attrs.frozen(kw_only=True)
class Election:
    """What is contended for, and how. Times in seconds; they are kube-controller-manager's defaults.

    lease_duration  how long others wait after the last renewal that they saw
    renew_deadline  how long the holder tries to renew before it gives up
    retry_period    between two tries
    """

    name: str
    identity: str
    namespace: str = "kube-system"
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __attrs_post_init__(self) -> None:
        if not self.identity:
            raise ValueError("a candidate needs an identity that no other has")
        if not self.lease_duration > self.renew_deadline > self.retry_period * JITTER > 0:
            raise ValueError("lease_duration must be longer than renew_deadline, and that than 1.2 retry periods")


Move = Literal["renew", "take", "wait"]


def decide(lease: Doc | None, unchanged_for: float, identity: str) -> Move:
    """What a candidate does, given the Lease and for how many seconds its record has looked the same.

    The holder renews. A Lease that is absent, released or has run out may be taken.
    """
    spec = (lease or {}).get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == identity:
        return "renew"
    return "take" if not holder or unchanged_for >= (spec.get("leaseDurationSeconds") or 0) else "wait"


def record(lease: Doc | None, election: Election, now: datetime) -> Obj:
    """The Lease's spec as the candidate writes it when it renews or takes the Lease."""
    old = (lease or {}).get("spec") or {}
    held = old.get("holderIdentity") == election.identity
    when = rfc3339_micro(now)
    transitions = old.get("leaseTransitions") or 0
    return {
        **old,
        "holderIdentity": election.identity,
        "leaseDurationSeconds": int(election.lease_duration),
        "acquireTime": old.get("acquireTime", when) if held else when,
        "renewTime": when,
        "leaseTransitions": transitions if held or lease is None else transitions + 1,
    }


def released(lease: Doc, now: datetime) -> Obj:
    """The spec that lets the next candidate take over at once."""
    when = rfc3339_micro(now)
    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
    return {**spec, "acquireTime": when, "renewTime": when}


class LeaderElector:
    """One candidate. `is_leader` tells whether it leads now."""

    def __init__(
        self, client: Client, clock: Clock, rng: Random, election: Election, recorder: EventRecorder | None = None
    ) -> None:
        self.election = election
        self.is_leader = False
        self._client, self._clock, self._rng, self._recorder = client, clock, rng, recorder
        self._lease: Any = None
        self._seen: Doc | None = None
        self._seen_at = clock.monotonic()

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Waits for its turn, then runs `lead` for as long as it leads; gives the Lease back when `lead` ends.

        Raises LeadershipLost when the Lease could not be renewed; `lead` has been cancelled then.
        """
        await self._acquire()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep, group.cancel_scope, name=f"lease {self.election.name}")
                await lead()
                group.cancel_scope.cancel()
        finally:
            led, self.is_leader = self.is_leader, False
            if led:
                await self._release()
        if not led:
            raise LeadershipLost(f"leader election lost: {self.election.name} is no longer held")

    async def _acquire(self) -> None:
        period = self.election.retry_period
        while not await self._try():
            await self._clock.sleep(period * (1 + JITTER * self._rng.random()))
        self.is_leader = True
        if self._recorder is not None and self._lease is not None:
            self._recorder.event(self._lease, "Normal", "LeaderElection", f"{self.election.identity} became leader")

    async def _keep(self, scope: anyio.CancelScope) -> None:
        """Renews until it has failed for too long, then ends what is led."""
        renewed = self._clock.monotonic()
        while self._clock.monotonic() - renewed < self.election.renew_deadline:
            await self._clock.sleep(self.election.retry_period)
            if await self._try():
                renewed = self._clock.monotonic()
            elif self._holder not in ("", self.election.identity):
                break
        self.is_leader = False
        scope.cancel()

    @property
    def _holder(self) -> str:
        return ((self._lease or {}).get("spec") or {}).get("holderIdentity") or ""

    async def _try(self) -> bool:
        """One look at the Lease, and the write that follows from it. Whether it is ours now."""
        try:
            with anyio.fail_after(self.election.renew_deadline):
                self._lease = await self._client.find(LEASES, self.election.name, namespace=self.election.namespace)
                spec = (self._lease or {}).get("spec")
                if spec != self._seen:
                    self._seen, self._seen_at = spec, self._clock.monotonic()
                unchanged_for = self._clock.monotonic() - self._seen_at
                if decide(self._lease, unchanged_for, self.election.identity) == "wait":
                    return False
                await self._write(record(self._lease, self.election, self._clock.now()))
        except (ApiError, OSError) as error:  # OSError: also TimeoutError
            log.debug("lease not written", lease=self.election.name, error=str(error))
            return False
        return True

    async def _write(self, spec: Obj) -> None:
        if self._lease is None:
            metadata = {"name": self.election.name, "namespace": self.election.namespace}
            fresh: Obj = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
            self._lease = await self._client.create(LEASES, fresh)
        else:
            changed = {**self._lease, "spec": spec}
            self._lease = await self._client.update(LEASES, changed)
        self._seen, self._seen_at = (self._lease or {}).get("spec"), self._clock.monotonic()

    async def _release(self) -> None:
        """Best effort, also while being cancelled: who cannot say goodbye lets the Lease run out."""
        if self._lease is None:
            return
        with anyio.move_on_after(self.election.retry_period, shield=True):
            try:
                await self._write(released(self._lease, self._clock.now()))
            except (ApiError, OSError) as error:
                log.debug("lease not released", lease=self.election.name, error=str(error))
