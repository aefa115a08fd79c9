"""Exploring schedules: the same test under many seeds, each of which can be had again.

    pytest --minik8s-explore=50           # every test with a cluster of its own, under 50 seeds
    pytest --minik8s-seed=17              # under that one: what failed fails again

A seed gives the cluster's names, UIDs, chances and jitter, and with `ClusterConfig.shuffle` the order in which tasks
that are ready at once get their turn. With virtual time and the simulated runtime (and code under test that runs in the
test's loop) that is everything: one seed is one run. Real processes and outside clients add an order of their own.

The seed is part of a test's name (`test_it[seed=17]`), so that failures of several workers or nights can be told
apart. Tests that share their cluster are left as they are: the first of them would decide for all.
"""

from __future__ import annotations

import unittest
from collections.abc import Generator
from typing import Any

import pytest

_ARGUMENT = "minik8s_seed"
_MARKER = "minik8s"
_CLUSTERS = frozenset({"cluster", "blocking_cluster"})


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options."""
    group = parser.getgroup("minik8s")
    explore = "run each test that has a cluster under so many seeds, which also draw the order of ready tasks"
    group.addoption("--minik8s-explore", type=int, default=None, metavar="N", help=explore)
    seed = "run them under this seed, or with --minik8s-explore from this one on"
    group.addoption("--minik8s-seed", type=int, default=None, metavar="S", help=seed)


def pytest_configure(config: pytest.Config) -> None:
    """Refuses numbers that cannot be."""
    if (number := config.getoption("--minik8s-explore")) is not None and number < 1:
        raise pytest.UsageError(f"--minik8s-explore needs a number of runs from 1, not {number}")
    if (seed := config.getoption("--minik8s-seed")) is not None and seed < 0:
        raise pytest.UsageError(f"--minik8s-seed needs a whole number from 0, not {seed}")


def _seeds(config: pytest.Config) -> range:
    """The seeds to run under; none when nobody asked."""
    number, first = config.getoption("--minik8s-explore"), config.getoption("--minik8s-seed")
    if number is None and first is None:
        return range(0)
    first = 1 if first is None else first
    return range(first, first + (number or 1))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes one test of each seed."""
    seeds = _seeds(metafunc.config)
    if not seeds or not _CLUSTERS & set(metafunc.fixturenames) or _shares(metafunc):
        return
    metafunc.fixturenames.append(_ARGUMENT)
    metafunc.parametrize(_ARGUMENT, seeds, ids=[f"seed={seed}" for seed in seeds], indirect=True)


def _shares(metafunc: pytest.Metafunc) -> bool:
    config = metafunc.config
    if metafunc.cls is not None and issubclass(metafunc.cls, unittest.TestCase):
        return True
    if (config.getoption("--minik8s-scope", None) or config.getini("minik8s_scope")) != "function":
        return True
    marks = metafunc.definition.iter_markers(_MARKER)
    return next((mark.kwargs["scope"] for mark in marks if "scope" in mark.kwargs), "function") != "function"


def pytest_itemcollected(item: pytest.Item) -> None:
    """The seed goes before whatever the test's own marks say."""
    if (seed := _seed_of(item)) is not None:
        item.add_marker(pytest.mark.minik8s(seed=seed, shuffle=True), append=False)


def _seed_of(item: pytest.Item) -> int | None:
    callspec: Any = getattr(item, "callspec", None)
    return callspec.params.get(_ARGUMENT) if callspec is not None else None


@pytest.fixture
def minik8s_seed(request: pytest.FixtureRequest) -> int | None:
    """The seed under which the test runs, when seeds are explored; else None."""
    seed: int | None = getattr(request, "param", None)
    return seed


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Says how to have a failure again."""
    report = yield
    seed = _seed_of(item)
    if report.failed and seed is not None:
        report.sections.append(("minik8s seed", f'pytest "{item.nodeid}" --minik8s-seed={seed}'))
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Of each test that failed: under which of the seeds."""
    seeds = _seeds(config)
    failed: dict[str, set[int]] = {}
    for report in [*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())]:
        name, _, rest = getattr(report, "nodeid", "").partition("seed=")
        if rest:
            failed.setdefault(name.rstrip("[-"), set()).add(int(rest.partition("]")[0].partition("-")[0]))
    if not failed:
        return
    terminalreporter.section("minik8s seeds")
    for name, under in failed.items():
        shown = ", ".join(map(str, sorted(under)))
        terminalreporter.line(f"{name} failed under {len(under)} of {len(seeds)}: {shown}")
        terminalreporter.line(f"  replay: pytest {name.partition('[')[0]} --minik8s-seed={min(under)}")
