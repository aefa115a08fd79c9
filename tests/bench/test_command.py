"""`minik8s bench` as people call it: what it prints, refuses, and exits with."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minik8s.bench import session
from minik8s.bench.machine import Noise
from minik8s.bench.report import dumps
from minik8s.cli import bench, main
from tests.bench.conftest import Steps


def invoke(*args: object) -> Result:
    result = CliRunner().invoke(main, ["bench", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_list() -> None:
    """The scenarios are listed with what they do and take."""
    result = invoke("list")
    assert result.exit_code == 0
    assert "namespace-deletion\n    Deletes namespaces full of pods" in result.stdout
    assert "pods=300" in result.stdout


def test_run_in_a_process_of_its_own(small: Path, tmp_path: Path) -> None:
    """In real time the cluster has a process, is measured over HTTPS, and its directory gives report and comparison."""
    out = tmp_path / "out"
    result = invoke("run", small, "--param", "objects=3", "--seed", 1, "--noisy", "--out", out, "-o", "json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert report == json.loads((out / "report.json").read_bytes())
    assert report["target"]["where"] == "in a process of its own, over HTTPS"
    by_what = {found["what"]: found["series"] for found in report["real"]["runs"][0]["results"]}
    for what in ("latency at the client", "latency at the server"):
        counts = {series["labels"]["verb"]: series["count"] for series in by_what[what]}
        assert counts["POST"] == 3, what
    shown = invoke("report", out)
    assert "api: latency at the server (real time)" in shown.stdout
    assert invoke("report", out, "-o", tmp_path / "x.html").stdout == f"written: {tmp_path / 'x.html'}\n"
    compared = invoke("compare", out, out, "--anyway")
    assert "figures are the same in every run of both" in compared.stdout


def test_interrupted(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C leaves a report that is marked partial, exit code 130, and a directory to go on with."""
    progress = Steps("Create", lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(bench, "_progress", lambda: progress)
    small.write_text(small.read_text() + "- measurements:\n  - {Method: Sleep, Params: {duration: 1000h}}\n")
    out = tmp_path / "out"
    result = invoke("run", small, "--in-process", "--noisy", "--out", out)
    assert result.exit_code == 130
    assert f"partial report: {out / 'report.html'}" in result.stderr
    assert "PARTIAL: 0 of 1 runs ended" in result.stdout
    report = json.loads((out / "report.json").read_bytes())
    assert (report["partial"], report["runs"][0]["ended"]) == (True, False)
    assert report["real"]["runs"][0]["steps"][0]["name"] == "APIResponsiveness start"
    refused = invoke("run", small, "--resume", out)
    assert refused.exit_code == 2
    assert "give it nothing else" in refused.stderr


def test_too_noisy(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a noisy machine there is a reason instead of a figure, and an exit code of its own."""
    monkeypatch.setattr(session, "measure_noise", lambda: Noise(7.5, 0.1, 1e-3, 2))
    result = invoke("run", small, "--in-process")
    assert (result.exit_code, result.stdout) == (4, "")
    assert "Error: no figures: before run 1 the load average is 7.50 on 2 cores" in result.stderr
    assert "--noisy measures all the same" in result.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("run",), "Missing argument 'SCENARIO'; `minik8s bench list` names some."),
        (("run", "densiti"), "densiti: no such file, and no scenario that comes with minik8s (density, rollout,"),
        (("run", "day", "--pods", "3"), "day.yaml: the scenario has no parameter 'pods'; it has deployments,"),
        (("run", "density", "--param", "qps=0"), "density.yaml:19: tuningSets[0].qpsLoad.qps must be a number above"),
        (
            ("run", "density", "--param", "nodes=x"),
            "Error: density.yaml: parameter nodes must be a whole number, not 'x'",
        ),
        (("run", "density", "--param", "qps"), "'qps' is not of the form KEY=VALUE"),
        (("run", "density", "--kubeconfig", "x", "--clock", "virtual"), "it has no virtual time"),
        (("run", "density", "--stages", "none.yaml"), "none.yaml: No such file or directory"),
        (("run", "density", "--stages", "bad.yaml", "--clock", "virtual"), "bad.yaml:"),
        (("run", "density", "--stages", "bad.yaml", "--kubeconfig", "x"), "--stages is for clusters of ours"),
        (("run", "--resume", "nowhere"), "nowhere is no directory of a benchmark"),
        (("compare", "a", "b"), "a: No such file or directory"),
        (("report", "a"), "a: No such file or directory"),
    ],
)
def test_refusals(args: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad arguments and scenarios are exit code 2, with the file, the line and what there is instead."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("kind: Pod\n")
    result = invoke(*args)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert result.stderr.count("\n") <= 4, "one mistake is told once"


def test_unlike_reports(make_report: Any, tmp_path: Path) -> None:
    """Reports that are not of a kind are refused with every reason."""
    for name, report in (("a", make_report(1)), ("b", make_report(2, clock="virtual", partial=True))):
        (tmp_path / name).write_bytes(dumps(report))
    result = invoke("compare", tmp_path / "a", tmp_path / "b")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: these cannot be compared (--anyway does, and says so):",
        "  one is in real time and the other in virtual time",
        "  B is partial",
    ]
    anyway = invoke("compare", tmp_path / "a", tmp_path / "b", "--anyway")
    assert (anyway.exit_code, anyway.stdout.count("unlike:")) == (0, 2)
    assert "too few runs" in anyway.stdout
