"""Scenarios: what is understood, and what is refused with which line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from minik8s.bench.expressions import ExpressionError, substitute
from minik8s.bench.parsing import load_scenario
from minik8s.bench.reading import ScenarioError
from minik8s.bench.tuning import QpsLoad

POD = """\
apiVersion: v1
kind: Pod
metadata:
  labels: {group: "${Group}", index: "i${Index}"}
spec:
  priority: ${Priority}
  containers: [{name: main, image: pause}]
"""
GOOD = """\
name: density
params:
  pods: 30
  namespaces: ${max(1, nodes // 5)}
namespace:
  number: ${namespaces}
tuningSets:
- name: fast
  qpsLoad: {qps: 20}
steps:
- name: Start
  measurements:
  - Identifier: startup
    Method: PodStartupLatency
    Params: {action: start, labelSelector: group = load, threshold: 1m30s}
- name: Create
  phases:
  - namespaceRange: {min: 1, max: 2}
    replicasPerNamespace: ${pods // namespaces}
    tuningSet: fast
    objectBundle:
    - basename: pod
      objectTemplatePath: pod.yaml
      templateFillMap: {Group: load, Priority: 7}
- measurements:
  - Identifier: startup
    Method: PodStartupLatency
    Params: {action: gather}
"""

BOMB = "".join(f"{chr(i + 1)}: &{chr(i + 1)} [{', '.join(['*' + chr(i)] * 9)}]\n" for i in range(98, 112))


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def written(text: str, pod: str = POD) -> Path:
        (tmp_path / "pod.yaml").write_text(pod)
        path = tmp_path / "s.yaml"
        path.write_text(text)
        return path

    return written


def test_good(write: Any) -> None:
    """Parameters, arithmetic, durations and templates come out as values of their types."""
    scenario = load_scenario(write(GOOD), {"pods": "100"})
    assert (scenario.name, scenario.namespaces, scenario.nodes) == ("density", 2, 10)
    start, create, gather = scenario.steps
    assert start.measurements[0].params == {"labelSelector": "group = load", "threshold": 90.0}
    assert gather.name == "PodStartupLatency gather"
    phase = create.phases[0]
    assert (phase.replicas, phase.tuning.load) == (50, QpsLoad(20))
    pod = phase.bundle[0].render(3, "ns-1", scenario.params)
    assert pod["metadata"] == {"labels": {"group": "load", "index": "i3"}, "name": "pod-3", "namespace": "ns-1"}
    assert pod["spec"]["priority"] == 7


def test_digest(write: Any) -> None:
    """The digest changes with the file and with its templates, not with parameters."""
    digest = load_scenario(write(GOOD)).digest
    assert load_scenario(write(GOOD), {"nodes": "3"}).digest == digest
    assert load_scenario(write(GOOD, POD + "#")).digest != digest


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("tuningSet: fast", "tunningSet: fast", 's.yaml:20: steps[1].phases[0].tunningSet: unknown field "tunningSet"'),
        ("{qps: 20}", "{qps: 0}", "s.yaml:9: tuningSets[0].qpsLoad.qps must be a number above 0, at most 100,000"),
        ("{qps: 20}", "{qps: .inf}", "s.yaml:9: tuningSets[0].qpsLoad.qps must be a number above 0"),
        ("{qps: 20}", "{qps: fast}", "s.yaml:9: tuningSets[0].qpsLoad.qps must be a number above 0"),
        ("qpsLoad: {qps: 20}", "qps: 20", "s.yaml:8: tuningSets[0] must have exactly one load of qpsLoad,"),
        ("tuningSet: fast", "tuningSet: slow", "steps[1].phases[0].tuningSet: there is no tuning set 'slow'"),
        ("pod.yaml", "pods.yaml", "s.yaml:23: steps[1].phases[0].objectBundle[0].objectTemplatePath: there is no file"),
        ("Group: load, ", "", "pod.yaml:4: ${Group}: nothing is called Group; there are Index, Name, Namespace"),
        ("max: 2", "max: 0", "s.yaml:18: steps[1].phases[0].namespaceRange.max must not be less than min (1)"),
        ("// namespaces", "// 0", "s.yaml:19: steps[1].phases[0].replicasPerNamespace: ${pods // 0}: division by zero"),
        ("number: ${namespaces}", "number: 0", "s.yaml:6: namespace.number must be a whole number from 1"),
        ("1m30s", "soon", "s.yaml:15: steps[0].measurements[0].Params.threshold must be a duration like 90s"),
        ("group = load", "'= ='", "s.yaml:15: steps[0].measurements[0].Params.labelSelector:"),
        ("Method: PodStartup", "Method: PodStart", "s.yaml:14: steps[0].measurements[0].Method must be one of"),
        ("action: start", "action: stop", "Params.action must be one of start, gather, not 'stop'"),
        ("- Identifier: startup\n    Method: PodStartupLatency\n    Params: {action: g",
         "- Identifier: other\n    Method: PodStartupLatency\n    Params: {action: g", "gathered but was not"),
        ("basename: pod", "basename: Pod_", "s.yaml:22: steps[1].phases[0].objectBundle[0].basename must be"),
        ("- name: Start\n", "- name: Start\n  phases: []\n  measurement: []\n", 's.yaml:13: steps[0].measurement: un'),
        ("name: density", "name: density\nname: twice", "s.yaml:2: name is given twice"),
        ("name: density", "name: [", "not YAML"),
        (GOOD, "- a list", "s.yaml:1: a scenario must be a mapping"),
        (GOOD, "", "s.yaml: is empty"),
        ("{action: gather}", "{action: ${nodes}}", "(a ${...} inside of {} or [] has to be quoted)"),
        (GOOD, "a: &a [1]\nb: &b [*a, *a]\n" + BOMB, "nested deeper"),
    ],
)  # fmt: skip
def test_refusals(write: Any, old: str, new: str, says: str) -> None:
    """What is wrong is named with its file and line."""
    assert old in GOOD
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(GOOD.replace(old, new, 1)))
    assert says in str(caught.value)


def test_all_at_once(write: Any) -> None:
    """Several mistakes are told together."""
    text = GOOD.replace("{qps: 20}", "{qps: -1}").replace("min: 1", "min: x").replace("basename: pod", "base: pod")
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(text))
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"pod": "3"}, "has no parameter 'pod'; it has namespaces, nodes, pods"),
        ({"pods": "many"}, "parameter pods must be a whole number, not 'many'"),
        ({"nodes": "-1"}, "nodes must be a whole number from 0 to 10,000"),
    ],
)
def test_parameters(write: Any, overrides: dict[str, str], says: str) -> None:
    """Parameters that a scenario does not have, or of another kind, are refused."""
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(GOOD), overrides)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${a}", 6), ("x${a}y", "x6y"), ("${a / 4}", 1.5), ("${min(a, 2) + ceil(0.5)}", 3), ("$${a}", "${a}"),
        ("${flag}", True), ("is ${flag}", "is true"), ("${-a}", -6), ("plain", "plain"), ("${name}-${a}", "n-6"),
    ],
)  # fmt: skip
def test_expressions(text: str, value: Any) -> None:
    """A whole place keeps its type, others become text."""
    found = substitute(text, {"a": 6, "flag": True, "name": "n"})
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "text",
    ["${b}", "${a", "${}", "${a ** 9}", "${open('x')}", "${a.real}", "${name * 3}", "${" + "-" * 300 + "a}", "${1 +}"],
)
def test_expressions_refused(text: str) -> None:
    """Unknown names, calls, attributes, powers and text in arithmetic are errors, not code that runs."""
    with pytest.raises(ExpressionError):
        substitute(text, {"a": 6, "name": "n"})
