"""`minik8s get`: objects as the server's tables, or as YAML, JSON and names; once, or as they change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import attrs
import click

from minik8s.api.request import ApiRequest, Verb
from minik8s.cli.kinds import Target, parse_targets, qualified
from minik8s.cli.options import Where, all_namespaces_option, selector_option, session_options
from minik8s.cli.output import Format, render
from minik8s.cli.running import execute, fail
from minik8s.cli.session import Session, open_session
from minik8s.cli.tables import TablePrinter, joined
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj

Output = Literal["", "wide", "yaml", "json", "name"]


@attrs.frozen
class Asked:
    """What is to be shown of whatever is asked for."""

    selector: str = ""
    fields: str = ""
    output: Output = ""
    headers: bool = True
    labels: bool = False
    ignore_missing: bool = False

    @property
    def form(self) -> Format | None:
        """How objects are written; None asks for tables."""
        return None if self.output in ("", "wide") else cast(Format, self.output)

    def options(self, name: str = "") -> dict[str, str]:
        """Query parameters of a list or watch; of one object only, when it is named."""
        fields = ",".join(part for part in (self.fields, f"metadata.name={name}" if name else "") if part)
        chosen = {"labelSelector": self.selector, "fieldSelector": fields}
        return {key: value for key, value in chosen.items() if value}


@click.command()
@session_options
@all_namespaces_option
@selector_option
@click.option("--field-selector", "fields", default="", help="Field selector, as status.phase=Running.")
@click.option(
    "-o", "--output", type=click.Choice(["wide", "yaml", "json", "name"]), default=None, help="How to show them."
)
@click.option("-w", "--watch", is_flag=True, help="Go on showing changes.")
@click.option("--no-headers", is_flag=True, help="Tables without their first line.")
@click.option("--show-labels", is_flag=True, help="Labels as the last column.")
@click.option("--ignore-not-found", is_flag=True, help="A name that does not exist is no error.")
@click.argument("arguments", nargs=-1, required=True, metavar="KIND[,KIND] [NAME...] | KIND/NAME...")
def command(
    where: Where,
    all_namespaces: bool,
    selector: str,
    fields: str,
    output: Output | None,
    watch: bool,
    no_headers: bool,
    show_labels: bool,
    ignore_not_found: bool,
    arguments: tuple[str, ...],
) -> None:
    """Show objects. KIND may be a plural, singular or short name, or the category `all`."""
    asked = Asked(selector, fields, output or "", not no_headers, show_labels, ignore_not_found)
    if all_namespaces:
        where = attrs.evolve(where, namespace="")
    execute(lambda: _get(where, asked, arguments, watch))


async def _get(where: Where, asked: Asked, arguments: Sequence[str], watch: bool) -> int:
    async with open_session(where) as session:
        targets = parse_targets(arguments, session.kinds)
        _check(targets, asked, session, watch)
        if watch:
            return await _watch(session, targets[0], asked)
        if asked.form is not None:
            return await _show_objects(session, targets, asked, asked.form)
        return await _show_tables(session, targets, asked)


def _check(targets: Sequence[Target], asked: Asked, session: Session, watch: bool) -> None:
    named = any(target.names for target in targets)
    if watch and (len(targets) > 1 or len(targets[0].names) > 1):
        raise click.ClickException("you may only watch a single kind, or a single object")
    if named and (asked.selector or asked.fields):
        raise click.ClickException("a selector cannot be used together with names")
    if named and not session.namespace and any(target.resource.namespaced for target in targets):
        raise click.ClickException("a resource cannot be retrieved by name across all namespaces")


async def _show_tables(session: Session, targets: Sequence[Target], asked: Asked) -> int:
    """Tables one below the other; with several, names say of what kind they are."""
    code, shown = 0, False
    for target in targets:
        documents, missing = await _fetch(session, target, asked, tables=True)
        code = max(code, missing)
        lines = _printer(session, target, asked, several=len(targets) > 1).lines(joined(documents)) if documents else []
        if lines:
            click.echo("\n".join([""] * (shown and not target.names) + lines))
            shown = True
    if not shown and not code and not any(target.names for target in targets):
        place = f" in {session.namespace} namespace" if session.namespace and targets[0].resource.namespaced else ""
        click.echo(f"No resources found{place}{'' if place else '.'}", err=True)
    return code


async def _show_objects(session: Session, targets: Sequence[Target], asked: Asked, form: Format) -> int:
    code, found = 0, []
    for target in targets:
        objects, missing = await _fetch(session, target, asked, tables=False)
        code = max(code, missing)
        found += [(target.resource, obj) for obj in objects]
    single = len(targets) == 1 and len(targets[0].names) == 1
    if found or not single:
        text = render(found, form, single=single)
        if text:
            click.echo(text)
    return code


async def _fetch(session: Session, target: Target, asked: Asked, *, tables: bool) -> tuple[list[Obj], int]:
    """The Tables or objects of a target, and the exit code: 1 when a name does not exist, which is said already."""
    if not target.names:
        if tables:
            return [await session.tables.call(_request(session, "list", target, "", asked.options()))], 0
        listed = await session.client.list(
            target.resource,
            namespace=session.namespace_for(target.resource),
            label_selector=asked.selector,
            field_selector=asked.fields,
        )
        return [dict(item) for item in listed.items], 0
    found, code = [], 0
    for name in target.names:
        try:
            if tables:
                found.append(await session.tables.call(_request(session, "get", target, name)))
            else:
                namespace = session.namespace_for(target.resource)
                found.append(dict(await session.client.get(target.resource, name, namespace=namespace)))
        except NotFound as error:
            if not asked.ignore_missing:
                fail(f"Error from server (NotFound): {error.message}")
                code = 1
    return found, code


async def _watch(session: Session, target: Target, asked: Asked) -> int:
    """Shows what is there, then every change, until the server ends the watch."""
    name = target.names[0] if target.names else ""
    options = asked.options(name)
    transport = session.tables
    if asked.form is not None:
        transport = session.tables.accepting("application/json")
    show = _shower(session, target, asked)
    first = await transport.call(_request(session, "list", target, "", options))
    if name and not (first.get("rows") or first.get("items")):
        raise NotFound(f'{target.resource.group_resource} "{name}" not found')
    show(first)
    options["resourceVersion"] = (first.get("metadata") or {}).get("resourceVersion", "")
    async with transport.watch(_request(session, "watch", target, "", options)) as batches:
        async for batch in batches:
            for event in batch:
                if event.type == "ERROR":
                    raise ApiError.from_status(event.object)
                if event.type != "BOOKMARK":
                    show(event.object)
    return 0


class _Shower:
    """Prints lists, single objects and Tables as a watch delivers them."""

    def __init__(self, printer: TablePrinter, target: Target, form: Format | None) -> None:
        self._printer, self._target, self._form = printer, target, form

    def __call__(self, document: Doc) -> None:
        if self._form is None:
            for line in self._printer.lines(document):
                click.echo(line)
            return
        resource = self._target.resource
        head = {"apiVersion": resource.api_version, "kind": resource.kind}
        objects = [{**head, **item} for item in document["items"]] if "items" in document else [document]
        for obj in objects:
            separator = "---\n" if self._form == "yaml" else ""
            click.echo(separator + render([(resource, obj)], self._form, single=True))


def _shower(session: Session, target: Target, asked: Asked) -> _Shower:
    return _Shower(_printer(session, target, asked, several=False), target, asked.form)


def _printer(session: Session, target: Target, asked: Asked, *, several: bool) -> TablePrinter:
    return TablePrinter(
        wide=asked.output == "wide",
        namespaces=not session.namespace and target.resource.namespaced,
        labels=asked.labels,
        headers=asked.headers,
        prefix=qualified(target.resource) if several else "",
    )


def _request(
    session: Session, verb: Verb, target: Target, name: str = "", options: dict[str, str] | None = None
) -> ApiRequest:
    return ApiRequest(
        verb=verb,
        resource=target.resource,
        namespace=session.namespace_for(target.resource),
        name=name,
        options=options or {},
    )
