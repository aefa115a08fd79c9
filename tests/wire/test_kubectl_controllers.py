"""kubectl with Jobs, CronJobs, DaemonSets, StatefulSets and disruption budgets."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.modern_kubectl


def manifest(kind: str, **spec: Any) -> str:
    labels = {"app": "w"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return json.dumps({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"}, "spec": body})


@pytest.mark.parametrize(("kind", "spec"), [("DaemonSet", {}), ("StatefulSet", {"replicas": 2, "serviceName": "w"})])
def test_rollouts(kubectl: Any, kind: str, spec: Any) -> None:
    """status waits for the rollout; history lists it; undo returns; restart rolls again."""
    what = f"{kind.lower()}/w"
    kubectl("create", "-f", "-", input=manifest(kind, **spec))
    kubectl("rollout", "status", what, "--timeout=60s")
    kubectl("set", "image", what, "c=nginx:2")
    kubectl("rollout", "status", what, "--timeout=60s")
    images = "jsonpath={.items[*].spec.containers[0].image}"
    assert set(kubectl("get", "pods", "-o", images).split()) == {"nginx:2"}
    assert {"1", "2"} <= set(kubectl("rollout", "history", what).split())
    assert "nginx:1" in kubectl("rollout", "history", what, "--revision=1")
    kubectl("rollout", "undo", what)
    kubectl("rollout", "status", what, "--timeout=60s")
    assert set(kubectl("get", "pods", "-o", images).split()) == {"nginx:1"}
    assert "3" in kubectl("rollout", "history", what).split()
    kubectl("rollout", "restart", what)
    kubectl("rollout", "status", what, "--timeout=60s")
    assert "Successful" in kubectl("describe", what)
    kubectl("delete", what)
    kubectl("wait", "pods", "-l", "app=w", "--for=delete", "--timeout=60s")


def test_stateful_names_and_scale(kubectl: Any) -> None:
    """Pods have their ordinals' names, and scale down from the highest."""
    kubectl("apply", "-f", "-", input=manifest("StatefulSet", replicas=3, serviceName="w"))
    kubectl("rollout", "status", "statefulset/w", "--timeout=60s")
    assert kubectl("get", "pods", "-o", "name").split() == ["pod/w-0", "pod/w-1", "pod/w-2"]
    kubectl("scale", "statefulset/w", "--replicas=1")
    kubectl("wait", "pod/w-1", "--for=delete", "--timeout=60s")
    kubectl("wait", "pod/w-2", "--for=delete", "--timeout=60s")
    assert kubectl("get", "pods", "-o", "name").split() == ["pod/w-0"]


SUCCEEDS = {"simulated.minik8s.dev/run-seconds": "0.05"}


def job_spec(annotations: Any) -> Any:
    pods = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
    return {"template": {"metadata": {"annotations": annotations}, "spec": pods}}


def test_jobs(kubectl: Any) -> None:
    """wait returns when a Job completes or fails, get shows its completions, and deleting takes its pods along."""
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}}
    spec = {**job_spec(SUCCEEDS), "completions": 3, "parallelism": 2}
    kubectl("apply", "-f", "-", input=json.dumps({**job, "spec": spec}))
    kubectl("wait", "--for=condition=Complete", "job/j", "--timeout=60s")
    assert "3/3" in kubectl("get", "job", "j")
    assert "Completed" in kubectl("describe", "job", "j")
    kubectl("delete", "job", "j")
    kubectl("wait", "pods", "-l", "batch.kubernetes.io/job-name=j", "--for=delete", "--timeout=60s")
    fails = {**SUCCEEDS, "simulated.minik8s.dev/exit-code": "1"}
    spec = {**job_spec(fails), "backoffLimit": 0}
    kubectl("apply", "-f", "-", input=json.dumps({**job, "spec": spec}))
    kubectl("wait", "--for=condition=Failed", "job/j", "--timeout=60s")


def test_cron_jobs(kubectl: Any) -> None:
    """create cronjob is accepted, and create job --from runs one now."""
    kubectl("create", "cronjob", "c", "--image=busybox", "--schedule=0 0 1 1 *")
    patch = {"spec": {"jobTemplate": {"spec": job_spec(SUCCEEDS)}}}
    kubectl("patch", "cronjob", "c", "--type=merge", "-p", json.dumps(patch))
    kubectl("create", "job", "now", "--from=cronjob/c")
    kubectl("wait", "--for=condition=Complete", "job/now", "--timeout=60s")
    owner = kubectl.json("get", "job", "now")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("CronJob", "c")
    kubectl("wait", "cronjob/c", "--for=jsonpath={.status.lastSuccessfulTime}", "--timeout=60s")
    kubectl("delete", "cronjob", "c")
    kubectl("wait", "job/now", "--for=delete", "--timeout=60s")


def test_disruption_budgets(kubectl: Any) -> None:
    """A budget says how many disruptions it allows."""
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=2")
    kubectl("create", "pdb", "b", "--selector=app=web", "--max-unavailable=1")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("wait", "pdb/b", "--for=jsonpath={.status.disruptionsAllowed}=1", "--timeout=60s")
    assert kubectl("get", "pdb", "b", "--no-headers").split()[:4] == ["b", "N/A", "1", "1"]


def test_drain(kubectl: Any) -> None:
    """drain evicts what it may, leaves DaemonSets' pods, and waits for the budget."""
    kubectl("apply", "-f", "-", input=manifest("DaemonSet"))
    kubectl("create", "deployment", "web", "--image=nginx", "--replicas=4")
    kubectl("create", "pdb", "b", "--selector=app=web", "--min-available=3")
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    kubectl("rollout", "status", "daemonset/w", "--timeout=60s")
    kubectl("wait", "pdb/b", "--for=jsonpath={.status.disruptionsAllowed}=1", "--timeout=60s")
    try:
        drained = kubectl.run(
            "drain", "node-1", "--ignore-daemonsets", "--pod-selector=app in (web,w)", "--timeout=60s"
        )
        assert drained.returncode == 0, drained.stderr
        assert "node/node-1 drained" in drained.stdout
        kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        nodes = "jsonpath={.items[*].spec.nodeName}"
        assert set(kubectl("get", "pods", "-l", "app=web", "-o", nodes).split()) == {"node-2"}
        assert set(kubectl("get", "pods", "-l", "app=w", "-o", nodes).split()) == {"node-1", "node-2"}
    finally:
        kubectl("uncordon", "node-1")
