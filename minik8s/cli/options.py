"""Options that several commands share, and values that they are given in."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from minik8s.config import RUNTIMES, ClusterConfig
from minik8s.controllernames import CLOUD, DEFAULT_CONTROLLERS, chosen

Command = Callable[..., Any]

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smh]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smh])")


def _images(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`NAME=COMMAND` entries as a mapping."""
    entries = {}
    for value in values:
        name, equals, command = value.partition("=")
        if not (name and equals and command.strip()):
            raise click.BadParameter(f"{value!r} is not of the form NAME=COMMAND", context, parameter)
        entries[name] = command
    return entries


def _images_file(context: click.Context, parameter: click.Parameter, path: Path | None) -> dict[str, str]:
    """A file of `NAME=COMMAND` lines as a mapping."""
    from minik8s.kubelet.runtime.images import parse_entries

    if path is None:
        return {}
    try:
        return parse_entries(path.read_text("utf-8"))
    except ValueError as error:  # also for text that is not UTF-8
        raise click.BadParameter(f"{path}: {error}", context, parameter) from None


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds of Go's `1h30m`, `90s`, `500ms`, or of a plain number of seconds."""
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    if not _DURATION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not a duration like 90s or 1h30m", context, parameter)
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))


def _controllers(ours: bool) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """The names that kube-controller-manager's --controllers means: `*`, `name` and `-name`.

    `ours`: the cluster is one of ours, and `*` also means what a cloud would bring along.
    """
    everything = tuple(name for name in DEFAULT_CONTROLLERS if ours or name not in CLOUD)

    def names(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        try:
            return chosen(filter(None, map(str.strip, text.split(","))), everything)
        except ValueError as error:
            raise click.BadParameter(str(error), context, parameter) from None

    return names


def controllers_option(*, ours: bool) -> Callable[[Command], Command]:
    """--controllers, of a cluster of ours or of somebody else's."""
    return click.option(
        "--controllers",
        default="*",
        show_default=True,
        callback=_controllers(ours),
        help='Controllers to run: names, * for all, -NAME for all but that; "" for none.',
    )


def _stages(context: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files, once they have turned out to be stages that can be played."""
    if value:
        from minik8s.kubelet.stages.manifest import StageError, load_stages

        try:
            load_stages(value)
        except StageError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _scheduler_file(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """The file, once it has turned out to be a configuration."""
    if value is not None:
        from minik8s.scheduler.fields import ConfigurationError
        from minik8s.scheduler.profiles import check_file

        try:
            check_file(value)
        except ConfigurationError as error:
            raise click.BadParameter(str(error)) from None
    return value


def _runtime(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """What "auto" stands for on this machine; which it is and why is said, as less isolation is no detail."""
    if value != "auto":
        return value
    import anyio

    from minik8s.kubelet.runtime.feasibility import why_impossible

    if problem := anyio.run(why_impossible):
        click.echo(f"runtime: subprocess, because sandboxes are not possible here: {problem}", err=True)
        return "subprocess"
    click.echo("runtime: sandbox", err=True)
    return "sandbox"


_CLUSTER_OPTIONS: tuple[Callable[[Command], Command], ...] = (
    click.option("--nodes", type=click.IntRange(0, 10_000), default=1, show_default=True, help="Nodes to start."),
    click.option("--port", type=click.IntRange(0, 65535), default=0, help="API server port; 0 takes a free one."),
    click.option(
        "--image",
        "images",
        multiple=True,
        metavar="NAME=COMMAND",
        callback=_images,
        help="An image: a local command, a directory with a root file system, or an image on disk; repeatable.",
    ),
    click.option(
        "--images",
        "images_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_images_file,
        help="A file of NAME=COMMAND lines.",
    ),
    click.option(
        "--runtime",
        type=click.Choice([*RUNTIMES, "auto"]),
        default="subprocess",
        show_default=True,
        callback=_runtime,
        help="Run real processes, only pretend to, or isolate them by namespaces (Linux); auto isolates if it can.",
    ),
    click.option(
        "--stage",
        "stages",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_stages,
        help="A file of KWOK Stages by which simulated nodes or pods live; repeatable.",
    ),
    click.option(
        "--static-pod-path",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        default=None,
        help="A folder of manifests that node-1 runs, and each node those of the folder in it with its name.",
    ),
    click.option("--seed", type=int, default=None, help="Source of all names and UIDs."),
    controllers_option(ours=True),
    click.option(
        "--scheduler-config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        default=None,
        callback=_scheduler_file,
        help="A KubeSchedulerConfiguration for the scheduler.",
    ),
    click.option("--scheduler/--no-scheduler", default=True, help="Leave out the scheduler, for another's sake."),
    click.option("--rbac/--no-rbac", default=True, help="Let every authenticated user do everything."),
    click.option(
        "--dns-port",
        type=click.IntRange(0, 65535),
        default=None,
        help="Run cluster DNS at this port of 127.0.0.1, UDP and TCP; 0 takes a free one.",
    ),
    click.option("--ingress", is_flag=True, help="Run an ingress controller."),
)


def cluster_options(function: Command) -> Command:
    """What a new cluster can be told; the command gets it as one `config`."""

    @functools.wraps(function)
    def command(
        nodes: int,
        port: int,
        images: dict[str, str],
        images_file: dict[str, str],
        runtime: Any,
        seed: int | None,
        controllers: tuple[str, ...],
        scheduler: bool,
        scheduler_config: Path | None,
        rbac: bool,
        dns_port: int | None,
        ingress: bool,
        stages: tuple[Path, ...],
        static_pod_path: Path | None,
        **others: Any,
    ) -> Any:
        if stages and runtime != "simulated":
            raise click.UsageError("--stage needs --runtime simulated: real processes do not follow a script")
        config = ClusterConfig(
            nodes=nodes,
            port=port,
            images=images_file | images,
            runtime=runtime,
            seed=seed,
            controllers=controllers,
            scheduler=scheduler_config if scheduler and scheduler_config else scheduler,
            rbac=rbac,
            dns=runtime == "sandbox" or dns_port is not None,
            dns_port=dns_port or 0,
            ingress=ingress,
            coroutines=False,
            stages=stages,
            static_pod_path=static_pod_path,
        )
        return function(config=config, **others)

    return _decorated(command, *_CLUSTER_OPTIONS)


@attrs.frozen
class Where:
    """Which cluster a command is for: see `load_kubeconfig`. `namespace` None is the context's own, "" every one."""

    kubeconfig: Path | None = None
    context: str = ""
    namespace: str | None = None


def session_options(function: Command) -> Command:
    """Which cluster and namespace to talk to; the command gets it as one `where`."""

    @functools.wraps(function)
    def command(kubeconfig: Path | None, context: str, namespace: str | None, **others: Any) -> Any:
        return function(where=Where(kubeconfig, context, namespace), **others)

    return _decorated(
        command,
        click.option(
            "--kubeconfig",
            type=click.Path(path_type=Path),
            default=None,
            help="Kubeconfig of the cluster; $KUBECONFIG or ~/.kube/config by default.",
        ),
        click.option("--context", default="", help="Context of the kubeconfig; its current one by default."),
        click.option("-n", "--namespace", default=None, help="Namespace; the context's, else default."),
    )


all_namespaces_option = click.option("-A", "--all-namespaces", is_flag=True, help="Objects of every namespace.")
selector_option = click.option("-l", "--selector", default="", help="Label selector, as app=web,tier!=cache.")


def files_option(purpose: str) -> Callable[[Command], Command]:
    """-f, repeatable: paths of manifests as text, `-` is stdin."""
    return click.option("-f", "--filename", "files", multiple=True, metavar="FILE", help=purpose)


def _decorated(command: Command, *options: Callable[[Command], Command]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command
