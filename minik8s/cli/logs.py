"""`minik8s logs`: what a container wrote, of a pod or of one of a workload's pods."""

from __future__ import annotations

import math
import sys
from typing import Any

import click

from minik8s.api.pods import is_pod_ready
from minik8s.api.resources import PODS
from minik8s.cli.kinds import qualified
from minik8s.cli.options import Where, duration, session_options
from minik8s.cli.running import execute
from minik8s.cli.session import Session, open_session
from minik8s.machinery.meta import Doc, annotations_of, name_of
from minik8s.machinery.selectors import LabelSelector

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@click.command()
@session_options
@click.option("-c", "--container", default="", help="Container; the pod's default or first one by default.")
@click.option("-f", "--follow", is_flag=True, help="Go on as more is written.")
@click.option("--tail", type=click.IntRange(-1), default=-1, help="Lines from the end; -1 for all.")
@click.option("--since", metavar="DURATION", callback=duration, help="Only what is newer than this, as 5m.")
@click.option("--timestamps", is_flag=True, help="The time before every line.")
@click.option("-p", "--previous", is_flag=True, help="Of the container's previous run.")
@click.argument("subject", metavar="POD | KIND/NAME")
def command(
    where: Where,
    container: str,
    follow: bool,
    tail: int,
    since: float | None,
    timestamps: bool,
    previous: bool,
    subject: str,
) -> None:
    """Show a container's output."""
    options = {
        "follow": "true" if follow else "",
        "tailLines": str(tail) if tail >= 0 else "",
        "sinceSeconds": str(max(1, math.ceil(since))) if since is not None else "",
        "timestamps": "true" if timestamps else "",
        "previous": "true" if previous else "",
    }
    execute(lambda: _logs(where, subject, container, {key: value for key, value in options.items() if value}))


async def _logs(where: Where, subject: str, container: str, options: dict[str, str]) -> int:
    async with open_session(where) as session:
        pod = await _pod(session, subject)
        options["container"] = container or default_container(pod)
        async with session.client.logs(PODS, name_of(pod), namespace=session.namespace, **options) as chunks:
            async for chunk in chunks:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
    return 0


async def _pod(session: Session, subject: str) -> Doc:
    """The pod itself, or the likeliest of the pods that a workload's or Service's selector finds."""
    kind, _, name = subject.rpartition("/")
    resource = session.kinds.find(kind or "pods")
    obj: Doc = await session.client.get(resource, name, namespace=session.namespace_for(resource))
    if resource.kind == "Pod":
        return obj
    found = await session.client.list(PODS, namespace=session.namespace, label_selector=_selector(obj, subject))
    pods: list[Doc] = sorted(found.items, key=_preference)
    if not pods:
        raise click.ClickException(f"no pods found for {qualified(resource)}/{name}")
    if len(pods) > 1:
        click.echo(f"Found {len(pods)} pods, using pod/{name_of(pods[0])}", err=True)
    return pods[0]


def _selector(obj: Doc, subject: str) -> str:
    selector: Any = (obj.get("spec") or {}).get("selector")
    if not selector:
        raise click.ClickException(f"{subject} selects no pods")
    labelled = "matchLabels" in selector or "matchExpressions" in selector
    return str(LabelSelector.from_object(selector) if labelled else LabelSelector.from_map(selector))


def _preference(pod: Doc) -> tuple[bool, bool, str]:
    """Ready ones first, then running ones, then by name."""
    return (not is_pod_ready(pod), pod.get("status", {}).get("phase") != "Running", name_of(pod))


def default_container(pod: Doc) -> str:
    """The annotated container, or the first; when there was a choice, stderr tells which it is."""
    names = [container["name"] for container in pod["spec"]["containers"]]
    chosen: str = annotations_of(pod).get(DEFAULT_CONTAINER, "")
    if chosen in names:
        return chosen
    if len(names) > 1:
        click.echo(f'Defaulted container "{names[0]}" out of: {", ".join(names)}', err=True)
    return str(names[0])
