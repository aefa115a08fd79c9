"""One container's life: image, configuration, start, hooks and probes, exit, and again or not.

The worker is either leading the container's life (`run`) or ending it (`stop`), never both: `stop` first makes `run`
leave and then takes over whatever is running. What the container needs of its pod is the `ContainerHost` protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio

from minik8s.api.restart import Verdict, after_exit
from minik8s.client.events import EventKind
from minik8s.kubelet.backoff import INITIAL, as_duration, restart_delay
from minik8s.kubelet.container_config import ContainerHost, container_config, memory_limit_in
from minik8s.kubelet.container_run import ContainerRun, Turn
from minik8s.kubelet.container_status import ContainerRecord, terminated_state
from minik8s.kubelet.deadline import Deadline
from minik8s.kubelet.env import ConfigError
from minik8s.kubelet.images import PullFailure
from minik8s.kubelet.latch import Latch
from minik8s.kubelet.logs import remove_logs
from minik8s.kubelet.pod_spec import FIELD_OF, full_name
from minik8s.kubelet.prober import Prober
from minik8s.kubelet.probes import Probe, declared
from minik8s.kubelet.runtime.protocol import (
    ContainerConfig,
    Exit,
    Image,
    ProbeResult,
    StartError,
)
from minik8s.kubelet.termination_message import message_limit
from minik8s.machinery.meta import Doc, Obj

SYNC_SECONDS = 1.0
"""How long ErrImagePull shows before it becomes ImagePullBackOff: until the agent's next look at the pod."""


class ContainerWorker:
    """Leads one container of a pod."""

    def __init__(self, host: ContainerHost, spec: Doc, record: ContainerRecord) -> None:
        self.host = host
        self.spec = spec
        self.record = record
        self.role = record.role
        record.can_be_recursive = host.node.runtime.has_recursive_read_only
        self.runs: list[ContainerRun] = []
        self.attempted = Latch()
        self.started = Latch()
        self.stopped = Latch()
        self._scope: anyio.CancelScope | None = None
        self._is_stopped = False
        self._began = 0.0
        self.is_resting = False  # it has left its task while the container runs: `run` goes on from there
        self._left: Latch | None = None
        self._pause = Latch()
        self._waits_for_objects = False
        self._delay: float | None = None
        self._ran = 0.0
        self._tried = bool(record.exits)
        self._replaced = False
        self.is_restarting = False
        """Whether it has been told to start anew and has not yet."""
        self._unseen: Obj | None = None
        self._prober: Prober | None = None

    @property
    def running(self) -> ContainerRun | None:
        """The run whose container has not been seen to end."""
        run = self.runs[-1] if self.runs else None
        return run if run is not None and run.container is not None else None

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def resources(self) -> Doc:
        """With which resources it runs, or would."""
        held = self.record.resources if self.running is not None else None
        return (self.spec.get("resources") or {}) if held is None else held

    def event(self, type_: EventKind, reason: str, message: str) -> None:
        path = f"spec.{FIELD_OF[self.role]}{{{self.record.name}}}"
        self.host.node.recorder.event(self.host.pod, type_, reason, message, field_path=path)

    # -- leading

    async def run(self) -> None:
        """Leads the container's life until it has ended for good or `stop` takes over, or until it may rest."""
        if self._is_stopped:
            return
        left = self._left = Latch()
        try:
            with anyio.CancelScope() as self._scope:
                await self._lead()
        finally:
            self._scope = None
            self.attempted.set()
            left.set()

    async def _lead(self) -> None:
        if self.record.state == "terminated" and self._verdict() is not Verdict.RESTART:
            return
        while True:
            await self._run_once()
            if self.is_resting:
                return
            self.attempted.set()
            verdict = self._verdict()
            if verdict is Verdict.RESTART_ALL:
                self.host.restart_all()
            if verdict is not Verdict.RESTART:
                return
            await self._back_off()

    def _verdict(self) -> Verdict:
        if self._replaced:
            return Verdict.RESTART
        policy = self.host.pod["spec"].get("restartPolicy") or "Always"
        return after_exit(policy, self.spec, self.role, self.record.exit_code or 0)

    async def _run_once(self) -> None:
        """One run, from the image to the exit; or from where it rested, to there or until it may rest again."""
        run, hooked = self.running if self.is_resting else None, True
        if run is None:
            self._replaced = False
            try:
                run = await self._start()
            finally:
                self.is_restarting = False
            if run is None or run.container is None:
                return
            self._began = self.host.node.clock.monotonic()
            hooked = await self._post_start(run)
            self.attempted.set()  # the next container may start
            if hooked:
                self._is_up(run)
        self.is_resting = hooked and not await self._live(run)
        if not self.is_resting:
            await self._ended(run, show=not self._replaced)
            self._ran = self.host.node.clock.monotonic() - self._began

    async def _back_off(self) -> None:
        """Waits as crash-loop back-off wants it."""
        if self._replaced:
            self._delay = None
            return
        self._delay = restart_delay(self._delay, self._ran)
        if not self._delay:
            return
        pod = full_name(self.host.pod)
        name = self.record.name
        self.event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {pod}")
        text = f"back-off {as_duration(self._delay)} restarting failed container={name} pod={pod}"
        self._wait("CrashLoopBackOff", text)
        await self._sleep(self._delay)

    def _wait(self, reason: str, message: str) -> None:
        self._show_end()
        self.record.wait(reason, message)
        self.host.changed()

    async def _sleep(self, seconds: float, *, objects: bool = False) -> None:
        """Waits, but not on when the container's definition changes, or with `objects` what it refers to."""
        self.attempted.set()
        self._waits_for_objects = objects
        self._pause = Latch()
        with anyio.move_on_after(seconds):
            await self._pause.wait()

    def objects_changed(self) -> None:
        """A ConfigMap or Secret of the pod has changed: a configuration error may be cured."""
        if self._waits_for_objects:
            self._pause.set()

    # -- starting

    async def _start(self) -> ContainerRun | None:
        """Starts the container, trying again for as long as it takes; None when it failed to run at all."""
        while True:
            image = await self._image()
            try:
                env = await self.host.environment(self.spec)
                spec = self.spec
                config = container_config(self.host, spec, image, env, self._attempt())
                return await self._launch(spec, config, image)
            except ConfigError as error:
                self.event("Warning", "Failed", f"Error: {error}")
                self._wait("CreateContainerConfigError", str(error))
                await self._sleep(INITIAL, objects=True)
            except StartError as error:
                self.event("Warning", "Failed", f"Error: {error.message}")
                if error.reason != "CreateContainerError":
                    self._failed_to_run(error, image)
                    return None
                self._wait(error.reason, error.message)
                await self._sleep(INITIAL)

    async def _image(self) -> Image:
        images = self.host.images
        while True:
            try:
                return await images.ensure(self.host.pod, self.spec, self.event)
            except PullFailure as failure:
                self._wait(failure.reason, failure.message)
                if failure.reason != "ErrImagePull":
                    await self._sleep(INITIAL)
                    continue
                delay = images.back_off(failure.wanted.name)
                await self._sleep(SYNC_SECONDS)
                text = f'Back-off pulling image "{failure.wanted.name}"'
                failure.wanted.event("Normal", "BackOff", text)
                failure.wanted.event("Warning", "Failed", "Error: ImagePullBackOff")
                self._wait("ImagePullBackOff", f"{text}: {failure.reason}: {failure.message}")
                await self._sleep(delay - SYNC_SECONDS)

    def _attempt(self) -> int:
        return self.record.restart_count + 1 if self._tried else self.record.restart_count

    async def _launch(self, spec: Doc, config: ContainerConfig, image: Image) -> ContainerRun:
        """Starts a process; whoever cancels this finds it in `running`. Raises StartError."""
        runtime = self.host.node.runtime
        with anyio.CancelScope(shield=True):
            container = await runtime.start(self.host.sandbox, config)
            self._show_end()
            run = ContainerRun(self.host.node, self.host.sandbox, spec, container, self.event)
            self._count(config.attempt, image)
            self._remember(run)
            self.record.container_id, self.record.resources = run.container_id, spec.get("resources") or {}
        self.event("Normal", "Created", "Container created")
        self.event("Normal", "Started", "Container started")
        return run

    def _count(self, attempt: int, image: Image) -> None:
        self.record.restart_count, self._tried = attempt, True
        self.record.image, self.record.image_id = image.name, image.id

    def _remember(self, run: ContainerRun) -> None:
        """Keeps the logs of this run and of the one before."""
        for old in self.runs[:-1] if self.host.node.files else ():
            remove_logs(old.config.log_path)
        self.runs = [*self.runs[-1:], run]

    def _failed_to_run(self, error: StartError, image: Image) -> None:
        """A process that could not be executed counts as an exit with 128."""
        now = self.host.node.clock.now()
        self._show_end()
        self._count(self._attempt(), image)
        self.record.end(terminated_state(Exit(128, 0, now, now, "StartError"), "", error.message))
        if self._verdict() is Verdict.RESTART:
            self.record.wait("RunContainerError", error.message)
        self._ran = 0.0
        self.host.changed()

    # -- running

    async def _post_start(self, run: ContainerRun) -> bool:
        """Runs the postStart hook; a failure kills the container."""
        result = await run.post_start()
        if result.success:
            return True
        self.event("Warning", "FailedPostStartHook", "PostStartHook failed")
        self._wait("PostStartHookError", result.message)
        await run.kill(Deadline(self.host.grace_period), "FailedPostStartHook")
        return False

    def _is_up(self, run: ContainerRun) -> None:
        """Notes that the container runs; what has no probes counts as started and ready at once."""
        assert run.container is not None
        self.record.run(run.container_id, run.container.started_at)
        if not declared(self.spec):
            self.record.started = self.role != "init"
            self.record.ready = self.role not in ("init", "ephemeral")
            self.started.set()
            self.host.changed()

    async def _live(self, run: ContainerRun) -> bool:
        """From started to exited, with the probes in between; False if it may rest before that."""
        container = run.container
        assert container is not None
        probes = declared(self.spec)
        if not probes:
            if self.role == "app" and self.host.may_rest(container):
                return False
            await container.wait()
            return True
        prober = self._prober = self._make_prober(run, probes)
        self._take_verdicts()
        async with anyio.create_task_group() as group:
            prober.start(group)
            await container.wait()
            group.cancel_scope.cancel()
        return True

    def _make_prober(self, run: ContainerRun, probes: Mapping[Any, Probe]) -> Prober:
        async def check(probe: Probe) -> ProbeResult:
            return await run.probe(probe.handler, probe.timeout)

        async def kill(probe: Probe) -> None:
            grace = self.host.grace_period if probe.grace is None else probe.grace
            message = f"Container {self.record.name} failed {probe.kind} probe, will be restarted"
            await run.kill(Deadline(grace), message)

        clock = self.host.node.clock
        return Prober(probes, clock=clock, check=check, event=self.event, changed=self._take_verdicts, kill=kill)

    def _take_verdicts(self) -> None:
        if self._prober is None or self.record.state != "running":
            return
        self.record.started, self.record.ready = self._prober.started, self._prober.ready
        if self._prober.started:
            self.started.set()
        self.host.changed()

    # -- ending

    async def replace(self) -> None:
        """The container's definition has changed: restarts it whatever the policies say."""
        await self._restart(f"Container {self.record.name} definition changed, will be restarted")

    async def replace_resized(self) -> None:
        """The container has other resources, for which its resizePolicy wants a restart."""
        await self._restart(f"Container {self.record.name} resize requires restart")

    async def _restart(self, message: str) -> None:
        self._replaced = self.is_restarting = True
        run = self.running
        if run is None:
            self._pause.set()
            return
        await run.kill(Deadline(self.host.grace_period), message)

    async def resize(self, resources: Doc) -> None:
        """Has it live with other resources from now on, without a restart."""
        self.spec = {**self.spec, "resources": resources}
        container = self.running.container if self.running is not None else None
        if container is not None:
            await self.host.node.runtime.update(container, memory_limit_in(self.host.allocated, self.spec))
            self.record.resources = resources
        self.host.changed()

    async def stop(self, deadline: Deadline, turn: Turn | None = None) -> None:
        """Ends the container for good by `deadline`; its signal waits for its `turn`."""
        self._is_stopped = True
        if self._scope is not None:
            self._scope.cancel()
        if self._left is not None:
            await self._left.wait()
        run = self.running
        if run is not None:
            async with anyio.create_task_group() as group:
                if self._prober is not None and self.spec.get("readinessProbe"):
                    group.start_soon(self._prober.run, "readiness")
                await run.kill(deadline, f"Stopping container {self.record.name}", turn)
                group.cancel_scope.cancel()
            await self._ended(run)
        self._show_end()
        self.record.settle()
        self.stopped.set()

    async def _ended(self, run: ContainerRun, *, show: bool = True) -> None:
        """Records the exit, with `show` for all to see. May be begun again when it was cancelled.

        An agent ends what is replaced and starts the next in one look at the pod, and tells of both together.
        """
        container = run.container
        if container is None:
            return
        exit_ = await run.exit(container)
        spec = self.host.pod["spec"]
        limit = message_limit(len(spec["containers"]) + len(spec.get("initContainers") or ()))
        message = await run.last_words(exit_, limit)
        hook_error = self.record.waiting_reason == "PostStartHookError" and self.record.state == "waiting"
        waiting = (self.record.waiting_reason, self.record.waiting_message)
        self._unseen = terminated_state(exit_, run.container_id, message)
        run.container, self._prober = None, None
        if show:
            self._show_end()
            if hook_error and self._verdict() is Verdict.RESTART:
                self.record.wait(*waiting)
            self.host.changed()
        await self.host.node.runtime.remove(container)

    def _show_end(self) -> None:
        if self._unseen is not None:
            self.record.end(self._unseen)
            self._unseen = None
