"""One run of a container: its hooks, its end by signal, and its last words.

A run is kept after its end for its log. The order of an end (preStop, stop signal, grace, SIGKILL) is upstream's
killContainer (pkg/kubelet/kuberuntime/kuberuntime_container.go).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from minik8s.kubelet.context import NodeContext
from minik8s.kubelet.deadline import Deadline
from minik8s.kubelet.images import ContainerEvent
from minik8s.kubelet.probes import resolve_handler
from minik8s.kubelet.runtime.protocol import (
    OUT_OF_MEMORY,
    Container,
    ContainerConfig,
    Exit,
    LogOptions,
    ProbeResult,
    Sandbox,
)
from minik8s.kubelet.termination_message import MAX_LOG_LINES, log_tail, read_message
from minik8s.machinery.meta import Doc

MINIMUM_GRACE = 2.0
"""Seconds a process has after its stop signal even if hooks ate the grace period (minimumGracePeriodInSeconds)."""
HOOK_TIMEOUT = 24 * 3600.0
"""A postStart hook has no time limit of its own."""

Turn = Callable[[], Awaitable[None]]


class ContainerRun:
    """A started container; `container` is None once its end has been recorded."""

    def __init__(
        self, node: NodeContext, sandbox: Sandbox, spec: Doc, container: Container, event: ContainerEvent
    ) -> None:
        self.container: Container | None = container
        self.out_of_memory = False
        """Whether the kill that it ends by is to be told as one for want of memory."""
        self.container_id = f"{node.runtime.name}://{container.id}"
        self.config: ContainerConfig = container.config
        self._node = node
        self._sandbox = sandbox
        self._spec = spec
        self._event = event
        self._pre_stop_done = False

    @property
    def memory_usage(self) -> int:
        """Bytes, 0 where it is not known."""
        usage = None if self.container is None else self._node.runtime.usage(self.container)
        return 0 if usage is None else usage.memory_bytes

    async def probe(self, handler: Mapping[str, Any], timeout: float) -> ProbeResult:
        """Asks the runtime to carry out a probe or hook."""
        if self.container is None:
            return ProbeResult(False, "container not running")
        return await self._node.runtime.probe(self._sandbox, self.container, handler, timeout=timeout)

    async def post_start(self) -> ProbeResult:
        """The postStart hook's result; a success without one."""
        hook = (self._spec.get("lifecycle") or {}).get("postStart")
        return await self._hook(hook) if hook else ProbeResult(True)

    async def kill(self, deadline: Deadline, message: str, turn: Turn | None = None) -> None:
        """preStop, stop signal once it is its `turn`, SIGKILL at the deadline; returns when the container has ended."""
        container = self.container
        if container is None:
            return
        self._event("Normal", "Killing", message)
        await self._pre_stop(deadline)
        if turn is not None:
            with deadline.bound():
                await turn()
        container.signal((self._spec.get("lifecycle") or {}).get("stopSignal") or self.config.image.stop_signal)
        with deadline.bound(at_least=MINIMUM_GRACE) as patience:
            await container.wait()
        if patience.cancelled_caught:
            container.signal("SIGKILL")
            await container.wait()

    def kill_now(self, *, out_of_memory: bool) -> None:
        """SIGKILL without a word, as by the machine's own hand."""
        if self.container is not None:
            self.out_of_memory = out_of_memory
            self.container.signal("SIGKILL")

    async def exit(self, container: Container) -> Exit:
        """How the container has ended, once it has."""
        exit_ = await container.wait()
        return attrs.evolve(exit_, reason=OUT_OF_MEMORY) if self.out_of_memory and exit_.exit_code == 137 else exit_

    async def last_words(self, exit_: Exit, limit: int) -> str:
        """The termination message: of the file, of the log if the policy says so, or the runtime's own."""
        text = read_message(self.config.termination_log, limit) if self._node.files else ""
        if not text and exit_.exit_code and self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            options = LogOptions(tail_lines=MAX_LOG_LINES)
            text = await log_tail(self._node.runtime.logs(self.config.log_path, options, container=None))
        return text or exit_.message

    async def _pre_stop(self, deadline: Deadline) -> None:
        hook = (self._spec.get("lifecycle") or {}).get("preStop")
        if not hook or self._pre_stop_done or not deadline.remaining:
            return
        self._pre_stop_done = True
        result = ProbeResult(False)
        with deadline.bound():
            result = await self._hook(hook)
        if not result.success:
            self._event("Warning", "FailedPreStopHook", "PreStopHook failed")

    async def _hook(self, hook: Doc) -> ProbeResult:
        handler = resolve_handler(hook, self._spec)
        if "sleep" in handler:
            await self._node.clock.sleep(handler["sleep"].get("seconds") or 0)
            return ProbeResult(True)
        return await self.probe(handler, HOOK_TIMEOUT)
