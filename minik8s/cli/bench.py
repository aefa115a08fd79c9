"""`minik8s bench`: measure a cluster under a scenario's load, and compare what was measured."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from rich.console import Console

from minik8s.bench.builtin import builtin_scenarios
from minik8s.bench.compare import Unlike, compare
from minik8s.bench.page import page
from minik8s.bench.reading import ScenarioError
from minik8s.bench.report import ReportError, dumps, load_report
from minik8s.bench.rundir import DirectoryError, RunDirectory
from minik8s.bench.session import UNFIT, Plan, Session, Unfit, resume
from minik8s.bench.terminal import show_comparison, show_report
from minik8s.bench.world import Silent
from minik8s.cli.benchprogress import Bars
from minik8s.cli.running import execute

WIDTH = 132
"""Of tables that go to no terminal."""
REFUSED = 2


def _params(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` entries as a mapping."""
    found = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not (key and equals):
            raise click.BadParameter(f"{value!r} is not of the form KEY=VALUE", context, parameter)
        found[key] = text
    return found


@click.group()
def command() -> None:
    """Measure a cluster under load, and compare what was measured.

    Exit codes: 0 all objectives kept, 1 a run failed, 2 bad arguments or a bad scenario, 3 an objective was missed,
    4 the machine is too noisy or the cluster does not warm up, 130 interrupted (what there is, is reported as partial).
    """


@command.command("list")
def list_command() -> None:
    """List the scenarios that come with minik8s, and their parameters."""
    for scenario in builtin_scenarios():
        shown = " ".join(f"{key}={value}" for key, value in scenario.params.items())
        click.echo(f"{scenario.name}\n    {scenario.description}\n    {shown}")


@command.command("run")
@click.argument("scenario", required=False)
@click.option("--nodes", type=click.IntRange(0, 10_000), default=None, help="The scenario's parameter nodes.")
@click.option("--pods", type=click.IntRange(0), default=None, help="The scenario's parameter pods.")
@click.option(
    "--param", "params", multiple=True, metavar="KEY=VALUE", callback=_params, help="A parameter; repeatable."
)
@click.option(
    "--runs", type=click.IntRange(1, 999), default=1, show_default=True, help="How often, with seeds of their own."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**53), default=None, help="Of the first run; drawn and reported by default."
)
@click.option(
    "--clock",
    type=click.Choice(["real", "virtual"]),
    default="real",
    show_default=True,
    help="Virtual time passes over waits and is the same on every run with one seed.",
)
@click.option("--in-process", is_flag=True, help="In real time too, run the cluster in this process, without HTTP.")
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path), default=None, help="Measure this API server, not one of ours."
)
@click.option("--context", default="", help="Context of the kubeconfig; its current one by default.")
@click.option(
    "--stages",
    type=click.Path(path_type=Path),
    multiple=True,
    help="KWOK Stage manifests by which nodes or pods of our cluster live; repeatable.",
)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Directory for the report; new or empty.")
@click.option("--resume", "resumed", type=click.Path(path_type=Path), default=None, help="Go on in such a directory.")
@click.option("--noisy", is_flag=True, help="Measure on a noisy machine too, and mark the report.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="What to print.")
def run_command(
    scenario: str | None,
    nodes: int | None,
    pods: int | None,
    params: dict[str, str],
    runs: int,
    seed: int | None,
    clock: Literal["real", "virtual"],
    in_process: bool,
    kubeconfig: Path | None,
    context: str,
    stages: tuple[Path, ...],
    out: Path | None,
    resumed: Path | None,
    noisy: bool,
    output: str,
) -> None:
    """Run SCENARIO: a file, or the name of one that comes with minik8s (see `minik8s bench list`)."""
    for name, value in (("nodes", nodes), ("pods", pods)):
        if value is not None:
            params = {name: str(value), **params}
    if resumed is not None:
        _only_resume()
        session = _refusing(lambda: _resumed(resumed))
    else:
        if scenario is None:
            raise click.UsageError("Missing argument 'SCENARIO'; `minik8s bench list` names some.")
        if kubeconfig is not None and (clock == "virtual" or in_process):
            raise click.UsageError(
                "--kubeconfig is of a cluster elsewhere: it has no virtual time, and no place in here"
            )
        if kubeconfig is not None and stages:
            raise click.UsageError("--stages is for clusters of ours; in another, KWOK itself plays them")
        plan = Plan(
            scenario=scenario,
            overrides=params,
            runs=runs,
            seed=secrets.randbits(32) if seed is None else seed,
            clock=clock,
            where="kubeconfig" if kubeconfig else "here" if in_process or clock == "virtual" else "process",
            kubeconfig=str(kubeconfig.absolute()) if kubeconfig else "",
            context=context,
            noisy=noisy,
            stages=tuple(str(path.absolute()) for path in stages),
        )
        session = _refusing(lambda: _new(plan, out))
    raise SystemExit(_measure(session, output))


def _only_resume() -> None:
    """Everything else is in the plan."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name)
        if name not in ("resumed", "output") and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError("--resume goes on with what the directory's plan says; give it nothing else")


def _new(plan: Plan, out: Path | None) -> Session:
    scenario = plan.load()
    directory = RunDirectory.create(out, plan.document(scenario)) if out is not None else None
    return Session(plan, scenario, _progress(), directory)


def _resumed(path: Path) -> Session:
    plan, scenario, directory = resume(path)
    return Session(plan, scenario, _progress(), directory)


def _progress() -> Any:
    return Bars() if sys.stderr.isatty() else Silent()


def _refusing(function: Callable[[], Any]) -> Any:
    """Calls it; what is wrong with the arguments is said without a traceback."""
    try:
        return function()
    except (ScenarioError, DirectoryError, ReportError) as error:
        click.echo(f"Error: {error}", err=True)
    except OSError as error:
        click.echo(f"Error: {error.filename}: {error.strerror}", err=True)
    raise SystemExit(REFUSED)


def _measure(session: Session, output: str) -> int:
    """Runs the benchmark; whatever ends it, what was found is kept and shown."""
    unfit = ""

    async def main() -> int:
        nonlocal unfit
        try:
            return await session.run()
        except Unfit as error:
            unfit = str(error)
            return UNFIT

    code: Any = 1
    try:
        execute(main)
    except SystemExit as end:
        code = end.code
    finally:
        progress = session.progress
        if isinstance(progress, Bars):
            progress.close()
    report, path = session.report(), session.write()
    if unfit:
        click.echo(f"Error: no figures: {unfit}; --noisy measures all the same, and marks the report", err=True)
    elif output == "json":
        sys.stdout.buffer.write(dumps(report))
        sys.stdout.buffer.flush()
    elif report["runs"]:
        show_report(report, _console())
    for run in report["runs"] if unfit or output == "json" else ():
        if run["problem"]:
            click.echo(f"Error: run {run['run']}: {run['problem']}", err=True)
        for text in run["left"]:
            click.echo(f"left behind: {text}", err=True)
    if path is not None:
        click.echo(f"{'partial ' if report['partial'] else ''}report: {path}", err=True)
    return int(code or 0)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=WIDTH)


@command.command("compare")
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--anyway", is_flag=True, help="Compare what is not of a kind, too, and say so.")
def compare_command(a: Path, b: Path, anyway: bool) -> None:
    """Show the ratios of report B to report A; each is a report.json or the directory of one."""
    one, other = _refusing(lambda: (load_report(a), load_report(b)))
    try:
        comparison = compare(one, other, anyway=anyway)
    except Unlike as error:
        click.echo("Error: these cannot be compared (--anyway does, and says so):", err=True)
        for reason in error.reasons:
            click.echo(f"  {reason}", err=True)
        raise SystemExit(REFUSED) from None
    show_comparison(comparison, _console())


@command.command("report")
@click.argument("report", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write an HTML page here."
)
def report_command(report: Path, out: Path | None) -> None:
    """Show a report again, or write it as an HTML page."""
    found = _refusing(lambda: load_report(report))
    if out is None:
        show_report(found, _console())
        return
    _refusing(lambda: out.write_text(page(found), "utf-8"))
    click.echo(f"written: {out}")
