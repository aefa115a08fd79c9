"""`minik8s controllers`: the controllers alone, in the place of kube-controller-manager."""

from __future__ import annotations

from pathlib import Path

import click

from minik8s.cli.component import Component, component_options, run_component
from minik8s.cli.options import controllers_option
from minik8s.cli.running import execute
from minik8s.controllers import controllers as classes_of
from minik8s.controllers.manager import run_controllers
from minik8s.controllers.runtime import Context

NAME = "kube-controller-manager"


@click.command()
@component_options
@controllers_option(ours=False)
def command(kubeconfig: Path | None, context: str, leader_elect: bool, controllers: tuple[str, ...]) -> None:
    """Run the controllers against the API server of a kubeconfig until Ctrl-C or SIGTERM."""
    if not controllers:
        raise click.UsageError("--controllers leaves no controller to run")

    async def run(component: Component) -> None:
        parts = Context(
            component.client,
            component.informers,
            component.clock,
            component.rng,
            component.recorders,
            root_ca=component.config.ca.decode("ascii", "replace"),
            resources=component.discovery,
            stale=lambda: component.discovery.stale,
        )
        await run_controllers(parts, classes_of(controllers))

    execute(lambda: run_component(NAME, kubeconfig, context, leader_elect, run), clean=True)
