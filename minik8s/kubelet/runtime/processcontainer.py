"""A container that is a process: its exit as containerd reports it, its standard input, the commands beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from minik8s.clock import Clock
from minik8s.kubelet.runtime.pipes import PipeWriter
from minik8s.kubelet.runtime.processes import Command, Process
from minik8s.kubelet.runtime.protocol import OUT_OF_MEMORY, ContainerConfig, Exit
from minik8s.kubelet.runtime.signals import signal_number


class ProcessContainer:
    """A container of the subprocess runtime."""

    def __init__(
        self,
        identity: str,
        config: ContainerConfig,
        command: Command,
        process: Process,
        clock: Clock,
        stdin: int | None = None,
    ) -> None:
        self.id = identity
        self.config = config
        self.command = command
        self.process = process
        self.execs: set[Process] = set()
        self.stdin = stdin
        """The writing end of its standard input, a terminal's master if it has one."""
        self.writers: set[PipeWriter] = set()
        self.started_at = clock.now()
        self._finished_at = self.started_at
        self._clock = clock
        process.on_end(self._end)

    def _end(self) -> None:
        self._finished_at = self._clock.now()
        for process in list(self.execs):
            process.close()
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None

    async def wait(self) -> Exit:
        status = await self.process.wait()
        return as_exit(status, self.started_at, self._finished_at, out_of_memory=self.process.out_of_memory)

    def call_at_end(self, call: Callable[[], object]) -> bool:
        return False

    def signal(self, name: str) -> None:
        self.process.signal(signal_number(name))

    def open_stdin(self) -> PipeWriter:
        """One more writer to the standard input, which ends with it if it is to be had once."""
        assert self.stdin is not None

        def closed() -> None:
            self.writers.discard(writer)
            if self.config.stdin_once:
                self.close_stdin()

        writer = PipeWriter(os.dup(self.stdin), closed)
        self.writers.add(writer)
        return writer

    def close_stdin(self) -> None:
        """Ends the standard input, whoever is attached to it; a terminal has no such end."""
        if self.stdin is not None and not self.config.tty:
            os.close(self.stdin)
            self.stdin = None
            for writer in list(self.writers):
                writer.close()


def as_exit(wait_status: int, started_at: datetime, finished_at: datetime, *, out_of_memory: bool = False) -> Exit:
    """A wait status as containerd reports it."""
    code = exit_code(wait_status)
    killed_by = max(0, -os.waitstatus_to_exitcode(wait_status))
    reason = OUT_OF_MEMORY if out_of_memory and killed_by else "Error" if code else "Completed"
    return Exit(code, killed_by, started_at, finished_at, reason=reason)


def exit_code(wait_status: int) -> int:
    """128 + signal for what a signal ended."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code
