"""What a test can make go wrong in a cluster, `cluster.faults`: at the server's door, and below it.

    with cluster.faults.refuse(409, verb="update", resource="deployments.apps", times=2): ...     # see RequestFaults

    with cluster.faults.node("node-1").lose():     # the machine is off; when the context ends it boots
        await cluster.advance(minutes=6)
    cluster.faults.node("node-2").partition()      # its containers run, but its kubelet reaches nobody
    cluster.faults.kill_container("web-0", "main", out_of_memory=True)
    cluster.faults.component("deployment").restart()

What befalls a node lasts until its context ends, `heal` is called, or the cluster ends. What does not exist is refused
where it is named, with a ValueError that says what there is.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Self

import attrs

from minik8s.api.request import ApiRequest
from minik8s.api.resources import PODS
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.faults import Inside, RequestFaults
from minik8s.apiserver.interception import Proceed
from minik8s.apiserver.response import ApiResponse
from minik8s.clock import TimerHandle
from minik8s.kubelet.eviction import DISK, MEMORY, Pressure
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc
from minik8s.machinery.suggest import unknown
from minik8s.nodes import NodePool


@attrs.frozen
class Component:
    """How to end one of the cluster's own components and to begin it anew."""

    crash: Callable[[], None]
    begin: Callable[[], None]


class Trouble:
    """Something that lasts: a context manager that heals it."""

    def __init__(self, heal: Callable[[], None], inside: Inside) -> None:
        self._heal: Callable[[], None] | None = heal
        self._inside = inside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.heal()

    def heal(self) -> None:
        """Ends it; harmless when it has ended."""
        if self._heal is not None:
            heal, self._heal = self._heal, None
            self._inside(heal)


class Faults(RequestFaults):
    """See the module's docstring."""

    def __init__(self, ctx: ServerContext, nodes: NodePool, components: Mapping[str, Component]) -> None:
        super().__init__(ctx)
        self._nodes, self._components = nodes, components

    def node(self, name: str) -> NodeFaults:
        """What can befall a node. Raises ValueError for one that the cluster does not run."""
        if name not in self._nodes.names:
            raise ValueError(unknown("node", name, self._nodes.names))
        return NodeFaults(self._ctx, self._nodes, name, self.inside)

    @property
    def components(self) -> list[str]:
        """What can crash."""
        return list(self._components)

    def component(self, name: str) -> ComponentFaults:
        """What can befall the scheduler or a controller (by its name in `ClusterConfig.controllers`).

        Raises ValueError for one that the cluster does not run.
        """
        if name not in self._components:
            raise ValueError(unknown("component", name, self._components))
        return ComponentFaults(self._components[name], self.inside)

    def kill_container(
        self, pod: str, container: str = "", *, namespace: str = "default", out_of_memory: bool = False
    ) -> None:
        """Kills a running container as the machine does: it ends with 137, by SIGKILL or as OOMKilled.

        `container` may be left out for a pod with one. Raises ValueError for a pod, container or node that there is
        not, and for a container that does not run.
        """
        world = self._ctx.world
        found = world.get(PODS, pod, namespace)
        if found is None:
            known = [other["metadata"]["name"] for other in world.list(PODS, namespace)]
            raise ValueError(f"{unknown('pod', pod, known)} in the namespace {namespace!r}")
        name, node = _container_of(found, container), found["spec"].get("nodeName") or ""
        if not self._nodes.runs(node):
            raise ValueError(f"pod {namespace}/{pod} runs on no node of this cluster" + (f" ({node})" if node else ""))
        try:
            self.inside(partial(self._nodes.kill, found, name, out_of_memory=out_of_memory))
        except ApiError:
            raise ValueError(f"container {name!r} of pod {namespace}/{pod} does not run") from None


def _container_of(pod: Doc, name: str) -> str:
    spec = pod["spec"]
    fields = ("containers", "initContainers", "ephemeralContainers")
    names = [container["name"] for field in fields for container in spec.get(field) or ()]
    if not name and len(spec["containers"]) > 1:
        raise ValueError(f"pod {pod['metadata']['name']} has several containers, name one: {', '.join(names)}")
    name = name or names[0]
    if name not in names:
        raise ValueError(unknown(f"container of pod {pod['metadata']['name']}", name, names))
    return name


class NodeFaults:
    """What can befall one node. Each raises RuntimeError for a node that is lost already."""

    def __init__(self, ctx: ServerContext, nodes: NodePool, name: str, inside: Inside) -> None:
        self._ctx, self._nodes, self.name, self._inside = ctx, nodes, name, inside

    def lose(self) -> Trouble:
        """The machine is off: containers are killed, the lease is not renewed, logs and exec are refused.

        Healed, it boots: the same node with the same pods, whose containers start anew.
        """
        self._check()
        self._inside(partial(self._nodes.lose, self.name))
        return Trouble(partial(self._nodes.boot, self.name), self._inside)

    def restart(self, seconds: float = 0.0) -> Trouble:
        """The machine is off for so long on the cluster's clock, and boots. Healed before, it boots then."""
        self.lose()
        timers: list[TimerHandle] = []
        boot = partial(self._nodes.boot, self.name)
        self._inside(lambda: timers.append(self._ctx.clock.call_later(seconds, boot)))

        def heal() -> None:
            for timer in timers:
                timer.cancel()
            boot()

        return Trouble(heal, self._inside)

    def shutdown(self, grace_period: float = 30.0, critical_pods: float = 10.0) -> Trouble:
        """The machine is shut down gracefully: its node is NotReady and takes no pods, and those that it has end as
        Failed within `grace_period` seconds, of which pods of system priority have the last `critical_pods`. Then it is
        off. Healed, it boots.

        Raises ValueError for times that cannot be (KubeletConfiguration: shutdownGracePeriod and its part for critical
        pods).
        """
        self._check()
        if not 0 <= critical_pods <= grace_period:
            raise ValueError(
                f"critical_pods must be between 0 and grace_period ({grace_period:g}), not {critical_pods:g}"
            )
        boot: list[Callable[[], None]] = []
        self._inside(lambda: boot.append(self._nodes.shut_down(self.name, grace_period, critical_pods)))
        return Trouble(boot[0], self._inside)

    def partition(self) -> Trouble:
        """The kubelet and the API server do not reach each other; containers and their network go on.

        Healed, the kubelet reports what has happened, and does what it was told meanwhile.
        """
        self._check()
        if self.name in self._nodes.unreachable:
            raise RuntimeError(f"{self.name} is cut off already")
        user, kubelet = f"system:node:{self.name}", self._nodes.kubelets[self.name]

        async def refuse(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            if request.user.name == user:
                raise OSError(errno.EHOSTUNREACH, "dial tcp: connect: no route to host")
            return await proceed(request)

        def heal() -> None:
            self._ctx.interceptors.remove(refuse)
            self._nodes.unreachable.discard(self.name)
            if self._nodes.kubelets.get(self.name) is kubelet:
                kubelet.connect()

        self._ctx.interceptors.insert(0, refuse)
        self._nodes.unreachable.add(self.name)
        self._inside(kubelet.disconnect)
        return Trouble(heal, self._inside)

    def fill_disk(self) -> Trouble:
        """The node has DiskPressure: it is tainted, takes no more pods, and evicts its own, one every ten seconds.

        Pods of system priority stay. What real processes write is not refused.
        """
        return self._press(DISK)

    def fill_memory(self) -> Trouble:
        """The node has MemoryPressure: it is tainted, takes no more pods that ask for no memory, and evicts its own.

        Every ten seconds one, first those that use more than they asked for. Pods of system priority stay.
        """
        return self._press(MEMORY)

    def _press(self, pressure: Pressure) -> Trouble:
        self._check()
        kubelet = self._nodes.kubelets[self.name]
        self._inside(partial(kubelet.press, pressure, True))
        return Trouble(partial(kubelet.press, pressure, False), self._inside)

    def _check(self) -> None:
        if not self._nodes.runs(self.name):
            raise RuntimeError(f"{self.name} is lost already")


class ComponentFaults:
    """What can befall one of the cluster's own components."""

    def __init__(self, component: Component, inside: Inside) -> None:
        self._component, self._inside = component, inside

    def crash(self) -> Trouble:
        """Ends it in the middle of whatever it does; healed, it begins anew with empty memory."""
        try:
            self._inside(self._component.crash)
        except KeyError as error:
            raise RuntimeError(f"{error.args[0]} has crashed already") from None
        return Trouble(self._component.begin, self._inside)

    def restart(self) -> None:
        """Ends it and begins it anew at once."""
        self.crash().heal()
