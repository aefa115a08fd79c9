"""Two reports beside each other: ratios, and when there are none because the two are not of a kind.

What must be alike: scenario, parameters, clock, and for times of the machine the machine. The cluster under test need
not be: to hold one server against another is what comparing is for. In virtual time the machine does not matter, so
that of unlike machines only real times are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from minik8s.bench.machine import differences
from minik8s.bench.ranks import Ratio, ratio
from minik8s.bench.report import Line, lines

FIGURES: Final = ("p50", "p90", "p99")


@attrs.frozen
class Row:
    """One figure of both reports. `ratio` is B to A, None where one of them has nothing to divide; `same`: every run of
    both has this value."""

    identifier: str
    what: str
    time: str
    labels: Mapping[str, str]
    figure: str
    unit: str
    a: float
    b: float
    ratio: Ratio | None
    same: bool


@attrs.frozen
class Comparison:
    """The rows, and what one should know of them: `unlike` was overridden, `only` stands in one report alone."""

    rows: list[Row]
    unlike: list[str]
    notes: list[str]
    only: list[str]


class Unlike(ValueError):
    """The two cannot be compared; `reasons` says why."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def obstacles(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(why the two cannot be compared, why their real times cannot)."""
    found = []
    first, second = a["scenario"], b["scenario"]
    if first["name"] != second["name"]:
        found.append(f"the scenarios are {first['name']} and {second['name']}")
    elif first["digest"] != second["digest"]:
        found.append(f"the scenario {first['name']} has changed between them")
    alike = first["name"] == second["name"]
    names = sorted(first["params"].keys() | second["params"].keys()) if alike else []
    found += [
        f"parameter {name} is {first['params'].get(name)} and {second['params'].get(name)}"
        for name in names
        if first["params"].get(name) != second["params"].get(name)
    ]
    if a["clock"] != b["clock"]:
        found.append(f"one is in {a['clock']} time and the other in {b['clock']} time")
    for name, report in (("A", a), ("B", b)):
        if report["partial"]:
            found.append(f"{name} is partial")
        if report["clock"] == "real" and report["real"].get("doubts"):
            found.append(f"{name} was measured on a noisy machine ({'; '.join(report['real']['doubts'])})")
    machines = differences(a["real"].get("machine", {}), b["real"].get("machine", {}))
    return found, [f"the machines differ in {each}" for each in machines]


def compare(a: Mapping[str, Any], b: Mapping[str, Any], *, anyway: bool = False) -> Comparison:
    """Ratios of all that both have. Raises Unlike, unless they are to be compared `anyway`."""
    reasons, machines = obstacles(a, b)
    skip_real = bool(machines) and a["clock"] == b["clock"] == "virtual" and not anyway
    unlike = reasons + ([] if skip_real else machines)
    if unlike and not anyway:
        raise Unlike(unlike)
    notes = [f"real times are left out: {'; '.join(machines)}"] if skip_real else []
    if a["target"] != b["target"]:
        notes.append(f"A is {target_name(a['target'])}, B is {target_name(b['target'])}")
    mine, theirs = ({_key(line): line for line in lines(report) if _counts(line, skip_real)} for report in (a, b))
    rows = [row for key, line in mine.items() if key in theirs for row in _rows(line, theirs[key])]
    only = [f"only A has {_name(line)}" for key, line in mine.items() if key not in theirs]
    only += [f"only B has {_name(line)}" for key, line in theirs.items() if key not in mine]
    return Comparison(rows, unlike, notes, only)


def target_name(target: Mapping[str, Any]) -> str:
    """`minik8s v1.36.2 (10 nodes, in this process)`."""
    where = f", {target['where']}" if target.get("where") else ""
    name = "minik8s" if target.get("kind") == "minik8s" else "the API server of a kubeconfig"
    return f"{name} {target.get('version', '?')} ({target.get('nodes', '?')} nodes{where})"


def _counts(line: Line, skip_real: bool) -> bool:
    return not (skip_real and line.time == "real") and "points" not in line.series[0]


def _key(line: Line) -> tuple[Any, ...]:
    return (line.identifier, line.what, line.time, *sorted(line.labels.items()))


def _name(line: Line) -> str:
    return f"{line.identifier} {line.what} {' '.join(filter(None, line.labels.values()))}".strip()


def _rows(a: Line, b: Line) -> Iterator[Row]:
    for figure in FIGURES if a.is_distribution else ("value",):
        head = (a.identifier, a.what, a.time, a.labels, figure, a.unit)
        mine, theirs = a.values(figure), b.values(figure)
        same = len({*mine, *theirs}) == 1
        yield Row(*head, a.median(figure), b.median(figure), ratio(mine, theirs), same)
