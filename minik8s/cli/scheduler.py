"""`minik8s scheduler`: the scheduler alone, in the place of kube-scheduler."""

from __future__ import annotations

from pathlib import Path

import click

from minik8s.cli.component import Component, component_options, run_component
from minik8s.cli.running import execute
from minik8s.scheduler.configuration import SchedulerConfiguration
from minik8s.scheduler.fields import ConfigurationError
from minik8s.scheduler.profiles import check_file
from minik8s.scheduler.scheduler import Scheduler

NAME = "kube-scheduler"


@click.command()
@component_options
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="A KubeSchedulerConfiguration: profiles, plugins and their arguments, leader election.",
)
def command(kubeconfig: Path | None, context: str, leader_elect: bool, config_file: Path | None) -> None:
    """Run the scheduler against the API server of a kubeconfig until Ctrl-C or SIGTERM."""
    try:
        config = check_file(config_file) if config_file else SchedulerConfiguration()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    if kubeconfig is None and config.kubeconfig:
        kubeconfig = Path(config.kubeconfig)
    election = dict(config.election)
    elect = election.pop("leader_elect", True) and leader_elect

    async def run(component: Component) -> None:
        scheduler = Scheduler(
            component.client, component.informers, component.clock, component.rng, component.recorders, config
        )
        await scheduler.run()

    execute(lambda: run_component(NAME, kubeconfig, context, elect, run, election), clean=True)
