"""Exploring seeds and schedules, in a session of its own."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

pytest_plugins = ("pytester",)
Run = Callable[..., pytest.RunResult]
RACY = """
    import anyio
    import pytest
    from minik8s import CONFIG_MAPS, Cluster
    from minik8s.machinery.errors import AlreadyExists

    @pytest.mark.minik8s(nodes=0, serve=False, proxy=False, clock="virtual", runtime="simulated", seed=99)
    async def test_race(cluster: Cluster) -> None:
        async def create(number):
            metadata = {"name": "lock", "namespace": "default"}
            try:
                await anyio.lowlevel.checkpoint()
                await cluster.client.create(CONFIG_MAPS, {"metadata": metadata, "data": {"owner": str(number)}})
            except AlreadyExists:
                pass

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(create, number)
        lock = await cluster.client.get(CONFIG_MAPS, "lock", namespace="default")
        assert lock["data"]["owner"] in "01", f"{lock['data']['owner']} in {cluster.seed}"

    def test_without_a_cluster():
        pass

    @pytest.mark.minik8s(nodes=0, serve=False, proxy=False, scope="module")
    @pytest.mark.parametrize("letter", "ab")
    async def test_that_shares(cluster, letter):
        pass
"""


def test_exploration_and_replay(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A race that only some schedules lose is found, told by its seeds, and lost again under each of those."""
    pytester.makepyfile(RACY)
    result = run_pytest("--minik8s-explore=12", "-v")
    counts = result.parseoutcomes()
    assert counts["passed"] + counts["failed"] == 12 + 1 + 2
    assert 1 <= counts["failed"] <= 11
    text = result.stdout.str()
    lost = dict(re.findall(r"AssertionError: (\d in (\d+))", text))
    seeds = sorted(int(seed) for seed in set(lost.values()))
    assert len(seeds) == counts["failed"]
    result.stdout.fnmatch_lines([f"*test_race failed under {len(seeds)} of 12: {', '.join(map(str, seeds))}"])
    result.stdout.fnmatch_lines([f'pytest "*test_race?seed={seeds[0]}*" --minik8s-seed={seeds[0]}'])
    again = run_pytest(f"--minik8s-seed={seeds[0]}", "-k", "race")
    again.assert_outcomes(failed=1)
    assert next(how for how, seed in lost.items() if seed == str(seeds[0])) in again.stdout.str()


def test_nobody_explores_unasked(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Without the options tests run once, in the order of old; numbers that cannot be are refused at once."""
    pytester.makepyfile(RACY)
    run_pytest().assert_outcomes(passed=4)
    assert "--minik8s-explore needs a number of runs from 1, not 0" in run_pytest("--minik8s-explore=0").stderr.str()
    assert "--minik8s-seed needs a whole number from 0, not -1" in run_pytest("--minik8s-seed=-1").stderr.str()
