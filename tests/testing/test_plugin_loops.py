"""The plugin beside others that run async tests: a cluster is always in the loop of its test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ("pytester",)
Run = Callable[..., pytest.RunResult]

TESTS = """
    import asyncio
    import pytest
    from minik8s import NAMESPACES

    pytestmark = pytest.mark.minik8s(nodes=0, proxy=False, tls=False)

    async def works(cluster):
        # waits for a task of the cluster, as only its own loop can
        await cluster.client.create(NAMESPACES, {"metadata": {"name": "new"}})
        await cluster.wait_for(NAMESPACES, "new", lambda found: found["status"]["phase"] == "Active")
        await cluster.settle()
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_pytest_asyncio(pytester: pytest.Pytester, run_pytest: Run, mode: str) -> None:
    """Under pytest-asyncio a cluster is in the loop that the test has, in every loop scope; anyio's tests run, too."""
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        TESTS
        + """
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def prepared(cluster):
        await works(cluster)
        return asyncio.get_running_loop()

    @pytest.mark.asyncio
    async def test_function(cluster, prepared):
        assert prepared is asyncio.get_running_loop()

    @pytest.mark.asyncio(loop_scope="module")
    async def test_in_the_modules_loop(cluster):
        await works(cluster)

    @pytest.mark.asyncio(loop_scope="class")
    @pytest.mark.minik8s(scope="class")
    class TestShared:
        async def test_one(self, cluster):
            type(self).first = cluster
            await works(cluster)

        async def test_two(self, cluster):
            assert self.first is cluster
            assert await cluster.client.find(NAMESPACES, "new")

    @pytest.mark.asyncio
    @pytest.mark.minik8s(scope="module")
    async def test_too_short(cluster):
        raise AssertionError

    @pytest.mark.anyio
    async def test_anyio(cluster):
        await works(cluster)

    async def test_unmarked(cluster):
        await works(cluster)
    """
    )
    result = run_pytest(asyncio=mode)
    result.assert_outcomes(passed=6, errors=1)
    result.stdout.fnmatch_lines(["*scope='module' needs a loop that lives as long: *asyncio(loop_scope='module')*"])


def test_a_crash_under_pytest_asyncio(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A cluster that ends by itself is an error of the test, with the reason."""
    pytest.importorskip("pytest_asyncio")
    pytester.makepyfile(
        TESTS
        + """
    @pytest.mark.asyncio
    async def test_it(cluster):
        def broken(old, new):
            raise ZeroDivisionError("a bug")

        cluster.informers(NAMESPACES).add_handler(broken)
        await asyncio.sleep(0.01)
    """
    )
    result = run_pytest(asyncio="strict")
    assert "ZeroDivisionError: a bug" in result.stdout.str()


def test_anyio_fixtures(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Async fixtures of a user, run by anyio's plugin, share the loop with the cluster."""
    pytester.makepyfile(
        TESTS
        + """
    @pytest.fixture
    async def prepared(cluster):
        await works(cluster)
        yield asyncio.get_running_loop()
        await cluster.client.delete(NAMESPACES, "new")

    async def test_it(prepared, cluster):
        assert prepared is asyncio.get_running_loop()
    """
    )
    run_pytest().assert_outcomes(passed=1)


def test_nobody_runs_it(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """An async test that no plugin runs is told which could."""
    pytester.makepyfile(
        TESTS
        + """
    async def test_it(cluster):
        raise AssertionError
    """
    )
    result = run_pytest("-p", "no:anyio")
    assert "nobody runs this async test: mark it with pytest.mark.asyncio (pytest-asyncio)" in result.stdout.str()
