"""Carries out the probes of one run of a container.

A startup probe holds the others back until it has passed. The state machine is in `probes`; here is only waiting,
asking the runtime, telling events and handing on the verdict.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import anyio.abc

from minik8s.clock import Clock
from minik8s.kubelet.images import ContainerEvent
from minik8s.kubelet.probes import Action, Probe, ProbeKind, ProbeState, initial, step
from minik8s.kubelet.runtime.protocol import ProbeResult

Check = Callable[[Probe], Awaitable[ProbeResult]]


class Prober:
    """The probes of one run. `changed` is called when `started` or `ready` may differ from before."""

    def __init__(
        self,
        probes: Mapping[ProbeKind, Probe],
        *,
        clock: Clock,
        check: Check,
        event: ContainerEvent,
        changed: Callable[[], None],
        kill: Callable[[Probe], Awaitable[None]],
    ) -> None:
        self._probes = probes
        self._clock = clock
        self._check = check
        self._event = event
        self._changed = changed
        self._kill = kill
        self._began = clock.monotonic()
        self._states: dict[ProbeKind, ProbeState] = {kind: initial(kind) for kind in probes}
        self._startup = anyio.Event()
        if "startup" not in probes:
            self._startup.set()

    @property
    def started(self) -> bool:
        """Whether the startup probe has passed, or there is none."""
        return self._startup.is_set()

    @property
    def ready(self) -> bool:
        """Whether it is started and the readiness probe's verdict is good, or there is none."""
        state = self._states.get("readiness")
        return self.started and (state is None or state.passed)

    def start(self, group: anyio.abc.TaskGroup) -> None:
        for kind in self._probes:
            group.start_soon(self.run, kind)

    async def run(self, kind: ProbeKind) -> None:
        """Probes until cancelled, until a startup probe has passed, or until the container has been given up."""
        probe = self._probes[kind]
        if kind != "startup":
            await self._startup.wait()
        await self._clock.sleep(self._began + probe.initial_delay - self._clock.monotonic())
        while True:
            began = self._clock.monotonic()
            action = await self._once(probe)
            if action is Action.KILL:
                await self._kill(probe)
                return
            if kind == "startup" and self._states[kind].passed:
                return
            await self._clock.sleep(began + probe.period - self._clock.monotonic())

    async def _once(self, probe: Probe) -> Action:
        result = await self._check(probe)
        self._tell(probe, result)
        self._states[probe.kind], action = step(probe, self._states[probe.kind], result.success)
        if probe.kind == "startup" and self._states[probe.kind].passed:
            self._startup.set()
        if action is Action.REPORT:
            self._changed()
        return action

    def _tell(self, probe: Probe, result: ProbeResult) -> None:
        name = probe.kind.capitalize()
        if not result.success:
            self._event("Warning", "Unhealthy", f"{name} probe failed: {result.message}")
        elif result.warning:
            self._event("Warning", "ProbeWarning", f"{name} probe warning: {result.message}")
