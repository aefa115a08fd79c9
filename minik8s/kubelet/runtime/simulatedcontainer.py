"""A container of the simulated runtime: it exists on paper, and does as its behaviour says."""

from __future__ import annotations

import shlex
import signal as signals
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import anyio

from minik8s.clock import Clock, TimerHandle
from minik8s.kubelet.runtime.behaviour import USUAL_MEMORY, Behaviour
from minik8s.kubelet.runtime.logs import format_time
from minik8s.kubelet.runtime.protocol import (
    OUT_OF_MEMORY,
    ContainerConfig,
    ExecResult,
    Exit,
    ProbeResult,
    Sandbox,
    Session,
    Usage,
)
from minik8s.kubelet.runtime.scripted import ScriptedSession
from minik8s.kubelet.runtime.signals import signal_number


class SimulatedContainer:
    """A container that exists on paper."""

    __slots__ = (
        "_at_end",
        "_clock",
        "_event",
        "_exit",
        "_timer",
        "behaviour",
        "config",
        "id",
        "sandbox",
        "started_at",
        "started_monotonic",
    )

    def __init__(
        self, identity: str, sandbox: Sandbox, config: ContainerConfig, behaviour: Behaviour, clock: Clock
    ) -> None:
        self.id = identity
        self.sandbox = sandbox
        self.config = config
        self.behaviour = behaviour
        self.started_at: datetime = clock.now()
        self.started_monotonic = clock.monotonic()
        self._clock = clock
        self._exit: Exit | None = None
        self._event: anyio.Event | None = None
        self._at_end: Callable[[], object] | None = None
        self._timer: TimerHandle | None = None
        if behaviour.run_seconds is not None:
            self._end_in(behaviour.run_seconds, behaviour.exit_code, 0)
        self.limit(config.memory_limit)

    @property
    def exit(self) -> Exit | None:
        """How it ended; None while it runs."""
        return self._exit

    async def wait(self) -> Exit:
        if self._exit is None:
            self._event = self._event or anyio.Event()
            await self._event.wait()
        assert self._exit is not None
        return self._exit

    def call_at_end(self, call: Callable[[], object]) -> bool:
        if self._exit is not None:
            return False
        self._at_end = call
        return True

    def signal(self, name: str) -> None:
        number = signal_number(name)
        behaviour = self.behaviour
        if self._exit is not None:
            return
        if number == signals.SIGKILL:
            self._end_in(0, 128 + number, number)
        elif number in (signals.SIGTERM, signals.SIGINT, signals.SIGQUIT, signals.SIGHUP):
            if behaviour.ignore_sigterm:
                return
            if behaviour.stop_exit_code is None:
                self._end_in(behaviour.stop_seconds, 128 + number, number)
            else:
                self._end_in(behaviour.stop_seconds, behaviour.stop_exit_code, 0)

    def limit(self, memory: int | None) -> None:
        """It may hold so many bytes; more, if its behaviour says so, ends it. None is no limit."""
        if memory is not None and (self.behaviour.memory_bytes or 0) > memory:
            self._end(128 + signals.SIGKILL, signals.SIGKILL, OUT_OF_MEMORY)

    def _end_in(self, seconds: float, exit_code: int, signal: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if seconds <= 0:
            self._end(exit_code, signal)
        else:
            self._timer = self._clock.call_later(seconds, lambda: self._end(exit_code, signal))

    def _end(self, exit_code: int, signal: int, reason: str = "") -> None:
        if self._exit is None:
            reason = reason or ("Error" if exit_code else "Completed")
            self._exit = Exit(exit_code, signal, self.started_at, self._clock.now(), reason=reason)
            self._timer = None
            if self._event is not None:
                self._event.set()
            if self._at_end is not None:
                self._at_end()

    def ready(self) -> bool:
        """Whether probes succeed at this moment."""
        age = self._clock.monotonic() - self.started_monotonic
        until = self.behaviour.unready_seconds
        return self._exit is None and age >= self.behaviour.ready_seconds and (until is None or age < until)

    async def gone(self) -> None:
        """Returns once nothing of it is left, after its end."""

    def usage(self) -> Usage | None:
        """As its behaviour says, evenly, while it runs."""
        age = (self._clock.now() - self.started_at) / timedelta(seconds=1)
        memory = self.behaviour.memory_bytes
        return Usage(age * self.behaviour.cpu_cores, USUAL_MEMORY if memory is None else memory)

    async def more(self) -> None:
        """Returns once it may have said more, at its end at the latest."""
        await self.wait()

    def execute(self, argv: Sequence[str]) -> ExecResult:
        """Every command succeeds and says what it was."""
        return ExecResult(0, shlex.join(argv).encode() + b"\n")

    def attach(self) -> Session:
        """A container that says nothing more until it ends."""
        return ScriptedSession(b"", self.wait)

    async def probe(self, handler: Mapping[str, Any], *, timeout: float, lifecycle: bool) -> ProbeResult:
        """As the table says, whatever is asked."""
        if lifecycle or self.ready():
            return ProbeResult(True)
        return ProbeResult(False, "simulated probe failure")

    def records(self) -> bytes:
        """Its log: the same container tells the same story."""
        name, config = self.config.name, self.config
        lines = [
            (self.started_at, f"{name}: simulated start of {config.image.name}, attempt {config.attempt}"),
            (self.started_at, f"{name}: {shlex.join(config.argv)}"),
        ]
        if self._exit is not None:
            lines.append((self._exit.finished_at, f"{name}: simulated exit with code {self._exit.exit_code}"))
        return b"".join(format_time(time) + b" stdout F " + line.encode() + b"\n" for time, line in lines)
