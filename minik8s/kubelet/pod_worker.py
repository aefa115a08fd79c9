"""One pod's life on its node, as a task tree.

    volumes, sandbox -> init containers in order (sidecars stay beside) -> app containers side by side -> the end

`run` is the whole of it. The living part is a cancel scope that ends when the pod has to; what follows is bounded by a
`Deadline`. A pod costs one task and one per container; everything else (deadlines, token renewal) is a timer.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

import anyio
import anyio.abc

from minik8s.api.restart import role_of
from minik8s.client.events import EventKind
from minik8s.clock import Timers
from minik8s.kubelet.admission import Claim, claim_of
from minik8s.kubelet.container_status import ContainerRecord
from minik8s.kubelet.container_worker import ContainerWorker
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.deadline import Deadline
from minik8s.kubelet.downward import Surroundings
from minik8s.kubelet.ending import stop_all
from minik8s.kubelet.env import environment
from minik8s.kubelet.images import ImagePuller
from minik8s.kubelet.led import Led
from minik8s.kubelet.pod_spec import FIELDS, records_of
from minik8s.kubelet.pod_status import EVICTED, PodView, pod_status
from minik8s.kubelet.resize_plan import allocation_of, restored, totals
from minik8s.kubelet.resizes import PodResize
from minik8s.kubelet.runtime.protocol import Container, Mount, Sandbox
from minik8s.kubelet.sandboxes import make_sandbox
from minik8s.kubelet.volumes.keeper import VolumeKeeper
from minik8s.machinery.meta import (
    Doc,
    Obj,
    annotations_of,
    is_terminating,
    labels_of,
    parse_time,
    revision_of,
    rfc3339,
    uid_of,
)

DEADLINE_EXCEEDED = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
FORCED_GRACE = 1.0
"""Seconds of grace for a pod whose object is already gone (the kubelet's minimum)."""


class PodWorker(Led):
    """Runs one pod. It is also the `StatusSource` of the pod's status and the host of its containers."""

    def __init__(self, node: NodeContext, pod: Doc, claim: Claim) -> None:
        super().__init__()
        self.node = node
        self.pod = pod
        self.claim = claim
        self.directory = node.directory.joinpath("pods", uid_of(pod))
        self.images = ImagePuller(node)
        self.keeper = VolumeKeeper(self, self.directory / "volumes", self.images.roots)
        self.ended = False
        self.gone = False
        status = pod.get("status") or {}
        self._previous: Doc = status
        self._start_time = status.get("startTime") or rfc3339(node.clock.now())
        self.records = records_of(pod)
        self._resumed = any(record.exits for record in self.records.values())
        self.containers: dict[str, ContainerWorker] = {}
        self._sandbox: Sandbox | None = None
        self._pod_ips: tuple[str, ...] = ()
        self._sandbox_ready = False
        self._initialized = False
        self._failure: tuple[str, str] | None = None
        self._own_fault = False
        self._deadline: Deadline | None = None
        self._terminating = False
        self._again = False
        self._life: anyio.CancelScope | None = None
        self._forget_objects: Callable[[], None] | None = None
        self._timers = Timers(node.clock)
        self.set_timer = self._timers.set
        self.resize: PodResize | None = None
        if self._resumed and (granted := restored(pod)) != allocation_of(pod["spec"]):
            self.resize = PodResize(self, granted)
            self.claim = claim_of(self.allocated)
        self._totals: Obj | None = None

    # -- what others see

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox that containers start in; there is one whenever a container starts."""
        assert self._sandbox is not None
        return self._sandbox

    @property
    def allocated(self) -> Doc:
        """The pod as it may live here: with the resources that it was granted, if it wants others now."""
        return self.pod if self.resize is None else self.resize.pod

    @property
    def is_ending(self) -> bool:
        """Whether the pod has been told to end."""
        return self._terminating

    @property
    def grace_period(self) -> float:
        """Seconds between stop signal and SIGKILL when nobody says otherwise."""
        return float(self.pod["spec"].get("terminationGracePeriodSeconds", 30))

    def changed(self) -> None:
        """Something that the status shows may have changed."""
        if self.resize is not None:
            self.resize.settle()
        if not self.gone:
            self.node.statuses.mark(self)

    def status(self, now: str) -> Obj:
        view = PodView(
            pod=self.allocated,
            restarting=self._again,
            totals=self._held(),
            resizing=() if self.resize is None or self.ended else self.resize.conditions,
            records=self.records,
            start_time=self._start_time,
            host_ip=self.node.address,
            pod_ips=self._pod_ips,
            sandbox_ready=self._sandbox_ready,
            initialized=self._initialized,
            ended=self.ended,
            failure=self._failure,
            own_fault=self._own_fault,
        )
        status = pod_status(view, self._previous, now)
        self._previous = status
        return status

    def _held(self) -> Obj:
        """What it takes from its node; counted once, for as long as nobody resizes it."""
        if self.resize is not None:
            return self.resize.totals
        if self._totals is None:
            self._totals = totals(self.pod)
        return self._totals

    def update(self, pod: Doc) -> bool:
        """Takes note of the pod as a watch or an answer shows it; tells whether that is newer than what was known."""
        old = self.pod
        if revision_of(pod) <= revision_of(old):
            return False
        self.pod = pod
        if is_terminating(pod):
            grace = pod["metadata"].get("deletionGracePeriodSeconds")
            self.terminate(self.grace_period if grace is None else float(grace))
        if pod["spec"] is not old["spec"] and pod["spec"] != old["spec"]:
            self._spec_changed(old)
        if labels_of(pod) != labels_of(old) or annotations_of(pod) != annotations_of(old):
            self.keeper.refresh_soon()
        return True

    def terminate(self, grace: float, failure: tuple[str, str] | None = None) -> None:
        """Ends the pod within `grace` seconds; a second call can only hasten it."""
        self._terminating = True
        self._failure = self._failure or failure
        if self._deadline is None:
            self._deadline = Deadline(grace)
        else:
            self._deadline.tighten(grace)
        if self._life is not None:
            self._life.cancel()
        self.wake()

    def evict(self, message: str, grace: float) -> None:
        """Ends the pod for what it has done itself."""
        self.event(EVICTED, message)
        self._own_fault = self._failure is None
        self.terminate(grace, (EVICTED, message))

    def vanish(self) -> None:
        """The API has forgotten the pod: what still runs is ended quickly, and nothing more is reported."""
        self.gone = True
        self.terminate(FORCED_GRACE)

    def forget(self) -> None:
        """Removes the pod's files, its logs too."""
        if self.node.files:
            shutil.rmtree(self.directory, ignore_errors=True)

    def restart_all(self) -> None:
        """A restart rule wants every container to start over."""
        self._again = True
        self.changed()
        if self._life is not None:
            self._life.cancel()

    # -- what containers need

    async def environment(self, container: Doc) -> dict[str, str]:
        sources = await self.keeper.volumes.env_sources(self.pod, container, self.surroundings())
        return environment(self.allocated, container, sources)

    def mounts(self, container: Doc, env: Mapping[str, str]) -> tuple[Mount, ...]:
        return self.keeper.volumes.mounts(container, env)

    def event(self, reason: str, message: str, type_: EventKind = "Warning") -> None:
        self.node.recorder.event(self.pod, type_, reason, message)

    # -- life

    async def run(self) -> None:
        """The pod's life, until nothing of it is left but logs and status, or it rests.

        A pod rests while its containers run and whoever runs them calls back at their end: it needs no task then.
        `wake` has somebody `run` it again, and it goes on from there.
        """
        if self._forget_objects is None:
            self._forget_objects = self.keeper.listen()
            self._watch_deadline()
        if not await self._led():
            await self._clean_up()

    async def _lead(self) -> None:
        while True:
            await self._live()
            if not self._rested:
                await self._stop()
            if self._rested or not self._again or self._terminating:
                return
            self._start_over()

    async def _live(self) -> None:
        """Until every app container has ended for good, the pod has to end, or it may rest."""
        with anyio.CancelScope() as self._life:
            goes_on, self._rested = self._rested, False
            if self._terminating or not (goes_on or await self._begin()):
                return
            await self._run_apps()
            self._rested = any(worker.is_resting for worker in self.containers.values())
        self._life = None

    async def _begin(self) -> bool:
        """Up to where the app containers start; False when an init container has failed for good."""
        self.changed()
        await self.keeper.mount()
        await self.node.prepare_devices(self.pod, self.event)
        await self._make_sandbox()
        self._initialized = await self._initialize()
        return self._initialized

    def may_rest(self, container: Container) -> bool:
        """Whether a container that runs needs nobody until it calls."""
        return self._may_rest and not self._terminating and not self._again and container.call_at_end(self.wake)

    def abandon(self) -> None:
        """Hears of nothing more: of objects, of time."""
        if self._forget_objects is not None:
            self._forget_objects()
            self._forget_objects = None
        self._timers.cancel()

    async def _make_sandbox(self) -> None:
        if self._resumed:
            self.event("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", "Normal")
        if self._sandbox is None:
            await make_sandbox(self.node, self.pod, self.directory, self._take_sandbox)
        self._pod_ips, self._sandbox_ready = (self.sandbox.address,), True
        self.changed()

    def _take_sandbox(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def _initialize(self) -> bool:
        """Runs the init containers; False when one has failed for good."""
        for spec in self.pod["spec"].get("ephemeralContainers") or ():
            if spec["name"] not in self.containers:  # with all containers started anew these run on
                self._start_beside(spec)
        for spec in self.allocated["spec"].get("initContainers") or ():
            worker = self._worker(spec)
            if worker.role == "sidecar":
                self.spawn(worker.run)
                await worker.started.wait()
                continue
            if worker.record.exits:
                worker.record.wait("")  # a success in an earlier sandbox does not count
            await worker.run()
            if worker.record.exit_code != 0:
                return False
        return True

    async def _run_apps(self) -> None:
        """Starts the app containers in order and waits until all have ended for good; an only one needs no task."""
        specs = self.allocated["spec"]["containers"]
        if len(specs) == 1:
            await self._worker(specs[0]).run()
            return
        async with anyio.create_task_group() as group:
            for spec in specs:
                worker = self._worker(spec)
                group.start_soon(worker.run)
                await worker.attempted.wait()

    def _worker(self, spec: Doc) -> ContainerWorker:
        """The container's worker: the one that rests, or a new one."""
        worker = self.containers.get(spec["name"])
        if worker is None or not worker.is_resting:
            worker = self.containers[spec["name"]] = ContainerWorker(self, spec, self.records[spec["name"]])
        return worker

    def _start_beside(self, spec: Doc) -> None:
        if self._sandbox is not None and not self._terminating:
            self.spawn(partial(self._run_beside, self._worker(spec)))

    async def _run_beside(self, worker: ContainerWorker) -> None:
        await self.keeper.refresh()  # it may be the first to use a volume
        await worker.run()

    # -- the end

    async def _stop(self) -> None:
        """Ends every container; those for debugging live on if the others are only started anew."""
        self._deadline = self._deadline or Deadline(self.grace_period)
        over = self._terminating or not self._again
        workers = [worker for worker in self.containers.values() if over or worker.role != "ephemeral"]
        await stop_all(workers, self._deadline)

    def _start_over(self) -> None:
        self._again, self._initialized, self._deadline = False, False, None
        self.containers = {name: w for name, w in self.containers.items() if w.role == "ephemeral"}
        for record in self.records.values():
            record.start_over()
        self.changed()

    async def _clean_up(self) -> None:
        self.abandon()
        if self._sandbox is not None:
            await self.node.runtime.remove_sandbox(self._sandbox)
        self._sandbox_ready = False
        self.keeper.volumes.tear_down()
        for record in self.records.values():
            record.settle()
        self.ended = True
        self.changed()

    # -- changes from outside

    def objects_changed(self) -> None:
        """A ConfigMap or Secret of the pod has changed."""
        for worker in self.containers.values():
            worker.objects_changed()

    def _watch_deadline(self) -> None:
        """activeDeadlineSeconds counts from when the node accepted the pod."""
        seconds = self.pod["spec"].get("activeDeadlineSeconds")
        if seconds is not None:
            end = parse_time(self._start_time) + timedelta(seconds=seconds)
            left = (end - self.node.clock.now()).total_seconds()
            self.set_timer("deadline", left, self._exceed_deadline)

    def _exceed_deadline(self) -> None:
        if not self._terminating:
            self.event(*DEADLINE_EXCEEDED, "Normal")
        self.terminate(self.grace_period, DEADLINE_EXCEEDED)

    def _spec_changed(self, old: Doc) -> None:
        spec = self.pod["spec"]
        changed = spec.get("activeDeadlineSeconds") != old["spec"].get("activeDeadlineSeconds")
        if changed and self._forget_objects is not None:
            self._watch_deadline()
        was = allocation_of(old["spec"])
        if resized := was != allocation_of(spec):
            self.resize = self.resize or PodResize(self, was)
        for field in FIELDS:
            for container in self.allocated["spec"].get(field) or ():
                self._container_changed(container, field)
        self.keeper.refresh_soon()  # resources are in downward API volumes
        if resized:
            self.node.resizes.push(self)

    def _container_changed(self, container: Doc, field: str) -> None:
        name = container["name"]
        worker = self.containers.get(name)
        if worker is not None:
            replaced = worker.spec["image"] != container["image"]
            worker.spec = container
            if replaced and worker.role in ("app", "sidecar") and not self._terminating:
                self.spawn(worker.replace)
        elif name not in self.records:
            self.records[name] = ContainerRecord(name, role_of(container, field))
            self._start_beside(container)

    def surroundings(self) -> Surroundings:
        return Surroundings(self.node.address, self._pod_ips, self.node.allocatable)
