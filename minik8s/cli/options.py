"""Options that several commands share, and the way every command runs its coroutine."""

from __future__ import annotations

import gc
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from minik8s.machinery.errors import ApiError

F = TypeVar("F", bound=Callable[..., Any])


class ImageType(click.ParamType):
    """`NAME=COMMAND`: an image name and the entrypoint that stands for it."""

    name = "NAME=COMMAND"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, equals, command = value.partition("=")
        if not (name and equals and command.strip()):
            self.fail(f"{value!r} is not of the form NAME=COMMAND", param, ctx)
        return name, command


def cluster_options(function: F) -> F:
    """--nodes, --port, --image, --runtime, --seed: what a new cluster can be told."""
    for option in (
        click.option("--nodes", type=click.IntRange(0, 10_000), default=1, show_default=True, help="Nodes to start."),
        click.option("--port", type=click.IntRange(0, 65535), default=0, help="API server port; 0 takes a free one."),
        click.option(
            "--image", "images", type=ImageType(), multiple=True, help="A local command as an image; repeatable."
        ),
        click.option("--runtime", type=click.Choice(["subprocess", "simulated"]), default="subprocess"),
        click.option("--seed", type=int, default=None, help="Source of all names and UIDs."),
    ):
        function = option(function)
    return function


def kubeconfig_option(function: F) -> F:
    """--kubeconfig: which cluster to talk to."""
    option = click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path),
        default=None,
        help="Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config by default.",
    )
    return option(function)


def namespace_option(function: F) -> F:
    return click.option("-n", "--namespace", default=None, help="Namespace; the context's, else default.")(function)


def execute(main: Callable[[], Awaitable[int]]) -> None:
    """Runs a command's coroutine, and exits with the code it returns; API errors become one line on stderr."""
    raise SystemExit(anyio.run(_guarded, main))


async def _guarded(main: Callable[[], Awaitable[int]]) -> int:
    try:
        return await main()
    except ApiError as error:
        click.echo(f"Error from server ({error.reason}): {error.message}", err=True)
    except OSError as error:
        click.echo(f"Error: {error}", err=True)
    return 1


async def until_signal(main: Callable[[], Awaitable[int]]) -> int:
    """Runs `main` until it returns, or SIGINT or SIGTERM arrives: then it is cancelled and cleans up after itself."""
    result = 0
    async with anyio.create_task_group() as group:

        async def work() -> None:
            nonlocal result
            result = await main()
            group.cancel_scope.cancel()

        group.start_soon(work)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for received in signals:
                result = 0 if received == signal.SIGTERM else 130
                group.cancel_scope.cancel()
                break
    return result


def tune_collector() -> None:
    """Keeps long-lived documents out of the cyclic collector's way; only for processes that are ours."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
