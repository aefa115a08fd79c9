"""The report: one JSON document of all runs, and reading it again.

What is in the cluster's own time stands outside of `real`; of a run in virtual time that part is the same, byte for
byte, whenever scenario, parameters, seed and version are. Everything that belongs to the machine is under `real`, and
of a run in real time that is all that was measured.

    schema      minik8s.bench/v1; a change that a reader has to know of gets another number
    scenario    name, description, digest (of file and templates), params
    clock, seed, wanted (runs), partial, target (the cluster under test)
    runs        each: run, seed, ended, problem, left (what could not be deleted), steps, results, verdicts
    real        machine, load_before, load_after, doubts (noise, no warm-up), started, and runs: steps, results,
                verdicts, warm_up, noise

A result is identifier, method, what, time and series; a series labels, unit, and either value, points ([seconds,
value]) or a distribution: count, mean, min, max, p50, p90, p99 and their histogram. Times are in seconds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from minik8s.bench.histogram import Histogram
from minik8s.bench.running import Run
from minik8s.bench.scenario import Scenario

SCHEMA: Final = "minik8s.bench/v1"
LARGEST: Final = 256 << 20
_HEAD: Final = {
    "scenario": dict,
    "clock": str,
    "seed": int,
    "wanted": int,
    "partial": bool,
    "target": dict,
    "runs": list,
    "real": dict,
}


class ReportError(ValueError):
    """A file that is no report of ours."""


def run_document(run: Run, time: str) -> dict[str, Any]:
    """One run as JSON: `own` is in the cluster's time, `real` in the machine's."""
    outcome, virtual = run.outcome, time == "virtual"
    steps = [step.document() for step in outcome.steps]
    head = {"run": run.number, "seed": run.seed, "ended": run.ended, "problem": outcome.problem, "left": run.left}
    own = {
        **head,
        "steps": steps if virtual else [],
        "results": [result.document() for result in outcome.results if result.time == "virtual"],
        "verdicts": [verdict.document() for verdict in outcome.verdicts if verdict.time == "virtual"],
    }
    real = {
        "run": run.number,
        "steps": [
            {**document, "seconds": step.real_seconds, "generator_cpu": step.generator_cpu}
            | ({"saturated": True} if step.saturated and not run.target.get("shared") else {})
            for document, step in zip(steps, outcome.steps, strict=True)
        ],
        "results": [result.document() for result in outcome.results if result.time == "real"],
        "verdicts": [verdict.document() for verdict in outcome.verdicts if verdict.time == "real"],
        "warm_up": run.warm_up,
        "noise": attrs.asdict(run.noise) if run.noise is not None else None,
    }
    return {"own": own, "real": real, "target": run.target}


def report_document(
    scenario: Scenario, time: str, seed: int, wanted: int, runs: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]
) -> dict[str, Any]:
    """The report of runs as `run_document` makes them; `machine` is what is known of it, load and doubts included."""
    ended = [run for run in runs if run["own"]["ended"]]
    return {
        "schema": SCHEMA,
        "scenario": {
            "name": scenario.name,
            "description": scenario.description,
            "digest": scenario.digest,
            "params": dict(scenario.params),
        },
        "clock": time,
        "seed": seed,
        "wanted": wanted,
        "partial": len(ended) < wanted,
        "target": runs[0]["target"] if runs else {},
        "runs": [run["own"] for run in runs],
        "real": {**machine, "runs": [run["real"] for run in runs]},
    }


def dumps(document: Mapping[str, Any]) -> bytes:
    """Indented, with sorted keys, so that reports can be compared as text."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def load_report(path: Path) -> dict[str, Any]:
    """The report of a file, or of a run directory. Raises ReportError."""
    file = path / "report.json" if path.is_dir() else path
    try:
        if file.stat().st_size > LARGEST:
            raise ReportError(f"{file}: larger than {LARGEST >> 20} MiB")
        report = orjson.loads(file.read_bytes())
    except OSError as error:
        raise ReportError(f"{file}: {error.strerror}") from None
    except orjson.JSONDecodeError as error:
        raise ReportError(f"{file}: not JSON: {error}") from None
    if not isinstance(report, dict) or "schema" not in report:
        raise ReportError(f"{file}: not a report of minik8s bench")
    if report["schema"] != SCHEMA:
        raise ReportError(f"{file}: its schema is {report['schema']!r}, and {SCHEMA} is what can be read")
    for key, kind in _HEAD.items():
        if not isinstance(report.get(key), kind):
            raise ReportError(f"{file}: damaged: {key!r} is missing or no {kind.__name__}")
    try:
        scenario = report["scenario"]
        {**scenario["params"]}, scenario["name"], scenario["digest"], scenario["description"]
        list(lines(report))
        list(verdicts(report))
        list(steps(report))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{file}: damaged: {type(error).__name__} {error}") from None
    return report


@attrs.frozen
class Line:
    """One thing that was measured: its series of every run, as the report has them."""

    identifier: str
    what: str
    time: str
    labels: Mapping[str, str]
    unit: str
    note: str
    series: Sequence[Mapping[str, Any]]

    @property
    def is_distribution(self) -> bool:
        return "count" in self.series[0]

    def values(self, figure: str) -> list[float]:
        """A figure (`p50`, `p90`, `p99`, `max`, `mean`, `count`, `value`) of each run that has it."""
        return [float(each[figure]) for each in self.series if figure in each]

    def median(self, figure: str) -> float:
        """The median of the runs."""
        return statistics.median(self.values(figure) or [0.0])

    def histogram(self) -> Histogram:
        """All runs in one."""
        total: Histogram | None = None
        for each in self.series:
            if "histogram" in each:
                found = Histogram.of(each["histogram"])
                if total is None:
                    total = found
                else:
                    total.merge(found)
        return total or Histogram()


def measured_runs(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of each run that ended (or, where none did, of each): what is in its own time, and what in real time."""
    ended = {run["run"] for run in report["runs"] if run["ended"]} or {run["run"] for run in report["runs"]}
    for part in (report["runs"], report["real"]["runs"]):
        yield from (run for run in part if run["run"] in ended)


def lines(report: Mapping[str, Any]) -> list[Line]:
    """Everything that was measured, in the order in which it was."""
    found: dict[tuple[Any, ...], Line] = {}
    for run in measured_runs(report):
        for result in run["results"]:
            for series in result["series"]:
                labels = {str(key): str(value) for key, value in series["labels"].items()}
                head = (result["identifier"], result["what"], result["time"])
                key = (*head, *sorted(labels.items()))
                if key not in found:
                    found[key] = Line(*head, labels, series["unit"], result.get("note", ""), [])
                list.append(found[key].series, series)  # type: ignore[arg-type]  # made above, shared with nobody
    return list(found.values())


def verdicts(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The worst of all runs for each objective and subject."""
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for run in measured_runs(report):
        for verdict in run["verdicts"]:
            key = (verdict["objective"], verdict["subject"])
            if key not in worst or used(verdict) > used(worst[key]):
                worst[key] = verdict
    return sorted(worst.values(), key=lambda each: (each["kept"], -used(each)))


def used(verdict: Mapping[str, Any]) -> float:
    """How much of the limit is used up: up to 1 the objective is kept."""
    one, other = float(verdict["measured"]), float(verdict["limit"])
    if verdict["at_least"]:
        one, other = other, one
    return one / other if other else float("inf")


@attrs.frozen
class StepLine:
    """A step over all runs: medians of its seconds, and how late its operations started at worst."""

    name: str
    operations: int
    seconds: float
    real_seconds: float
    late: float
    saturated: bool


def steps(report: Mapping[str, Any]) -> list[StepLine]:
    """The steps in their order."""
    real = list(_by_step(run for run in measured_runs(report) if "warm_up" in run))
    own = list(_by_step(run for run in measured_runs(report) if "warm_up" not in run)) or real
    found = []
    for mine, machine in zip(own if report["clock"] == "virtual" else real, real, strict=True):
        found.append(
            StepLine(
                name=mine[0]["name"],
                operations=mine[0]["operations"],
                seconds=statistics.median(float(step["seconds"]) for step in mine),
                real_seconds=statistics.median(float(step["seconds"]) for step in machine),
                late=max(float(step["late"]["p99"]) for step in mine),
                saturated=any(step.get("saturated") for step in machine),
            )
        )
    return found


def _by_step(runs: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    everything = [run["steps"] for run in runs if run["steps"]]
    shortest = min(map(len, everything), default=0)
    for index in range(shortest):
        yield [each[index] for each in everything]
