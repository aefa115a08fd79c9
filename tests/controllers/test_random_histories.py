"""Whatever users do and in whatever order, with controllers that crash and nodes that fall silent: in the end
everything that is wanted is there, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from minik8s import DEPLOYMENTS, NODES, PODS, Cluster
from minik8s.api.resources import (
    CRON_JOBS,
    DAEMON_SETS,
    ENDPOINT_SLICES,
    JOBS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICES,
    STATEFUL_SETS,
)
from minik8s.client.client import Client
from minik8s.machinery.errors import Conflict, Forbidden, Invalid, NotFound
from minik8s.machinery.meta import is_terminating, labels_of, name_of, owner_references, uid_of
from minik8s.testing import builders as b

STEPS = 30
RESTARTED = ("deployment", "replicaset", "statefulset", "daemonset", "job", "cronjob", "endpointslice", "nodelifecycle")
WORKLOADS = (DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, REPLICA_SETS, JOBS, CRON_JOBS)
KINDS = {resource.kind: resource for resource in WORKLOADS}
TAINTS = (
    None,
    [{"key": "k", "effect": "NoExecute"}],
    [{"key": "k", "effect": "NoSchedule"}, {"key": "z", "value": "1", "effect": "NoExecute"}],
)


class User:
    """Does one thing or another, as the seed has it."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.cluster, self.client, self.rng, self.number = cluster, cluster.client, Random(seed), 0
        self.acts: list[Callable[[], Awaitable[object]]] = [
            self.deploy, self.deploy, self.stateful, self.daemon, self.job, self.cron, self.serve, self.label,
            self.taint, self.crash, self.kill, self.remove, self.limit, self.silence,
        ]  # fmt: skip

    async def act(self) -> None:
        self.number += 1
        with suppress(Conflict, NotFound, Forbidden, Invalid):
            await self.rng.choice(self.acts)()
        await self.cluster.advance(seconds=self.rng.choice((0, 1, 7, 60)), settle_timeout=60)

    def pods(self, **simulated: Any) -> dict[str, Any]:
        rng, limit = self.rng, {"operator": "Exists", "effect": "NoExecute"}
        tolerations = rng.choice(([], [limit], [{**limit, "tolerationSeconds": rng.choice((5, 100))}]))
        requests = {"requests": {"cpu": rng.choice(("100m", "1", "3"))}}
        simulated |= {"stop_seconds": rng.choice((0, 5, 40))}
        return {"resources": requests, "tolerations": tolerations, "simulated": simulated}

    def running(self) -> dict[str, Any]:
        return self.pods(ready_seconds=self.rng.choice((0, 3, 30)))

    @property
    def name(self) -> str:
        return f"x{self.rng.randrange(3)}"

    @property
    def node(self) -> str:
        return f"node-{self.rng.randrange(3) + 1}"

    async def deploy(self) -> None:
        await self.cluster.apply(b.deployment(self.name, replicas=self.rng.randrange(5), **self.running()))

    async def stateful(self) -> None:
        policy = self.rng.choice(("OrderedReady", "Parallel"))
        options = {"replicas": self.rng.randrange(4), "podManagementPolicy": policy}
        await self.cluster.apply(b.stateful_set(f"s{self.name}", **options, **self.running()))

    async def daemon(self) -> None:
        bounds = self.rng.choice(({"maxUnavailable": 1, "maxSurge": 0}, {"maxUnavailable": 0, "maxSurge": "50%"}))
        strategy = {"type": "RollingUpdate", "rollingUpdate": bounds}
        await self.cluster.apply(b.daemon_set(f"d{self.name}", updateStrategy=strategy, **self.running()))

    async def job(self) -> None:
        rng = self.rng
        options: dict[str, Any] = {"completions": rng.choice((1, 3)), "parallelism": rng.choice((1, 2))}
        options |= {"backoffLimit": rng.choice((0, 2)), "completionMode": rng.choice(("Indexed", "NonIndexed"))}
        pods = self.pods(run_seconds=rng.choice((5, 1000)), exit_code=rng.choice((0, 0, 1)))
        await self.cluster.apply(b.job(f"j{self.number}", **options, **pods))

    async def cron(self) -> None:
        policy = self.rng.choice(("Allow", "Forbid", "Replace"))
        schedule = self.rng.choice(("*/1 * * * *", "*/3 * * * *"))
        await self.cluster.apply(b.cron_job(f"c{self.name}", schedule=schedule, concurrencyPolicy=policy))

    async def serve(self) -> None:
        mode = {"service.kubernetes.io/topology-mode": self.rng.choice(("Auto", "Disabled"))}
        await self.cluster.apply(b.service(self.name, port=80, annotations=mode))

    async def label(self) -> None:
        zone = {"topology.kubernetes.io/zone": self.rng.choice(("a", "b", None))}
        await self.client.patch(NODES, self.node, {"metadata": {"labels": zone}})

    async def taint(self) -> None:
        await self.client.patch(NODES, self.node, {"spec": {"taints": self.rng.choice(TAINTS)}})

    async def crash(self) -> None:
        self.cluster.faults.component(self.rng.choice(RESTARTED)).restart()

    async def kill(self) -> None:
        if pods := (await self.client.list(PODS, namespace="default")).items:
            grace = self.rng.choice((None, 0))
            await self.client.delete(PODS, name_of(self.rng.choice(pods)), namespace="default", grace_period=grace)

    async def remove(self) -> None:
        resource: Any = self.rng.choice(WORKLOADS)
        if found := (await self.client.list(resource, namespace="default")).items:
            how = self.rng.choice(("Background", "Foreground", "Orphan"))
            await self.client.delete(resource, name_of(self.rng.choice(found)), namespace="default", propagation=how)

    async def limit(self) -> None:
        spec = {"hard": {"pods": self.rng.choice(("5", "50"))}}
        await self.cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": spec})

    async def silence(self) -> None:
        with self.cluster.faults.node(self.node).partition():
            await self.cluster.advance(seconds=self.rng.choice((20, 100, 400)), settle_timeout=60)

    async def end(self) -> None:
        """Takes back what keeps pods from running, and waits."""
        for number in range(1, 4):
            await self.client.patch(NODES, f"node-{number}", {"spec": {"taints": None}})
        await self.client.delete_all(RESOURCE_QUOTAS, namespace="default")
        for cron in (await self.client.list(CRON_JOBS, namespace="default")).items:
            await self.client.patch(CRON_JOBS, name_of(cron), {"spec": {"suspend": True}}, namespace="default")
        await self.cluster.advance(minutes=30, settle_timeout=120)


async def check_pods(client: Client) -> list[Any]:
    """None is left over; returns those that live."""
    pods = (await client.list(PODS, namespace="default")).items
    assert not [name_of(pod) for pod in pods if is_terminating(pod)]
    for pod in pods:
        for reference in owner_references(pod):
            owner: Any = await client.find(KINDS[reference["kind"]], reference["name"], namespace="default")
            assert owner is not None, f"{name_of(pod)} has outlived its owner"
            assert uid_of(owner) == reference["uid"]
    return [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]


async def check_owners(client: Client, living: list[Any]) -> None:
    """They have as many pods as they want."""

    def owned(owner: Any) -> int:
        return sum(any(ref["uid"] == uid_of(owner) for ref in owner_references(pod)) for pod in living)

    waiting = any(pod["status"]["phase"] == "Pending" for pod in living)
    for replicas in (await client.list(REPLICA_SETS, namespace="default")).items:
        assert owned(replicas) == replicas["spec"]["replicas"], name_of(replicas)
    for stateful in (await client.list(STATEFUL_SETS, namespace="default")).items:
        assert owned(stateful) == stateful["spec"]["replicas"] or waiting, name_of(stateful)
    for daemons in (await client.list(DAEMON_SETS, namespace="default")).items:
        assert daemons["status"]["currentNumberScheduled"] == 3
    for job in (await client.list(JOBS, namespace="default")).items:
        assert job["status"].get("active", 0) == owned(job), name_of(job)


async def check_slices(client: Client, living: list[Any]) -> None:
    """They mean the pods of their Services."""
    for service in (await client.list(SERVICES, namespace="default")).items:
        if not service["spec"].get("selector"):
            continue
        name = name_of(service)
        wanted = {name_of(p) for p in living if labels_of(p).get("app") == name and p["status"].get("podIP")}
        selector = f"kubernetes.io/service-name={name}"
        slices = (await client.list(ENDPOINT_SLICES, namespace="default", label_selector=selector)).items
        assert {e["targetRef"]["name"] for s in slices for e in s.get("endpoints") or ()} == wanted


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(4))
async def test_everything_ends_as_it_is_wanted(seed: int) -> None:
    """Owned pods are as many as their owners want and have owners; slices mean the pods of their Services."""
    options: Any = {"clock": "virtual", "runtime": "simulated", "serve": False, "proxy": False, "strict": True}
    async with Cluster(nodes=3, seed=seed, **options) as cluster:
        user = User(cluster, seed)
        for _ in range(STEPS):
            await user.act()
        await user.end()
        living = await check_pods(cluster.client)
        await check_owners(cluster.client, living)
        await check_slices(cluster.client, living)
