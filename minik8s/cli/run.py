"""`minik8s run -- COMMAND`: a cluster for as long as a command runs."""

from __future__ import annotations

import os

import anyio
import click

from minik8s.cli.options import cluster_options, execute, until_signal
from minik8s.cluster import Cluster
from minik8s.config import ClusterConfig


@click.command(context_settings={"ignore_unknown_options": True})
@cluster_options
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def command(
    nodes: int,
    port: int,
    images: tuple[tuple[str, str], ...],
    runtime: str,
    seed: int | None,
    argv: tuple[str, ...],
) -> None:
    """Start a cluster, run COMMAND with KUBECONFIG set, tear down; the exit code is the command's."""
    config = ClusterConfig(nodes=nodes, port=port, images=dict(images), runtime=runtime, seed=seed)  # type: ignore[arg-type]
    execute(lambda: until_signal(lambda: _run(config, argv)))


async def _run(config: ClusterConfig, argv: tuple[str, ...]) -> int:
    async with Cluster(config) as cluster:
        env = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        try:
            process = await anyio.open_process(argv, stdin=None, stdout=None, stderr=None, env=env)
        except OSError as error:
            click.echo(f"Error: cannot run {argv[0]}: {error.strerror}", err=True)
            return 127
        async with process:
            code = await process.wait()
        return 128 - code if code < 0 else code
