"""A benchmark from its first run to its report: warm-up, noise, several runs, and what is kept when it is cut short."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from minik8s.bench.builtin import find_scenario
from minik8s.bench.machine import Noise, load_average, machine_facts, measure_noise
from minik8s.bench.page import page
from minik8s.bench.parsing import load_scenario
from minik8s.bench.reading import Problem, ScenarioError, read_text
from minik8s.bench.report import report_document, run_document
from minik8s.bench.results import Time
from minik8s.bench.rundir import DirectoryError, RunDirectory
from minik8s.bench.running import Run, run_once
from minik8s.bench.scenario import Scenario
from minik8s.bench.targets import TargetOptions, Where
from minik8s.bench.warmup import NotWarm
from minik8s.bench.world import REAL, Progress
from minik8s.kubelet.stages.manifest import load_stages

FAILED, MISSED, UNFIT = 1, 3, 4
"""Exit codes: a run failed; an objective was not kept; the machine is too noisy or the cluster did not warm up."""
STARTED: Final = "%Y-%m-%d %H:%M:%S UTC"


class Unfit(Exception):
    """No figure would mean anything here and now; the message says why."""


@attrs.frozen(kw_only=True)
class Plan:
    """Everything that a benchmark was told: what a resumed one goes on with."""

    scenario: str
    overrides: Mapping[str, str] = attrs.field(factory=dict)
    runs: int = 1
    seed: int = 0
    clock: Time = "real"
    where: Where = "process"
    kubeconfig: str = ""
    context: str = ""
    noisy: bool = False
    stages: Sequence[str] = ()

    def load(self) -> Scenario:
        """The scenario, with its parameters; stages count as one, told by their text. Raises ScenarioError."""
        path, shown = find_scenario(self.scenario)
        scenario = load_scenario(path, self.overrides, shown=shown)
        if not self.stages:
            return scenario
        return attrs.evolve(scenario, params={**scenario.params, "stages": _checked(self.stages)})

    def target(self, scenario: Scenario) -> TargetOptions:
        return TargetOptions(
            where=self.where,
            clock=self.clock,
            nodes=scenario.nodes,
            options={"stages": list(self.stages)} if self.stages else {},
            kubeconfig=Path(self.kubeconfig) if self.kubeconfig else None,
            context=self.context,
        )

    def document(self, scenario: Scenario) -> dict[str, Any]:
        return {"plan": attrs.asdict(self), "digest": scenario.digest, "params": dict(scenario.params)}


def _checked(stages: Sequence[str]) -> str:
    """The names of the files, and a digest of what they say. Raises ScenarioError for what cannot be played."""
    digest = hashlib.sha256()
    for name in stages:
        text = read_text(Path(name), name)
        digest.update(text.encode())
        try:
            load_stages([Path(name)])
        except ValueError as error:
            where, _, what = str(error).partition(": ")
            raise ScenarioError([Problem(where, what)]) from None
    return f"{', '.join(Path(name).name for name in stages)} {digest.hexdigest()[:12]}"


def resume(path: Path) -> tuple[Plan, Scenario, RunDirectory]:
    """The benchmark of a run directory. Raises DirectoryError, and ScenarioError for a scenario that is gone."""
    directory, document = RunDirectory.open(path)
    try:
        plan = Plan(**document["plan"])
    except (KeyError, TypeError):
        raise DirectoryError(f"{path}: the plan is damaged") from None
    scenario = plan.load()
    if scenario.digest != document.get("digest") or dict(scenario.params) != document.get("params"):
        raise DirectoryError(f"{path}: the scenario {plan.scenario} has changed since; begin anew in another directory")
    return plan, scenario, directory


class Session:
    """One benchmark. `run` does what is left of it; `report` can be asked for at any time."""

    def __init__(
        self, plan: Plan, scenario: Scenario, progress: Progress, directory: RunDirectory | None = None
    ) -> None:
        self.plan, self.scenario, self._directory = plan, scenario, directory
        self.progress = progress
        self._done: dict[int, dict[str, Any]] = directory.finished(plan.runs) if directory is not None else {}
        self._current: Run | None = None
        self._load_before = load_average()
        self._started = REAL.now().strftime(STARTED)
        self._doubts: list[str] = []
        self._machine = machine_facts()

    async def run(self) -> int:
        """Does the runs that are missing; answers an exit code. Raises Unfit, and what `run_once` raises."""
        first = True
        for number in range(1, self.plan.runs + 1):
            if number in self._done:
                continue
            await self._one(number, first=first)
            first = False
        report = self.report()
        if any(run["problem"] for run in report["runs"]):
            return FAILED
        missed = any(
            not v["kept"] for part in (report, report["real"]) for run in part["runs"] for v in run["verdicts"]
        )
        return MISSED if missed else 0

    async def _one(self, number: int, *, first: bool) -> None:
        run = self._current = Run(number, self.plan.seed + number - 1)
        run.noise = measure_noise()
        self._judge(run.noise, f"before run {number}", load=first)
        try:
            await run_once(self.scenario, self.plan.target(self.scenario), run, self.progress)
        except NotWarm as error:
            self._doubt(f"not warm: {error}")
        self._judge(measure_noise(), f"after run {number}", load=False)
        self._current = None
        document = run_document(run, self.plan.clock)
        self._done[number] = document
        if self._directory is not None and run.ended:
            self._directory.keep(number, document)

    def _judge(self, noise: Noise, when: str, *, load: bool) -> None:
        if problem := noise.problem(load=load):
            self._doubt(f"{when} {problem}")

    def _doubt(self, problem: str) -> None:
        """In real time a doubt ends the benchmark, unless it was told to go on; in virtual time it is only noted."""
        self._doubts.append(problem)
        if self.plan.clock == "real" and not self.plan.noisy:
            raise Unfit(problem)

    def report(self) -> dict[str, Any]:
        """The report of what there is, the run under way included."""
        runs = dict(self._done)
        if self._current is not None and self._current.outcome.steps:
            runs.setdefault(self._current.number, run_document(self._current, self.plan.clock))
        machine = {
            "machine": self._machine,
            "load_before": self._load_before,
            "load_after": load_average(),
            "doubts": list(self._doubts),
            "started": self._started,
        }
        ordered = [runs[number] for number in sorted(runs)]
        plan = self.plan
        return report_document(self.scenario, plan.clock, plan.seed, plan.runs, ordered, machine)

    def write(self) -> Path | None:
        """Writes the report into the directory, if there is one; answers where the page is."""
        if self._directory is None:
            return None
        report = self.report()
        self._directory.write_report(report, page(report))
        return self._directory.path / "report.html"
