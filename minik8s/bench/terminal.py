"""The report and the comparison as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from minik8s.bench.charts import amount, seconds
from minik8s.bench.compare import Comparison, Row, target_name
from minik8s.bench.page import line_name, rank, warnings
from minik8s.bench.report import Line, lines, steps, used, verdicts
from minik8s.bench.slo import call_name

MOST_ROWS: Final = 12


def show_report(report: Mapping[str, Any], console: Console) -> None:
    """Prints everything that matters of a report; the file has the rest."""
    ended = sum(1 for run in report["runs"] if run["ended"])
    console.print(
        f"[bold]{escape(report['scenario']['name'])}[/] on {escape(target_name(report['target']))}, "
        f"[bold]{report['clock']} time[/], {ended} run{'' if ended == 1 else 's'}, seed {report['seed']}",
        soft_wrap=True,
    )
    for text in warnings(report):
        console.print(f"[bold red]{escape(text)}[/]", soft_wrap=True)
    if steps(report):
        console.print(_steps(report))
    for table in _measurements(report):
        console.print(table)
    _objectives(report, console)


def _steps(report: Mapping[str, Any]) -> Table:
    virtual = report["clock"] == "virtual"
    table = _table(
        "Steps", "step", "operations", f"took ({report['clock']})", *(["took (real)"] if virtual else []), "late p99"
    )
    for step in steps(report):
        row = [escape(step.name), f"{step.operations:,}" if step.operations else "", seconds(step.seconds)]
        table.add_row(
            *row, *([seconds(step.real_seconds)] if virtual else []), seconds(step.late) if step.operations else ""
        )
    return table


def _measurements(report: Mapping[str, Any]) -> Iterator[Table]:
    for (identifier, what, time), found in groupby(lines(report), lambda line: (line.identifier, line.what, line.time)):
        series = list(found)
        title = f"{identifier}: {what} ({time} time)"
        spread = [line for line in series if line.is_distribution]
        if spread:
            table = _table(title, "", "count", "p50", "p90", "p99", "max")
            for line in spread[:MOST_ROWS]:
                figures = (amount(line.median(figure), line.unit) for figure in ("p50", "p90", "p99", "max"))
                table.add_row(escape(line_name(line)), f"{line.median('count'):,.0f}", *figures)
            yield _captioned(table, len(spread), series[0])
        single = sorted((line for line in series if "value" in line.series[0]), key=rank)
        if single:
            table = _table("" if spread else title, "", "value")
            for line in single[:MOST_ROWS]:
                table.add_row(escape(line_name(line)), amount(line.median("value"), line.unit))
            yield _captioned(table, len(single), series[0], note=not spread)


def _captioned(table: Table, rows: int, line: Line, *, note: bool = True) -> Table:
    more = f"{rows - MOST_ROWS} more in the report" if rows > MOST_ROWS else ""
    table.caption = escape("; ".join(filter(None, (line.note if note else "", more)))) or None
    return table


def _objectives(report: Mapping[str, Any], console: Console) -> None:
    found = verdicts(report)
    if not found:
        return
    missed = [verdict for verdict in found if not verdict["kept"]]
    table = _table("Objectives", "objective", "of", "measured", "limit", "time", "")
    for verdict in [*missed, *(v for v in found if v["kept"])][: max(len(missed), 5)]:
        sign = "≥" if verdict["at_least"] else "≤"
        limit = f"{sign} {amount(verdict['limit'], verdict['unit'])}"
        kept = "[green]kept[/]" if verdict["kept"] else "[bold red]missed[/]"
        measured = f"{amount(verdict['measured'], verdict['unit'])} ({used(verdict):.0%})"
        table.add_row(escape(verdict["objective"]), escape(verdict["subject"]), measured, limit, verdict["time"], kept)
    table.caption = f"{len(found) - len(missed)} of {len(found)} kept"
    console.print(table)


def show_comparison(comparison: Comparison, console: Console) -> None:
    """Prints ratios of B to A with their intervals."""
    for text in comparison.unlike:
        console.print(f"[bold red]unlike:[/] {escape(text)}", soft_wrap=True)
    for text in comparison.notes:
        console.print(escape(text), soft_wrap=True)
    differing = [row for row in comparison.rows if not row.same]
    for title, rows in groupby(differing, lambda row: f"{row.identifier}: {row.what} ({row.time} time), B to A"):
        table = _table(title, "", "figure", "A", "B", "ratio", "interval", "confidence")
        for row in rows:
            table.add_row(_row_name(row), row.figure, amount(row.a, row.unit), amount(row.b, row.unit), *_ratio(row))
        console.print(table)
    if same := len(comparison.rows) - len(differing):
        console.print(f"{same} figures are the same in every run of both.")
    console.print(
        "Medians of runs; ratio and interval by Hodges-Lehmann and the exact rank-sum test with runs as units; "
        "bold where 1 lies outside of the interval.",
        style="dim",
    )
    for text in comparison.only:
        console.print(escape(text), style="dim", soft_wrap=True)


def _row_name(row: Row) -> str:
    name = call_name(row.labels) if "verb" in row.labels else " ".join(row.labels.values())
    client = f"{row.labels['client']}: " if row.labels.get("client") else ""
    return escape(client + name)


def _ratio(row: Row) -> tuple[str, str, str]:
    if row.ratio is None:
        return "-", "", "one side is 0" if row.a or row.b else ""
    found = row.ratio
    estimate = f"{found.estimate:.3f}"
    shown = f"[bold]{estimate}[/]" if found.differs else estimate
    if not found.confidence:
        return shown, "", "too few runs"
    return shown, f"{found.low:.3f} to {found.high:.3f}", f"{found.confidence:.0%}"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=escape(title) or None, title_justify="left", title_style="bold", caption_justify="left")
    table.box = SIMPLE_HEAD
    for index, column in enumerate(columns):
        numeric = index and column not in ("of", "time", "figure", "")
        table.add_column(column, justify="right" if numeric else "left", no_wrap=bool(numeric))
    return table
