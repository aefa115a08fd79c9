"""What a kubelet says by HTTP to those who ask for it through nodes/NAME/proxy: pods, logs, health, what is used.

Upstream: pkg/kubelet/server. There is no port behind it: the API server asks directly. Left out are the endpoints that
the API server has itself (exec, attach, portForward, run) and those of cAdvisor and pprof.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta

import attrs

from minik8s.kubelet.kubelet import Kubelet
from minik8s.kubelet.pod_worker import PodWorker
from minik8s.machinery.errors import BadRequest, MethodNotAllowed, NotFound
from minik8s.machinery.meta import Obj, name_of, namespace_of, rfc3339, uid_of
from minik8s.schema import codec

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@attrs.frozen
class Answer:
    """`body`, or `chunks` of a stream."""

    body: bytes = b""
    media_type: str = TEXT
    code: int = 200
    chunks: AsyncIterator[bytes] | None = None


def answer(kubelet: Kubelet, method: str, path: str, options: Mapping[str, str]) -> Answer:
    """Answers one request. Raises ApiError."""
    if method not in ("GET", "HEAD"):
        raise MethodNotAllowed.default()
    match path.strip("/").split("/"):
        case ["healthz"] | ["healthz", "ping"]:
            return Answer(b"ok")
        case ["pods"]:
            return Answer(_pods(kubelet), JSON)
        case ["runningpods"]:
            return Answer(_pods(kubelet, running=True), JSON)
        case ["metrics"]:
            return Answer(_metrics(kubelet), PROMETHEUS)
        case ["stats", "summary"]:
            return Answer(_summary(kubelet), JSON)
        case ["containerLogs", namespace, pod, container]:
            return Answer(chunks=_logs(kubelet, namespace, pod, container, options))
    return Answer(b"404 page not found\n", code=404)


def _workers(kubelet: Kubelet) -> list[PodWorker]:
    return sorted(kubelet.workers.values(), key=lambda worker: (namespace_of(worker.pod), name_of(worker.pod)))


def _pods(kubelet: Kubelet, *, running: bool = False) -> bytes:
    now = rfc3339(kubelet.node.clock.now())
    items = [
        {**worker.pod, "status": worker.status(now)} for worker in _workers(kubelet) if not (running and worker.ended)
    ]
    return codec.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})


def _logs(
    kubelet: Kubelet, namespace: str, name: str, container: str, options: Mapping[str, str]
) -> AsyncIterator[bytes]:
    for worker in kubelet.workers.values():
        if (namespace_of(worker.pod), name_of(worker.pod)) == (namespace, name):
            break
    else:
        raise NotFound(f'pod "{name}" does not exist')
    if container not in worker.records:
        raise NotFound(f'container "{container}" not found in pod "{name}"')
    numbers = {key: _number(options, key) for key in ("tailLines", "sinceSeconds", "limitBytes")}
    seconds = numbers["sinceSeconds"]
    return kubelet.logs(
        worker.pod,
        container,
        previous=options.get("previous") == "true",
        follow=options.get("follow") == "true",
        tail_lines=numbers["tailLines"],
        since=None if seconds is None else kubelet.node.clock.now() - timedelta(seconds=min(seconds, 1 << 31)),
        timestamps=options.get("timestamps") == "true",
        limit_bytes=numbers["limitBytes"],
    )


def _number(options: Mapping[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f'{name}: Invalid value: "{text}": must be a non-negative number')
    return int(text)


def _metrics(kubelet: Kubelet) -> bytes:
    """The few of upstream's metrics that say something here."""
    workers = _workers(kubelet)
    states = {"running": 0, "exited": 0}
    for worker in workers:
        for record in worker.records.values():
            if record.state in ("running", "terminated"):
                states["running" if record.state == "running" else "exited"] += 1
    lines = [
        "# HELP kubelet_node_name The node's name. The count is always 1.",
        "# TYPE kubelet_node_name gauge",
        f'kubelet_node_name{{node="{kubelet.name}"}} 1',
        "# HELP kubelet_running_pods Number of pods that have a running pod sandbox",
        "# TYPE kubelet_running_pods gauge",
        f"kubelet_running_pods {sum(not worker.ended for worker in workers)}",
        "# HELP kubelet_running_containers Number of containers currently running",
        "# TYPE kubelet_running_containers gauge",
        *(f'kubelet_running_containers{{container_state="{state}"}} {count}' for state, count in states.items()),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _summary(kubelet: Kubelet) -> bytes:
    """stats/v1alpha1 Summary, as far as the runtime can measure."""
    pods = list(_pod_stats(kubelet))
    now = rfc3339(kubelet.node.clock.now())
    cpu = sum(pod["cpu"]["usageNanoCores"] for pod in pods)
    memory = sum(pod["memory"]["workingSetBytes"] for pod in pods)
    node = {"nodeName": kubelet.name, "cpu": {"time": now, "usageNanoCores": cpu}}
    node["memory"] = {"time": now, "workingSetBytes": memory}
    return codec.dumps({"node": node, "pods": pods})


def _pod_stats(kubelet: Kubelet) -> Iterator[Obj]:
    for worker in _workers(kubelet):
        containers: list[Obj] = [
            {
                "name": name,
                "cpu": {"time": rfc3339(usage.at), "usageNanoCores": round(usage.cores * 1_000_000_000)},
                "memory": {"time": rfc3339(usage.at), "workingSetBytes": usage.memory},
            }
            for name, usage in sorted(kubelet.usage(worker.pod).items())
        ]
        now = rfc3339(kubelet.node.clock.now())
        pod = worker.pod
        yield {
            "podRef": {"name": name_of(pod), "namespace": namespace_of(pod), "uid": uid_of(pod)},
            "containers": containers,
            "cpu": {"time": now, "usageNanoCores": sum(c["cpu"]["usageNanoCores"] for c in containers)},
            "memory": {"time": now, "workingSetBytes": sum(c["memory"]["workingSetBytes"] for c in containers)},
        }
