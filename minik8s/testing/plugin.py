"""The pytest plugin: a cluster per test.

    async def test_it(cluster): ...            # a `Cluster` in the test's own loop (anyio's pytest plugin drives it)

    def test_it_too(blocking_cluster): ...     # a `BlockingCluster` in a thread, for synchronous code,
                                               # while KUBECONFIG leads clients and subprocesses to it

    @pytest.mark.minik8s(nodes=3, runtime="simulated")      # options of ClusterConfig for either

An async test that asks for `cluster` runs on asyncio without being told. Importing this module costs nothing: pytest
loads it in every session of an environment that has minik8s installed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from minik8s.blocking import BlockingCluster
    from minik8s.cluster import Cluster
    from minik8s.testing.report import LastWrites

MARKER = "minik8s"
WRITES: pytest.StashKey[LastWrites] = pytest.StashKey()
"""The test's cluster and the last writes to it."""


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker."""
    config.addinivalue_line("markers", f"{MARKER}(**options): options of the test's cluster, as in ClusterConfig")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with a `cluster` run once, on asyncio, where anyio's plugin would run them on every loop it knows."""
    if "cluster" not in metafunc.fixturenames or "anyio_backend" not in metafunc.fixturenames:
        return
    definition = metafunc.definition
    chosen = any("anyio_backend" in str(mark.args[:1]) for mark in definition.iter_markers("parametrize"))
    offered = metafunc._arg2fixturedefs.get("anyio_backend", ())
    if not chosen and offered and offered[-1].params:
        definition.add_marker(pytest.mark.parametrize("anyio_backend", ["asyncio"], ids=[""], indirect=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failed test's report what its clusters looked like."""
    report = yield
    writes = item.stash.get(WRITES, None)
    if report.when == "call" and report.failed and writes is not None:
        from minik8s.testing.report import describe

        if text := describe(writes.cluster.world, writes):
            report.sections.append(("minik8s", text))
    return report


@pytest.fixture
def cluster_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of this test's cluster: documents are frozen, a bug in a controller ends it, and whatever the test's
    `minik8s` marks say, the closest last. Override it for options of a whole module."""
    options: dict[str, Any] = {"freeze": True, "strict": True}
    for mark in reversed(list(request.node.iter_markers(MARKER))):
        options |= mark.kwargs
    return options


@pytest.fixture
async def cluster(
    anyio_backend: Any, cluster_options: dict[str, Any], request: pytest.FixtureRequest
) -> AsyncIterator[Cluster]:
    """A running cluster in the test's event loop; gone without a trace after the test."""
    from minik8s.cluster import Cluster
    from minik8s.testing.report import LastWrites

    async with Cluster(**cluster_options) as running:
        request.node.stash[WRITES] = LastWrites(running)
        yield running


@pytest.fixture
def blocking_cluster(
    cluster_options: dict[str, Any], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BlockingCluster]:
    """A running cluster in a thread of its own, for synchronous tests; KUBECONFIG names its kubeconfig."""
    from minik8s.blocking import BlockingCluster
    from minik8s.testing.report import LastWrites

    with BlockingCluster(**cluster_options) as running:
        request.node.stash[WRITES] = LastWrites(running.cluster)
        if running.url:  # a cluster that does not serve has no kubeconfig
            monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
        yield running
