"""What befalls nodes, containers and components: the cluster sees what a real one would, and gets over it."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, Cluster
from minik8s.api.resources import EVENTS, JOBS, NODES
from minik8s.blocking import BlockingCluster
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import find_condition, parse_time

pytestmark = pytest.mark.anyio
VIRTUAL: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "seed": 5}
LABELS = {"app": "web"}


def deployment(replicas: int, **spec: Any) -> Any:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec}}
    body = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": body}


def pod(name: str, **spec: Any) -> Any:
    spec = {"containers": [{"name": "c", "image": "busybox"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def pods(cluster: Cluster) -> list[Any]:
    return list((await cluster.client.list(PODS, namespace="default")).items)


async def reasons(cluster: Cluster) -> set[str]:
    return {event["reason"] for event in (await cluster.client.list(EVENTS)).items}


async def condition(cluster: Cluster, node: str, type_: str) -> str:
    found = find_condition((await cluster.client.get(NODES, node))["status"]["conditions"], type_)
    assert found is not None
    return str(found["status"])


async def test_a_lost_node() -> None:
    """It is NotReady after 40 s, its pods are replaced elsewhere after 5 min; it boots with another boot id."""
    async with Cluster(nodes=2, **VIRTUAL) as cluster:
        await cluster.apply(deployment(4))
        await cluster.settle()
        before: Any = await cluster.client.get(NODES, "node-1")
        assert "Rebooted" not in await reasons(cluster), "a node's first start is no reboot"
        with cluster.faults.node("node-1").lose():
            await cluster.advance(seconds=60)
            assert await condition(cluster, "node-1", "Ready") == "Unknown"
            victim = next(p for p in await pods(cluster) if p["spec"]["nodeName"] == "node-1")
            with pytest.raises(ApiError, match='node "node-1" does not serve logs'):
                async with cluster.client.logs(PODS, victim["metadata"]["name"], namespace="default"):
                    pass
            with pytest.raises(RuntimeError, match="node-1 is lost already"):
                cluster.faults.node("node-1").partition()
            await cluster.advance(minutes=6)
            running = [p for p in await pods(cluster) if "deletionTimestamp" not in p["metadata"]]
            assert {p["spec"]["nodeName"] for p in running} == {"node-2"}
            assert len(running) == 4
        await cluster.advance(seconds=30)
        assert await condition(cluster, "node-1", "Ready") == "True"
        after: Any = await cluster.client.get(NODES, "node-1")
        assert after["status"]["nodeInfo"]["bootID"] != before["status"]["nodeInfo"]["bootID"]
        assert len(await pods(cluster)) == 4, "the deleted ones are gone now that somebody confirms it"
        assert "Rebooted" in await reasons(cluster)


async def test_a_restarted_node() -> None:
    """Down for a moment and up again: the same pods, whose containers have been started anew."""
    async with Cluster(**VIRTUAL) as cluster:
        await cluster.apply(deployment(2))
        await cluster.settle()
        before = {p["metadata"]["uid"] for p in await pods(cluster)}
        cluster.faults.node("node-1").restart(seconds=20)
        await cluster.advance(seconds=30)
        after = await pods(cluster)
        assert {p["metadata"]["uid"] for p in after} == before
        assert [p["status"]["containerStatuses"][0]["restartCount"] for p in after] == [1, 1]
        assert "SandboxChanged" in await reasons(cluster)


async def test_a_partitioned_node() -> None:
    """Nobody hears of it, its containers run on; when it is back it reports and ends what was deleted meanwhile."""
    async with Cluster(nodes=2, **VIRTUAL) as cluster:
        await cluster.apply(deployment(2, nodeName="node-1"))
        await cluster.settle()
        first, second = await pods(cluster)
        kubelet = cluster.nodes.kubelets["node-1"]
        with cluster.faults.node("node-1").partition():
            await cluster.client.delete(PODS, first["metadata"]["name"], namespace="default", grace_period=0)
            await cluster.advance(seconds=60)
            assert await condition(cluster, "node-1", "Ready") == "Unknown"
            held = {uid: [c.running for c in w.containers.values()] for uid, w in kubelet.workers.items()}
            assert held[first["metadata"]["uid"]] != [None], "it runs on"
            assert await condition(cluster, "node-2", "Ready") == "True"
            with pytest.raises(RuntimeError, match="cut off already"):
                cluster.faults.node("node-1").partition()
        await cluster.advance(seconds=60)
        assert await condition(cluster, "node-1", "Ready") == "True"
        assert first["metadata"]["uid"] not in kubelet.workers
        survivor: Any = await cluster.client.get(PODS, second["metadata"]["name"], namespace="default")
        assert survivor["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_killed_containers() -> None:
    """A kill is exit code 137, for want of memory OOMKilled; the container is restarted as its policy says."""
    async with Cluster(**VIRTUAL) as cluster:
        await cluster.apply([pod("a"), pod("b")])
        await cluster.settle()
        cluster.faults.kill_container("a")
        cluster.faults.kill_container("b", "c", out_of_memory=True)
        await cluster.advance(seconds=1)
        for name, reason in (("a", "Error"), ("b", "OOMKilled")):
            found: Any = await cluster.client.get(PODS, name, namespace="default")
            status = found["status"]["containerStatuses"][0]
            ended = status["lastState"]["terminated"]
            assert (ended["exitCode"], ended["reason"], status["restartCount"]) == (137, reason, 1)


async def test_a_full_disk() -> None:
    """DiskPressure is reported and tainted, pods are evicted one after the other with upstream's words, none comes."""
    async with Cluster(**VIRTUAL) as cluster:
        await cluster.apply([pod("low"), pod("high", priorityClassName="system-node-critical"), pod("other")])
        await cluster.settle()
        with cluster.faults.node("node-1").fill_disk():
            await cluster.advance(seconds=5)
            assert sorted(p["status"]["phase"] for p in await pods(cluster)) == ["Failed", "Running", "Running"]
            await cluster.advance(seconds=20)
            found = {p["metadata"]["name"]: p["status"] for p in await pods(cluster)}
            assert [found[name]["phase"] for name in ("low", "other", "high")] == ["Failed", "Failed", "Running"]
            assert found["low"]["reason"] == "Evicted"
            says = "The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 0. "
            assert found["low"]["message"] == says
            assert find_condition(found["low"]["conditions"], "DisruptionTarget")["reason"] == "TerminationByKubelet"  # type: ignore[index]
            assert await condition(cluster, "node-1", "DiskPressure") == "True"
            node: Any = await cluster.client.get(NODES, "node-1")
            assert [taint["key"] for taint in node["spec"]["taints"]] == ["node.kubernetes.io/disk-pressure"]
            await cluster.apply(pod("late", nodeName="node-1"))
            await cluster.settle()
            late: Any = await cluster.client.get(PODS, "late", namespace="default")
            assert late["status"]["message"] == "Pod was rejected: The node had condition: [DiskPressure]. "
        await cluster.advance(seconds=20)
        assert await condition(cluster, "node-1", "DiskPressure") == "False"
        assert not (await cluster.client.get(NODES, "node-1"))["spec"].get("taints")
        assert {"Evicted", "NodeHasDiskPressure", "NodeHasNoDiskPressure"} <= await reasons(cluster)


async def test_used_up_memory() -> None:
    """MemoryPressure evicts first who uses more than was asked for; only pods that ask for nothing are turned away."""
    async with Cluster(**VIRTUAL) as cluster:
        asking = {"containers": [{"name": "c", "image": "busybox", "resources": {"requests": {"memory": "1Gi"}}}]}
        await cluster.apply([pod("best-effort"), pod("burstable", **asking)])
        await cluster.settle()
        with cluster.faults.node("node-1").fill_memory():
            await cluster.advance(seconds=5)
            found = {p["metadata"]["name"]: p["status"] for p in await pods(cluster)}
            assert [found[name]["phase"] for name in ("best-effort", "burstable")] == ["Failed", "Running"]
            says = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 0. "
            blamed = "Container c was using 16Mi, request is 0, has larger consumption of memory. "
            assert found["best-effort"]["message"] == says + blamed
            assert await condition(cluster, "node-1", "MemoryPressure") == "True"
            node: Any = await cluster.client.get(NODES, "node-1")
            assert [taint["key"] for taint in node["spec"]["taints"]] == ["node.kubernetes.io/memory-pressure"]
            await cluster.apply([pod("late", nodeName="node-1"), pod("asking", nodeName="node-1", **asking)])
            await cluster.settle()
            late: Any = await cluster.client.get(PODS, "late", namespace="default")
            assert late["status"]["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
            taken: Any = await cluster.client.get(PODS, "asking", namespace="default")
            assert taken["status"]["phase"] == "Running"
        await cluster.advance(seconds=20)
        assert await condition(cluster, "node-1", "MemoryPressure") == "False"
        said = {"EvictionThresholdMet", "NodeHasInsufficientMemory", "NodeHasSufficientMemory"}
        assert said <= await reasons(cluster)


async def test_components_crash() -> None:
    """What a crashed component is for does not happen until it begins anew; every one of them can."""
    async with Cluster(**VIRTUAL) as cluster:
        with cluster.faults.component("scheduler").crash(), cluster.faults.component("replicaset").crash():
            await cluster.apply([deployment(2), pod("lone")])
            await cluster.advance(seconds=30)
            assert [(p["metadata"]["name"], p["status"]["phase"]) for p in await pods(cluster)] == [("lone", "Pending")]
            with pytest.raises(RuntimeError, match="replicaset has crashed already"):
                cluster.faults.component("replicaset").crash()
        await cluster.advance(seconds=30)
        assert [p["status"]["phase"] for p in await pods(cluster)] == ["Running"] * 3
        for name in cluster.faults.components:
            cluster.faults.component(name).restart()
        job = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
        template = {"metadata": {"annotations": {"simulated.minik8s.dev/run-seconds": "1"}}, "spec": job}
        metadata = {"name": "once"}
        await cluster.apply(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
        )
        await cluster.wait_for(JOBS, "once", "Complete")
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 3}}, namespace="default")
        await cluster.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("readyReplicas") == 3)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (lambda f: f.node("node-9"), r"there is no node 'node-9'; did you mean 'node-1'\? \(there are node-1\)"),
        (lambda f: f.component("deployments"), r"no component 'deployments'; did you mean 'deployment'"),
        (lambda f: f.kill_container("wbe"), r"no pod 'wbe'; did you mean 'web'\? .*in the namespace 'default'"),
        (lambda f: f.kill_container("web", "mian"), r"no container of pod web 'mian'; did you mean 'main'"),
        (lambda f: f.kill_container("web"), "has several containers, name one: main, side"),
        (lambda f: f.kill_container("gated"), "pod default/gated runs on no node of this cluster"),
        (lambda f: f.refuse(409, resource="deployments"), "no resource 'deployments'; did you mean 'deployments.apps'"),
        (
            lambda f: f.refuse(409, resource="pods", subresource="stauts"),
            "no subresource of pods 'stauts'; did you mean",
        ),
        (lambda f: f.drop_watches("configmap"), "no resource 'configmap'; did you mean 'configmaps'"),
        (lambda f: f.fail_webhook("a.b.c"), "there is no webhook 'a.b.c', nor any other"),
        (lambda f: f.fail_webhook("a.b.c", "no"), "a webhook can fail by refuse, timeout, nonsense, not by 'no'"),
    ],
)
async def test_what_does_not_exist(name: Any, says: str) -> None:
    """A name of nothing is an error at once that tells what there is, and leaves no fault behind."""
    async with Cluster(nodes=1, controllers=("serviceaccount", "deployment"), **VIRTUAL) as cluster:
        containers = [{"name": "main", "image": "busybox"}, {"name": "side", "image": "busybox"}]
        await cluster.apply([pod("web", containers=containers), pod("gated", schedulingGates=[{"name": "a/b"}])])
        await cluster.settle()
        with pytest.raises(ValueError, match=says):
            name(cluster.faults)
        with pytest.raises(ValueError, match="no resource 'deployment'"):
            cluster.recording(resource="deployment")
        assert cluster.faults.unfired == []
        assert await cluster.client.find(CONFIG_MAPS, "none", namespace="default") is None


def test_from_another_thread() -> None:
    """Synchronous tests do the same to a cluster in its own thread, where tasks can only be woken from inside."""
    with BlockingCluster(clock="virtual", runtime="simulated", serve=False, proxy=False, nodes=1) as cluster:
        cluster.apply(pod("a"))
        cluster.settle()

        def ready() -> str:
            node: Any = cluster.run(cluster.client.get, NODES, "node-1")
            return str(next(c["status"] for c in node["status"]["conditions"] if c["type"] == "Ready"))

        with cluster.faults.node("node-1").lose():
            cluster.advance(seconds=60)
            assert ready() == "Unknown"
        cluster.advance(seconds=30)
        assert ready() == "True"
        for trouble in (cluster.faults.node("node-1").partition, cluster.faults.component("scheduler").crash):
            with trouble():
                cluster.advance(seconds=1)
        cluster.faults.kill_container("a", out_of_memory=True)
        cluster.advance(seconds=30)
        found: Any = cluster.run(cluster.client.get, PODS, "a", namespace="default")
        assert found["status"]["containerStatuses"][0]["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert cluster.faults.drop_watches("pods") >= 1
        with pytest.raises(ValueError, match="no node 'node-2'"):
            cluster.faults.node("node-2")


async def test_a_graceful_shutdown() -> None:
    """The node says so and takes no pods; ordinary pods end before critical ones, as Failed; healed, it boots."""
    slow = {"name": "c", "image": "busybox", "lifecycle": {"preStop": {"sleep": {"seconds": 12}}}}
    async with Cluster(nodes=2, **VIRTUAL) as cluster:
        node = cluster.faults.node("node-1")
        critical = pod("critical", nodeName="node-1", priorityClassName="system-node-critical", containers=[slow])
        await cluster.apply([critical, pod("plain", nodeName="node-1", containers=[slow])])
        await cluster.advance(seconds=5)
        with node.shutdown(grace_period=30, critical_pods=10):
            await cluster.advance(seconds=1)
            assert await condition(cluster, "node-1", "Ready") == "False"
            await cluster.apply(pod("late", nodeName="node-1"))
            await cluster.advance(seconds=60)
            found = {p["metadata"]["name"]: p["status"] for p in await pods(cluster)}
            assert (found["late"]["phase"], found["late"]["reason"]) == ("Failed", "NodeShutdown")
            for name in ("plain", "critical"):
                assert (found[name]["phase"], found[name]["reason"]) == ("Failed", "Terminated")
                assert found[name]["message"] == "Pod was terminated in response to imminent node shutdown."
                disrupted = find_condition(found[name]["conditions"], "DisruptionTarget")
                assert disrupted is not None
                assert disrupted["reason"] == "TerminationByKubelet"
            plain, last = (
                parse_time(found[name]["containerStatuses"][0]["state"]["terminated"]["finishedAt"])
                for name in ("plain", "critical")
            )
            assert 10 <= (last - plain).total_seconds() <= 11, (
                "critical pods come after the others and have ten seconds"
            )
            with pytest.raises(RuntimeError, match="node-1 is lost already"):
                node.lose()
        await cluster.advance(minutes=2)
        assert await condition(cluster, "node-1", "Ready") == "True"
        with pytest.raises(ValueError, match="critical_pods must be between 0 and grace_period"):
            node.shutdown(5, 10)
