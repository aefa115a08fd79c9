"""What a StatefulSet needs done, as a pure function of it, its revisions, pods, claims and the time.

Pods have names, so each is looked at in its turn: first those that shall be there from the lowest ordinal up, then
those that are too many from the highest down, and when all is well the update from the highest down. Ordered sets stop
at the first pod that is not ready. Upstream: `pkg/controller/statefulset/stateful_set_control.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import attrs

from minik8s.api.pods import is_pod_ready, is_terminal, phase_of
from minik8s.controllers.pods import available_in
from minik8s.controllers.statefulset_pods import (
    claim_owners,
    in_range,
    is_labelled,
    is_stale,
    new_claims,
    new_pod,
    ordinal_of,
    replicas_of,
    revision_name,
    start_ordinal,
    with_labels,
)
from minik8s.machinery.intorstring import resolve
from minik8s.machinery.meta import Doc, Obj, evolve, is_terminating, name_of, owner_references

Claims = Callable[[str], Doc | None]
"""The PersistentVolumeClaim of that name in the set's namespace."""


@attrs.frozen
class Revisions:
    """`current` is what pods below the partition have, `update` the present template."""

    current: Doc
    update: Doc


@attrs.frozen
class Plan:
    """Write the status, then bring claims, then pods. `repair` are pods and `owned` claims as they shall be.

    `new_claims` come with the name of the pod they are for.
    """

    status: Obj
    create: tuple[Obj, ...] = ()
    delete: tuple[Doc, ...] = ()
    repair: tuple[Doc, ...] = ()
    new_claims: tuple[tuple[str, Obj], ...] = ()
    owned: tuple[Doc, ...] = ()
    recheck: float | None = None


def plan(sts: Doc, revisions: Revisions, pods: Sequence[Doc], claims: Claims, now: datetime) -> Plan:
    return _Pass(sts, revisions, pods, claims, now).decide()


class _Pass:
    """One pass over one StatefulSet."""

    def __init__(self, sts: Doc, revisions: Revisions, pods: Sequence[Doc], claims: Claims, now: datetime) -> None:
        self.sts, self.spec, self.revisions, self.claims, self.now = sts, sts["spec"], revisions, claims, now
        self.start = start_ordinal(sts)
        by_ordinal = {ordinal: pod for pod in pods if (ordinal := ordinal_of(sts, pod)) is not None}
        self.replicas = [by_ordinal.get(self.start + index) for index in range(replicas_of(sts))]
        self.condemned = [by_ordinal[n] for n in sorted(by_ordinal, reverse=True) if not in_range(sts, n)]
        self.pods = list(by_ordinal.values())
        self.ordered = self.spec.get("podManagementPolicy") != "Parallel"
        self.create: list[Obj] = []
        self.delete: list[Doc] = []
        self.doomed: set[str] = set()
        self.repair: list[Doc] = []
        self.new_claims: list[tuple[str, Obj]] = []
        self.owned: list[Doc] = []

    def decide(self) -> Plan:
        status = compute_status(self.sts, self.revisions, self.pods, self.now)
        if not is_terminating(self.sts) and self._living() and self._surplus():
            self._update()
        waits = [wait for pod in self.pods if (wait := self._wait(pod))]
        return Plan(
            status,
            tuple(self.create),
            tuple(self.delete),
            tuple(self.repair),
            tuple(self.new_claims),
            tuple(self.owned),
            min(waits, default=None),
        )

    def _wait(self, pod: Doc) -> float | None:
        """Seconds until the pod is available; None when it is not ready."""
        return wait_of(self.sts, pod, self.now)

    def _is_available(self, pod: Doc) -> bool:
        return not is_terminating(pod) and self._wait(pod) == 0

    def _living(self) -> bool:
        """Whether every pod that shall be there was seen to; False when an ordered set has to wait for one."""
        for index, pod in enumerate(self.replicas):
            ordinal = self.start + index
            done = self._appear(index, ordinal) if pod is None else self._tend(pod, ordinal)
            if not done and self.ordered:
                return False
        return True

    def _appear(self, index: int, ordinal: int) -> bool:
        """Creates the pod, which an ordered set then waits for."""
        wanted = new_claims(self.sts, ordinal)
        found = [self.claims(name_of(claim)) for claim in wanted]
        if any(claim is not None and is_stale(self.sts, ordinal, claim) for claim in found):
            return False
        revision = self.revisions.current if index < self._partition() else self.revisions.update
        pod = new_pod(self.sts, revision, ordinal)
        self.new_claims += [(name_of(pod), new) for new, old in zip(wanted, found, strict=True) if old is None]
        self.create.append(pod)
        return False

    def _tend(self, pod: Doc, ordinal: int) -> bool:
        """Whether the pod is as it should be, or at least nobody has to wait for it."""
        if is_terminal(pod):
            if not is_terminating(pod):
                self.delete.append(pod)
            return False
        if phase_of(pod) == "Pending":
            missing = [claim for claim in new_claims(self.sts, ordinal) if self.claims(name_of(claim)) is None]
            self.new_claims += [(name_of(pod), claim) for claim in missing]
        if self.ordered and not self._is_available(pod):
            return False
        if not is_labelled(pod, ordinal):
            self.repair.append(with_labels(pod, ordinal))
        self._own_claims(pod, ordinal)
        return True

    def _own_claims(self, pod: Doc, ordinal: int) -> None:
        for wanted in new_claims(self.sts, ordinal):
            claim = self.claims(name_of(wanted))
            if claim is None:
                continue
            owners = claim_owners(self.sts, pod, ordinal, claim)
            if owners != list(owner_references(claim)):
                self.owned.append(evolve(claim, "metadata", "ownerReferences", value=owners))

    def _surplus(self) -> bool:
        """Deletes what is too many, in an ordered set one after the other; whether there is nothing to wait for."""
        for pod in self.condemned:
            self._own_claims(pod, ordinal_of(self.sts, pod) or 0)
        rising = [*self.replicas, *reversed(self.condemned)]
        unhealthy = next((pod for pod in rising if pod and not self._is_available(pod)), None)
        for pod in self.condemned:
            if is_terminating(pod):
                if self.ordered:
                    return False
                continue
            if self.ordered and not self._is_available(pod) and pod is not unhealthy:
                return False
            self.delete.append(pod)
            if self.ordered:
                return False
        return True

    def _partition(self) -> int:
        """How many pods, from the lowest ordinal, keep the current revision."""
        strategy = self.spec.get("updateStrategy") or {}
        if strategy.get("type") != "RollingUpdate":
            return 0
        return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)

    def _update(self) -> None:
        """Deletes old pods from the highest ordinal, as long as not too many are unavailable."""
        strategy = self.spec.get("updateStrategy") or {}
        if strategy.get("type") != "RollingUpdate":
            return
        self.doomed = {name_of(pod) for pod in self.delete}
        most = (strategy.get("rollingUpdate") or {}).get("maxUnavailable")
        if most is None:
            self._update_one()
        else:
            self._update_several(max(1, resolve(most, len(self.replicas), round_up=True)))

    def _is_leaving(self, pod: Doc | None) -> bool:
        return pod is None or is_terminating(pod) or name_of(pod) in self.doomed

    def _is_old(self, pod: Doc) -> bool:
        return revision_name(pod) != name_of(self.revisions.update)

    def _update_one(self) -> None:
        """The next old pod goes once all above it are available; what is wrong below stops no Parallel set."""
        for pod in reversed(self.replicas[self._partition() :]):
            if pod is None or self._is_leaving(pod):
                return
            if self._is_old(pod):
                self.delete.append(pod)
                return
            if not self._is_available(pod):
                return

    def _update_several(self, most: int) -> None:
        """Old pods go as long as no more than `most` of the whole set are unavailable.

        One that is not available anyhow costs nothing, so a rollout gets past pods that its predecessor broke.
        """
        room = most - sum(pod is None or self._is_leaving(pod) or not self._is_available(pod) for pod in self.replicas)
        for pod in reversed(self.replicas[self._partition() :]):
            if pod is None or self._is_leaving(pod) or not self._is_old(pod):
                continue
            if not self._is_available(pod):
                self.delete.append(pod)
            elif room > 0:
                self.delete.append(pod)
                room -= 1


def wait_of(sts: Doc, pod: Doc, now: datetime) -> float | None:
    """Seconds until the pod is available; None when it does not run or is not ready."""
    if phase_of(pod) != "Running":
        return None
    return available_in(pod, sts["spec"].get("minReadySeconds") or 0, now)


def compute_status(sts: Doc, revisions: Revisions, pods: Sequence[Doc], now: datetime) -> Obj:
    """The counts; once every pod is of the update revision and ready, that becomes the current one."""
    update, current = name_of(revisions.update), name_of(revisions.current)
    wanted = replicas_of(sts)
    living = [revision_name(pod) for pod in pods if not is_terminating(pod)]
    ready = sum(1 for pod in pods if phase_of(pod) == "Running" and is_pod_ready(pod))
    updated = living.count(update)
    rolling = (sts["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate"
    if rolling and updated == ready == len(pods) == wanted:
        current = update
    counts = {
        "observedGeneration": sts["metadata"].get("generation", 0),
        "readyReplicas": ready,
        "currentReplicas": living.count(current),
        "updatedReplicas": updated,
    }
    return {
        "replicas": len(pods),
        "availableReplicas": sum(1 for pod in pods if wait_of(sts, pod, now) == 0),
        **{name: count for name, count in counts.items() if count},
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": (sts.get("status") or {}).get("collisionCount") or 0,
    }
