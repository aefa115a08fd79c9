"""A process that serves a cluster over plain HTTP: `python -m benchmarks.http_server PODS`.

It holds that many pods and the ConfigMap `one`, prints its URL and ends with its standard input. The collector is
tuned as `minik8s up` does it.
"""

from __future__ import annotations

import sys

import anyio
import anyio.to_thread

from minik8s import CONFIG_MAPS, PODS, Cluster
from minik8s.collector import tune_collector

POD = {
    "metadata": {"generateName": "pod-", "namespace": "default", "labels": {"app": "bench"}},
    "spec": {"containers": [{"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
}
CONFIG_MAP = {"metadata": {"name": "one", "namespace": "default"}, "data": {"key": "value"}}


async def main(pods: int) -> None:
    async with Cluster(nodes=0, tls=False, controllers=("serviceaccount",), scheduler=False, proxy=False) as cluster:
        await cluster.client.create(CONFIG_MAPS, CONFIG_MAP)
        for _ in range(pods):
            await cluster.client.create(PODS, POD)
        tune_collector()
        print(cluster.url, flush=True)
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
