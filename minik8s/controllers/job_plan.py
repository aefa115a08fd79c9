"""What a Job needs done, as a pure function of it, its pods and the time.

As upstream, a pass first asks whether the Job is decided (failed by one of its limits, or its success policy is met);
if so all that runs is stopped, else pods are created or deleted. Then every pod that has ended is put down to be
counted. Upstream: `pkg/controller/job/job_controller.go`, `syncJob`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

import attrs

from minik8s.api.pods import is_pod_ready, phase_of
from minik8s.controllers.job_indexes import format_indexes, free_indexes, index_of, parse_indexes
from minik8s.controllers.job_pods import is_tracked, new_pod, surplus
from minik8s.controllers.job_policy import (
    Backoff,
    failed_index,
    failures_of,
    finished_at,
    has_failed,
    match_failure_policy,
    remaining_for_index,
    replaces_only_failed,
    success_message,
    too_many_restarts,
)
from minik8s.controllers.job_status import (
    FAILURE_TARGET,
    SUCCESS_MET,
    SUSPENDED,
    condition,
    is_met,
    is_suspended,
    settled,
    uncounted,
    with_condition,
    with_uncounted,
)
from minik8s.controllers.pods import is_active, is_stopping
from minik8s.machinery.meta import Doc, Obj, is_terminating, parse_time, rfc3339, uid_of

BURST = 500
"""At most so many creations or deletions in one pass (MaxPodCreateDeletePerSync)."""
MAX_UNCOUNTED = 500
"""At most so many pods are put down to be counted in one pass (MaxUncountedPods)."""


@attrs.frozen
class Plan:
    """Create or delete; write `status`; then take the finalizer from `untrack`.

    `uncounted`: the pods to delete first lose their finalizer, for what a suspension or a smaller parallelism stops is
    no failure. `decided`: no more pods will run; once the status is settled and nothing terminates it can be concluded.
    `recheck`: in how many seconds time alone may change something. `events`: (reason, message), normal ones.
    """

    status: Obj
    create: tuple[Obj, ...] = ()
    delete: tuple[Doc, ...] = ()
    untrack: tuple[Doc, ...] = ()
    uncounted: bool = False
    decided: bool = False
    events: tuple[tuple[str, str], ...] = ()
    backoff: Backoff = attrs.field(factory=Backoff)
    recheck: float | None = None


def plan(job: Doc, pods: Sequence[Doc], backoff: Backoff, now: datetime) -> Plan:
    """`pods` are those it controls; `backoff` is what the passes so far have seen of failures."""
    return _Pass(job, pods, backoff, now).decide()


class _Pass:
    """One pass over one Job that is not over."""

    def __init__(self, job: Doc, pods: Sequence[Doc], backoff: Backoff, now: datetime) -> None:
        self.job, self.spec, self.pods, self.now = job, job["spec"], pods, now
        self.tracked = [pod for pod in pods if is_tracked(pod)]
        self.status: Obj = settled(job.get("status") or {}, {uid_of(pod) for pod in self.tracked})
        self.conditions: list[Obj] = list(self.status.get("conditions") or ())
        self.active = [pod for pod in pods if is_active(pod)]
        self.stopping = [pod for pod in pods if is_stopping(pod)]
        self.completions: int | None = self.spec.get("completions")
        self.indexed = self.spec.get("completionMode") == "Indexed"
        self.per_index = self.indexed and self.spec.get("backoffLimitPerIndex") is not None
        self.create: list[Obj] = []
        self.delete: list[Doc] = []
        self.events: list[tuple[str, str]] = []
        self.waits: list[float] = []
        self._count(backoff)

    def _count(self, backoff: Backoff) -> None:
        """How many pods have succeeded and failed so far, written down or not."""
        done, lost = uncounted(self.status)
        fresh = [pod for pod in self.tracked if self._is_ours(pod) and uid_of(pod) not in (*done, *lost)]
        succeeded = [pod for pod in fresh if phase_of(pod) == "Succeeded"]
        failed = [pod for pod in fresh if has_failed(pod, self.job)]
        self.backoff = backoff.after(succeeded, failed)
        counted = [pod for pod in failed if match_failure_policy(self.job, pod).counts]
        self.succeeded = self.status.get("succeeded", 0) + len(done) + len(succeeded)
        self.failed = self.status.get("failed", 0) + len(lost) + len(counted)
        self.done_before: frozenset[int] = frozenset()
        self.done: frozenset[int] = frozenset()
        self.lost: frozenset[int] = frozenset()
        self.delayed: dict[int, Doc] = {}
        if self.indexed:
            self._count_indexes()

    def _count_indexes(self) -> None:
        total = self.completions or 0
        self.done_before = parse_indexes(self.status.get("completedIndexes"), total)
        ended = [pod for pod in self.tracked if self._is_ours(pod)]
        self.done = self.done_before | {i for pod in ended if phase_of(pod) == "Succeeded" for i in self._index(pod)}
        self.succeeded = len(self.done)
        if not self.per_index:
            return
        failed = [pod for pod in ended if has_failed(pod, self.job)]
        before = parse_indexes(self.status.get("failedIndexes"), total)
        self.lost = before | {i for pod in failed if failed_index(self.job, pod) for i in self._index(pod)}
        for pod in failed:
            for index in self._index(pod):
                other = self.delayed.get(index)
                if index in self.done or index in self.lost:
                    continue
                if other is None or _turn(other) < _turn(pod):
                    self.delayed[index] = pod

    def _index(self, pod: Doc) -> tuple[int, ...]:
        index = index_of(pod)
        return () if index is None or index >= (self.completions or 0) else (index,)

    def _is_ours(self, pod: Doc) -> bool:
        """Pods of an Indexed Job count only with an index that it has."""
        return not self.indexed or bool(self._index(pod))

    def decide(self) -> Plan:
        if "startTime" not in self.status and not is_suspended(self.job):
            self.status["startTime"] = rfc3339(self.now)
        verdict = self._verdict()
        managed = verdict is None and not is_terminating(self.job)
        if verdict is not None:
            self.delete = list(self.active)
        elif managed:
            verdict = self._manage()
            doomed = set(map(uid_of, self.delete))
            self.tracked = [pod for pod in self.tracked if uid_of(pod) not in doomed]
        if verdict is not None:
            self.conditions = with_condition(self.conditions, verdict) or self.conditions
        untrack = self._write_down(verdict)
        self._write_counts()
        return Plan(
            self.status,
            tuple(self.create),
            tuple(self.delete),
            tuple(untrack),
            managed,
            verdict is not None,
            tuple(self.events),
            self.backoff,
            min(self.waits, default=None),
        )

    def _verdict(self) -> Obj | None:
        """The interim condition of a Job that is decided."""
        for standing in self.conditions:
            if standing["type"] in (SUCCESS_MET, FAILURE_TARGET) and is_met(self.job, standing["type"]):
                return standing
        if (failure := self._failure()) is not None:
            return condition(FAILURE_TARGET, "True", *failure, self.now)
        if self.indexed and (message := success_message(self.job, self.done)):
            return condition(SUCCESS_MET, "True", "SuccessPolicy", message, self.now)
        return None

    def _failure(self) -> tuple[str, str] | None:
        """Reason and message of what makes the Job fail."""
        for pod in self.pods:
            if has_failed(pod, self.job) and (message := match_failure_policy(self.job, pod).message):
                return "PodFailurePolicy", message
        if self.failed > self.spec["backoffLimit"] or too_many_restarts(self.job, self.pods):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if (left := self._time_left()) is not None:
            if left <= 0:
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self.waits.append(left)
        if self.per_index and self.lost:
            most = self.spec.get("maxFailedIndexes")
            if most is not None and len(self.lost) > most:
                text = "Job has exceeded the specified maximal number of failed indexes"
                return "MaxFailedIndexesExceeded", text
            if len(self.lost) + len(self.done) >= (self.completions or 0):
                return "FailedIndexes", "Job has failed indexes"
        return None

    def _time_left(self) -> float | None:
        """Seconds until activeDeadlineSeconds are over; None when there is no deadline, or the clock stands still."""
        deadline, start = self.spec.get("activeDeadlineSeconds"), self.status.get("startTime")
        if deadline is None or start is None or is_suspended(self.job):
            return None
        return float(deadline - (self.now - parse_time(start)).total_seconds())

    def _manage(self) -> Obj | None:
        """Creates or deletes; the interim condition if with that the Job is complete."""
        if is_suspended(self.job):
            self.delete = list(self.active)
        else:
            self._resize()
        needed = 1 if self.completions is None else self.completions
        if self.succeeded >= needed and len(self.active) + len(self.create) == len(self.delete):
            text = "Reached expected number of succeeded pods"
            return condition(SUCCESS_MET, "True", "CompletionsReached", text, self.now)
        self._say_suspended()
        return None

    def _say_suspended(self) -> None:
        if is_suspended(self.job):
            new = condition(SUSPENDED, "True", "JobSuspended", "Job suspended", self.now)
        else:
            new = condition(SUSPENDED, "False", "JobResumed", "Job resumed", self.now)
        changed = with_condition(self.conditions, new)
        if changed is None:
            return
        self.conditions = changed
        if is_suspended(self.job):
            self.status.pop("startTime", None)
            self.events.append(("Suspended", "Job suspended"))
        else:
            self.status["startTime"] = rfc3339(self.now)
            self.events.append(("Resumed", "Job resumed"))

    def _wanted(self) -> int:
        """How many pods shall be active."""
        parallelism = int(self.spec.get("parallelism", 1))
        if self.completions is None:
            return len(self.active) if self.succeeded else parallelism
        return max(0, min(self.completions - self.succeeded, parallelism))

    def _resize(self) -> None:
        active, wanted = len(self.active), self._wanted()
        self.delete = surplus(self.job, self.active, max(0, active - wanted))[:BURST]
        if self.delete:
            return
        missing = wanted - active
        if replaces_only_failed(self.job):
            missing -= len(self.stopping)
        if missing > 0:
            self._create(min(missing, BURST))

    def _create(self, count: int) -> None:
        if not self.per_index and (wait := self.backoff.remaining(self.now)):
            self.waits.append(wait)
        elif self.indexed:
            self._create_indexes(count)
        else:
            self.create = [new_pod(self.job)] * count

    def _create_indexes(self, count: int) -> None:
        """The lowest indexes that nobody works on; with limits per index, those that need not wait."""
        busy = self.active + (self.stopping if replaces_only_failed(self.job) else [])
        taken = {index for pod in busy for index in self._index(pod)}
        free = islice(free_indexes(self.completions or 0, self.done, taken, self.lost), count)
        waits = []
        for index in free:
            replaced = self.delayed.get(index)
            wait = remaining_for_index(replaced, self.now) if replaced is not None else 0.0
            if wait:
                waits.append(wait)
            else:
                self.create.append(new_pod(self.job, index, replaced))
        self.waits += waits

    def _write_down(self, verdict: Obj | None) -> list[Doc]:
        """Puts the pods that have ended down to be counted; those whose finalizer may go."""
        succeeded, failed = uncounted(self.status)
        known = {*succeeded, *failed}
        failing = verdict is not None and verdict["type"] == FAILURE_TARGET
        untrack = []
        for pod in self.tracked:
            if not self._may_untrack(pod, decided=verdict is not None):
                continue
            untrack.append(pod)
            uid = uid_of(pod)
            if uid in known:
                continue
            if phase_of(pod) == "Succeeded":
                if not self.indexed:
                    succeeded.append(uid)
            elif self._counts(pod, failing):
                failed.append(uid)
            if len(succeeded) + len(failed) >= MAX_UNCOUNTED:
                break
        self.status = with_uncounted(self.status, succeeded, failed)
        return untrack

    def _counts(self, pod: Doc, failing: bool) -> bool:
        """Whether the pod is a failure to count; when the Job fails, everything that has not succeeded is."""
        if not failing and not has_failed(pod, self.job):
            return False
        return self._is_ours(pod) and match_failure_policy(self.job, pod).counts

    def _may_untrack(self, pod: Doc, decided: bool) -> bool:
        if is_terminating(self.job) or decided or phase_of(pod) == "Succeeded":
            return True
        if not has_failed(pod, self.job):
            return False
        return all(self.delayed.get(index) is not pod for index in self._index(pod))

    def _write_counts(self) -> None:
        """The counts as they are once the plan is carried out; zeros are left out where upstream leaves them out."""
        doomed = {uid_of(pod) for pod in self.delete}
        left = [pod for pod in self.active if uid_of(pod) not in doomed]
        counts = {"active": len(left) + len(self.create)}
        if self.indexed:
            counts["succeeded"] = len(self.done)
            self.status["completedIndexes"] = format_indexes(self.done)
        if self.per_index:
            self.status["failedIndexes"] = format_indexes(self.lost)
        self.status |= counts
        for name in ("active", "succeeded", "failed", "completedIndexes"):
            if not self.status.get(name):
                self.status.pop(name, None)
        self.status["ready"] = sum(map(is_pod_ready, left))
        self.status["terminating"] = len(self.stopping) + len(doomed)
        if self.conditions:
            self.status["conditions"] = self.conditions


def _turn(pod: Doc) -> tuple[int, datetime]:
    """Which failed pod of an index is the last one."""
    return sum(failures_of(pod)), finished_at(pod)
