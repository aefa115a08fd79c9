"""The cluster under test: one of ours in this process or in one of its own, or whatever a kubeconfig names.

In virtual time a cluster lives in this process, for its time is the event loop's. In real time it has a process of
its own and is reached over HTTPS by its kubeconfig, exactly as somebody else's is: then the load generator does not
take its CPU, and the figures of both are taken by the same code.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import anyio
import attrs
import orjson
from anyio.streams.buffered import BufferedByteReceiveStream

from minik8s.api.resources import NODES
from minik8s.bench.observing import Observed, Observer
from minik8s.bench.results import Time
from minik8s.bench.wire import WireTransport
from minik8s.bench.world import Observation, RunFailed
from minik8s.client.client import Client
from minik8s.client.kubeconfig import load_kubeconfig
from minik8s.clock import Clock, RealClock
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import is_condition_true

LARGEST_LINE: Final = 64 << 20
END_SECONDS: Final = 20.0
HERE: Final = "in this process"
Where = Literal["process", "here", "kubeconfig"]


@attrs.frozen(kw_only=True)
class TargetOptions:
    """Which cluster: one of ours with its own process or here, or somebody else's. `options` are a Cluster's."""

    where: Where = "process"
    clock: Time = "real"
    nodes: int = 10
    options: dict[str, Any] = attrs.field(factory=dict)
    kubeconfig: Path | None = None
    context: str = ""

    def cluster(self, seed: int) -> dict[str, Any]:
        """The options of the run's cluster: simulated, without a proxy, for nobody sends traffic."""
        return {"nodes": self.nodes, "runtime": "simulated", "proxy": False, "seed": seed, **self.options}


@attrs.frozen(kw_only=True)
class Target:
    """A cluster that answers. `facts` say what it is; `ours` that it ends with the run, and with it all it holds."""

    client: Client
    clock: Clock
    time: Time
    observe: Observation
    facts: dict[str, Any]
    ours: bool
    shares_process: bool = False


@asynccontextmanager
async def open_target(options: TargetOptions, seed: int) -> AsyncIterator[Target]:
    """The cluster of one run. Raises KubeconfigError, OSError, RunFailed."""
    if options.where == "kubeconfig":
        async with _connected(options.kubeconfig, options.context) as (client, facts):
            yield Target(client=client, clock=RealClock(), time="real", observe=_blind, facts=facts, ours=False)
    elif options.where == "here" or options.clock == "virtual":
        async with _here(options, seed) as target:
            yield target
    else:
        async with _process(options, seed) as target:
            yield target


async def _blind() -> None:
    return None


@asynccontextmanager
async def _connected(path: Path | None, context: str) -> AsyncIterator[tuple[Client, dict[str, Any]]]:
    transport = WireTransport.of(load_kubeconfig(path, context))
    try:
        version = await transport.fetch("/version")
        client = Client(transport, user_agent="minik8s-bench")
        nodes = (await client.list(NODES)).items
        ready = sum(1 for node in nodes if is_condition_true(node, "Ready"))
        facts = {"kind": "kubeconfig", "version": version.get("gitVersion", "?"), "nodes": len(nodes), "ready": ready}
        yield client, facts
    except ApiError as error:
        raise RunFailed(f"{error.reason}: {error.message}") from error
    finally:
        await transport.aclose()


@asynccontextmanager
async def _here(options: TargetOptions, seed: int) -> AsyncIterator[Target]:
    virtual = options.clock == "virtual"
    async with Cluster(clock=options.clock, serve=False, **options.cluster(seed)) as cluster:
        observer = Observer(cluster)

        async def look() -> Observed:
            return observer.frozen()

        yield Target(
            client=cluster.client.as_agent("minik8s-bench"),
            clock=cluster.clock,
            time="virtual" if virtual else "real",
            observe=look,
            facts=_our_facts(options, HERE),
            ours=True,
            shares_process=True,
        )


def _our_facts(options: TargetOptions, where: str) -> dict[str, Any]:
    from minik8s.config import VERSION

    return {
        "kind": "minik8s",
        "version": VERSION,
        "where": where,
        "shared": where == HERE,
        "nodes": options.nodes,
    }


class _Line:
    """Questions and answers, a line each, with a process that runs a cluster."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdout is not None
        assert process.stdin is not None
        self._in, self._out = process.stdin, BufferedByteReceiveStream(process.stdout)
        self._lock = anyio.Lock()

    async def ask(self, question: Any) -> Any:
        async with self._lock:
            try:
                await self._in.send(orjson.dumps(question) + b"\n")
                return orjson.loads(await self._out.receive_until(b"\n", LARGEST_LINE))
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                raise RunFailed("the cluster's process has ended; what it said is on stderr") from None


@asynccontextmanager
async def _process(options: TargetOptions, seed: int) -> AsyncIterator[Target]:
    command = [sys.executable, "-m", "minik8s.bench.server"]
    async with await anyio.open_process(command, stderr=None, start_new_session=True) as process:
        try:
            line = _Line(process)
            ready = await line.ask(options.cluster(seed))

            async def look() -> Observed:
                return Observed.of(await line.ask("look"))

            async with _connected(Path(ready["kubeconfig"]), "") as (client, _):
                facts = _our_facts(options, "in a process of its own, over HTTPS")
                yield Target(client=client, clock=RealClock(), time="real", observe=look, facts=facts, ours=True)
        finally:
            with anyio.move_on_after(END_SECONDS, shield=True):
                assert process.stdin is not None
                await process.stdin.aclose()  # what it waits for
                await process.wait()
