"""`minik8s why`: why a pod is pending, a Deployment not available, a claim not bound."""

from __future__ import annotations

from contextlib import suppress

import click

from minik8s.cli.history import fetch
from minik8s.cli.options import Where, session_options
from minik8s.cli.running import execute
from minik8s.cli.session import open_session
from minik8s.client.why import why
from minik8s.machinery.errors import ApiError


@click.command()
@session_options
@click.argument("subject", metavar="POD | KIND/NAME")
def command(where: Where, subject: str) -> None:
    """Say why an object is as it is: conditions, containers, claims, events, and the pods below it."""
    execute(lambda: _why(where, subject))


async def _why(where: Where, subject: str) -> int:
    async with open_session(where) as session:
        kind, _, name = subject.rpartition("/")
        resource = session.kinds.find(kind or "pods")
        explanation = await why(session.client, resource, name, session.namespace_for(resource))
        with suppress(ApiError, click.ClickException):  # others keep no history, or not for everybody
            explanation = explanation.adding((await fetch(session, resource, name))["lastWish"])
        click.echo(explanation)
    return 0
