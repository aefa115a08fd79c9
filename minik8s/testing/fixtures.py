"""What the plugin's fixtures do once a test wants a cluster; kept apart so that loading the plugin imports no cluster.

An async test's cluster lives in the test's own loop, which belongs to whichever plugin runs the test: anyio's (it comes
with minik8s, and runs whatever nobody else claims) or pytest-asyncio. Both only offer their loop to async fixtures, and
of a fixed scope. So there is one such fixture for each of them and each scope, all the same, and `cluster` asks for the
one that fits; what it is to open lies in `PENDING` meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import attrs
import pytest

from minik8s.apiserver.faults import FaultNeverFired
from minik8s.blocking import RUNNING as THREADS
from minik8s.blocking import BlockingCluster
from minik8s.cluster import RUNNING, Cluster
from minik8s.testing.environment import administrator, mount_account, pod_of
from minik8s.testing.hosting import hosted
from minik8s.testing.options import SCOPES, Wanted, wanted
from minik8s.testing.patience import HOURS, NeverEnds, patient
from minik8s.testing.report import LastWrites


@attrs.define(eq=False)
class Opened:
    """A cluster that a fixture runs, and what the tests that share it need to know."""

    cluster: Cluster
    wanted: Wanted
    writes: LastWrites
    account: Path | None = None
    blocking: BlockingCluster | None = None


@attrs.frozen
class Pending:
    """What the next fixture is to open; `base` is the cluster to fork, or a snapshot's path, or None."""

    wanted: Wanted
    base: Any


PENDING: pytest.StashKey[Pending] = pytest.StashKey()
OURS: pytest.StashKey[WeakSet[Cluster]] = pytest.StashKey()
"""The clusters that fixtures have opened, as long as anybody else knows them."""


def wants(request: pytest.FixtureRequest, options: Any) -> Pending:
    """What the test wants, checked, with its base at hand. Fails the test for options that cannot be."""
    path = request.node.path
    directory = path if path.is_dir() else path.parent
    with told():
        made = wanted(options, directory, least_scope=request.scope)
    name = made.base or "cluster_base"
    base = request.getfixturevalue(name)
    if not isinstance(base, Cluster | BlockingCluster | str | Path | None):
        pytest.fail(f"minik8s: the base {name!r} is a {type(base).__name__}, not a cluster", pytrace=False)
    return Pending(made, base)


def request_opened(request: pytest.FixtureRequest, pending: Pending, driver: str) -> Opened:
    """The cluster that lives as long as it is wanted to: a new one, or that which tests before have begun to share."""
    request.config.stash[PENDING] = pending
    opened: Opened = request.getfixturevalue(f"_minik8s_{driver}")
    if opened.wanted != pending.wanted:
        message = f"scope={pending.wanted.scope!r} shares a cluster that began with other options: {opened.wanted}"
        pytest.fail(f"{message}, while this test wants {pending.wanted}", pytrace=False)
    return opened


@contextmanager
def environment(opened: Opened) -> Iterator[None]:
    """The environment of a test that works with this cluster."""
    with pod_of(opened.cluster, opened.account) if opened.account else administrator(opened.cluster):
        yield


def driver_of(item: pytest.Item, pending: Pending) -> str:
    """Whose loop an async test runs in, and for how long. Fails tests that run in none."""
    scope = pending.wanted.scope
    plugins = item.config.pluginmanager
    if plugins.has_plugin("asyncio"):
        from pytest_asyncio import is_async_test

        if is_async_test(item):
            mark = item.get_closest_marker("asyncio")
            loop = (mark and mark.kwargs.get("loop_scope")) or item.config.getini("asyncio_default_test_loop_scope")
            if SCOPES.index(loop) < SCOPES.index(scope):
                wish = f"pytest.mark.asyncio(loop_scope={scope!r})"
                pytest.fail(f"scope={scope!r} needs a loop that lives as long: {wish}, not {loop!r}", pytrace=False)
            return f"asyncio_{scope}_{loop}"
    if not plugins.has_plugin("anyio"):
        hint = "mark it with pytest.mark.asyncio (pytest-asyncio), or do not switch off anyio's plugin (-p no:anyio)"
        pytest.fail(f"nobody runs this async test: {hint}", pytrace=False)
    return f"anyio_{scope}"


@asynccontextmanager
async def open_here(config: pytest.Config) -> AsyncIterator[Opened]:
    """The cluster that is pending, in the task that asks."""
    async with _open(config, _direct) as made:
        yield made


@asynccontextmanager
async def open_hosted(config: pytest.Config) -> AsyncIterator[Opened]:
    """The cluster that is pending, in a task of its own."""
    async with _open(config, hosted) as made:
        yield made


def _direct(cluster: Cluster) -> AbstractAsyncContextManager[Cluster]:
    return cluster


@asynccontextmanager
async def _open(
    config: pytest.Config, host: Callable[[Cluster], AbstractAsyncContextManager[Cluster]]
) -> AsyncIterator[Opened]:
    pending = config.stash[PENDING]
    with told():
        cluster = _cluster(pending)
    config.stash.setdefault(OURS, WeakSet()).add(cluster)
    async with host(cluster):
        with told():
            opened = await _prepare(cluster, pending.wanted)
        yield opened


@contextmanager
def open_blocking(config: pytest.Config) -> Iterator[Opened]:
    """The cluster that is pending, in a thread of its own."""
    pending = config.stash[PENDING]
    with told():
        cluster = _cluster(pending)
    with BlockingCluster.around(cluster) as blocking:
        with told():
            opened = blocking.run(_prepare, blocking.cluster, pending.wanted)
        opened.blocking = blocking
        config.stash.setdefault(OURS, WeakSet()).add(blocking.cluster)
        yield opened


def _cluster(pending: Pending) -> Cluster:
    base, options = pending.base, pending.wanted.options
    if base is None:
        return Cluster(**options)
    if isinstance(base, str | Path):
        return Cluster(**options, origin=base)
    if isinstance(base, BlockingCluster):
        return base.portal.call(partial(base.cluster.fork, **options))
    return base.fork(**options)


async def _prepare(cluster: Cluster, made: Wanted) -> Opened:
    writes = LastWrites(cluster)
    for source in made.manifests:
        await cluster.apply(source)
    account = await mount_account(cluster, made.service_account) if made.service_account else None
    return Opened(cluster, made, writes, account)


@contextmanager
def told() -> Iterator[None]:
    """Options that cannot be are the test's mistake: said in a line, without any traceback."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise pytest.fail.Exception(f"minik8s: {error}", pytrace=False) from None


@contextmanager
def bounded(item: pytest.Item, opened: Opened) -> Iterator[None]:
    """The test's body is ended when it never would, while the context lasts; hypothesis calls bodies of its own."""
    own = isinstance(item, pytest.Function) and not hasattr(item.obj, "hypothesis")
    if not own or opened.blocking is not None or not opened.cluster.jumps:
        yield
        return
    assert isinstance(item, pytest.Function)
    body, hours = item.obj, opened.wanted.patience
    item.obj = patient(opened.cluster, body, HOURS if hours is None else hours)
    try:
        yield
    except NeverEnds as error:
        pytest.fail(f"minik8s: {error}", pytrace=False)
    finally:
        item.obj = body


def unmet(opened: Opened) -> str:
    """The faults of the test's own cluster that never fired, or ""."""
    if opened.wanted.scope != "function":  # others that share it may still meet them
        return ""
    try:
        opened.cluster.faults.verify()
    except FaultNeverFired as error:
        return f"minik8s: {error}"
    return ""


def end_leaked(before: list[Cluster], config: pytest.Config) -> str:
    """Ends, as far as that can be, what a test's body has entered and never left; says so, or "".

    `before` ran when the body began.
    """
    ours: WeakSet[Cluster] = config.stash.setdefault(OURS, WeakSet())
    leaked = RUNNING.difference(before, ours)
    if not leaked:
        return ""
    for blocking in [blocking for blocking in THREADS if blocking.cluster in leaked]:
        blocking.__exit__(None, None, None)
    RUNNING.difference_update(leaked)
    count = "a cluster" if len(leaked) == 1 else f"{len(leaked)} clusters"
    return f"minik8s: the test entered {count} and never left: use `with` or `async with`, or the fixtures"
