"""Bases, scopes, manifests and bad options of the pytest plugin, in sessions of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest_plugins = ("pytester",)
Run = Callable[..., pytest.RunResult]

QUIET = 'minik8s(nodes=0, serve=False, proxy=False, scheduler=False, runtime="simulated")'
BASE = """
    import pytest
    from minik8s import CONFIG_MAPS, BlockingCluster
    from minik8s.testing.builders import config_map

    @pytest.fixture(scope="module")
    def cluster_base():
        with BlockingCluster(nodes=0, serve=False, proxy=False, scheduler=False) as base:
            base.apply(config_map("shared"))
            yield base

    @pytest.fixture
    def other(tmp_path_factory):
        with BlockingCluster(nodes=0, serve=False, proxy=False, scheduler=False) as base:
            path = tmp_path_factory.mktemp("base") / "snapshot"
            base.apply(config_map("other"))
            base.snapshot(path)
        return path

    def names(found):
        return {obj["metadata"]["name"] for obj in found.items} & {"shared", "other"}
"""


def test_base(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Every test begins with what its module's base holds, sync or async, and none sees what another does to it."""
    pytester.makepyfile(
        BASE
        + """
    @pytest.mark.parametrize("turn", [1, 2])
    async def test_async(cluster, turn):
        assert names(await cluster.client.list(CONFIG_MAPS)) == {"shared"}
        await cluster.client.delete(CONFIG_MAPS, "shared", namespace="default")

    @pytest.mark.minik8s(serve=True, tls=False)
    def test_blocking(blocking_cluster):
        assert names(blocking_cluster.run(blocking_cluster.client.list, CONFIG_MAPS)) == {"shared"}
        assert blocking_cluster.url.startswith("http:")

    @pytest.mark.minik8s(base="other", nodes=0, serve=False)
    async def test_other(cluster):
        assert names(await cluster.client.list(CONFIG_MAPS)) == {"other"}
    """
    )
    run_pytest().assert_outcomes(passed=4)


def test_scope_by_mark(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Tests of one scope share a cluster, sync or async; other options than those it began with are an error."""
    pytester.makepyfile(f"""
    import pytest

    pytestmark = pytest.mark.{QUIET}
    seen = set()

    @pytest.mark.minik8s(scope="module")
    class TestShared:
        async def test_one(self, cluster):
            seen.add(cluster)

        async def test_two(self, cluster):
            seen.add(cluster)
            assert len(seen) == 1

        @pytest.mark.minik8s(history=5)
        async def test_three(self, cluster):
            raise AssertionError

    @pytest.mark.minik8s(scope="class")
    class TestBlocking:
        def test_one(self, blocking_cluster):
            type(self).first = blocking_cluster

        def test_two(self, blocking_cluster):
            assert self.first is blocking_cluster

    async def test_own(cluster):
        assert cluster not in seen
    """)
    result = run_pytest()
    result.assert_outcomes(passed=5, errors=1)
    result.stdout.fnmatch_lines(["*scope='module' shares a cluster that began with other options*"])


def test_scope_by_option(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """The session's setting makes the fixtures themselves live longer; a test's own options are an error then."""
    pytester.makepyfile(f"""
    import pytest

    pytestmark = pytest.mark.{QUIET}

    @pytest.fixture(scope="module")
    def prepared(blocking_cluster):
        return blocking_cluster

    def test_one(prepared, blocking_cluster):
        assert prepared is blocking_cluster

    @pytest.mark.minik8s(nodes=3)
    def test_two(blocking_cluster):
        raise AssertionError

    async def test_async(cluster):
        pass
    """)
    result = run_pytest("--minik8s-scope=module")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*minik8s_scope=module shares the cluster: options belong to the module*"])
    run_pytest("-k", "one or async", ini="minik8s_scope = module").assert_outcomes(passed=2, deselected=1)
    result = run_pytest(ini="minik8s_scope = modul")
    assert "minik8s_scope must be one of" in result.stderr.str() + result.stdout.str()


def test_manifests(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Files, directories, patterns, text and objects are there when a test begins; those of all marks add up."""
    for path in ("one.yaml", "many/two.yaml", "many/three.json"):
        file = pytester.path / path
        file.parent.mkdir(exist_ok=True)
        text = f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{file.stem}"}}}}'
        file.write_text(text)
    pytester.makepyfile(f"""
    import pytest
    from minik8s import CONFIG_MAPS
    from minik8s.testing.builders import config_map

    pytestmark = [pytest.mark.{QUIET}, pytest.mark.minik8s(manifests=["many", config_map("four")])]
    TEXT = "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: five}}}}"

    @pytest.mark.minik8s(manifests=["*.yaml", TEXT])
    async def test_it(cluster):
        found = await cluster.client.list(CONFIG_MAPS, namespace="default")
        assert {{"one", "two", "three", "four", "five"}} <= {{obj["metadata"]["name"] for obj in found.items}}

    @pytest.mark.minik8s(manifests="nothing.yaml")
    def test_missing(blocking_cluster):
        raise AssertionError
    """)
    result = run_pytest()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*'manifests': there is nothing at nothing.yaml in *"])


BAD = {
    "nodes=-1": "'nodes' must be a whole number from 0, not -1",
    'scope="test"': "'scope' must be one of 'function', 'class', *, not 'test'",
    'service_account="x"': "'service_account' must be NAMESPACE/NAME, not 'x'",
    'service_account="a/b", tls=False': "'service_account' needs a socket with TLS, * tls=False has none",
    'service_account="default/nobody"': '*serviceaccounts "nobody" not found',
    'base="cluster_base", origin="x"': "'base' and 'origin' both say what the cluster begins with",
    'base="tmp_path_factory"': "the base 'tmp_path_factory' is a TempPathFactory, not a cluster",
    "manifests=[3]": "'manifests': wanted a path, YAML text or an object, not 3",
    "7": "@pytest.mark.minik8s takes options by name, as in nodes=3, not 7",
    "wobbling=1": "a cluster has no option 'wobbling'; there are manifests, *nodes, *",
}


def test_bad_options(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Each mistake in a mark is an error of one line that names it, and no traceback."""
    tests = [
        f"@pytest.mark.minik8s({options})\ndef test_{index}(blocking_cluster): raise AssertionError"
        for index, options in enumerate(BAD)
    ]
    asked = "def test_sync(cluster): raise AssertionError"
    pytester.makepyfile("import pytest\npytestmark = pytest.mark.minik8s(nodes=0)\n" + "\n".join([*tests, asked]))
    result = run_pytest()
    result.assert_outcomes(errors=len(BAD) + 1)
    for message in BAD.values():
        result.stdout.fnmatch_lines([f"*{message.replace('[', '[[]')}*"])
    result.stdout.no_fnmatch_line("*During handling*")
    result.stdout.fnmatch_lines(["*`cluster` lives in the loop of an async test: this one wants `blocking_cluster`*"])


def test_leaks(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """A cluster that a test's body enters and never leaves is that test's error, and is ended; others' are theirs."""
    pytester.makepyfile("""
    import pytest
    from minik8s import BlockingCluster

    OPTIONS = dict(nodes=0, serve=False, proxy=False, scheduler=False, runtime="simulated")

    @pytest.fixture(scope="module")
    def own():
        with BlockingCluster(**OPTIONS) as running:
            yield running

    def test_fine(own):
        with BlockingCluster(**OPTIONS):
            pass

    def test_leaks(own):
        BlockingCluster(**OPTIONS).__enter__()

    def test_after(own):
        assert own.revision
    """)
    result = run_pytest()
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*", "*the test entered a cluster and never left*"])


def test_a_leak_spoils_the_fixtures_end(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Task groups that are left in the wrong order fail; what is told is why."""
    pytester.makepyfile("""
    import pytest
    from minik8s import Cluster

    OPTIONS = dict(nodes=0, serve=False, proxy=False, scheduler=False, runtime="simulated")

    @pytest.mark.minik8s(**OPTIONS)
    async def test_leaks(cluster):
        await Cluster(**OPTIONS).__aenter__()
    """)
    result = run_pytest("-p", "no:unraisableexception", inprocess=False)  # nobody can end it any more
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks *", "*the test entered a cluster and never left*"])
    assert "cancel scope" not in result.stdout.str()


def test_faults_that_never_fire(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """They fail the test that declared them, in a line; one that failed anyway is left as it is."""
    pytester.makepyfile("""
    import pytest

    pytestmark = pytest.mark.minik8s(nodes=0, serve=False, proxy=False, scheduler=False, runtime="simulated")

    def test_blocking(blocking_cluster):
        blocking_cluster.faults.refuse(409, verb="update", resource="pods")

    async def test_async(cluster):
        cluster.faults.lose_answer(resource="jobs.batch")

    async def test_other(cluster):
        cluster.faults.lose_answer(resource="jobs.batch")
        assert 1 == 2
    """)
    result = run_pytest()
    result.assert_outcomes(failed=3)
    told = [line for line in result.outlines if line.startswith("minik8s: fault")]
    assert sorted(told) == [
        "minik8s: fault 'lose the answer' on * of jobs.batch: never fired",
        "minik8s: fault 'refuse 409' on update of pods: never fired",
    ]


def test_workers(pytester: pytest.Pytester, run_pytest: Run) -> None:
    """Workers of pytest-xdist have clusters of their own, processes and Service addresses included."""
    pytest.importorskip("xdist")
    pytester.makepyfile("""
    import pytest
    from minik8s import PODS
    from minik8s.testing.builders import pod

    @pytest.mark.parametrize("turn", range(2))
    def test_it(blocking_cluster, turn):
        blocking_cluster.apply(pod("p", image="pause"))
        blocking_cluster.wait_for(PODS, "p", "Ready")
    """)
    run_pytest("-n", "2", "-p", "no:hypothesispytest").assert_outcomes(passed=2)
