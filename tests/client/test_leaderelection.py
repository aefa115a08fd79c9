"""Leader election: who may take a Lease is a table; what happens then is played in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import anyio
import pytest

from minik8s.api.resources import LEASES
from minik8s.client.client import Client
from minik8s.client.leaderelection import Election, LeaderElector, LeadershipLost, decide, record, released
from minik8s.cluster import Cluster
from minik8s.testing.clocks import EPOCH

NOW = "2026-01-01T00:00:00.000000Z"
BARE: Any = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "controllers": (), "freeze": True}


def lease(holder: str, seconds: int = 15, **spec: Any) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, **spec}}


@pytest.mark.parametrize(
    ("found", "unchanged_for", "move"),
    [
        (None, 0, "take"),
        (lease("me"), 0, "renew"),
        (lease("me"), 100, "renew"),
        (lease(""), 0, "take"),
        (lease("other"), 14.9, "wait"),
        (lease("other"), 15, "take"),
        (lease("other", seconds=60), 59, "wait"),
    ],
)
def test_decide(found: Any, unchanged_for: float, move: str) -> None:
    """Only an absent, released or run-out Lease may be taken, and only by how long its record stood still."""
    assert decide(found, unchanged_for, "me") == move


def test_record() -> None:
    """Renewing keeps acquireTime and transitions; taking over sets the one and counts the other."""
    election = Election(name="x", identity="me")
    first = record(None, election, EPOCH)
    assert first == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": NOW,
        "renewTime": NOW,
        "leaseTransitions": 0,
    }
    mine = lease("me", acquireTime="2025-01-01T00:00:00.000000Z", leaseTransitions=3)
    assert record(mine, election, EPOCH)["acquireTime"] == "2025-01-01T00:00:00.000000Z"
    assert record(mine, election, EPOCH)["leaseTransitions"] == 3
    theirs = lease("other", acquireTime="2025-01-01T00:00:00.000000Z", leaseTransitions=3)
    assert record(theirs, election, EPOCH) == {**first, "leaseTransitions": 4}
    assert released(mine, EPOCH)["holderIdentity"] == ""


@pytest.mark.parametrize(
    "times", [{"lease_duration": 10.0}, {"renew_deadline": 2.4}, {"retry_period": 0.0}, {"identity": ""}]
)
def test_impossible_elections(times: dict[str, Any]) -> None:
    """Times that cannot work, and a candidate without identity, are refused when they are named."""
    with pytest.raises(ValueError, match=r"must be longer|needs an identity"):
        Election(**{"name": "x", "identity": "me", **times})


class Candidate:
    """Runs for the Lease `x`; `led` counts its turns."""

    def __init__(self, client: Client, clock: Any, name: str) -> None:
        self.led = 0
        self.lost = False
        self.scope = anyio.CancelScope()
        self.elector = LeaderElector(client, clock, Random(name), Election(name="x", identity=name))

    async def run(self) -> None:
        with self.scope:
            try:
                await self.elector.run(self._lead)
            except LeadershipLost:
                self.lost = True

    async def _lead(self) -> None:
        self.led += 1
        await anyio.sleep_forever()


@asynccontextmanager
async def contest(clock: Any, *names: str) -> AsyncIterator[tuple[Client, list[Candidate]]]:
    async with Cluster(clock=clock, seed=1, **BARE) as cluster, anyio.create_task_group() as group:
        candidates = [Candidate(cluster.client, clock, name) for name in names]
        for candidate in candidates:
            group.start_soon(candidate.run)
        yield cluster.client, candidates
        group.cancel_scope.cancel()


def test_one_leads_and_hands_over(virtual: Any) -> None:
    """One candidate leads; when it ends it releases the Lease, and another takes over without waiting it out."""

    async def body(clock: Any) -> None:
        async with contest(clock, "a", "b") as (client, candidates):
            await clock.sleep(60)
            assert sorted(c.led for c in candidates) == [0, 1]
            leader, follower = sorted(candidates, key=lambda c: -c.led)
            leader.scope.cancel()
            await clock.sleep(5)
            assert (leader.elector.is_leader, follower.elector.is_leader) == (False, True)
            spec: Any = (await client.get(LEASES, "x", namespace="kube-system"))["spec"]
            assert (spec["holderIdentity"], spec["leaseTransitions"]) == (follower.elector.election.identity, 1)

    virtual(body)


def test_a_silent_holder_is_waited_out(virtual: Any) -> None:
    """A Lease whose holder died is taken after its duration, not before."""

    async def body(clock: Any) -> None:
        async with contest(clock, "b") as (client, (candidate,)):
            held = {"metadata": {"name": "y", "namespace": "kube-system"}, **lease("dead")}
            await client.create(LEASES, held)  # type: ignore[arg-type]
            elector = LeaderElector(client, clock, Random(2), Election(name="y", identity="me"))
            began = clock.monotonic()
            taken: list[float] = []

            async def lead() -> None:
                taken.append(clock.monotonic() - began)

            await elector.run(lead)
            assert 15 <= taken[0] <= 15 + 2.2 * 2
            assert candidate.led == 1

    virtual(body)


def test_a_usurped_leader_stops(virtual: Any) -> None:
    """A leader that finds another's name in its Lease cancels what it leads, and says so."""

    async def body(clock: Any) -> None:
        async with contest(clock, "a") as (client, (candidate,)):
            await clock.sleep(5)
            assert candidate.led == 1
            patch = {"spec": {"holderIdentity": "somebody"}}
            await client.patch(LEASES, "x", patch, namespace="kube-system")
            await clock.sleep(5)
            assert (candidate.elector.is_leader, candidate.lost) == (False, True)
            spec: Any = (await client.get(LEASES, "x", namespace="kube-system"))["spec"]
            assert spec["holderIdentity"] == "somebody", "a Lease that was lost is not released"

    virtual(body)
