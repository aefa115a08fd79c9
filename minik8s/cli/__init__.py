"""The command line: one file per command.

    minik8s demo          a tour that checks itself
    minik8s up            a cluster that keeps running, and a kubeconfig for it
    minik8s run -- CMD    a cluster for as long as a command runs
    minik8s apply|get|delete|logs      for those who have no kubectl
    minik8s why           why a pod is pending, a Deployment not available
    minik8s history       what became of an object: who changed what, because of what
    minik8s bench         measures a cluster under load
    minik8s controllers|scheduler      one component alone, against any API server

Commands are imported when they are called, so that `minik8s --help` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

import click

_COMMANDS = {
    "demo": "minik8s.cli.demo",
    "up": "minik8s.cli.up",
    "run": "minik8s.cli.run",
    "apply": "minik8s.cli.apply",
    "get": "minik8s.cli.get",
    "delete": "minik8s.cli.delete",
    "logs": "minik8s.cli.logs",
    "why": "minik8s.cli.why",
    "history": "minik8s.cli.history",
    "bench": "minik8s.cli.bench",
    "controllers": "minik8s.cli.controllers",
    "scheduler": "minik8s.cli.scheduler",
}


class LazyGroup(click.Group):
    """A group whose commands live in modules of the same name, as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[name]).command
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="minik8s", prog_name="minik8s")
def main(**_: Any) -> None:
    """A Kubernetes you can import: API server, controllers, scheduler, nodes and proxy in one process."""
