"""Comparing: exact ranks, stated confidence, and refusals."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from minik8s.bench.compare import Unlike, compare
from minik8s.bench.ranks import arrangements, at_most, interval_rank, ratio


@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_distribution_by_counting(m: int, n: int) -> None:
    """The number of orders with each statistic is what counting all of them gives."""
    counted = [0] * (m * n + 1)
    for chosen in itertools.combinations(range(m + n), m):
        others = [rank for rank in range(m + n) if rank not in chosen]
        counted[sum(first > second for first in chosen for second in others)] += 1
    assert [arrangements(u, m, n) for u in range(m * n + 1)] == counted
    assert at_most(m * n, m, n) == 1


@pytest.mark.parametrize(
    ("m", "n", "rank", "reached"),
    [(5, 5, 3, 0.968), (10, 10, 24, 0.957), (4, 4, 1, 0.971), (3, 3, 1, 0.9), (2, 2, 1, 0.667)],
)
def test_interval_rank(m: int, n: int, rank: int, reached: float) -> None:
    """Ranks agree with published tables of the test at 5 % (critical values 2, 23 and 0); few runs reach less."""
    assert interval_rank(m, n) == (rank, pytest.approx(reached, abs=0.001))


def test_ratio() -> None:
    """The median of all ratios; one run bears no confidence, zeros have no ratio unless both are."""
    found = ratio([1, 2, 4], [2, 4, 8])
    assert found is not None
    assert (found.estimate, found.low, found.high, found.differs) == (2, 0.5, 8, False)
    apart = ratio([1.0, 1.01, 1.02], [2.0, 2.01, 2.02])
    assert apart is not None
    assert apart.differs
    single = ratio([1.0], [3.0])
    assert single is not None
    assert (single.estimate, single.confidence, single.differs) == (3, 0, False)
    nothing = ratio([0, 0], [0, 0])
    assert nothing is not None
    assert (nothing.estimate, nothing.differs) == (1, False)
    assert ratio([0, 1], [1, 1]) is None
    assert ratio([], [1.0]) is None


def test_rows(make_report: Any) -> None:
    """Every figure of both reports is a row, with medians of the runs and their ratio."""
    found = compare(make_report(1, 1.1, 1.2), make_report(2, 2.2, 2.4))
    assert [row.figure for row in found.rows] == ["p50", "p90", "p99"]
    assert found.rows[0].a == pytest.approx(1.1, rel=0.01)
    assert found.rows[0].ratio is not None
    assert found.rows[0].ratio.estimate == pytest.approx(2, rel=0.05)
    assert not found.unlike + found.notes + found.only


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scenario__name": "churn"}, "the scenarios are density and churn"),
        ({"scenario__digest": "e"}, "density has changed between them"),
        ({"scenario__params": {"pods": 40}}, "parameter pods is 30 and 40"),
        ({"clock": "virtual"}, "one is in real time and the other in virtual time"),
        ({"partial": True}, "B is partial"),
        ({"real__doubts": ["load 9"]}, "B was measured on a noisy machine (load 9)"),
        ({"real__machine": {"cpu": "two", "cores": 2}}, "the machines differ in cpu: one and two"),
    ],
)
def test_unlike(make_report: Any, changes: dict[str, Any], says: str) -> None:
    """What is not of a kind is refused with the reason, and compared anyway only when told, with the reason."""
    one, other = make_report(1, 2), make_report(1, 2, **changes)
    with pytest.raises(Unlike) as caught:
        compare(one, other)
    assert says in str(caught.value)
    assert says in "; ".join(compare(one, other, anyway=True).unlike)


def test_another_target_is_what_comparing_is_for(make_report: Any) -> None:
    """A different cluster under test is no obstacle, but is said."""
    target = {"kind": "kubeconfig", "version": "v1.36.2", "nodes": 3}
    found = compare(make_report(1), make_report(1, target=target))
    assert found.notes == ["A is minik8s v1 (3 nodes), B is the API server of a kubeconfig v1.36.2 (3 nodes)"]


def test_virtual_times_of_unlike_machines(make_report: Any) -> None:
    """In virtual time the machine does not matter, so only real times are left out."""
    machine = {"real__machine": {"cpu": "two"}, "clock": "virtual"}
    found = compare(make_report(1, clock="virtual"), make_report(1, **machine))
    assert found.rows == []
    assert found.notes[0].startswith("real times are left out: the machines differ in cpu")
