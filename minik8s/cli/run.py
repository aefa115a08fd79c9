"""`minik8s run -- COMMAND`: a cluster for as long as a command runs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

import anyio
import click
from anyio.abc import Process

from minik8s.cli.options import cluster_options
from minik8s.cli.running import SIGNALLED, execute, fail
from minik8s.cluster import Cluster
from minik8s.config import ClusterConfig

CANNOT_RUN, NOT_FOUND = 126, 127
"""What shells exit with for a command that may not be run, and for one that does not exist."""


@click.command(context_settings={"ignore_unknown_options": True})
@cluster_options
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(config: ClusterConfig, argv: tuple[str, ...]) -> None:
    """Start a cluster, run COMMAND with KUBECONFIG set, tear down; the exit code is the command's."""
    child = Child(argv)
    execute(lambda: _run(config, child), divert=child.forward)


class Child:
    """The command. Once it runs, signals are its business: it gets them, and its end is ours."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        self._process: Process | None = None

    async def run(self, env: dict[str, str]) -> int:
        """The exit code as a shell gives it. It has our stdin, stdout and stderr."""
        try:
            process = await anyio.open_process(self._argv, stdin=None, stdout=None, stderr=None, env=env)
        except OSError as error:
            fail(f"Error: cannot run {self._argv[0]}: {error.strerror}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        self._process = process
        code = await process.wait()
        return SIGNALLED - code if code < 0 else code

    def forward(self, received: signal.Signals) -> bool:
        """Passes a signal on; False while there is nobody to have it. One from the terminal has reached it already."""
        if self._process is None:
            return False
        if self._process.returncode is None and not (received == signal.SIGINT and _in_foreground()):
            self._process.send_signal(received)
        return True


def _in_foreground() -> bool:
    """Whether Ctrl-C in a terminal reaches us, and with us the child, which is in the same process group."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno() if sys.__stdin__ else 0) == os.getpgrp()
    except (OSError, ValueError):
        return False


async def _run(config: ClusterConfig, child: Child) -> int:
    async with Cluster(config) as cluster:
        return await child.run({**os.environ, "KUBECONFIG": str(cluster.kubeconfig)})
