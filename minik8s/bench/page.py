"""The report as one HTML page: tables and plots, nothing from elsewhere, readable in light and dark and on paper."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, Final

from minik8s.bench.charts import Bar, Curve, amount, distribution_chart, range_chart, seconds, time_chart
from minik8s.bench.compare import target_name
from minik8s.bench.report import Line, lines, steps, used, verdicts
from minik8s.bench.slo import LATENCIES, call_name, limit_of

MOST_BARS, MOST_ROWS = 14, 60
DISTRIBUTED: Final = {"pod startup", "watch delay", "deletion latency"}
BARS: Final = LATENCIES | {"time in queue", "time at work"}
_STYLE: Final = """
:root { --paper:#fff; --ink:#1d2330; --dim:#5d6675; --line:#c9ced8; --grid:#eceff4; --card:#f7f8fa; --bad:#c0322b;
  --good:#227a3f; --real:#8a5a00; --virtual:#4a3fb5; --c0:#2f6fd0; --c1:#d9622b; --c2:#2a9d74; --c3:#9a4fc4;
  --c4:#c7a008; --c5:#d0437c; --c6:#4b8fa6; --c7:#7a7f8c; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --paper:#14171d; --ink:#e4e8ef; --dim:#98a1b0; --line:#3a414e;
--grid:#232833;
  --card:#1b1f27; --bad:#ff7b72; --good:#5ac27f; --real:#e0b25a; --virtual:#a99bff; --c0:#6ea3f2; --c1:#f0905f;
  --c2:#5cc9a2; --c3:#c58ae6; --c4:#e0c04a; --c5:#f07fab; --c6:#7fbdd1; --c7:#a5abb8 } }
body { background:var(--paper); color:var(--ink); font:15px/1.5 system-ui, sans-serif; margin:0 auto; max-width:60rem;
  padding:1.5rem 1rem 4rem }
h1 { font-size:1.6rem; margin:0 } h2 { font-size:1.15rem; margin:2.2rem 0 .4rem } p, figcaption { color:var(--dim);
margin:.2rem 0 } table { border-collapse:collapse; width:100%; font-size:.88rem; font-variant-numeric:tabular-nums;
margin:.5rem 0 } th { text-align:left; color:var(--dim); font-weight:600 } td, th { padding:.2rem .6rem .2rem 0;
border-bottom:1px solid var(--grid) } td.n, th.n { text-align:right; white-space:nowrap } .wide { overflow-x:auto }
.mark { border-radius:.7rem; padding:.05rem .55rem; font-size:.78rem; border:1px solid currentColor;
white-space:nowrap;
  font-weight:600; vertical-align:middle } .real { color:var(--real) } .virtual { color:var(--virtual) }
.bad { color:var(--bad) } .good { color:var(--good) } .warn { border-left:4px solid var(--bad);
background:var(--card); padding:.5rem .8rem; margin:.8rem 0; color:var(--ink) } figure { margin:.6rem 0;
background:var(--card); border-radius:.5rem; padding:.6rem } svg { width:100%; height:auto; display:block } svg text {
fill:var(--dim); font:11px system-ui, sans-serif } svg text.name { fill:var(--ink) } svg .grid { stroke:var(--grid) }
.legend { display:flex; flex-wrap:wrap; gap:.2rem 1rem; font-size:.82rem; padding:.2rem 0 } .legend i {
display:inline-block;
  width:.8rem; height:.8rem; border-radius:.2rem; margin-right:.35rem; vertical-align:-.1rem }
dl { display:grid; grid-template-columns:max-content 1fr; gap:.1rem 1rem; font-size:.88rem; margin:.6rem 0 } dt {
color:var(--dim) } dd { margin:0; overflow-wrap:anywhere } details summary { cursor:pointer; color:var(--dim) }
""".strip()


def page(report: Mapping[str, Any]) -> str:
    """The whole page."""
    name = report["scenario"]["name"]
    body = "".join(
        (
            f"<h1>{escape(name)}</h1><p>{escape(report['scenario']['description'])}</p>",
            *(f'<p class="warn">{escape(text)}</p>' for text in warnings(report)),
            _facts(report),
            _objectives(report),
            _steps(report),
            *_measurements(report),
        )
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}: minik8s bench</title><style>{_STYLE}</style><body>{body}</body></html>\n"
    )


def warnings(report: Mapping[str, Any]) -> list[str]:
    """What a reader has to know before believing a figure."""
    found = []
    ended = sum(1 for run in report["runs"] if run["ended"])
    if report["partial"]:
        found.append(f"PARTIAL: {ended} of {report['wanted']} runs ended; figures are of what there is.")
    found += [f"Run {run['run']}: {run['problem']}" for run in report["runs"] if run["problem"]]
    if report["real"].get("doubts"):
        what = "Real times are" if report["clock"] == "virtual" else "Figures are"
        found.append(f"NOISY: {'; '.join(report['real']['doubts'])}. {what} of a busy machine.")
    found += [f"Left behind in the cluster: {text}" for run in report["runs"] for text in run["left"]]
    for step in steps(report):
        if step.saturated:
            found.append(
                f"Step {step.name!r}: the load generator used all of its core. What clients saw is its limit, not the "
                "server's; ask for less."
            )
        elif step.late > max(1.0, step.seconds / 10):
            found.append(f"Step {step.name!r}: the load was not kept up, operations started {seconds(step.late)} late.")
    return found


def _facts(report: Mapping[str, Any]) -> str:
    real, clock = report["real"], report["clock"]
    machine = real.get("machine", {})
    load = f"{real.get('load_before', 0):.2f} before, {real.get('load_after', 0):.2f} after"
    params = ", ".join(f"{key}={value}" for key, value in report["scenario"]["params"].items())
    rows = [
        ("cluster", escape(target_name(report["target"]))),
        ("clock", f"{_mark(clock)} {'seconds pass as the simulation says' if clock == 'virtual' else ''}"),
        ("runs", f"{sum(1 for run in report['runs'] if run['ended'])}, seed {report['seed']}"),
        ("parameters", escape(params)),
        (
            "machine",
            escape(f"{machine.get('cpu', '?')}, {machine.get('cores', '?')} cores, {machine.get('system', '?')}"),
        ),
        ("Python", escape(f"{machine.get('python', '?')}")),
        ("versions", escape(", ".join(f"{k} {v}" for k, v in machine.get("versions", {}).items()))),
        ("load average", load),
        ("measured", escape(str(real.get("started", "?")))),
    ]
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>"


def _objectives(report: Mapping[str, Any]) -> str:
    found = verdicts(report)
    if not found:
        return ""
    kept = sum(1 for verdict in found if verdict["kept"])
    rows = [
        (
            f'<span class="{"good" if v["kept"] else "bad"}">{"kept" if v["kept"] else "missed"}</span>',
            escape(v["objective"]),
            escape(v["subject"]),
            amount(v["measured"], v["unit"]),
            f"{'≥' if v['at_least'] else '≤'} {amount(v['limit'], v['unit'])}",
            f"{used(v):.1%}",
            _mark(v["time"]),
        )
        for v in found
    ]
    head = ("", "objective", "of", "measured", "limit", "used", "time")
    table = _table(head, rows[:8], numbers=(3, 4, 5))
    rest = f"<details><summary>{len(rows) - 8} more</summary>{_table(head, rows[8:], numbers=(3, 4, 5))}</details>"
    return f"<h2>Objectives: {kept} of {len(found)} kept</h2>{table}{rest if len(rows) > 8 else ''}"


def _steps(report: Mapping[str, Any]) -> str:
    virtual = report["clock"] == "virtual"
    rows = [
        (
            escape(step.name),
            f"{step.operations:,}" if step.operations else "",
            seconds(step.seconds),
            *((seconds(step.real_seconds),) if virtual else ()),
            seconds(step.late) if step.operations else "",
        )
        for step in steps(report)
    ]
    head = (
        "step",
        "operations",
        f"took {_mark(report['clock'])}",
        *((f"took {_mark('real')}",) if virtual else ()),
        "late p99",
    )
    return f"<h2>Steps</h2>{_table(head, rows, numbers=range(1, 5))}"


def _measurements(report: Mapping[str, Any]) -> Iterator[str]:
    def group(line: Line) -> tuple[str, str, str]:
        return line.identifier, line.what, line.time

    for (identifier, what, time), found in groupby(lines(report), group):
        series = list(found)
        note = f"<p>{escape(series[0].note)}</p>" if series[0].note else ""
        title = f"<h2>{escape(identifier)}: {escape(what)} {_mark(time)}</h2>"
        yield f"{title}{note}{_plot(what, series)}{_figures(series)}"


def _plot(what: str, series: Sequence[Line]) -> str:
    if what in BARS:
        shown = sorted(series, key=lambda line: -line.median("p99"))[:MOST_BARS]
        bars = [
            Bar(line_name(line), line.median("p50"), line.median("p90"), line.median("p99"), _limit(line))
            for line in shown
        ]
        return range_chart(bars, "s", f"{what}: p50 to p99, with a mark at p90; dashed: objective")
    if what in DISTRIBUTED:
        curves = [Curve(line_name(line), list(line.histogram().curve())) for line in series if line.is_distribution]
        curves = [curve for curve in curves if any(value for value, _ in curve.points)]
        return distribution_chart(curves, "s", f"{what}: share that took at most so long") if curves else ""
    timelines = [
        Curve(line_name(line), [(t, v) for t, v in line.series[0]["points"]]) for line in series if _points(line)
    ]
    return time_chart(timelines, series[0].unit, f"{what} over time, {series[0].unit}") if timelines else ""


def _points(line: Line) -> bool:
    return bool(line.series[0].get("points"))


def _limit(line: Line) -> float | None:
    return limit_of(line.labels) if line.what in LATENCIES else None


def line_name(line: Line) -> str:
    """What a series is of, in few words."""
    if "verb" in line.labels:
        client = f"{line.labels['client']}: " if line.labels.get("client") else ""
        reason = f" ({line.labels['reason']})" if line.labels.get("reason") else ""
        return client + call_name(line.labels) + reason
    return " ".join(value for value in line.labels.values() if value)


def _figures(series: Sequence[Line]) -> str:
    spread = [line for line in series if line.is_distribution]
    single = sorted((line for line in series if line.series[0].get("value") is not None), key=rank)
    parts = []
    if spread:
        rows = [
            (
                escape(line_name(line)),
                f"{line.median('count'):,.0f}",
                *(amount(line.median(f), line.unit) for f in ("mean", "p50", "p90", "p99", "max")),
            )
            for line in spread
        ]
        parts.append(_folded(("", "count", "mean", "p50", "p90", "p99", "max"), rows))
    if single:
        rows = [(escape(line_name(line)), amount(line.median("value"), line.unit), _runs(line)) for line in single]
        alike = not any(row[-1] for row in rows)
        parts.append(
            _folded(("", "value"), [row[:2] for row in rows]) if alike else _folded(("", "value", "runs"), rows)
        )
    return "".join(parts)


def _runs(line: Line) -> str:
    values = line.values("value")
    alike = len(values) < 2 or min(values) == max(values)
    return "" if alike else f"{amount(min(values), line.unit)} to {amount(max(values), line.unit)}"


def rank(line: Line) -> float:
    """Counts of requests stand by size; everything else in its order."""
    return -line.median("value") if line.unit == "requests" else 0.0


def _folded(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first, rest = rows[:MOST_BARS], rows[MOST_BARS:]
    table = _table(head, first, numbers=range(1, 9))
    more = (
        f"<details><summary>{len(rest)} more</summary>{_table(head, rest, numbers=range(1, 9))}</details>"
        if rest
        else ""
    )
    return table + more


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int]) -> str:
    """Cells are HTML already."""
    right = set(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(f"<{tag}{' class=n' if i in right else ''}>{cell}</{tag}>" for i, cell in enumerate(row))

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{cells("th", head)}</tr>{body}</table></div>'


def _mark(time: str) -> str:
    return f'<span class="mark {time}">{time} time</span>'
