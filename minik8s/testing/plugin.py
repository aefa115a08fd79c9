"""The pytest plugin: a cluster a test, by asking for it.

    async def test_it(cluster): ...            # a `Cluster` in the test's own loop
    def test_that(blocking_cluster): ...       # a `BlockingCluster` in a thread, for synchronous code

    @pytest.mark.minik8s(nodes=3, runtime="simulated", manifests=["crd.yaml"])      # what either is to be

Options are those of `ClusterConfig` and those of `testing.options`; marks of module, class and test are merged. Clients
and subprocesses find the cluster by KUBECONFIG; with `service_account="NAMESPACE/NAME"` by a pod's environment.

An async test needs no mark: anyio's pytest plugin, which comes with minik8s, runs it on asyncio. Where pytest-asyncio
runs it (by its mark, or in auto mode) the cluster lives in that loop, whatever its scope.

**Prepared once, forked for every test.** A module that overrides `cluster_base` gives each of its tests a copy:

    @pytest.fixture(scope="module")
    def cluster_base():
        with BlockingCluster(runtime="simulated") as base:
            base.apply("everything.yaml")
            base.settle()
            yield base                         # or the path of a snapshot, or None for an empty cluster

Tests cannot disturb each other, and a copy costs as much as an empty cluster. `minik8s(base="other_fixture")` takes
another base for some tests. Where a cluster is to be shared all the same, `minik8s(scope="module")` does so (also
"class", "package", "session"), for tests with the same options. The setting `minik8s_scope` (or `--minik8s-scope`) does
it for a whole session, and makes the fixtures themselves of that scope, so that others of the scope can ask for them.

Importing this module costs nothing: pytest loads it in every session of an environment that has minik8s installed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest

if TYPE_CHECKING:
    from minik8s.blocking import BlockingCluster
    from minik8s.cluster import Cluster
    from minik8s.testing.fixtures import Opened

_NO_ID: Any = getattr(pytest, "HIDDEN_PARAM", "")
"""Of a parameter that is none to the reader; pytest has it since 8.4."""
pytest_plugins = ("minik8s.testing.explore",)
MARKER = "minik8s"
Scope: TypeAlias = Literal["session", "package", "module", "class", "function"]
SCOPES: tuple[Scope, ...] = ("function", "class", "module", "package", "session")
CLUSTERS = frozenset({"cluster", "blocking_cluster"})
OPENED: pytest.StashKey[Opened] = pytest.StashKey()
"""Of a test, or of what its cluster is shared by."""
BEFORE: pytest.StashKey[list[Any]] = pytest.StashKey()
"""The clusters that ran when a test's body began."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Settings."""
    about = "how long the clusters of `cluster` and `blocking_cluster` live"
    parser.addini("minik8s_scope", f"{about}: {', '.join(SCOPES)}", default="function")
    parser.getgroup("minik8s").addoption("--minik8s-scope", choices=SCOPES, default=None, help=about)


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, and the fixtures that only one of the async plugins can run."""
    config.addinivalue_line("markers", f"{MARKER}(**options): options of the test's cluster, as in ClusterConfig")
    if (scope := config.getini("minik8s_scope")) not in SCOPES:
        raise pytest.UsageError(f"minik8s_scope must be one of {', '.join(SCOPES)}, not {scope!r}")
    plugins = config.pluginmanager
    if plugins.has_plugin("asyncio"):
        plugins.register(_asyncio_fixtures(), "minik8s_asyncio")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    """Async tests with a `cluster` that nobody else claims are anyio's.

    Its plugin runs the tests and async fixtures that have its `anyio_backend` among their fixtures. `cluster` cannot
    ask for that: pytest-asyncio's tests have clusters, too, and their async fixtures would end up in another loop.
    """
    if not _is_async(obj) or not collector.istestfunction(obj, name) or _is_pytest_asyncios(collector, obj):
        return
    owner = collector.obj if isinstance(collector, pytest.Class) else None
    info = collector.session._fixturemanager.getfixtureinfo(collector, obj, owner)  # type: ignore[arg-type]
    if "cluster" in info.names_closure and collector.config.pluginmanager.has_plugin("anyio"):
        pytest.mark.usefixtures("anyio_backend")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests with a `cluster` run once, on asyncio, where anyio's plugin would run them on every loop it knows."""
    if "cluster" not in metafunc.fixturenames or "anyio_backend" not in metafunc.fixturenames:
        return
    definition = metafunc.definition
    chosen = any("anyio_backend" in str(mark.args[:1]) for mark in definition.iter_markers("parametrize"))
    offered = metafunc._arg2fixturedefs.get("anyio_backend", ())
    if not chosen and offered and offered[-1].params:
        definition.add_marker(pytest.mark.parametrize("anyio_backend", ["asyncio"], ids=[_NO_ID], indirect=True))


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function)) if callable(function) else False


def _is_pytest_asyncios(collector: pytest.Collector, function: Any) -> bool:
    """Whether pytest-asyncio is going to run the test: by its mark, or because it runs all."""
    config = collector.config
    if not config.pluginmanager.has_plugin("asyncio"):
        return False
    mode = config.getoption("asyncio_mode", None) or config.getini("asyncio_mode")
    marked = any(mark.name == "asyncio" for mark in getattr(function, "pytestmark", ()))
    return str(mode) == "auto" or marked or collector.get_closest_marker("asyncio") is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test cannot have options of its own where the whole session shares clusters."""
    scope = _scope_of(item.config)
    if scope == "function" or not CLUSTERS & set(getattr(item, "fixturenames", ())):
        return
    shared = {node for node in item.listchain() if isinstance(node, _NODES[scope])}
    if any(mark.kwargs and node not in shared for node, mark in item.iter_markers_with_node(MARKER)):
        message = f"minik8s_scope={scope} shares the cluster: options belong to the {scope}, not below"
        pytest.fail(message, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Remembers what ran before the test's body, and bounds its waits; fails one with a fault that never fired."""
    if "minik8s.cluster" in sys.modules:
        item.stash[BEFORE] = list(sys.modules["minik8s.cluster"].RUNNING)
    opened = [node.stash[OPENED] for node in item.listchain() if OPENED in node.stash]
    if not opened:
        return (yield)
    from minik8s.testing.fixtures import bounded, unmet

    problem = ""
    try:
        with bounded(item, opened[-1]):
            yield
    finally:  # a failure of the body's own is what counts, and the faults are taken back all the same
        problem = unmet(opened[-1])
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fails a test whose body entered a cluster and never left it, which is also why the fixtures' may end badly."""
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    if BEFORE in item.stash:
        from minik8s.testing.fixtures import end_leaked

        problem = end_leaked(item.stash[BEFORE], item.config)
        del item.stash[BEFORE]
        if problem:
            pytest.fail(problem, pytrace=False)
    if failure is not None:
        raise failure


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds to a failed test's report what its clusters looked like."""
    report = yield
    if report.when == "call" and report.failed:
        for opened in [node.stash[OPENED] for node in item.listchain() if OPENED in node.stash]:
            from minik8s.testing.report import describe

            try:
                text = describe(opened.cluster.world, opened.writes)
            except Exception as error:  # the test's own failure is what counts
                text = f"this cluster cannot be described: {error!r}"
            if text:
                report.sections.append(("minik8s", text))
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Shows what a failed comparison with `testing.matching.like` differs in."""
    matching = sys.modules.get("minik8s.testing.matching")
    return matching.explain_comparison(op, left, right) if matching is not None else None


def _scope_of(config: pytest.Config) -> Scope:
    chosen: Scope = config.getoption("--minik8s-scope") or config.getini("minik8s_scope")
    return chosen


def _scope(fixture_name: str, config: pytest.Config) -> Scope:
    """How long the fixtures live, as pytest asks."""
    return _scope_of(config)


_NODES: dict[str, tuple[type[pytest.Collector], ...]] = {
    "class": (pytest.Class, pytest.Module, pytest.Package, pytest.Session),
    "module": (pytest.Module, pytest.Package, pytest.Session),
    "package": (pytest.Package, pytest.Session),
    "session": (pytest.Session,),
}


@pytest.fixture(scope="session")
def cluster_base() -> None:
    """What the clusters are forks of; None: they begin empty. Override it in a module or conftest, in any scope."""


@pytest.fixture(scope=_scope)
def cluster_options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of this test's cluster: documents are frozen, a bug in a controller ends it, and whatever the test's
    `minik8s` marks say, the closest last. Override it for options of a whole module."""
    from minik8s.testing.fixtures import told
    from minik8s.testing.options import merged

    with told():
        marks = [(mark.args, mark.kwargs) for mark in reversed(list(request.node.iter_markers(MARKER)))]
        return merged(marks, {"freeze": True, "strict": True})


@pytest.fixture(scope=_scope)
def cluster(cluster_options: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster in the test's event loop; gone without a trace after the test."""
    from minik8s.testing.fixtures import driver_of, environment, request_opened, wants

    item = request._pyfuncitem
    if not _is_async(item.function):
        pytest.fail("`cluster` lives in the loop of an async test: this one wants `blocking_cluster`", pytrace=False)
    pending = wants(request, cluster_options)
    opened = request_opened(request, pending, driver_of(item, pending))
    request.node.stash[OPENED] = opened
    with environment(opened):
        yield opened.cluster
    _forget(request.node)


@pytest.fixture(scope=_scope)
def blocking_cluster(cluster_options: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[BlockingCluster]:
    """A running cluster in a thread of its own, for synchronous tests; KUBECONFIG names its kubeconfig."""
    from minik8s.testing.fixtures import environment, request_opened, wants

    pending = wants(request, cluster_options)
    opened = request_opened(request, pending, f"blocking_{pending.wanted.scope}")
    assert opened.blocking is not None
    request.node.stash[OPENED] = opened
    with environment(opened):
        yield opened.blocking
    _forget(request.node)


def _forget(node: Any) -> None:
    """Lets go of a cluster that has ended: pytest keeps its items to the end, and would keep every cluster."""
    if OPENED in node.stash:  # a module may have shared one of each kind
        del node.stash[OPENED]


def _blocking(scope: Scope) -> Any:
    @pytest.fixture(scope=scope, name=f"_minik8s_blocking_{scope}")
    def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
        from minik8s.testing.fixtures import open_blocking

        with open_blocking(request.config) as made:
            yield made

    return opened


def _anyio(scope: Scope) -> Any:
    @pytest.fixture(scope=scope, name=f"_minik8s_anyio_{scope}")
    async def opened(anyio_backend: Any, request: pytest.FixtureRequest) -> Any:
        from minik8s.testing.fixtures import open_here

        async with open_here(request.config) as made:
            yield made

    return opened


def _asyncio(scope: Scope, loop_scope: Scope) -> Any:
    import pytest_asyncio

    @pytest_asyncio.fixture(scope=scope, loop_scope=loop_scope, name=f"_minik8s_asyncio_{scope}_{loop_scope}")
    async def opened(request: pytest.FixtureRequest) -> Any:
        from minik8s.testing.fixtures import open_hosted

        async with open_hosted(request.config) as made:
            yield made

    return opened


def _asyncio_fixtures() -> ModuleType:
    """The clusters of tests that pytest-asyncio runs: for each scope, in each loop that lives as long."""
    plugin = ModuleType("minik8s_asyncio")
    for index, scope in enumerate(SCOPES):
        for loop_scope in SCOPES[index:]:
            setattr(plugin, f"asyncio_{scope}_{loop_scope}", _asyncio(scope, loop_scope))
    return plugin


for _each in SCOPES:
    globals()[f"_blocking_{_each}"] = _blocking(_each)
    globals()[f"_anyio_{_each}"] = _anyio(_each)
