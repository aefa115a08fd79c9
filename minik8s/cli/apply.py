"""`minik8s apply`: server-side apply of manifests, telling for each object what became of it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from minik8s.api.resource import Resource
from minik8s.cli.kinds import qualified
from minik8s.cli.options import Where, files_option, session_options
from minik8s.cli.running import execute, fail
from minik8s.cli.session import Session, open_session, read_manifests
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj, name_of

_KEPT_BY_THE_SERVER = ("resourceVersion", "managedFields")


@click.command()
@session_options
@files_option("A manifest, a folder of them, or - for stdin; repeatable.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "server"]),
    default="none",
    show_default=True,
    help="server: say what would become of it.",
)
@click.argument("more", nargs=-1, metavar="[FILE...]")
def command(where: Where, files: tuple[str, ...], dry_run: str, more: tuple[str, ...]) -> None:
    """Create objects, or change them to what manifests say."""
    if not files:
        raise click.UsageError("name a manifest with -f")
    objects = read_manifests((*files, *more))
    if not objects:
        raise click.ClickException("no objects in the manifests")
    execute(lambda: _apply(where, objects, dry_run=dry_run == "server"))


async def _apply(where: Where, objects: Sequence[Obj], *, dry_run: bool) -> int:
    """Goes on after an object that fails, as kubectl does."""
    code = 0
    async with open_session(where) as session:
        for obj in objects:
            try:
                click.echo(await apply_object(session, obj, dry_run=dry_run))
            except ApiError as error:
                fail(f"Error from server ({error.reason}): {error.message}")
                code = 1
            except click.ClickException as error:
                fail(f"Error: {error.message}")
                code = 1
    return code


async def apply_object(session: Session, obj: Obj, *, dry_run: bool = False) -> str:
    """Applies, and answers `deployment.apps/web created` (or configured, or unchanged). Raises ApiError."""
    resource = await session.resource_of(obj)
    metadata = dict(obj.get("metadata") or {})
    if resource.namespaced:
        metadata.setdefault("namespace", session.namespace or "default")
    wanted = {**obj, "metadata": metadata}
    if metadata.get("name"):
        before = await _current(session, resource, metadata["name"], metadata.get("namespace", ""))
        after: Doc = await session.client.apply(resource, wanted, dry_run=dry_run)
        became = _became(before, after)
    else:  # generateName: there is nothing to compare with
        options = {"dryRun": "All"} if dry_run else {}
        after = await session.client.create(resource, wanted, **options)
        became = "created"
    return f"{qualified(resource)}/{name_of(after)} {became}{' (server dry run)' if dry_run else ''}"


async def _current(session: Session, resource: Resource[Doc], name: str, namespace: str) -> Doc | None:
    try:
        return await session.client.get(resource, name, namespace=namespace)
    except NotFound:
        return None


def _became(before: Doc | None, after: Doc) -> str:
    """What the apply did, judged by what users write: not the status, and not the server's own bookkeeping."""
    if before is None:
        return "created"
    return "unchanged" if _essence(before) == _essence(after) else "configured"


def _essence(obj: Doc) -> Obj:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in _KEPT_BY_THE_SERVER}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata}
