"""`minik8s up`: a cluster that keeps running."""

from __future__ import annotations

from pathlib import Path

import anyio
import click

from minik8s.cli.options import cluster_options, execute, tune_collector, until_signal
from minik8s.client.kubeconfig import default_kubeconfig, remove_context, write_kubeconfig
from minik8s.cluster import Cluster
from minik8s.config import ClusterConfig

CONTEXT = "minik8s"


@click.command()
@cluster_options
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    default=None,
    help="Kubeconfig to add the context `minik8s` to; ~/.kube/config or the first of $KUBECONFIG by default.",
)
@click.option(
    "-f", "--filename", "files", type=click.Path(exists=True, path_type=Path), multiple=True, help="Manifests to apply."
)
def command(
    nodes: int,
    port: int,
    images: tuple[tuple[str, str], ...],
    runtime: str,
    seed: int | None,
    kubeconfig: Path | None,
    files: tuple[Path, ...],
) -> None:
    """Start a cluster and keep it running until Ctrl-C or SIGTERM."""
    config = ClusterConfig(nodes=nodes, port=port, images=dict(images), runtime=runtime, seed=seed)  # type: ignore[arg-type]
    execute(lambda: until_signal(lambda: _up(config, kubeconfig or default_kubeconfig(), files)))


async def _up(config: ClusterConfig, kubeconfig: Path, files: tuple[Path, ...]) -> int:
    async with Cluster(config) as cluster:
        previous = write_kubeconfig(kubeconfig, cluster.credentials, context=CONTEXT)
        try:
            for file in files:
                for obj in await cluster.apply(file):
                    click.echo(f"applied {obj['kind']} {obj['metadata']['name']}")
            tune_collector()
            _greet(cluster, kubeconfig)
            await anyio.sleep_forever()
        finally:
            remove_context(kubeconfig, CONTEXT, restore=previous)
    return 0


def _greet(cluster: Cluster, kubeconfig: Path) -> None:
    shown = f"export KUBECONFIG={kubeconfig}\n  " if kubeconfig != default_kubeconfig() else ""
    click.echo(
        f"minik8s is up: {cluster.config.nodes} nodes, API server at {cluster.url}\n"
        f'Context "{CONTEXT}" is in {kubeconfig}. Type:\n\n'
        f"  {shown}kubectl get nodes          (or: minik8s get nodes)\n"
        "  kubectl create deployment web --image=minik8s/testserver --replicas=3\n"
        "  kubectl expose deployment web --port=80 --target-port=8080\n\n"
        "Ctrl-C stops the cluster and every process in it."
    )
