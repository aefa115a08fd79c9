"""A component on its own: it works through the API of whatever server a kubeconfig names.

That server may be a minik8s that was told to leave the component out, or a real one. Leader election keeps two
processes from doing the same work; the Leases are those of kube-controller-manager and kube-scheduler, so that the
real ones and ours keep clear of each other.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import attrs
import click
from anyio.abc import TaskGroup

from minik8s.client.client import Client
from minik8s.client.discovery import ACCEPT, Discovery
from minik8s.client.events import Recorders
from minik8s.client.http import HttpTransport
from minik8s.client.informer import Informers
from minik8s.client.kubeconfig import ClientConfig, load_kubeconfig
from minik8s.client.leaderelection import Election, LeaderElector, LeadershipLost
from minik8s.clock import Clock, RealClock


@attrs.frozen
class Component:
    """What a component needs to work: see `controllers.runtime.Context`."""

    config: ClientConfig
    client: Client
    informers: Informers
    recorders: Recorders
    discovery: Discovery
    clock: Clock
    rng: Random


def component_options(function: Callable[..., None]) -> Callable[..., None]:
    """Where the API server is, and whether to wait for one's turn."""
    for option in (
        click.option("--leader-elect/--no-leader-elect", default=True, show_default=True, help="Wait for the Lease."),
        click.option("--context", default="", help="Context of the kubeconfig; its current one by default."),
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path),
            default=None,
            help="Kubeconfig of the API server; $KUBECONFIG or ~/.kube/config by default.",
        ),
    ):
        function = option(function)
    return function


@asynccontextmanager
async def _connect(config: ClientConfig) -> AsyncIterator[Component]:
    """Connects; raises ClickException when nobody answers."""
    clock, rng = RealClock(), Random(secrets.randbits(63))
    transport = HttpTransport.from_config(config)
    try:
        client = Client(transport)
        discovery = Discovery(transport.accepting(ACCEPT).fetch, clock)
        await discovery.refresh()
        yield Component(
            config, client, Informers(client, clock, rng), Recorders(client, clock, rng), discovery, clock, rng
        )
    except ConnectionError as error:
        raise click.ClickException(f"{config.server} does not answer ({error}); is the cluster running?") from None
    finally:
        await transport.aclose()


async def run_component(
    name: str,
    kubeconfig: Path | None,
    context: str,
    leader_elect: bool,
    run: Callable[[Component], Awaitable[None]],
    election: Mapping[str, Any] | None = None,
) -> int:
    """Runs `run(component)` while this process leads, until a signal ends it; 1 when the leadership was lost.

    `election` has what is to be otherwise than usual in the `Election`.
    """
    config = load_kubeconfig(kubeconfig, context)
    async with _connect(config) as component:
        try:
            await _lead(name, component, leader_elect, run, election or {})
        except LeadershipLost as error:
            raise click.ClickException(str(error)) from None
    return 0


async def _lead(
    name: str,
    component: Component,
    leader_elect: bool,
    run: Callable[[Component], Awaitable[None]],
    options: Mapping[str, Any],
) -> None:
    async def lead() -> None:
        click.echo(f"{name} works on {component.config.server}")
        async with anyio.create_task_group() as group:
            _start_machinery(group, component)
            await run(component)
            group.cancel_scope.cancel()

    if not leader_elect:
        await lead()
        return
    identity = f"{socket.gethostname()}_{os.getpid()}_{component.rng.getrandbits(32):08x}"
    try:
        election = Election(**{"name": name, "identity": identity, **options})
    except ValueError as error:
        raise click.ClickException(f"leader election: {error}") from None
    recorder = component.recorders.recorder(name)
    elector = LeaderElector(component.client.as_agent(name), component.clock, component.rng, election, recorder)
    click.echo(f"{name} waits for the Lease {election.namespace}/{election.name}")
    await elector.run(lead)


def _start_machinery(group: TaskGroup, component: Component) -> None:
    group.start_soon(component.recorders.run, name="events")
    group.start_soon(component.informers.run, name="informers")
    group.start_soon(component.discovery.run, name="discovery")
