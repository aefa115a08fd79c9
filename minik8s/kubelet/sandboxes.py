"""Makes a pod's sandbox, however often it takes; what keeps it from being made is told in events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio

from minik8s.kubelet.backoff import mount_delay
from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.pod_dns import omissions
from minik8s.kubelet.pod_network import sandbox_config
from minik8s.kubelet.runtime.protocol import RuntimeFailure, Sandbox
from minik8s.machinery.meta import Doc


async def make_sandbox(node: NodeContext, pod: Doc, directory: Path, take: Callable[[Sandbox], None]) -> None:
    """Hands the sandbox to `take` at once, so that whoever is cancelled has it."""

    def event(reason: str, message: str) -> None:
        node.recorder.event(pod, "Warning", reason, message)

    delay = 0.0
    while True:
        resolver = node.resolver()
        for text in omissions(pod, node.cluster_dns, resolver):
            event("DNSConfigForming", text)
        try:
            config = sandbox_config(pod, directory, node.cluster_dns, resolver)
            with anyio.CancelScope(shield=True):
                take(await node.runtime.create_sandbox(config))
            return
        except (RuntimeFailure, OSError) as error:
            event("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            delay = mount_delay(delay)
            await node.clock.sleep(delay)
