"""Benchmarks as they run: the same in virtual time, cut short, gone on with, and leaving nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.api.resources import NAMESPACES
from minik8s.bench import running, session
from minik8s.bench.builtin import ORDER, builtin_scenarios
from minik8s.bench.machine import Noise, differences, machine_facts, measure_noise
from minik8s.bench.report import dumps, lines, verdicts
from minik8s.bench.rundir import DirectoryError, RunDirectory
from minik8s.bench.session import FAILED, MISSED, Plan, Session, Unfit, resume
from minik8s.bench.warmup import is_steady
from minik8s.blocking import BlockingCluster
from tests.bench.conftest import Steps

DENSITY = {"nodes": "2", "pods": "6", "podsPerDeployment": "3", "startSeconds": "1.5"}


def begin(plan: Plan, *, progress: Any = None, directory: RunDirectory | None = None) -> Session:
    return Session(plan, plan.load(), progress or Steps(), directory)


def run(one: Session) -> int:
    return anyio.run(one.run)


def density(**changes: Any) -> Plan:
    return Plan(
        **{"scenario": "density", "overrides": DENSITY, "seed": 7, "clock": "virtual", "where": "here", **changes}
    )


def test_density_in_virtual_time() -> None:
    """Pods take exactly as long as the simulation says; another benchmark with the same seed writes the same report."""
    reports = []
    for _ in range(2):
        one = begin(density(runs=2))
        assert run(one) == 0
        reports.append(one.report())
    own = [dumps({**report, "real": None}) for report in reports]
    assert own[0] == own[1]
    report = reports[0]
    found = {(line.what, line.time, *line.labels.values()): line for line in lines(report)}
    startup = found["pod startup", "virtual", "pod_startup"]
    assert startup.values("count") == [6, 6]
    assert startup.values("p99") == [1.5, 1.5]
    assert found["time in queue", "real", "replicaset"].values("count")[0] >= 2, "a controller that was made late"
    creations = "requests by client", "virtual", "replicaset-controller", "POST", "pods", "", "resource"
    assert found[creations].values("value") == [6, 6]
    for what in ("latency at the client", "latency at the server", "time in queue"):
        assert {line.time for line in lines(report) if line.what == what} == {"real"}
    assert {verdict["time"] for verdict in verdicts(report)} == {"virtual", "real"}
    assert not report["partial"]
    assert all(verdict["kept"] for verdict in verdicts(report))


def test_missed_objective() -> None:
    """Pods slower than the threshold miss the objective, which has an exit code of its own."""
    one = begin(density(overrides={**DENSITY, "threshold": "1s"}))
    assert run(one) == MISSED
    missed = verdicts(one.report())[0]
    assert (missed["objective"], missed["kept"], missed["measured"]) == ("pod startup p99", False, 1.5)


def test_cut_short_and_resumed(tmp_path: Path) -> None:
    """A benchmark that is cancelled in its second run reports both as partial, and goes on with what is missing."""
    plan = density(runs=2)
    directory = RunDirectory.create(tmp_path / "out", plan.document(plan.load()))

    async def cancelled() -> None:
        def stop() -> None:
            if len(progress.names) > 7:  # the second run's
                scope.cancel()

        progress = Steps("Wait for pods", stop)
        one = begin(plan, progress=progress, directory=directory)
        with anyio.CancelScope() as scope:
            await one.run()
        report = one.report()
        assert report["partial"]
        assert [(r["run"], r["ended"]) for r in report["runs"]] == [(1, True), (2, False)]
        page = one.write()
        assert page is not None
        assert "PARTIAL: 1 of 2 runs ended" in page.read_text("utf-8")

    anyio.run(cancelled)
    plan, scenario, directory = resume(tmp_path / "out")
    progress = Steps()
    again = Session(plan, scenario, progress, directory)
    assert run(again) == 0
    assert progress.names.count("the cluster starts") == 1
    whole = begin(plan)
    run(whole)
    assert dumps({**again.report(), "real": None}) == dumps({**whole.report(), "real": None})


def test_directories_refused(tmp_path: Path, small: Path) -> None:
    """A directory that is in use, none at all, a damaged run and a changed scenario are refused with what to do."""
    plan = Plan(scenario=str(small), clock="virtual", where="here")
    RunDirectory.create(tmp_path / "out", plan.document(plan.load()))
    with pytest.raises(DirectoryError, match=r"is not empty; --resume .*out goes on with it"):
        RunDirectory.create(tmp_path / "out", {})
    with pytest.raises(DirectoryError, match=r"has no plan\.json"):
        resume(tmp_path)
    (tmp_path / "out" / "run-001.json").write_text("{}")
    with pytest.raises(DirectoryError, match="is damaged; without it, that run is done again"):
        begin(plan, directory=RunDirectory(tmp_path / "out"))
    small.write_text(small.read_text() + "\n")
    with pytest.raises(DirectoryError, match="has changed since"):
        resume(tmp_path / "out")


@pytest.fixture(scope="module")
def theirs() -> Iterator[BlockingCluster]:
    """Somebody else's API server, as far as the benchmark knows."""
    with BlockingCluster(nodes=0, runtime="simulated", proxy=False) as cluster:
        yield cluster


def by_kubeconfig(cluster: BlockingCluster, path: Path, **changes: Any) -> Plan:
    where = {"where": "kubeconfig", "kubeconfig": str(cluster.kubeconfig), "noisy": True}
    return Plan(**{"scenario": str(path), "seed": 3, **where, **changes})


def namespaces(cluster: BlockingCluster) -> set[str]:
    return {found["metadata"]["name"] for found in cluster.run(cluster.client.list, NAMESPACES).items}


def test_by_kubeconfig(theirs: BlockingCluster, small: Path) -> None:
    """The same code measures any API server over HTTP, says what it cannot look into, and leaves nothing behind."""
    before = namespaces(theirs)
    one = begin(by_kubeconfig(theirs, small))
    assert run(one) == 0
    report = one.report()
    assert (report["target"]["kind"], report["clock"]) == ("kubeconfig", "real")
    whats = {line.what for line in lines(report) if line.labels.get("verb") == "POST"}
    assert whats == {"latency at the client", "requests by client"}
    assert namespaces(theirs) == before


def test_errors_leave_nothing_behind(theirs: BlockingCluster, small: Path) -> None:
    """A run that the server refuses ends with its words, and its namespaces are deleted all the same."""
    before = namespaces(theirs)
    small.with_name("object.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {labels: {group: 7}}\n")
    one = begin(by_kubeconfig(theirs, small))
    assert run(one) == FAILED
    assert one.report()["runs"][0]["problem"].startswith("BadRequest: ConfigMap in version")
    assert one.report()["partial"]
    assert namespaces(theirs) == before


def test_what_cannot_be_deleted_is_named(theirs: BlockingCluster, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that nobody finalizes keep a namespace: it is named with the server's reason."""
    monkeypatch.setattr(running, "CLEANUP_SECONDS", 0.5)
    stuck = "apiVersion: v1\nkind: ConfigMap\nmetadata: {finalizers: [example.com/never]}\n"
    small.with_name("object.yaml").write_text(stuck)
    one = begin(by_kubeconfig(theirs, small))
    run(one)
    (left,) = one.report()["runs"][0]["left"]
    assert left.startswith("namespace/small-")
    assert "example.com/never in 5 resource instances" in left


def test_not_warm(theirs: BlockingCluster, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that does not come to a steady speed gives no figures, unless they are wanted all the same."""
    before = namespaces(theirs)
    monkeypatch.setattr(session, "measure_noise", lambda: Noise(0.1, 0.05, 1e-3, 2))
    small.write_text(small.read_text().replace("requests: 0", "requests: 3, tolerance: 0.000001, attempts: 2"))
    with pytest.raises(Unfit, match="not warm: the median of 3 small requests"):
        run(begin(by_kubeconfig(theirs, small, noisy=False)))
    assert namespaces(theirs) == before
    one = begin(by_kubeconfig(theirs, small))
    run(one)
    assert one.report()["real"]["doubts"][0].startswith("not warm: the median of 3 small requests")


@pytest.mark.parametrize(
    ("medians", "steady"),
    [([], False), ([1, 1], False), ([9, 1, 1.1], True), ([9, 1, 1.3], False), ([1, 2, 2.1], True)],
)
def test_steady(medians: list[float], steady: bool) -> None:
    """Steady are two batches in a row that agree, of at least three."""
    assert is_steady(medians, 0.25) is steady


def test_noise(monkeypatch: pytest.MonkeyPatch, small: Path) -> None:
    """A busy machine gets no real figure; it is marked where one insists, and no matter in virtual time."""
    quiet = Noise(load=0.1, spread=0.05, fastest=1e-3, cores=2)
    assert quiet.problem() == ""
    assert "the load average is 1.90 on 2 cores" in Noise(1.9, 0.05, 1e-3, 2).problem()
    assert "takes up to 80% longer" in Noise(0.1, 0.8, 1e-3, 2).problem()
    assert measure_noise().fastest > 0
    monkeypatch.setattr(session, "measure_noise", lambda: Noise(1.9, 0.05, 1e-3, 2))
    with pytest.raises(Unfit, match=r"before run 1 the load average is 1\.90"):
        run(begin(Plan(scenario=str(small))))
    for plan in (Plan(scenario=str(small), where="here", noisy=True), Plan(scenario=str(small), clock="virtual")):
        one = begin(plan)
        assert run(one) == 0
        assert len(one.report()["real"]["doubts"]) == 1


def test_machine() -> None:
    """The facts name CPU, cores and Python; machines are compared by what matters."""
    facts = machine_facts()
    assert facts["cpu"]
    assert facts["cores"] >= 1
    assert facts["versions"]["minik8s"]
    assert differences(facts, facts) == []
    assert differences(facts, {**facts, "cores": 99}) == [f"cores: {facts['cores']} and 99"]


def test_built_in_scenarios() -> None:
    """All that are listed can be read, and have their names."""
    assert [scenario.name for scenario in builtin_scenarios()] == list(ORDER)
