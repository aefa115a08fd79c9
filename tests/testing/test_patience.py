"""Bodies that would never end, where time jumps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from minik8s import CONFIG_MAPS, Cluster
from minik8s.config import DEFAULT_CONTROLLERS
from minik8s.quiescence import NotSettled
from minik8s.testing.eventually import never
from minik8s.testing.patience import NeverEnds, patient

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.anyio

QUIET: dict[str, Any] = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "controllers": ()}
VIRTUAL: dict[str, Any] = {**QUIET, "clock": "virtual", "runtime": "simulated"}


async def forever() -> None:
    await anyio.Event().wait()


async def polls(cluster: Cluster) -> None:
    while not (await cluster.client.list(CONFIG_MAPS, namespace="nowhere")).items:  # noqa: ASYNC110
        await anyio.sleep(60)


async def test_waits_are_bounded() -> None:
    """A body that waits in vain is ended after so many virtual hours, where it waits; what it says is where."""
    async with Cluster(**VIRTUAL) as cluster:
        began = cluster.clock.now()
        with pytest.raises(
            NeverEnds, match=r"^2 virtual hours .* test_patience.py:\d+: await anyio.Event\(\).wait\(\)\n"
        ):
            await patient(cluster, forever, 2)()
        with pytest.raises(NeverEnds, match=r"test_patience.py:\d+: await anyio.sleep\(60\)\n.*nothing to do but wait"):
            await patient(cluster, polls, 2)(cluster)
        assert 4 <= (cluster.clock.now() - began).total_seconds() / 3600 < 6


async def test_what_is_meant_is_not_counted() -> None:
    """Time that `advance` was asked to move, or `never` to watch, is no wait in vain; one that ends in time is none."""
    async with Cluster(**VIRTUAL) as cluster:

        async def body(answer: int) -> int:
            await cluster.advance(hours=30)
            await never(cluster, CONFIG_MAPS, lambda found: len(found) > 9, seconds=30 * 3600)
            await anyio.sleep(3600)
            return answer

        assert await patient(cluster, body, 2)(42) == 42


async def test_a_loop_without_a_pause() -> None:
    """Where somebody is always busy virtual time stands still: real time ends the body, and the busy are named."""
    async with Cluster(**VIRTUAL) as cluster, anyio.create_task_group() as group:

        async def hot() -> None:
            while True:
                await anyio.lowlevel.checkpoint()

        group.start_soon(hot, name="my operator")
        with pytest.raises(NeverEnds, match=r"no virtual time passes: my operator; .*: await anyio.Event"):
            await patient(cluster, forever, 2, busy=0.02)()
        group.cancel_scope.cancel()


@pytest.mark.parametrize("mode", ["", "auto"])
def test_in_the_plugin(pytester: pytest.Pytester, run_pytest: Callable[..., pytest.RunResult], mode: str) -> None:
    """A test with a jumping cluster fails in a line, whoever runs it, and its mark says how long it may wait."""
    pytester.makepyfile(f"""
        import anyio, pytest

        pytestmark = pytest.mark.minik8s(**{VIRTUAL!r})

        class TestIt:
            async def test_default(self, cluster):
                await anyio.Event().wait()

        @pytest.mark.minik8s(patience=48)
        async def test_longer(cluster):
            await anyio.sleep(25 * 3600)

        @pytest.mark.minik8s(patience=0)
        async def test_none(cluster):
            raise AssertionError

        @pytest.mark.minik8s(patience=1, clock="real")
        async def test_real(cluster):
            raise AssertionError
    """)
    result = run_pytest(asyncio=mode)
    result.assert_outcomes(passed=1, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*'patience' must be a number of hours above 0, not 0",
            "*'patience' is for time that jumps: *",
            "minik8s: 24 virtual hours have passed while the test waited, at *: await anyio.Event().wait()",
        ]
    )
    result.stdout.no_fnmatch_line("*patience.py*")


async def test_idle_moments_count() -> None:
    """However long `advance` takes: between two of its steps there is nothing to do."""
    async with Cluster(**{**VIRTUAL, "nodes": 1, "controllers": DEFAULT_CONTROLLERS}) as cluster:

        async def body() -> None:
            await cluster.advance(hours=1)

        await patient(cluster, body, 2, busy=0.05)()


async def test_an_operator_in_process_that_never_rests() -> None:
    """Its requests wait for nothing; all the same others have their turns, waits end, and it is named."""
    async with Cluster(**VIRTUAL) as cluster, anyio.create_task_group() as group:

        async def operator() -> None:
            client = cluster.client.as_agent("my-operator")
            while True:
                await client.list(CONFIG_MAPS)

        group.start_soon(operator, name="my operator")
        with pytest.raises(NotSettled, match="running tasks: my operator"):
            await cluster.settle(timeout=0.02)
        with cluster.recording(agent="my-operator") as log, pytest.raises(NeverEnds, match="time passes: my operator"):
            await patient(cluster, forever, 2, busy=0.02)()
        with pytest.raises(AssertionError, match=r"list configmaps by my-operator\nthe last of them:"):
            log.at_most(100)
        group.cancel_scope.cancel()
