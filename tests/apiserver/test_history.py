"""What became of objects: authors, causes and changes, followed back to somebody outside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, Cluster
from minik8s.api.resources import CRON_JOBS, JOBS, REPLICA_SETS, SECRETS
from minik8s.machinery.errors import NotFound

pytestmark = pytest.mark.anyio
VIRTUAL: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "seed": 2}
BARE: Any = {"nodes": 0, "serve": False, "proxy": False, "controllers": (), "scheduler": False, "freeze": True}
LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}


async def test_a_chain_of_causes() -> None:
    """A pod is there because its ReplicaSet was changed because its Deployment was scaled by somebody with kubectl."""
    async with Cluster(**VIRTUAL) as cluster:
        spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": TEMPLATE}
        document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
        await cluster.apply(document)
        await cluster.advance(seconds=10)
        first = {pod["metadata"]["name"] for pod in (await cluster.client.list(PODS)).items}
        kubectl = cluster.client.as_user("alice", groups=["system:masters"]).as_agent("kubectl-scale/v1.36 (linux)")
        await kubectl.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, namespace="default")
        await cluster.advance(seconds=10)
        pod: Any = next(p for p in (await cluster.client.list(PODS)).items if p["metadata"]["name"] not in first)
        created, bound, *_ = cluster.history(pod)
        (replica_set,) = (await cluster.client.list(REPLICA_SETS)).items
        name = replica_set["metadata"]["name"]
        assert (created.verb, created.actor) == ("created", "replicaset-controller")
        changed, scaled = created.reasons()
        assert changed.startswith(
            f"because ReplicaSet default/{name} was changed (spec.replicas: 1 -> 2 and 2 more) by"
        )
        wish = "Deployment default/web was changed (spec.replicas: 1 -> 2) by kubectl-scale as alice"
        assert scaled.startswith(f"because {wish} (revision ")
        assert (bound.actor, bound.request) == ("kube-scheduler", "create binding")
        assert [str(d) for d in bound.differences if d.path.startswith("spec")] == ['spec.nodeName: (none) -> "node-1"']
        assert bound.because is created
        story = cluster.history(DEPLOYMENTS, "web")
        (step,) = story.touching("spec.replicas")
        assert (step.user, step.at, step.because) == ("alice", step.at, None)
        assert step.at is not None
        assert (cluster.clock.now() - step.at).total_seconds() == pytest.approx(10, abs=0.1)
        assert "spec.replicas: 1 -> 2" in str(story)
        assert f"{wish} at 00:00:10" in str(await cluster.why(DEPLOYMENTS, "web"))


async def test_timers_and_owners() -> None:
    """A Job is there because its CronJob's timer went off; its pod is deleted because the Job was, by a user."""
    async with Cluster(**VIRTUAL) as cluster:
        pod = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}}
        spec = {"schedule": "30 * * * *", "jobTemplate": {"spec": {"template": pod}}}
        await cluster.client.create(CRON_JOBS, {"metadata": {"name": "tick", "namespace": "default"}, "spec": spec})
        await cluster.advance(minutes=31)
        (job,) = (await cluster.client.list(JOBS)).items
        (made,) = (await cluster.client.list(PODS)).items
        (reason, *_) = cluster.history(job).steps[0].reasons()
        assert reason.startswith("because a timer that was set when CronJob default/tick was created by minik8s")
        user = cluster.client.as_agent("kubectl-delete")
        await user.delete(JOBS, job["metadata"]["name"], namespace="default", propagation="Background")
        await cluster.advance(minutes=1)
        steps = {step.verb: step for step in cluster.history(made)}
        assert any("was deleted by kubectl-delete" in reason for reason in steps["marked for deletion"].reasons())
        assert steps["deleted"].actor == "kubelet as system:node:node-1"


async def test_over_http() -> None:
    """Administrators read it at a path of its own; others may not, and what is not there is said by name."""
    async with Cluster(**BARE) as cluster:
        secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"password": "aaaa"}}
        await cluster.client.create(SECRETS, secret)
        await cluster.client.patch(SECRETS, "s", {"stringData": {"password": "bbbb"}}, namespace="default")
        where = "/debug/history?resource=secrets&namespace=default&name=s"
        answer = await cluster.http.get(where)
        assert answer.status_code == 200
        created, changed = answer.json()["steps"]
        assert (created["verb"], changed["verb"]) == ("created", "changed")
        assert changed["differences"] == [{"path": "data.password", "before": "(hidden)", "after": "(hidden)"}]
        assert "YmJiYg" not in json.dumps(answer.json()), "a Secret's values stay where they are"
        mallory = {"Impersonate-User": "mallory"}
        assert (await cluster.http.get(where, headers=mallory)).status_code == 403
        missing = await cluster.http.get(where.replace("name=s", "name=t"))
        assert (missing.status_code, missing.json()["message"]) == (404, 'secrets "t" not found')
        wrong = await cluster.http.get("/debug/history?resource=secret")
        assert wrong.status_code == 400
        assert "no resource 'secret'; did you mean 'secrets'?" in wrong.json()["message"]


async def test_what_is_forgotten() -> None:
    """A story that begins in the middle says so; an object of which nothing was ever known is not found."""
    async with Cluster(**BARE) as cluster:
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
        assert cluster.history(CONFIG_MAPS, "a").complete
        await cluster.faults.compact()
        empty = cluster.history(CONFIG_MAPS, "a")
        assert (len(empty), empty.complete, empty.last_wish) == (0, False, "")
        await cluster.client.patch(CONFIG_MAPS, "a", {"data": {"x": "1"}}, namespace="default")
        assert "has been forgotten" in str(cluster.history(CONFIG_MAPS, "a"))
        async with cluster.fork() as branch:
            assert len(branch.history(CONFIG_MAPS, "a")) == 1
        with pytest.raises(NotFound):
            cluster.history(CONFIG_MAPS, "b")
