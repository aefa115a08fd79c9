"""Pods as real processes, from the manifest to the last log line."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, SERVICES, Cluster

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(serve=False)]


def shell(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod whose one container runs a shell script."""
    container = {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **spec},
    }


def has_phase(phase: str) -> Any:
    def condition(pod: Any) -> bool:
        return pod["status"].get("phase") == phase

    condition.__name__ = phase
    return condition


async def output(cluster: Cluster, name: str, **options: str) -> list[str]:
    async with cluster.client.logs(PODS, name, namespace="default", **options) as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()


async def finished(cluster: Cluster, pod: dict[str, Any], phase: str = "Succeeded") -> list[str]:
    """Applies a pod, waits for its end, and answers what it said."""
    name = pod["metadata"]["name"]
    await cluster.apply(pod)
    await cluster.wait_for(PODS, name, has_phase(phase))
    return await output(cluster, name)


async def test_the_shell_of_busybox(cluster: Cluster) -> None:
    """By its path too it is a shell that knows `[[`, whatever the machine's own /bin/sh may be."""
    command = ["/bin/sh", "-c", "if [[ -r /nowhere ]]; then echo there; else echo missing; fi"]
    assert await finished(cluster, shell("brackets", "", container={"command": command})) == ["missing"]


async def test_environment_of_every_kind(cluster: Cluster) -> None:
    """Values, references to ConfigMaps, Secrets, fields and resources, expansion and service links reach a process."""
    await cluster.client.create(
        CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"K": "from-cm"}}
    )
    secret = {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"P": "from-secret"}}
    await cluster.client.create(SECRETS, secret)
    env = [
        {"name": "PLAIN", "value": "one"},
        {"name": "EXPANDED", "value": "$(PLAIN)-two-$(UNKNOWN)-$$(PLAIN)"},
        {"name": "FROM_CM", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "K"}}},
        {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "P"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ]
    names = ("PLAIN", "EXPANDED", "FROM_CM", "FROM_SECRET", "NODE", "CPU", "ALL_K", "KUBERNETES_SERVICE_PORT")
    script = (
        "for n in " + " ".join(names) + '; do echo "$n=$(printenv $n)"; done; [ "$IP" = "$POD_IP" ] && echo same-ip'
    )
    more = {
        "env": env,
        "envFrom": [{"prefix": "ALL_", "configMapRef": {"name": "cm"}}],
        "resources": {"limits": {"cpu": "1500m"}},
    }
    lines = await finished(cluster, shell("env", script, container=more))
    assert lines == [
        "PLAIN=one",
        "EXPANDED=one-two-$(UNKNOWN)-$(PLAIN)",
        "FROM_CM=from-cm",
        "FROM_SECRET=from-secret",
        "NODE=node-1",
        "CPU=2",
        "ALL_K=from-cm",
        "KUBERNETES_SERVICE_PORT=443",
        "same-ip",
    ]


async def test_volumes(cluster: Cluster) -> None:
    """Containers share an emptyDir, and read configuration from files that follow their ConfigMap."""
    config_map = {"metadata": {"name": "cm", "namespace": "default"}, "data": {"key": "before"}}
    await cluster.client.create(CONFIG_MAPS, config_map)
    mounts = [{"name": "shared", "mountPath": "/shared"}, {"name": "config", "mountPath": "/etc/app"}]
    script = (
        "cat $MINIK8S_ROOT/shared/from-init; cat $MINIK8S_ROOT/etc/app/key; echo; echo ready; "
        'until [ "$(cat $MINIK8S_ROOT/etc/app/key)" = after ]; do sleep 0.05; done; echo updated'
    )
    init = {
        "name": "init",
        "image": "busybox",
        "command": ["sh", "-c", "echo from-init > $MINIK8S_ROOT/shared/from-init"],
        "volumeMounts": mounts[:1],
    }
    volumes = [{"name": "shared", "emptyDir": {}}, {"name": "config", "configMap": {"name": "cm"}}]
    pod = shell("volumes", script, container={"volumeMounts": mounts}, initContainers=[init], volumes=volumes)
    await cluster.apply(pod)
    await cluster.wait_for(PODS, "volumes", "Ready")
    with anyio.fail_after(10):
        async with cluster.client.logs(PODS, "volumes", namespace="default", follow="true") as chunks:
            said = b""
            async for chunk in chunks:
                said += chunk
                if b"ready" in said:
                    await cluster.client.patch(CONFIG_MAPS, "cm", {"data": {"key": "after"}}, namespace="default")
    assert said.decode().split() == ["from-init", "before", "ready", "updated"]
    await cluster.wait_for(PODS, "volumes", has_phase("Succeeded"))


async def test_exit_codes_and_messages(cluster: Cluster) -> None:
    """A failing process is reported with its exit code, reason, and its last words."""
    more = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    await finished(cluster, shell("fails", "echo last words; exit 7", container=more), "Failed")
    pod = await cluster.client.get(PODS, "fails", namespace="default")
    state = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (state["exitCode"], state["reason"], state["message"]) == (7, "Error", "last words\n")


async def test_a_crashing_container_backs_off(cluster: Cluster) -> None:
    """A container that keeps failing restarts at once, then waits in CrashLoopBackOff; its previous log is kept."""
    pod = shell("crash", 'echo "run $(date +%s%N)"; exit 1')
    pod["spec"]["restartPolicy"] = "Always"
    await cluster.apply(pod)

    def backs_off(seen: Any) -> bool:
        (status,) = seen["status"].get("containerStatuses") or [{}]
        return status.get("state", {}).get("waiting", {}).get("reason") == "CrashLoopBackOff"

    seen: Any = await cluster.wait_for(PODS, "crash", backs_off)
    assert seen["status"]["phase"] == "Running"
    assert seen["status"]["containerStatuses"][0]["restartCount"] == 1
    previous, current = await output(cluster, "crash", previous="true"), await output(cluster, "crash")
    assert len(previous) == len(current) == 1


async def test_a_process_that_ignores_sigterm_is_killed(cluster: Cluster) -> None:
    """After its grace period a stubborn container is killed, and the pod is gone."""
    await cluster.apply(shell("stubborn", 'trap "" TERM; echo trapped; while :; do sleep 1; done'))
    await cluster.wait_for(PODS, "stubborn", "Ready")
    with anyio.fail_after(10):
        async with cluster.client.logs(PODS, "stubborn", namespace="default", follow="true") as chunks:
            async for _ in chunks:
                await cluster.client.delete(PODS, "stubborn", namespace="default")
        last: Any = await cluster.wait_for(PODS, "stubborn", "Deleted")
    assert last["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


async def test_probes_decide_who_gets_traffic(cluster: Cluster) -> None:
    """A pod that is not ready is not an endpoint; when it is, the Service answers."""
    manifest = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: web
    image: minik8s/testserver
    readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
"""
    await cluster.apply(manifest)
    await cluster.wait_for(PODS, "web", "Ready")
    host, port = await cluster.address_of("default", "web", 8080)
    service = await cluster.client.get(SERVICES, "web", namespace="default")
    assert host == service["spec"]["clusterIP"]
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=3), trust_env=False) as http:
        answer = await http.get(f"http://{host}:{port}/")
    assert answer.json()["hostname"] == "web"


async def test_unknown_images_fail_like_a_pull(cluster: Cluster) -> None:
    """An image that nobody knows ends in ImagePullBackOff and leaves the pod Pending."""
    pod = shell("nope", "true")
    del pod["spec"]["containers"][0]["command"]
    pod["spec"]["containers"][0]["image"] = "registry.example.com/nope:1"

    def backs_off(seen: Any) -> bool:
        (status,) = seen["status"].get("containerStatuses") or [{}]
        return status.get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"

    await cluster.apply(pod)
    seen: Any = await cluster.wait_for(PODS, "nope", backs_off)
    assert seen["status"]["phase"] == "Pending"


@pytest.mark.minik8s(images={"shop": "sh -c 'echo entrypoint $0 $@'"})
async def test_images_are_local_commands(cluster: Cluster) -> None:
    """A user's image is its entrypoint; args are appended to it, command replaces it."""
    base = shell("args", "")
    base["spec"]["containers"] = [{"name": "main", "image": "shop:v3", "args": ["a", "b"]}]
    assert await finished(cluster, base) == ["entrypoint a b"]
    replaced = shell("command", "echo replaced", container={"image": "shop"})
    assert await finished(cluster, replaced) == ["replaced"]


async def test_a_rolling_update_loses_no_request(cluster: Cluster) -> None:
    """While a Deployment rolls, every request through its Service is answered, by the old or the new version."""
    manifest = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: minik8s/testserver
        env: [{name: VERSION, value: "1"}]
        readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 1}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
"""
    await cluster.apply(manifest)
    await cluster.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("availableReplicas") == 2)
    host, port = await cluster.address_of("default", "web", 8080)
    versions: list[str] = []

    def rolled(deployment: Any) -> bool:
        status = deployment["status"]
        return status.get("observedGeneration") == deployment["metadata"]["generation"] and all(
            status.get(key) == 2 for key in ("replicas", "updatedReplicas", "availableReplicas")
        )

    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as http, anyio.create_task_group() as group:

        async def version() -> str:
            answer = (await http.get(f"http://{host}:{port}/")).raise_for_status()
            return str(answer.json()["version"])

        async def load() -> None:
            while True:
                versions.append(await version())

        group.start_soon(load)
        container = {"name": "web", "env": [{"name": "VERSION", "value": "2"}]}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        await cluster.client.patch(DEPLOYMENTS, "web", patch, namespace="default", type="strategic")
        await cluster.wait_for(DEPLOYMENTS, "web", rolled)
        with anyio.fail_after(10):
            while await version() != "2":
                pass
        group.cancel_scope.cancel()
    assert versions[0] == "1"


async def test_the_image_of_upstreams_tests(cluster: Cluster) -> None:
    """agnhost runs as upstream's tests run it: its commands in the image's own file, on the pod's address and port."""
    image = {"image": "registry.k8s.io/e2e-test-images/agnhost:2.59", "command": ["/agnhost-2", "entrypoint-tester"]}
    assert await finished(cluster, shell("entry", "", container=image)) == ["[/agnhost-2 entrypoint-tester]"]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}
    serving = {"image": image["image"], "command": None, "args": ["netexec"], "readinessProbe": probe}
    await cluster.apply(shell("web", "", container=serving))
    pod = await cluster.wait_for(PODS, "web", "Ready")
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{pod['status']['podIP']}:8080/hostname")
    assert answer.text == "web"
