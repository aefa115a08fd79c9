"""`minik8s scheduler`: the scheduler alone, in the place of kube-scheduler."""

from __future__ import annotations

from pathlib import Path

import click

from minik8s.cli.component import Component, component_options, run_component
from minik8s.cli.running import execute
from minik8s.scheduler.scheduler import Scheduler

NAME = "kube-scheduler"


@click.command()
@component_options
def command(kubeconfig: Path | None, context: str, leader_elect: bool) -> None:
    """Run the scheduler against the API server of a kubeconfig until Ctrl-C or SIGTERM."""

    async def run(component: Component) -> None:
        scheduler = Scheduler(
            component.client, component.informers, component.clock, component.rng, component.recorders
        )
        await scheduler.run()

    execute(lambda: run_component(NAME, kubeconfig, context, leader_elect, run), clean=True)
