"""The nodes of a cluster: kubelets with their runtimes, and the way from the API server to a pod's output.

All nodes of a cluster share what belongs to the machine: one fork server, one pool of pod addresses, one image
registry, and what kubelets have in common (`kubelet.commons`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import anyio
from anyio.abc import ByteStream, TaskGroup

from minik8s.api.metrics import ContainerUsage
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.config import ClusterConfig
from minik8s.dns import dns_address
from minik8s.kubelet.commons import Commons
from minik8s.kubelet.kubelet import Kubelet
from minik8s.kubelet.pod_dns import Resolver, parse, seen_from_pods
from minik8s.kubelet.runtime.addresses import Addresses, AddressPool, machine_addresses, no_claim
from minik8s.kubelet.runtime.dialing import connect_tcp, plain
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.processes import Spawner
from minik8s.kubelet.runtime.protocol import Runtime, Session
from minik8s.kubelet.runtime.simulated import Hosted, SimulatedRuntime
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime
from minik8s.kubelet.server import Answer, answer
from minik8s.machinery.errors import ServiceUnavailable
from minik8s.machinery.meta import Doc

if TYPE_CHECKING:
    from minik8s.kubelet.runtime.network import PodNetwork
    from minik8s.kubelet.stages.stage import Stage

RESOLV_CONF = Path("/etc/resolv.conf")
MACHINE = "127.0.0.1"
"""The address of nodes whose pods share this machine's network."""


def node_name(index: int) -> str:
    """The name of one of the nodes with which a cluster starts, the first of which has the index 0."""
    return f"node-{index + 1}"


class NodePool:
    """Kubelets by node name; it is the API server's `NodeConnector`."""

    def __init__(
        self,
        config: ClusterConfig,
        *,
        client: Client,
        informers: Informers,
        clock: Clock,
        rng: Random,
        recorders: Recorders,
        directory: Path,
    ) -> None:
        self._config, self._client, self._informers = config, client, informers
        self._clock, self._rng, self._recorders = clock, rng, recorders
        self._directory = directory
        self._commons = Commons(informers, clock, config.lease_seconds)
        self._commons_run = False
        self._stages: Mapping[str, Sequence[Stage]] = {}
        self._spawner: Spawner | None = None
        self._network: PodNetwork | None = None
        self._why_shared = ""
        self.why_unfiltered = ""
        """Why NetworkPolicies are not asked about packets, "" where they are or pods have no network of their own."""
        self._addresses: Addresses
        self._registry = ImageRegistry(
            config.images, directory=directory / "images", mountable=config.runtime == "sandbox"
        )
        self.kubelets: dict[str, Kubelet] = {}
        self._lost: dict[str, Kubelet] = {}
        self._boots: dict[str, int] = {}
        self.unreachable: set[str] = set()
        """Nodes with a kubelet that no call reaches."""
        self.hosted: Hosted = {}
        """Containers that run Python code of this process."""
        self._group: TaskGroup

    @property
    def shortcomings(self) -> list[str]:
        """What pods have not, for want of something on this machine: sentences, each with the reason."""
        if self._network is None:
            return []
        reasons = {
            "Pods do not reach hosts outside of the cluster": self._network.why_closed,
            "NetworkPolicies are asked for connections to Services only": self.why_unfiltered,
            "Containers see all processes of this machine": self._why_shared,
        }
        return [f"{what}: {why}" for what, why in reasons.items() if why]

    @property
    def machine(self) -> str:
        """The address at which pods find this machine, "" where they do not."""
        if self._network is None:
            return MACHINE if self._config.runtime == "subprocess" else ""
        return "" if self._network.why_closed else self._network.plan.machine

    @property
    def network(self) -> PodNetwork | None:
        """The pods' network where they have one of their own."""
        return self._network

    async def open(self, stack: AsyncExitStack) -> None:
        """Takes what the nodes share; `stack` gives it back, and must outlive every kubelet.

        Raises SandboxUnavailable where the sandbox runtime is wanted and this machine does not let us.
        """
        config = self._config
        stack.callback(self._commons.memory.close)
        stack.callback(self._registry.close)
        if config.stages:
            from minik8s.kubelet.stages.manifest import by_kind, load_stages

            self._stages = by_kind(load_stages(config.stages))
        if config.runtime == "sandbox":
            await self._open_sandbox(stack)
            return
        if config.runtime == "simulated":
            self._addresses = AddressPool(config.pod_cidr, self._rng, claim=no_claim)
        else:
            self._addresses = machine_addresses(config.pod_cidr, self._rng)
            if config.nodes:
                self._spawner = Spawner()
                self._spawner.start()
                stack.push_async_callback(self._spawner.aclose)
        stack.callback(self._addresses.close)

    async def _open_sandbox(self, stack: AsyncExitStack) -> None:
        """A refusal instead of another runtime: who asks for isolation must not get less without knowing it."""
        from minik8s.kubelet.runtime.feasibility import SandboxUnavailable, examine
        from minik8s.kubelet.runtime.network import RESERVED, PodNetwork

        config = self._config
        found = await examine()
        if found.impossible:
            raise SandboxUnavailable(found.impossible)
        self.why_unfiltered, self._why_shared = found.unfiltered, found.shared
        self._addresses = AddressPool(config.pod_cidr, self._rng, claim=no_claim, reserved=RESERVED)
        stack.callback(self._addresses.close)
        self._spawner = Spawner(isolated=True)
        stack.push_async_callback(self._spawner.aclose)
        self._network = PodNetwork(self._spawner, config.pod_cidr, config.service_cidr, config.load_balancer_cidr)
        stack.callback(self._network.close)
        await self._network.open()
        await self._network.open_way_out()

    def start(self, group: TaskGroup) -> None:
        """Starts the configured number of nodes."""
        self._group = group
        for index in range(self._config.nodes):
            self.add(group, node_name(index))

    def add(self, group: TaskGroup, name: str) -> Kubelet:
        """Starts one more node."""
        kubelet = Kubelet(
            node_name=name,
            client=self._client,
            informers=self._informers,
            clock=self._clock,
            rng=self._rng,
            recorders=self._recorders,
            runtime=self._runtime(name),
            address=self._network.node(name).address if self._network is not None else MACHINE,
            directory=self._directory / name,
            commons=self._commons,
            files=self._config.runtime != "simulated",
            cluster_dns=dns_address(self._config.service_cidr) if self._network is not None else "",
            resolver=self._resolver,
            boot=self._boots.get(name, 0),
            staged=self._stages,
            static_pods=self._static_pods(name),
        )
        self._run_commons(group)
        self.kubelets[name] = kubelet
        group.start_soon(self._run, kubelet, name=f"kubelet {name}")
        return kubelet

    def _resolver(self) -> Resolver:
        """The nodes' resolv.conf: the machine's, with servers that pods can reach."""
        if self._network is None:  # no pod has a file of its own
            return Resolver()
        text = RESOLV_CONF.read_text() if RESOLV_CONF.exists() else ""
        return seen_from_pods(parse(text), "" if self._network.why_closed else self._network.plan.resolver)

    async def _run(self, kubelet: Kubelet) -> None:
        """A node is in the pods' network before anybody hears of it."""
        if self._network is not None:
            await self._network.node(kubelet.name).open()
        await kubelet.run()

    def _static_pods(self, name: str) -> tuple[Path, ...]:
        """The folders with the manifests of a node's static pods; the first node has those that name none."""
        folder = self._config.static_pod_path
        if folder is None:
            return ()
        return (folder, folder / name) if name == node_name(0) else (folder / name,)

    def _run_commons(self, group: TaskGroup) -> None:
        """Starts what the nodes share with the first of them: a cluster without nodes is spared it."""
        if not self._commons_run:
            self._commons_run = True
            if self._network is not None:
                group.start_soon(self._network.run, self._clock, name="pods' network")
            group.start_soon(self._commons.run, name="nodes")
            if self._stages:
                group.start_soon(self._play_stages, name="stages")

    async def _play_stages(self) -> None:
        """Leads nodes and pods by stages, until cancelled."""
        from minik8s.kubelet.stages.player import play

        await play(
            self._stages,
            client=self._client,
            clock=self._clock,
            rng=self._rng,
            recorders=self._recorders,
            commons=self._commons,
            has_node=self.has_node,
            addresses=self._addresses,
        )

    def _runtime(self, node: str) -> Runtime:
        if self._config.runtime == "simulated":
            return SimulatedRuntime(
                clock=self._clock,
                rng=self._rng,
                addresses=self._addresses,
                hosted=self.hosted,
                coroutines=self._config.coroutines,
            )
        if self._network is not None and self._spawner is not None:
            from minik8s.kubelet.runtime.sandbox import SandboxRuntime

            return SandboxRuntime(
                clock=self._clock,
                rng=self._rng,
                images=self._registry,
                addresses=self._addresses,
                spawner=self._spawner,
                network=self._network,
                node=self._network.node(node),
                apart=not self._why_shared,
            )
        return SubprocessRuntime(
            clock=self._clock,
            rng=self._rng,
            images=self._registry,
            addresses=self._addresses,
            spawner=self._spawner,
        )

    @property
    def names(self) -> list[str]:
        """All nodes of the cluster, those that are lost as well."""
        return sorted([*self.kubelets, *self._lost], key=lambda name: (len(name), name))

    def runs(self, name: str) -> bool:
        """Whether the node is one of these and not lost."""
        return name in self.kubelets

    def lose(self, name: str) -> None:
        """The machine is gone, with its kubelet and everything that ran on it. Raises KeyError if it is already."""
        kubelet = self._lost[name] = self.kubelets.pop(name)
        kubelet.stop()

    def shut_down(self, name: str, seconds: float, critical_seconds: float) -> Callable[[], None]:
        """Ends the node's pods within so many seconds, then it is lost; the answer has it boot when that is over."""
        kubelet, wakes = self.kubelets[name], anyio.Event()

        async def run() -> None:
            await kubelet.shut_down(seconds, critical_seconds)
            if self.kubelets.get(name) is kubelet:
                self.lose(name)
                await wakes.wait()
                self.boot(name)

        self._group.start_soon(run, name=f"shutdown of {name}")
        return wakes.set

    def boot(self, name: str) -> None:
        """A lost machine starts again, as soon as the end of its former self is complete."""
        if name in self._lost:
            self._group.start_soon(self._boot, name, name=f"boot of {name}")

    async def _boot(self, name: str) -> None:
        await self._lost[name].ended.wait()
        if self._lost.pop(name, None) is not None:
            self._boots[name] = self._boots.get(name, 0) + 1
            self.add(self._group, name)

    def signal(self, pod: Doc, container: str, name: str) -> None:
        """Sends a signal to a running container, as if the machine had. Raises ApiError when it does not run."""
        self._kubelet(pod, "its containers").running_container(pod, container)[1].signal(name)

    def kill(self, pod: Doc, container: str, *, out_of_memory: bool = False) -> None:
        """Kills a running container, as the machine would. Raises ApiError when it does not run."""
        self.kubelets[pod["spec"]["nodeName"]].kill_container(pod, container, out_of_memory=out_of_memory)

    def busy(self) -> list[str]:
        """The pods with real processes that start or end just now; simulated ones only wait for time."""
        if self._config.runtime == "simulated":
            return []
        return [text for kubelet in self.kubelets.values() for text in kubelet.busy()]

    async def connect(self, host: str, port: int) -> ByteStream:
        """A connection to a pod's address, in whatever network it is, or to any other. Raises OSError."""
        return await connect_tcp(host, port, plain if self._network is None else self._network.make_socket)

    def kubelet(self, node: str, method: str, path: str, options: Mapping[str, str]) -> Answer:
        """What a node's kubelet says by HTTP. Raises ApiError."""
        return answer(self.kubelets[node], method, path, options)

    def has_node(self, name: str) -> bool:
        """Whether the node is one of these."""
        return name in self.kubelets and name not in self.unreachable

    def usage(self, pod: Doc) -> Mapping[str, ContainerUsage]:
        """What the pod's containers use; nothing where its node is not one of these."""
        kubelet = self.kubelets.get(pod["spec"].get("nodeName") or "")
        return kubelet.usage(pod) if kubelet is not None else {}

    async def exec(self, pod: Doc, container: str, command: Sequence[str], *, stdin: bool, tty: bool) -> Session:
        """A command in a running container. Raises ApiError."""
        return await self._kubelet(pod, "exec").exec(pod, container, command, stdin=stdin, tty=tty)

    async def attach(self, pod: Doc, container: str) -> Session:
        """A running container's own streams. Raises ApiError."""
        return await self._kubelet(pod, "attach").attach(pod, container)

    async def port_forward(self, pod: Doc, port: int) -> ByteStream:
        """A connection to a port of a pod. Raises OSError or ApiError."""
        return await self._kubelet(pod, "port-forward").port_forward(pod, port)

    def _kubelet(self, pod: Doc, what: str) -> Kubelet:
        name = pod["spec"]["nodeName"]
        if not self.has_node(name):
            raise ServiceUnavailable(f'node "{name}" does not serve {what}')
        return self.kubelets[name]

    def logs(
        self,
        pod: Doc,
        container: str,
        *,
        previous: bool,
        follow: bool,
        tail_lines: int | None,
        since: datetime | None,
        timestamps: bool,
        limit_bytes: int | None,
    ) -> AsyncIterator[bytes]:
        """A container's output from the pod's node. Raises ServiceUnavailable when the node is not one of these."""
        return self._kubelet(pod, "logs").logs(
            pod,
            container,
            previous=previous,
            follow=follow,
            tail_lines=tail_lines,
            since=since,
            timestamps=timestamps,
            limit_bytes=limit_bytes,
        )
