"""Data that outlives its pod, and goes when its claim goes."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STATEFUL_SETS

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(serve=False)]

STATEFUL_SET = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: db
        image: busybox
        command: [sh, -c, 'echo $POD_IP >> $MINIK8S_ROOT/data/starts; wc -l < $MINIK8S_ROOT/data/starts; sleep 1000']
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
"""


async def said(cluster: Cluster, name: str) -> str:
    """The first line of a pod's output."""
    async with cluster.client.logs(PODS, name, namespace="default", follow="true") as chunks:
        async for chunk in chunks:
            return chunk.decode().strip()
    raise AssertionError(f"{name} said nothing")


async def test_a_stateful_set_finds_its_data_again(cluster: Cluster) -> None:
    """A claim of the default class is provisioned, its data is there for the next pod, and goes with the claim."""
    await cluster.apply(STATEFUL_SET)
    await cluster.wait_for(STATEFUL_SETS, "db", lambda s: s["status"].get("readyReplicas") == 1)
    assert await said(cluster, "db-0") == "1"
    first: Any = await cluster.client.get(PODS, "db-0", namespace="default")
    await cluster.client.delete(PODS, "db-0", namespace="default")
    await cluster.wait_for(
        PODS, "db-0", lambda p: p["metadata"]["uid"] != first["metadata"]["uid"] and p["status"]["phase"] == "Running"
    )
    assert await said(cluster, "db-0") == "2"
    claim: Any = await cluster.client.get(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace="default")
    volume: Any = await cluster.client.get(PERSISTENT_VOLUMES, claim["spec"]["volumeName"])
    path = anyio.Path(volume["spec"]["hostPath"]["path"], "starts")
    assert (await path.read_text()).count("\n") == 2
    await cluster.client.delete(STATEFUL_SETS, "db", namespace="default")
    await cluster.wait_for(PODS, "db-0", "Deleted")
    await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-0", namespace="default")
    await cluster.wait_for(PERSISTENT_VOLUMES, volume["metadata"]["name"], "Deleted")
    assert not await path.exists(), "reclaim policy Delete removes the data"
