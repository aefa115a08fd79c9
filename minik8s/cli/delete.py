"""`minik8s delete`: by name, by manifest, by selector; it waits until what it deleted is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import anyio
import attrs
import click

from minik8s.api.resource import Resource
from minik8s.cli.kinds import parse_targets, qualified
from minik8s.cli.options import (
    Where,
    all_namespaces_option,
    duration,
    files_option,
    selector_option,
    session_options,
)
from minik8s.cli.running import execute, fail
from minik8s.cli.session import Session, open_session, read_manifests
from minik8s.client.client import Client
from minik8s.machinery.errors import ApiError, Expired, NotFound
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, uid_of

CASCADES = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}


@attrs.frozen
class How:
    """How to delete: `grace` in seconds or None, `propagation` as the API names it, `timeout` in seconds, 0 none."""

    grace: int | None = None
    propagation: str = "Background"
    wait: bool = True
    timeout: float = 0.0
    ignore_missing: bool = False


@attrs.frozen
class Victim:
    """One object to delete."""

    resource: Resource[Any]
    name: str
    namespace: str = ""


@click.command()
@session_options
@all_namespaces_option
@selector_option
@files_option("Delete what this manifest, folder or - (stdin) names; repeatable.")
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--grace-period", type=click.IntRange(-1), default=-1, help="Seconds to end in; -1 as the object says.")
@click.option("--now", is_flag=True, help="As --grace-period=1.")
@click.option("--force", is_flag=True, help="As --grace-period=0: do not wait for the node to agree.")
@click.option(
    "--cascade",
    type=click.Choice(list(CASCADES)),
    default="background",
    show_default=True,
    help="What becomes of dependents.",
)
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return when the objects are gone.")
@click.option(
    "--timeout", metavar="DURATION", default="0", callback=duration, help="How long to wait; 0 for as long as it takes."
)
@click.option("--ignore-not-found", is_flag=True, help="What does not exist is no error.")
@click.argument("arguments", nargs=-1, metavar="[KIND[,KIND] [NAME...] | KIND/NAME...]")
def command(
    where: Where,
    all_namespaces: bool,
    selector: str,
    files: tuple[str, ...],
    everything: bool,
    grace_period: int,
    now: bool,
    force: bool,
    cascade: str,
    wait: bool,
    timeout: float,
    ignore_not_found: bool,
    arguments: tuple[str, ...],
) -> None:
    """Delete objects."""
    if bool(files) == bool(arguments):
        raise click.UsageError("name either a kind or, with -f, a manifest")
    grace = 0 if force else 1 if now else grace_period if grace_period >= 0 else None
    how = How(grace, CASCADES[cascade], wait, timeout, ignore_not_found or everything)
    objects = read_manifests(files)
    if all_namespaces:
        where = attrs.evolve(where, namespace="")
    execute(lambda: _delete(where, objects, arguments, selector, everything, how))


async def _delete(
    where: Where, objects: Sequence[Obj], arguments: Sequence[str], selector: str, everything: bool, how: How
) -> int:
    code, begun = 0, []
    async with open_session(where) as session:
        victims = _of_manifests(session, objects) if objects else _asked(session, arguments, selector, everything)
        async for victim in victims:
            try:
                begun.append((victim, await _begin(session, victim, how)))
            except NotFound as error:
                if not how.ignore_missing:
                    fail(f"Error from server (NotFound): {error.message}")
                    code = 1
            except ApiError as error:
                fail(f"Error from server ({error.reason}): {error.message}")
                code = 1
        if how.wait:
            await _wait(session.client, begun, how.timeout)
    return code


async def _of_manifests(session: Session, objects: Iterable[Obj]) -> AsyncIterator[Victim]:
    for obj in objects:
        resource = session.kinds.of(obj)
        metadata = obj.get("metadata") or {}
        namespace = metadata.get("namespace") or session.namespace or "default"
        if not metadata.get("name"):
            raise click.ClickException(f"a {resource.kind} of the manifest has no name")
        yield Victim(resource, metadata["name"], namespace if resource.namespaced else "")


async def _asked(session: Session, arguments: Sequence[str], selector: str, everything: bool) -> AsyncIterator[Victim]:
    for target in parse_targets(arguments, session.kinds):
        namespace = session.namespace_for(target.resource)
        if target.names and (selector or everything):
            raise click.ClickException("names cannot be used together with -l or --all")
        if target.names and target.resource.namespaced and not namespace:
            raise click.ClickException("a resource cannot be deleted by name across all namespaces")
        for name in target.names:
            yield Victim(target.resource, name, namespace)
        if target.names:
            continue
        if not selector and not everything:
            raise click.ClickException("a kind was given, but no name, no -l and no --all")
        found = await session.client.list(target.resource, namespace=namespace, label_selector=selector)
        for obj in found.items:
            yield Victim(target.resource, name_of(obj), namespace_of(obj))


async def _begin(session: Session, victim: Victim, how: How) -> str:
    """Deletes, says so, and answers the UID of what will be gone."""
    answer = await session.client.delete(
        victim.resource,
        victim.name,
        namespace=victim.namespace,
        grace_period=how.grace,
        propagation=how.propagation,
    )
    place = f" from {victim.namespace} namespace" if victim.namespace else ""
    click.echo(f'{qualified(victim.resource)} "{victim.name}" deleted{place}')
    return str((answer.get("details") or {}).get("uid") or uid_of(answer) if "metadata" in answer else "")


async def _wait(client: Client, begun: Sequence[tuple[Victim, str]], timeout: float) -> None:
    with anyio.move_on_after(timeout or None) as scope:
        for victim, uid in begun:
            await _gone(client, victim, uid)
    if scope.cancelled_caught:
        raise click.ClickException(f"timed out after {timeout:g} s waiting for deletion")


async def _gone(client: Client, victim: Victim, uid: str) -> None:
    """Returns when the object of that UID does not exist, whoever has its name by then."""
    while True:
        found = await client.list(
            victim.resource, namespace=victim.namespace, field_selector=f"metadata.name={victim.name}"
        )
        if not any(_same(obj, uid) for obj in found.items):
            return
        try:
            await _next_deletion(client, victim, found.resource_version)
        except Expired:
            continue


async def _next_deletion(client: Client, victim: Victim, revision: str) -> None:
    async with client.watch_batches(
        victim.resource,
        namespace=victim.namespace,
        field_selector=f"metadata.name={victim.name}",
        resource_version=revision,
    ) as batches:
        async for batch in batches:
            for event in batch:
                if event.type == "ERROR":
                    raise ApiError.from_status(event.object)
                if event.type == "DELETED":
                    return


def _same(obj: Doc, uid: str) -> bool:
    return not uid or uid_of(obj) == uid
