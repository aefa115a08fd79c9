"""DefaultBinder: tells the API server, with a Binding, on which node a pod shall run."""

from __future__ import annotations

from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import name_of
from minik8s.scheduler.framework import Code, CycleState, Status
from minik8s.scheduler.info import PodInfo


class DefaultBinder:
    name = "DefaultBinder"
    local = True

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status | None:
        name = name_of(pod.doc)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": "Node", "name": node},
        }
        try:
            await self._client.create(PODS, binding, namespace=pod.namespace, name=name, subresource="binding")
        except (ApiError, OSError) as error:
            return Status(Code.ERROR, (str(error),), self.name)
        return None
