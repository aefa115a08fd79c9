"""`minik8s demo`: a tour that checks itself.

Every step says what it is about to show, does it on a real cluster with real processes and sockets, and fails the
whole tour if it does not hold. Steps are the methods of `Tour` named in STEPS, in that order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio
import attrs
import click
import httpx
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from minik8s.api.pods import is_pod_ready
from minik8s.api.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS, SERVICES
from minik8s.cli.running import execute
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, is_condition_true, name_of

MANIFEST = Path(__file__).with_name("demo.yaml")
NAMESPACE = "demo"
REQUESTS = 60
LOAD_WORKERS = 4
STEP_SECONDS = 60.0
CONTAINER_PORT = 8080

Address: TypeAlias = tuple[str, int]


class StepFailed(Exception):
    """A step did not show what it promised."""


def check(holds: bool, promise: str) -> None:
    if not holds:
        raise StepFailed(promise)


@attrs.define
class Load:
    """Requests that were sent: how many each pod and each version answered, and how many failed."""

    pods: Counter[str] = attrs.field(factory=Counter)
    versions: Counter[str] = attrs.field(factory=Counter)
    failures: list[str] = attrs.field(factory=list)

    @property
    def total(self) -> int:
        return self.pods.total() + len(self.failures)


class Tour:
    """The demo's steps on one cluster."""

    def __init__(self, cluster: Cluster, console: Console) -> None:
        self.cluster, self.console = cluster, console
        self.addresses: set[Address] = set()
        """Wherever something of the cluster has answered."""

    def say(self, text: str) -> None:
        self.console.print(f"  {escape(text)}")

    async def nodes(self) -> None:
        """Three nodes register and become Ready"""
        for index in (1, 2, 3):
            await self.cluster.wait_for(NODES, f"node-{index}", "Ready")
        self.say(f"API server at {self.cluster.url}")
        url = httpx.URL(self.cluster.url)
        self.addresses.add((url.host, url.port or 443))

    async def deploy(self) -> None:
        """Apply a manifest: Namespace, ConfigMap, Secret, Deployment, two Services"""
        for obj in await self.cluster.apply(MANIFEST):
            self.say(f"{obj['kind'].lower()}/{name_of(obj)} applied")
        await self.cluster.wait_for(DEPLOYMENTS, "web", rolled_out(3), namespace=NAMESPACE, timeout=STEP_SECONDS)
        table = Table("pod", "node", "address", "status")
        for pod in await self.pods():
            status = pod["status"]
            table.add_row(name_of(pod), pod["spec"]["nodeName"], status["podIP"], status["phase"])
            self.addresses.add((status["podIP"], CONTAINER_PORT))
        self.console.print(table)

    async def spread(self) -> None:
        """Requests to the Service's ClusterIP go round-robin over the pods"""
        url = await self.service_url("web")
        await self.reachable(url, 3)
        load = await self.send(url, REQUESTS)
        self.show_spread(load)
        check(not load.failures, f"all {REQUESTS} requests succeed: {load.failures[:3]}")
        check(len(load.pods) == 3, "all three pods answer")
        check(max(load.pods.values()) - min(load.pods.values()) <= 3, "each pod gets its share")

    async def node_port(self) -> None:
        """The same pods answer on a NodePort of this machine"""
        service = await self.cluster.client.get(SERVICES, "web-nodeport", namespace=NAMESPACE)
        address = ("127.0.0.1", service["spec"]["ports"][0]["nodePort"])
        self.addresses.add(address)
        url = "http://{}:{}/".format(*address)
        await self.reachable(url, 3)
        load = await self.send(url, 6)
        check(not load.failures and len(load.pods) == 3, f"{url} is answered by all pods: {load.failures[:3]}")
        self.say(f"{url} answered by {len(load.pods)} pods")

    async def heal(self) -> None:
        """Kill a container: the kubelet starts it again"""
        victim = (await self.pods())[0]
        name = name_of(victim)
        self.cluster.nodes.signal(victim, "server", "SIGKILL")
        self.say(f"SIGKILL to the process of {name}")

        def restarted(pod: Doc) -> bool:
            statuses = pod["status"].get("containerStatuses") or [{}]
            return statuses[0].get("restartCount", 0) >= 1 and is_pod_ready(pod)

        healed = await self.cluster.wait_for(PODS, name, restarted, namespace=NAMESPACE, timeout=STEP_SECONDS)
        last = healed["status"]["containerStatuses"][0]["lastState"]["terminated"]
        check(last["exitCode"] == 137, "the killed process is reported with exit code 137")
        self.say(f"{name} is Ready again, restartCount 1, last exit code {last['exitCode']}")

    async def roll(self) -> None:
        """Change image and environment: a rolling update under load loses no request"""
        async with self.load(await self.service_url("web")) as load:
            patch = {"image": "minik8s/testserver:v2", "env": [{"name": "VERSION", "value": "v2"}], "name": "server"}
            body = {"spec": {"template": {"spec": {"containers": [patch]}}}}
            await self.cluster.client.patch(DEPLOYMENTS, "web", body, namespace=NAMESPACE, type="strategic")
            await self.cluster.wait_for(DEPLOYMENTS, "web", rolled_out(3), namespace=NAMESPACE, timeout=STEP_SECONDS)
        versions = ", ".join(f"{count} by {version}" for version, count in sorted(load.versions.items()))
        self.say(f"{load.total} requests during the update: {versions}; {len(load.failures)} failed")
        check(not load.failures, f"no request fails during the update: {load.failures[:3]}")
        check({"v1", "v2"} <= set(load.versions), "both versions answered while the update ran")

    async def scale(self) -> None:
        """Scale to five replicas"""
        body = {"spec": {"replicas": 5}}
        await self.cluster.client.patch(DEPLOYMENTS, "web", body, namespace=NAMESPACE, subresource="scale")
        await self.cluster.wait_for(DEPLOYMENTS, "web", rolled_out(5), namespace=NAMESPACE, timeout=STEP_SECONDS)
        url = await self.service_url("web")
        await self.reachable(url, 5)
        load = await self.send(url, REQUESTS)
        self.show_spread(load)
        check(len(load.pods) == 5 and not load.failures, f"five pods answer: {load.failures[:3]}")

    async def tear_down(self) -> None:
        """Delete the namespace: everything in it goes, processes too"""
        await self.cluster.client.delete(NAMESPACES, NAMESPACE)
        await self.cluster.wait_for(NAMESPACES, NAMESPACE, "Deleted", timeout=STEP_SECONDS)
        check(not await self.pods(), "no pod is left")

    async def pods(self) -> list[Doc]:
        found = await self.cluster.client.list(PODS, namespace=NAMESPACE, label_selector="app=web")
        return [pod for pod in found.items if "deletionTimestamp" not in pod["metadata"]]

    async def service_url(self, name: str) -> str:
        service = await self.cluster.client.get(SERVICES, name, namespace=NAMESPACE)
        host, port = await self.cluster.address_of(NAMESPACE, name, service["spec"]["ports"][0]["port"])
        self.addresses.add((host, port))
        return f"http://{host}:{port}/"

    async def reachable(self, url: str, pods: int) -> None:
        """Until so many pods have answered: a Service learns of a ready pod a moment after everybody else."""
        seen: set[str] = set()
        with anyio.move_on_after(STEP_SECONDS):
            while len(seen) < pods:
                seen |= set((await self.send(url, pods)).pods)
                await self.cluster.clock.sleep(0.01)
            return
        raise StepFailed(f"{pods} pods answer at {url}: {len(seen)} did")

    async def send(self, url: str, count: int) -> Load:
        """`count` requests one after the other, each on a connection of its own."""
        load = Load()
        async with _http() as http:
            for _ in range(count):
                await _request(http, url, load)
        return load

    @asynccontextmanager
    async def load(self, url: str) -> AsyncIterator[Load]:
        """Requests from several clients for as long as the context is open, and until each has its answer."""
        load, stop = Load(), anyio.Event()

        async def client() -> None:
            async with _http() as http:
                while not stop.is_set():
                    await _request(http, url, load)
                    await self.cluster.clock.sleep(0.005)

        async with anyio.create_task_group() as group:
            for _ in range(LOAD_WORKERS):
                group.start_soon(client)
            yield load
            stop.set()

    def show_spread(self, load: Load) -> None:
        table = Table("answered by", "requests")
        for pod, count in sorted(load.pods.items()):
            table.add_row(pod, str(count))
        self.console.print(table)


STEPS = (
    Tour.nodes,
    Tour.deploy,
    Tour.spread,
    Tour.node_port,
    Tour.heal,
    Tour.roll,
    Tour.scale,
    Tour.tear_down,
)


def rolled_out(replicas: int) -> Callable[[Doc], bool]:
    """Holds for a Deployment whose newest template runs on that many replicas, and nothing else does."""

    def condition(deployment: Doc) -> bool:
        status = deployment.get("status", {})
        return (
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and deployment["spec"]["replicas"] == replicas
            and all(status.get(key) == replicas for key in ("replicas", "updatedReplicas", "availableReplicas"))
            and is_condition_true(deployment, "Available")
        )

    condition.__name__ = f"{replicas} replicas of its newest template"
    return condition


def _http() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0), timeout=10, trust_env=False)


async def _request(http: httpx.AsyncClient, url: str, load: Load) -> None:
    try:
        response = await http.get(url)
        response.raise_for_status()
        answer = response.json()
        load.pods[answer["hostname"]] += 1
        load.versions[answer["version"]] += 1
    except (httpx.HTTPError, ValueError, KeyError) as error:
        load.failures.append(f"{type(error).__name__}: {error}")


async def run_tour(console: Console) -> int:
    """Runs every step; 0 when all of them hold."""
    async with Cluster(nodes=3) as cluster:
        tour = Tour(cluster, console)
        for number, step in enumerate(STEPS, 1):
            if not await _holds(console, f"{number}/{len(STEPS) + 1} {step.__doc__}", partial(step, tour)):
                return 1
    title = f"{len(STEPS) + 1}/{len(STEPS) + 1} {nothing_answers.__doc__}"
    if not await _holds(console, title, lambda: nothing_answers(tour.addresses)):
        return 1
    console.print("[bold green]Everything held, and nothing is left running.[/bold green]")
    return 0


async def _holds(console: Console, title: str, step: Callable[[], Awaitable[None]]) -> bool:
    """Shows a step under its title, with a spinner where there is a terminal."""
    console.print(f"[bold]{title}[/bold]")
    try:
        with console.status(title):
            await step()
    except (StepFailed, ApiError, OSError) as error:
        console.print(f"[red]  does not hold: {escape(str(error))}[/red]")
        return False
    console.print("[green]  holds[/green]")
    return True


async def nothing_answers(addresses: Iterable[Address]) -> None:
    """Stop the cluster: every address it and its pods had is free again"""
    for host, port in addresses:
        try:
            stream = await anyio.connect_tcp(host, port)
        except OSError:
            continue
        await stream.aclose()
        raise StepFailed(f"{host}:{port} still answers")


@click.command()
def command() -> None:
    """Show a Deployment behind a Service: round-robin, healing, a rolling update under load, scaling."""
    execute(lambda: run_tour(Console(highlight=False)))
