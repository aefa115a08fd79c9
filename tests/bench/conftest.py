"""Small benchmarks, and reports made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minik8s.bench.histogram import Histogram
from minik8s.bench.report import SCHEMA
from minik8s.bench.results import Result, Series, Verdict
from minik8s.bench.world import Silent

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {group: load}}\ndata: {key: value}\n"
SMALL = """\
name: small
params: {nodes: 0, objects: 5, finalizer: none}
warmUp: {requests: 0}
tuningSets:
- name: all
  parallelismLimitedLoad: {parallelismLimit: 5}
steps:
- measurements:
  - {Identifier: api, Method: APIResponsiveness, Params: {action: start}}
- name: Create
  phases:
  - namespaceRange: {min: 1, max: 1}
    replicasPerNamespace: ${objects}
    tuningSet: all
    objectBundle:
    - {basename: data, objectTemplatePath: object.yaml}
- measurements:
  - {Identifier: api, Method: APIResponsiveness, Params: {action: gather}}
"""


class Steps(Silent):
    """Remembers the steps, and does something when one of them begins."""

    def __init__(self, at: str = "", then: Any = None) -> None:
        self.names: list[str] = []
        self._at, self._then = at, then

    def step(self, name: str, total: int) -> None:
        self.names.append(name)
        if name == self._at:
            self._then()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A scenario that makes some ConfigMaps."""
    (tmp_path / "object.yaml").write_text(CONFIG_MAP)
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def report_of(*medians: float, **changes: Any) -> dict[str, Any]:
    """A report in real time of one measurement, with a run for each of the medians."""
    runs, real = [], []
    for number, median in enumerate(medians, 1):
        histogram = Histogram()
        for share in (0.5, 1.0, 1.5):
            histogram.record(median * share)
        series = Series({"stage": "pod_startup"}, "s", histogram)
        result = Result("startup", "PodStartupLatency", "pod startup", "real", [series], "a <note>")
        verdict = Verdict("pod startup p99", "startup", 5.0, median * 1.5, "s", "real")
        head = {"run": number, "seed": number, "ended": True, "problem": "", "left": []}
        runs.append({**head, "steps": [], "results": [], "verdicts": []})
        late = {"p50": 0.0, "p99": 0.0, "max": 0.0}
        steps = [{"name": "Create", "seconds": 2.0, "operations": 3, "late": late}]
        measured = {"results": [result.document()], "verdicts": [verdict.document()], "warm_up": {}, "steps": steps}
        real.append({"run": number, "noise": None, **measured})
    machine = {"cpu": "one", "cores": 2, "memory_gib": 4.0, "system": "Linux", "python": "3", "versions": {}}
    scenario = {"name": "density", "description": "fills <it>", "digest": "d", "params": {"pods": 30}}
    report = {
        "schema": SCHEMA, "scenario": scenario, "clock": "real", "seed": 1, "wanted": len(medians), "partial": False,
        "target": {"kind": "minik8s", "version": "v1", "nodes": 3}, "runs": runs,
        "real": {"machine": machine, "doubts": [], "load_before": 0.1, "load_after": 0.2, "runs": real},
    }  # fmt: skip
    for path, value in changes.items():
        *parents, last = path.split("__")
        where: Any = report
        for parent in parents:
            where = where[parent]
        where[last] = value
    return report


@pytest.fixture
def make_report() -> Any:
    return report_of
