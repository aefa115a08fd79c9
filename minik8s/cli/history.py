"""`minik8s history`: what became of an object, write by write: by whom, because of what, and what it changed."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import click

from minik8s.api.resource import Resource
from minik8s.cli.kinds import parse_targets
from minik8s.cli.options import Where, session_options
from minik8s.cli.running import execute
from minik8s.cli.session import Session, open_session
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Obj

PATH = "/debug/history"


@click.command()
@session_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="For people or programs.")
@click.argument("subject", nargs=-1, required=True, metavar="KIND/NAME | KIND NAME")
def command(where: Where, output: str, subject: tuple[str, ...]) -> None:
    """Say what became of an object: each write with its author, its cause and what it changed.

    A cluster of minik8s remembers the last ten thousand changes or so of each kind.
    """
    execute(lambda: _history(where, subject, output))


async def _history(where: Where, subject: tuple[str, ...], output: str) -> int:
    async with open_session(where) as session:
        targets = parse_targets(subject, session.kinds)
        if not all(target.names for target in targets):
            raise click.ClickException("name the object: KIND/NAME")
        for target in targets:
            for name in target.names:
                found = await fetch(session, target.resource, name)
                click.echo(json.dumps(found, indent=2) if output == "json" else found["text"])
    return 0


async def fetch(session: Session, resource: Resource[Any], name: str) -> Obj:
    """What the server tells of an object. Raises ApiError, and ClickException for a server that keeps no history."""
    namespace = session.namespace_for(resource)
    query = urlencode({"resource": resource.group_resource, "namespace": namespace, "name": name})
    try:
        return await session.fetch(f"{PATH}?{query}")
    except NotFound as error:
        if error.name:
            raise
        raise click.ClickException("this server keeps no history: only clusters of minik8s do") from None
