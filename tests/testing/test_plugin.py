"""The pytest plugin, in a session of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ("pytester",)
Run = Callable[..., pytest.RunResult]


def test_async_tests(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """An async test gets a running cluster in its own loop, a fresh one each, without any mark."""
    pytester.makepyfile("""
        from minik8s import NAMESPACES, NODES
        import pytest

        async def test_one(cluster):
            assert [n["metadata"]["name"] for n in (await cluster.client.list(NODES)).items] == ["node-1"]
            await cluster.client.create(NAMESPACES, {"metadata": {"name": "mine"}})

        @pytest.mark.anyio
        async def test_two(cluster):
            assert await cluster.client.find(NAMESPACES, "mine") is None
    """)
    result = run_pytest("-v")
    result.assert_outcomes(passed=2)
    assert "trio" not in result.stdout.str()


def test_blocking_tests(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A synchronous test gets a running cluster that it can call, and that others reach by its kubeconfig."""
    pytester.makepyfile("""
        from minik8s import NODES

        def test_it(blocking_cluster):
            nodes = blocking_cluster.run(blocking_cluster.client.list, NODES)
            assert len(nodes.items) == 1
            assert blocking_cluster.url in blocking_cluster.kubeconfig.read_text()
    """)
    run_pytest().assert_outcomes(passed=1)


def test_kubeconfig_in_environment(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """KUBECONFIG leads to the test's own blocking cluster, and is as before once the test is over."""
    pytester.makepyfile("""
        import os
        import pytest

        BEFORE = os.environ.get("KUBECONFIG")

        def test_set(blocking_cluster):
            assert os.environ["KUBECONFIG"] == str(blocking_cluster.kubeconfig)

        def test_restored():
            assert os.environ.get("KUBECONFIG") == BEFORE

        @pytest.mark.minik8s(serve=False)
        def test_not_served(blocking_cluster):
            assert os.environ.get("KUBECONFIG") == BEFORE
    """)
    run_pytest().assert_outcomes(passed=3)


def test_options_by_marker(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Marks of module, class and test are merged, the closest wins; both fixtures obey."""
    pytester.makepyfile("""
        import pytest

        pytestmark = pytest.mark.minik8s(nodes=2, runtime="simulated")

        def test_module(blocking_cluster, cluster_options):
            assert cluster_options == {"freeze": True, "strict": True, "nodes": 2, "runtime": "simulated"}

        @pytest.mark.minik8s(nodes=3, seed=7)
        class TestClass:
            @pytest.mark.minik8s(nodes=4)
            async def test_function(self, cluster):
                config = cluster.config
                assert (config.nodes, config.seed, config.runtime) == (4, 7, "simulated")
    """)
    run_pytest().assert_outcomes(passed=2)


def test_options_by_fixture(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A module may override `cluster_options`."""
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def cluster_options(cluster_options):
            return {**cluster_options, "nodes": 0, "serve": False}

        async def test_it(cluster):
            assert cluster.url == ""
    """)
    run_pytest().assert_outcomes(passed=1)


def test_unknown_option(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """An option that does not exist is an error that names it."""
    pytester.makepyfile("""
        import pytest

        @pytest.mark.minik8s(knodes=2)
        def test_it(blocking_cluster):
            raise AssertionError
    """)
    result = run_pytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*a cluster has no option 'knodes'; did you mean 'nodes'?*"])


def test_failures_are_the_tests_own(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A failing test fails as itself, and what it was given is torn down."""
    pytester.makepyfile("""
        before = []

        async def test_fails(cluster):
            before.append(cluster)
            assert 1 == 2

        def test_gone():
            assert not before[0].directory.exists()
    """)
    result = run_pytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*assert 1 == 2"])
    assert "ExceptionGroup" not in result.stdout.str()


def test_other_tests_are_left_alone(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Loading the plugin imports no part of a cluster, and async tests of others run on the loops they chose."""
    pytester.makepyfile("""
        import sys
        import pytest

        def test_imports():
            assert "minik8s.cluster" not in sys.modules

        @pytest.mark.anyio
        @pytest.mark.parametrize("anyio_backend", ["asyncio"])
        async def test_theirs(anyio_backend):
            assert anyio_backend == "asyncio"

        @pytest.mark.parametrize("anyio_backend", [("asyncio", {"debug": True})], ids=["debug"])
        async def test_chosen(anyio_backend, cluster):
            assert anyio_backend == ("asyncio", {"debug": True})
    """)
    run_pytest(inprocess=False).assert_outcomes(passed=3)


def test_failures_are_explained(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A failed test's report shows the pods that are not well and why, the last events, and who wrote what."""
    pytester.makepyfile("""
        import pytest

        POD = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "nowhere/nothing:1"}]},
        }

        async def test_async(cluster):
            await cluster.apply(POD)
            await cluster.settle(timeout=30)
            assert False

        def test_blocking(blocking_cluster):
            blocking_cluster.apply(POD)
            blocking_cluster.settle(timeout=30)
            assert False

        @pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False)
        async def test_virtual(cluster):
            from minik8s.testing.matching import like

            (stored,) = await cluster.apply({**POD, "metadata": {"name": "v"}})
            assert stored == like({"status": {"phase": "Running"}})

        async def test_fine(cluster):
            pass
    """)
    result = run_pytest()
    result.assert_outcomes(failed=3, passed=1)
    text = result.stdout.str()
    assert text.count("pods that are not ready:") == 3
    assert "Pod default/v is not like that" in text
    assert "status.phase: wanted 'Running', found 'Pending'" in text
    assert "cannot be described" not in text
    assert "container c waits: " in text
    assert "last events:" in text
    assert "Pod default/p\n    " in text.split("what the test wrote, and what became of it:")[1]
    assert " created by minik8s as system:admin" in text
    assert ' changed by kube-scheduler: spec.nodeName: (none) -> "node-1", ' in text
    assert "minik8s: patch pods default/p -> 201" in text


def test_clusters_are_forgotten(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A cluster goes with its test, although pytest keeps the test: a suite of hundreds needs the memory of a few."""
    pytester.makepyfile("""
        import gc, weakref
        import pytest

        pytestmark = pytest.mark.minik8s(nodes=0, serve=False, proxy=False, scheduler=False, runtime="simulated")
        known = []

        @pytest.mark.parametrize("turn", range(3))
        async def test_async(cluster, turn):
            known.append(weakref.ref(cluster))

        def test_blocking(blocking_cluster):
            known.append(weakref.ref(blocking_cluster.cluster))

        def test_gone():
            gc.collect()
            assert len([cluster for cluster in known[:-1] if cluster()]) == 0
    """)
    run_pytest().assert_outcomes(passed=5)
