"""One node's agent: registers the node, takes its pods, and keeps a worker for each.

    async with create_task_group() as group:
        group.start_soon(kubelet.run)

It knows only the client, the informers and a runtime. Many kubelets may have one `Commons`, so that a pod event
reaches the one kubelet it concerns, and one timer and one writer do for all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from random import Random

import anyio
import anyio.abc
from anyio.abc import ByteStream

from minik8s.api.metrics import ContainerUsage
from minik8s.api.pods import is_terminal
from minik8s.api.staticpods import is_mirror, pod_id
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.kubelet import eviction, shutdown
from minik8s.kubelet.admission import Claim, admit, claim_of
from minik8s.kubelet.commons import Commons
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.crew import Crew
from minik8s.kubelet.eviction import Pressure
from minik8s.kubelet.logs import chosen_container_id
from minik8s.kubelet.metering import Meters
from minik8s.kubelet.node import DEFAULT_CAPACITY
from minik8s.kubelet.node_agent import NodeAgent
from minik8s.kubelet.phase import is_starting
from minik8s.kubelet.pod_dns import Resolver
from minik8s.kubelet.pod_status import rejected_status
from minik8s.kubelet.pod_worker import PodWorker
from minik8s.kubelet.resize_plan import Refusal, refusal
from minik8s.kubelet.resizes import Resizes
from minik8s.kubelet.runtime.protocol import Container, LogOptions, Runtime, Sandbox, Session, StartError
from minik8s.kubelet.static_pods import StaticPods, StaticPodWorker
from minik8s.kubelet.status import SettledPod, StatusManager
from minik8s.kubelet.storage import storage_limits, watch_storage
from minik8s.machinery.causes import CAUSE, Cause
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, rfc3339, uid_of

COMPONENT = "kubelet"


class Kubelet:
    """The agent of the node `node_name`.

    `labels` and `taints` are the node's own at registration, `capacity` its resources (allocatable is the same),
    `address` its InternalIP, `cluster_dns` the address of the cluster's DNS. `commons` is shared by the kubelets of a
    cluster, which runs it; without it the kubelet has its own. `files` False spares a runtime without processes the
    volumes' files and tokens. `boot` counts how often the machine has been started anew. `staged` are the kinds, Node
    or Pod, that stages lead instead. `static_pods` are folders of manifests. `run` closes the runtime at its end.
    """

    def __init__(
        self,
        *,
        node_name: str,
        client: Client,
        informers: Informers,
        clock: Clock,
        rng: Random,
        recorders: Recorders,
        runtime: Runtime,
        directory: Path,
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Doc] = (),
        capacity: Mapping[str, str] | None = None,
        address: str = "127.0.0.1",
        commons: Commons | None = None,
        files: bool = True,
        cluster_dns: str = "",
        resolver: Callable[[], Resolver] = Resolver,
        boot: int = 0,
        staged: Collection[str] = (),
        static_pods: Sequence[Path] = (),
    ) -> None:
        signed = client.as_component(COMPONENT, f"system:node:{node_name}", ["system:nodes"])
        capacity = {**DEFAULT_CAPACITY, **(capacity or {})}
        self.name = node_name
        self._is_alone = commons is None
        self._commons = commons or Commons(informers, clock)
        self.node = NodeContext(
            name=node_name,
            address=address,
            client=signed,
            clock=clock,
            rng=rng,
            recorder=recorders.recorder(COMPONENT, node_name, signed),
            runtime=runtime,
            directory=directory,
            dispatch=self._commons.dispatch,
            statuses=StatusManager(signed, clock, self._commons.writers),
            allocatable=capacity,
            memory=self._commons.memory,
            resizes=Resizes(clock, self._resize_refused),
            files=files,
            cluster_dns=cluster_dns,
            resolver=resolver,
        )
        self.agent = NodeAgent(
            self.node,
            labels=labels or {},
            taints=taints,
            capacity=capacity,
            boot=boot,
            reports="Node" not in staged,
            lease_seconds=self._commons.lease_seconds,
        )
        self._leads_pods = "Pod" not in staged
        self._static = StaticPods(self.node, self.agent, self, static_pods)
        self._runs_static = False
        self.workers: dict[str, PodWorker] = {}
        self._settled: dict[str, SettledPod] = {}
        self._meters = Meters(clock)
        self._group: anyio.abc.TaskGroup | None = None
        self._subscriptions: list[Callable[[], None]] = []
        self._leave: Callable[[], None] | None = None
        self._scope = anyio.CancelScope()
        self._crew = Crew(f"{node_name} pods")
        self._an_end = anyio.Event()
        self.ended = anyio.Event()

    async def run(self) -> None:
        """Registers the node and runs its pods until cancelled or stopped; then nothing of them is left."""
        with self._scope:
            await self._run()

    async def _run(self) -> None:
        try:
            await self.node.dispatch.synced()
            await self.agent.register()
            async with anyio.create_task_group() as self._group:
                if self._is_alone:
                    self._group.start_soon(self._commons.run, name=f"{self.name} commons")
                self._leave = self._commons.heartbeats.join(self.agent)
                self.connect()
                await anyio.sleep_forever()
        finally:
            if self._leave is not None:
                self._leave()
            self.node.resizes.close()
            self.node.statuses.close()
            self.disconnect()
            for worker in self.workers.values():
                worker.abandon()
            self._group = None
            with anyio.CancelScope(shield=True):
                await self.node.runtime.aclose()
            self.ended.set()

    # -- what can befall a node

    def stop(self) -> None:
        """The machine is gone: `run` returns, and `ended` is set once nothing of its containers is left."""
        self._scope.cancel()

    def disconnect(self) -> None:
        """Hears nothing more of its node and pods; what runs goes on."""
        for remove in self._subscriptions:
            remove()
        self._subscriptions = []

    def connect(self) -> None:
        """Hears of them again, and takes note of what it has missed."""
        self.disconnect()
        self.agent.observe(None, self.node.dispatch.node_informer.lister.get(self.name))
        pods = self.node.dispatch.pod_informer.lister.by_index("node", self.name)
        there = {*map(uid_of, pods)} | self._static.uids
        for uid in [uid for uid in (*self.workers, *self._settled) if uid not in there]:
            self._pod_removed(uid)
        self._subscriptions = self._subscribe()
        self.node.resizes.retry()

    async def shut_down(self, seconds: float, critical_seconds: float) -> None:
        """Ends all pods, as the machine is about to be switched off; returns when that is done (`shutdown`)."""
        self.agent.shutting_down = True
        await self.agent.report()
        plan = shutdown.stages(seconds, critical_seconds)
        await shutdown.end_pods(self.workers.values, lambda: self._an_end.wait(), plan)
        await self.node.statuses.written()

    def press(self, pressure: Pressure, on: bool) -> None:
        """The node is short of something, or not any more: it says so, and as long as it is pods are evicted."""
        pressures = self.agent.pressures
        was = pressure.condition in pressures
        (pressures.add if on else pressures.discard)(pressure.condition)
        if self._group is not None and on != was:
            self._group.start_soon(eviction.relieve, pressure, self.node, self.agent, self.workers.values)

    def kill_container(self, pod: Doc, container: str, *, out_of_memory: bool = False) -> None:
        """SIGKILL from the machine. Raises BadRequest when the container does not run."""
        self.running_container(pod, container)
        run = self.worker(pod).containers[container].running
        assert run is not None
        run.kill_now(out_of_memory=out_of_memory)

    # -- what the API server's node connector asks for

    def logs(
        self,
        pod: Doc,
        container: str,
        *,
        previous: bool = False,
        follow: bool = False,
        tail_lines: int | None = None,
        since: datetime | None = None,
        timestamps: bool = False,
        limit_bytes: int | None = None,
    ) -> AsyncIterator[bytes]:
        """A container's output. Raises BadRequest, at once, when there is none."""
        worker = self.worker(pod)
        now = rfc3339(self.node.clock.now())
        container_id = chosen_container_id({**worker.pod, "status": worker.status(now)}, container, previous=previous)
        known = worker.containers.get(container)
        for run in known.runs if known else ():
            if run.container_id == container_id:
                options = LogOptions(follow, tail_lines, since, timestamps, limit_bytes)
                return self.node.runtime.logs(run.config.log_path, options, container=run.container)
        raise BadRequest(f"unable to retrieve container logs for {container_id}")

    async def exec(self, pod: Doc, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        """A command in a running container. Raises BadRequest when there is none."""
        _, running = self.running_container(pod, container)
        try:
            return await self.node.runtime.open(running, command, stdin=stdin, tty=tty)
        except StartError as error:
            raise BadRequest(f"error executing command in container: {error.message}") from error

    async def attach(self, pod: Doc, container: str) -> Session:
        """A running container's own streams. Raises BadRequest when there is none."""
        _, running = self.running_container(pod, container)
        try:
            return await self.node.runtime.attach(running)
        except StartError as error:
            raise BadRequest(f"error attaching to container: {error.message}") from error

    async def port_forward(self, pod: Doc, port: int) -> ByteStream:
        """A connection to a port of a running pod. Raises OSError, BadRequest when it does not run."""
        return await self.node.runtime.connect(self.worker(pod).sandbox, port)

    def running_container(self, pod: Doc, container: str) -> tuple[Sandbox, Container]:
        """The running container of that name, for exec and attach. Raises BadRequest when it does not run."""
        worker = self.worker(pod)
        known = worker.containers.get(container)
        run = known.running if known else None
        if run is None or run.container is None:
            raise BadRequest(f'container not found ("{container}")')
        return worker.sandbox, run.container

    def usage(self, pod: Doc) -> dict[str, ContainerUsage]:
        """What the pod's running containers use, as far as the runtime can tell; nothing for a pod that is not here."""
        worker = self.workers.get(pod_id(pod))
        return {} if worker is None else self._meters.read(worker)

    def busy(self) -> Iterator[str]:
        """What pods are on their way to, in words: to run, or to end. One that backs off only waits for time."""
        for worker in [worker for worker in self.workers.values() if not worker.ended]:
            name = f"{namespace_of(worker.pod)}/{name_of(worker.pod)}"
            if is_terminating(worker.pod):
                yield f"pod {name} is ending on {self.name}"
            elif is_starting(worker.status(rfc3339(self.node.clock.now()))):
                yield f"pod {name} is starting on {self.name}"

    def worker(self, pod: Doc) -> PodWorker:
        """The pod's worker. Raises BadRequest for a pod that this kubelet never ran."""
        worker = self.workers.get(pod_id(pod))
        if worker is None:
            raise BadRequest(f'pod "{name_of(pod)}" cannot be found - no logs available')
        return worker

    # -- pods

    def _subscribe(self) -> list[Callable[[], None]]:
        """Hears of the node and its pods from now on, and takes the pods that there are; returns the removals."""
        dispatch = self.node.dispatch
        removals = [dispatch.nodes.subscribe(self.name, self.agent.observe)]
        if not self._leads_pods:
            return removals
        removals.append(dispatch.pods.subscribe(self.name, self._pod_changed))
        for pod in dispatch.pod_informer.lister.by_index("node", self.name):
            self._pod_changed(None, pod)
        if self._static.folders:
            self._mirror_changed()
        return removals

    def _pod_changed(self, old: Doc | None, new: Doc | None) -> None:
        if self._group is None:
            return
        if is_mirror(new or old or {"metadata": {}}):
            self._mirror_changed()
            return
        if old is not None and (new is None or uid_of(new) != uid_of(old)):
            self._pod_removed(uid_of(old))
        if new is None:
            return
        known = self.workers.get(uid_of(new)) or self._settled.get(uid_of(new))
        if known is None:
            self._pod_added(new)
        elif known.update(new):
            self.node.statuses.mark(known)

    def _pod_added(self, pod: Doc) -> None:
        assert self._group is not None
        if is_terminal(pod):
            self._settle(SettledPod(pod))
            return
        claim = claim_of(pod)
        resumed = bool((pod.get("status") or {}).get("startTime"))
        rejected = None if resumed else self.rejected(pod, claim)
        if rejected is not None:
            self._settle(SettledPod(pod, rejected))
            return
        worker = PodWorker(self.node, pod, claim)
        if is_terminating(pod):
            worker.terminate(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0))
        self.lead(worker)

    def rejected(self, pod: Doc, claim: Claim) -> Obj | None:
        """The status of a pod that the node does not admit."""
        agent = self.agent
        rejection = shutdown.REJECTION if agent.shutting_down else eviction.turned_away(pod, agent.pressures)
        rejection = rejection or admit(pod, claim, self._claims(), agent.node)
        if rejection is None:
            return None
        self.node.recorder.event(pod, "Warning", rejection.reason, rejection.message)
        return rejected_status(pod, rejection.reason, rejection.message, rfc3339(self.node.clock.now()))

    def _claims(self, but: PodWorker | None = None) -> list[Claim]:
        """What the node's pods take; those that are gone by force count no more."""
        return [w.claim for w in self.workers.values() if not (w.ended or w.gone) and w is not but]

    def _resize_refused(self, worker: PodWorker) -> Refusal | None:
        return refusal(worker.pod, claim_of(worker.pod), self._claims(worker), self.agent.node)

    def lead(self, worker: PodWorker) -> None:
        """Runs a pod that has been admitted."""
        assert self._group is not None
        self.workers[uid_of(worker.pod)] = worker
        if worker.resize is not None:
            self.node.resizes.add(worker)
        self._crew.run_in(self._group)
        worker.led_by(self._see_to)
        self._see_to(worker)
        if self.node.files and (limits := storage_limits(worker.pod)) is not None:
            self._group.start_soon(watch_storage, self.node, worker, limits)

    def _see_to(self, worker: PodWorker) -> None:
        self._crew.add(partial(self._lead, worker, CAUSE.get()))

    async def _lead(self, worker: PodWorker, cause: Cause | None) -> None:
        CAUSE.set(cause)
        await worker.run()
        if not worker.ended:
            return  # it rests
        ended, self._an_end = self._an_end, anyio.Event()
        ended.set()
        self.node.resizes.retry()
        if worker.gone:
            self.forget(worker)
        elif isinstance(worker, StaticPodWorker):
            self._static.touch()

    def _pod_removed(self, uid: str) -> None:
        """The object is gone: after a graceful end, or by force."""
        if (settled := self._settled.pop(uid, None)) is not None:
            settled.gone = True
        if (worker := self.workers.get(uid)) is not None:
            worker.vanish()
            self.node.resizes.retry()
            if worker.ended:
                self.forget(worker)

    def forget(self, worker: PodWorker) -> None:
        """Removes what is left of a pod that has ended."""
        self.workers.pop(uid_of(worker.pod), None)
        worker.forget()

    def _mirror_changed(self) -> None:
        self._static.touch()
        if not self._runs_static and self._group is not None:
            self._runs_static = True
            self._group.start_soon(self._static.run, name=f"{self.name} static pods")

    def _settle(self, pod: SettledPod) -> None:
        self._settled[uid_of(pod.pod)] = pod
        self.node.statuses.mark(pod)
