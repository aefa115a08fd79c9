"""`minik8s up`: a cluster that keeps running."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import click

from minik8s.cli.options import cluster_options, files_option
from minik8s.cli.running import execute
from minik8s.cli.session import read_manifests
from minik8s.client.kubeconfig import (
    KubeconfigError,
    default_kubeconfig,
    load_kubeconfig,
    remove_context,
    write_kubeconfig,
)
from minik8s.cluster import Cluster
from minik8s.collector import tune_collector
from minik8s.config import ClusterConfig
from minik8s.loops import loop_options
from minik8s.machinery.meta import Obj, name_of

CONTEXT = "minik8s"
PROBE_SECONDS = 1.0


@click.command()
@cluster_options
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Kubeconfig to add a context to; the first of $KUBECONFIG or ~/.kube/config by default.",
)
@files_option("A manifest to apply, a folder of them, or - for stdin; repeatable.")
@click.argument("more", nargs=-1, metavar="[FILE...]")
def command(config: ClusterConfig, kubeconfig: Path | None, files: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Start a cluster and keep it running until Ctrl-C or SIGTERM."""
    if more and not files:
        raise click.UsageError(f"got unexpected argument {more[0]}; manifests come after -f")
    objects = read_manifests((*files, *more))
    execute(lambda: _up(config, kubeconfig or default_kubeconfig(), objects), clean=True, loop=loop_options(config))


async def _up(config: ClusterConfig, kubeconfig: Path, objects: Sequence[Obj]) -> int:
    context = await free_context(kubeconfig)
    async with Cluster(config) as cluster:
        previous = write_kubeconfig(kubeconfig, cluster.credentials, context=context)
        try:
            for obj in await cluster.apply(objects):
                click.echo(f"{obj['kind'].lower()}/{name_of(obj)} applied")
            tune_collector()
            _greet(cluster, kubeconfig, context)
            await anyio.sleep_forever()
        finally:
            remove_context(kubeconfig, context, restore=previous)
    return 0


async def free_context(kubeconfig: Path) -> str:
    """`minik8s`, or `minik8s-2` and so on where that is the name of a cluster that still runs."""
    for number in itertools.count(1):
        name = CONTEXT if number == 1 else f"{CONTEXT}-{number}"
        try:
            server = load_kubeconfig(kubeconfig, name).server
        except KubeconfigError:
            return name  # nobody's; a file that cannot be read is refused when it is written to
        if not await _in_use(server):
            return name
    raise AssertionError("unreachable")


async def _in_use(server: str) -> bool:
    """Whether the context is not ours to replace: somebody listens, or it is not on this machine."""
    url = urlsplit(server)
    try:
        if not url.hostname or not ip_address(url.hostname).is_loopback:
            return True
    except ValueError:
        return True
    try:
        with anyio.fail_after(PROBE_SECONDS):
            stream = await anyio.connect_tcp(url.hostname, url.port or 443)
    except (OSError, TimeoutError):
        return False
    await stream.aclose()
    return True


def _greet(cluster: Cluster, kubeconfig: Path, context: str) -> None:
    shown = f"export KUBECONFIG={kubeconfig}\n  " if kubeconfig != default_kubeconfig() else ""
    nodes = cluster.config.nodes
    also = ", cluster DNS at {}:{}".format(*cluster.dns_address) if cluster.config.dns else ""
    if cluster.ingress is not None:
        also += ", Ingresses at {0}:{1} and {0}:{2} (TLS)".format(cluster.ingress.host, *cluster.ingress.ports)
    for text in cluster.nodes.shortcomings:
        click.echo(text, err=True)
    click.echo(
        f"minik8s is up: {nodes} node{'' if nodes == 1 else 's'}, API server at {cluster.url}"
        f"{also}\n"
        f'Context "{context}" is in {kubeconfig}. Type:\n\n'
        f"  {shown}kubectl get nodes          (or: minik8s get nodes)\n"
        "  kubectl create deployment web --image=minik8s/testserver --replicas=3\n"
        "  kubectl expose deployment web --port=8080\n\n"
        "Ctrl-C stops the cluster and every process in it."
    )
