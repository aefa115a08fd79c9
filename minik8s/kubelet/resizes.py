"""Resizes of pods that run: judged by the node, in turn; what is granted is carried out; the pod's conditions say so.

A `PodResize` exists for a pod once somebody has resized it, so that the others cost nothing. `Resizes` has those that
wait for room: they are looked at again when a pod comes, goes or is resized, and every three minutes.
Upstream: pkg/kubelet/allocation and the parts of kuberuntime_manager.go that carry resizes out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from minik8s.api.pods import memory_limit
from minik8s.api.resizing import IN_PROGRESS, INFEASIBLE, PENDING
from minik8s.client.events import EventKind
from minik8s.clock import Clock, TimerHandle
from minik8s.kubelet.admission import Claim, claim_of
from minik8s.kubelet.container_worker import ContainerWorker
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.resize_plan import (
    WHOLE,
    Allocation,
    Refusal,
    Shrinking,
    allocated,
    allocation_of,
    must_restart,
    summary,
    too_small,
    totals,
    turn,
)
from minik8s.machinery.meta import Doc, Obj, rfc3339

RETRY_SECONDS = 180.0
"""Between two looks at resizes that wait, when nothing else gives occasion (upstream: retryDelay)."""
ERROR_RETRY_SECONDS = 10.0
"""Until a resize that could not be carried out is tried again (upstream: backOffPeriod)."""
ERROR = "Error"


class ResizeHost(Protocol):
    """A pod's worker, as far as its resize needs it."""

    node: NodeContext
    pod: Doc
    claim: Claim
    containers: dict[str, ContainerWorker]

    @property
    def is_ending(self) -> bool: ...
    def changed(self) -> None: ...
    def event(self, reason: str, message: str, type_: EventKind = "Warning") -> None: ...
    def spawn(self, func: Callable[[], Coroutine[Any, Any, None]]) -> bool: ...
    def set_timer(self, name: str, seconds: float, callback: Callable[[], object]) -> None: ...


class PodResize:
    """What one pod was allocated, and how far its resize has come."""

    def __init__(self, host: ResizeHost, allocation: Allocation) -> None:
        self._host = host
        self.allocation = allocation
        self._actual = allocation
        self._pending: Obj | None = None
        self._progress: Obj | None = None
        self._is_busy = False
        self._shown: tuple[Doc, Allocation, Doc] | None = None

    @property
    def pod(self) -> Doc:
        """The pod as it may live: with what it was allocated."""
        if self._shown is None or self._shown[0] is not self._host.pod or self._shown[1] is not self.allocation:
            self._shown = self._host.pod, self.allocation, allocated(self._host.pod, self.allocation)
        return self._shown[2]

    @property
    def waits_since(self) -> str | None:
        """When the resize was first refused for the reason for which it is now."""
        return None if self._pending is None else str(self._pending["lastTransitionTime"])

    @property
    def totals(self) -> Obj:
        """The pod's allocatedResources and resources."""
        held = totals(allocated(self._host.pod, self._actual))
        granted = totals(self.pod)
        return {**held, "allocatedResources": granted["allocatedResources"]} if granted else held

    @property
    def conditions(self) -> list[Obj]:
        return [condition for condition in (self._pending, self._progress) if condition is not None]

    def judged(self, refusal: Refusal | None) -> bool:
        """Takes the node's verdict on what the pod wants; whether the pod waits on."""
        host, now = self._host, rfc3339(self._host.node.clock.now())
        wanted = allocation_of(host.pod["spec"])
        if wanted == self.allocation:
            self._pending = None
        elif refusal is None:
            self._grant(wanted, now)
        else:
            self._refuse(refusal, now)
        host.changed()
        return self._pending is not None and self._pending["reason"] != INFEASIBLE

    def _refuse(self, refusal: Refusal, now: str) -> None:
        host, before = self._host, self._pending
        generation = _generation(host.pod)
        self._pending = _condition(PENDING, before, refusal.reason, refusal.message, generation, now)
        if before is None or any(before.get(key) != self._pending.get(key) for key in ("reason", "message")):
            text = summary(f"Pod resize {refusal.reason}", host.pod, generation, refusal.message)
            host.event(f"Resize{refusal.reason}", text)

    def _grant(self, wanted: Allocation, now: str) -> None:
        host, generation = self._host, _generation(self._host.pod)
        self.allocation, self._pending = wanted, None
        host.claim = claim_of(host.pod)
        self._progress = _condition(IN_PROGRESS, None, "", "", generation, now)
        host.event("ResizeStarted", summary("Pod resize started", host.pod, generation), "Normal")
        host.spawn(self._carry_out)

    async def _carry_out(self) -> None:
        """Has every container live with what the pod was allocated, or says why it cannot."""
        if self._is_busy:
            return
        self._is_busy = True
        try:
            while self._actual is not self.allocation and not self._host.is_ending:
                if not await self._step(self.allocation):
                    return
        finally:
            self._is_busy = False
        self.settle()

    async def _step(self, wanted: Allocation) -> bool:
        """Towards one allocation; whether it was possible."""
        whole = wanted.get(WHOLE) != self._actual.get(WHOLE)  # then each has another limit
        there = [worker for name, worker in self._host.containers.items() if name in wanted]
        workers = [worker for worker in there if whole or worker.resources != wanted[worker.name]]
        restarting = [w for w in workers if w.running and must_restart(w.resources, wanted[w.name], w.spec)]
        in_place = [worker for worker in workers if worker not in restarting]
        if problem := too_small(self._shrinking(in_place)):
            self._fail(problem)
            return False
        for worker in in_place:
            await worker.resize(wanted[worker.name])
        for worker in restarting:
            worker.spec = {**worker.spec, "resources": wanted[worker.name]}
            self._host.spawn(worker.replace_resized)
        self._actual = wanted
        return True

    def _shrinking(self, workers: Iterable[ContainerWorker]) -> list[Shrinking]:
        """Memory limits that are about to change, with what is used of them as far as the runtime can tell."""
        used = {w.name: w.running.memory_usage for w in self._host.containers.values() if w.running}
        limits = []
        was, whole = self._actual.get(WHOLE), self.allocation.get(WHOLE)
        if was is not None and whole is not None:
            limits.append(Shrinking(WHOLE, memory_limit(was), memory_limit(whole), sum(used.values())))
        for worker in workers:
            new = memory_limit(self.allocation[worker.name])
            limits.append(Shrinking(worker.name, memory_limit(worker.resources), new, used.get(worker.name, 0)))
        return limits

    def _fail(self, problem: str) -> None:
        host, before = self._host, self._progress
        generation = _generation(host.pod)
        self._progress = _condition(IN_PROGRESS, before, ERROR, problem, generation, rfc3339(host.node.clock.now()))
        if before is None or before.get("message") != problem:
            host.event("ResizeError", summary("Pod resize error", self.pod, generation, problem))
        host.set_timer("resize", ERROR_RETRY_SECONDS, lambda: host.spawn(self._carry_out))
        host.changed()

    def settle(self) -> None:
        """The resize is over once every container that runs has what it was allocated."""
        progress = self._progress
        if progress is None or self._actual is not self.allocation:
            return
        if any(w.is_restarting or w.resources != self.allocation[w.name] for w in self._workers()):
            return
        self._progress = None
        generation = progress.get("observedGeneration", 0)
        self._host.event("ResizeCompleted", summary("Pod resize completed", self.pod, generation), "Normal")
        self._host.changed()

    def _workers(self) -> Iterable[ContainerWorker]:
        return (worker for name, worker in self._host.containers.items() if name in self.allocation)


class Resizable(Protocol):
    """A pod's worker, as the node's queue sees it."""

    pod: Doc
    resize: PodResize | None
    ended: bool
    gone: bool

    @property
    def is_ending(self) -> bool: ...


Judge = Callable[[Any], Refusal | None]


class Resizes:
    """The pods of one node whose resizes wait. `judge` says why a pod cannot have what it wants, None if it can."""

    def __init__(self, clock: Clock, judge: Judge) -> None:
        self._clock, self._judge = clock, judge
        self._waiting: list[Resizable] = []
        self._timer: TimerHandle | None = None

    def push(self, pod: Resizable) -> None:
        """The pod wants other resources than before."""
        self.add(pod)
        self.retry()

    def add(self, pod: Resizable) -> None:
        """The pod is judged with the next retry: not before all pods of the node are known."""
        if pod not in self._waiting:
            self._waiting.append(pod)

    def retry(self) -> None:
        """Something has changed that may have made room; costs nothing while nobody waits."""
        if not self._waiting:
            return
        there = [pod for pod in self._waiting if not (pod.ended or pod.gone or pod.is_ending)]
        self._waiting = [pod for pod in sorted(there, key=_turn) if self._decide(pod)]
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_later(RETRY_SECONDS, self.retry) if self._waiting else None

    def close(self) -> None:
        """Looks at nothing more: the kubelet has ended."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _decide(self, pod: Resizable) -> bool:
        assert pod.resize is not None
        return pod.resize.judged(self._judge(pod))


def _turn(pod: Resizable) -> tuple[Any, ...]:
    assert pod.resize is not None
    return turn(pod.pod, pod.resize.allocation, pod.resize.waits_since)


def _generation(pod: Doc) -> int:
    return int(pod["metadata"].get("generation") or 0)


def _condition(
    type_: str, before: Mapping[str, Any] | None, reason: str, message: str, generation: int, now: str
) -> Obj:
    """A condition of a resize; its transition is that of its reason, for its status is always True."""
    kept = before is not None and before.get("reason", "") == reason
    said = {"reason": reason, "message": message, "observedGeneration": generation}
    return {
        "type": type_,
        "status": "True",
        "lastProbeTime": now,
        "lastTransitionTime": before["lastTransitionTime"] if before is not None and kept else now,
        **{key: value for key, value in said.items() if value},
    }
