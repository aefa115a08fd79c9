"""An API server without controllers, reached by its function, by its ASGI app, and (where it matters) by a socket.

Documents are frozen, time stands still until a test moves it, and an answer that says "Internal error occurred" fails
the test that got it, whatever it was about.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random
from typing import Any

import anyio
import httpx
import pytest
import structlog
import yaml

from minik8s.api.request import ADMIN
from minik8s.api.resources import SERVICE_ACCOUNTS
from minik8s.api.users import ANONYMOUS
from minik8s.apiserver.admission import builtin_plugins
from minik8s.apiserver.allocation import ServiceAllocator
from minik8s.apiserver.authorization import AlwaysAllow
from minik8s.apiserver.authorization.node import NodeAuthorizer
from minik8s.apiserver.authorization.rbac import RBACAuthorizer
from minik8s.apiserver.bootstrap import bootstrap
from minik8s.apiserver.codec import DocumentCodec
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.dispatch import dispatch
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.registry import Registry
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.client.asgi import AppTransport
from minik8s.client.client import Client
from minik8s.client.inprocess import InProcessTransport
from minik8s.store import MemoryStore
from minik8s.testing.clocks import ManualClock

MERGE = "application/merge-patch+json"
SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
TOKEN = "the-administrator"
TIMEOUT = 10.0


def pod(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}


class Events:
    """The lines of a watch, one at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = self._split(response)

    @staticmethod
    async def _split(response: httpx.Response) -> AsyncIterator[bytes]:
        """Lines of JSON; httpx's own splitting knows line ends that JSON does not."""
        rest = b""
        async for chunk in response.aiter_raw():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
        assert not rest, "the stream ends within a line"

    async def next(self) -> dict[str, Any]:
        """The next event; fails when none comes."""
        with anyio.fail_after(TIMEOUT):
            event: dict[str, Any] = json.loads(await anext(self._lines))
        return event

    async def names(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(e["type"], e["object"]["metadata"].get("name", "")) for e in events]

    async def rest(self) -> list[dict[str, Any]]:
        """Everything up to the end of the stream."""
        with anyio.fail_after(TIMEOUT):
            return [json.loads(line) async for line in self._lines]


class ApiServer:
    """One server and the ways to reach it. Paths of core resources may leave out /api/v1."""

    def __init__(self, ctx: ServerContext, http: httpx.AsyncClient, clock: ManualClock) -> None:
        self.ctx, self.http, self.clock = ctx, http, clock
        self.client = Client(InProcessTransport(partial(dispatch, ctx)))

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request. `body` is a document or bytes; `type` its Content-Type; the rest is httpx's.

        `failing`: an answer that says "Internal error occurred" is what the test expects.
        """
        failing = options.pop("failing", False)
        headers = dict(options.pop("headers", {}))
        if content_type := options.pop("type", None):
            headers["content-type"] = content_type
        if body is not None:
            options["content"] = body if isinstance(body, bytes | str) else json.dumps(body)
        with anyio.fail_after(TIMEOUT):
            response = await self.http.request(method, url_of(path), headers=headers, **options)
        assert failing or "Internal error occurred" not in response.text, f"{method} {path}: {response.text}"
        return response

    async def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The document of a request that must succeed."""
        response = await self.call(method, path, body, **options)
        assert response.is_success, f"{method} {path}: {response.status_code} {response.text}"
        return response.json()

    async def refused(
        self, method: str, path: str, code: int, reason: str, message: str, body: Any = None, **options: Any
    ) -> Any:
        """The Status of a request that must fail like this; the store must be as it was. Answers its details."""
        before = self.ctx.store.revision
        response = await self.call(method, path, body, **options)
        status = yaml.safe_load(response.text)  # errors are JSON or YAML, and this reads both
        assert (response.status_code, status.get("reason", ""), status["message"]) == (code, reason, message)
        assert status["kind"] == "Status"
        assert status["apiVersion"] == "v1"
        assert status["status"] == "Failure"
        assert status["code"] == code
        assert self.ctx.store.revision == before, "a refused request has written something"
        return status.get("details")

    @asynccontextmanager
    async def watching(self, path: str, **options: Any) -> AsyncIterator[Events]:
        """A watch by HTTP."""
        async with self.http.stream("GET", url_of(path), **options) as response:
            assert response.status_code == 200, await response.aread()
            yield Events(response)

    @property
    def watchers(self) -> int:
        return self.ctx.store.statistics().watchers

    async def settle(self) -> None:
        """Lets every task that can run, run."""
        for _ in range(20):
            await anyio.lowlevel.checkpoint()


def url_of(path: str) -> str:
    """Absolute paths stay; `pods/x` is in the namespace default, `/nodes` stays for the caller to spell out."""
    return path if path.startswith("/") else f"/api/v1/namespaces/default/{path}"


@asynccontextmanager
async def running_server(
    *, anonymous: bool = False, history: int = 10_000, rbac: bool = False
) -> AsyncIterator[ApiServer]:
    """A server with its bootstrap objects; with `anonymous`, callers without a token are nobody."""
    registry, clock, rng = Registry(), ManualClock(), Random(7)
    store = MemoryStore(DocumentCodec(registry.indexed, frozen=True), history=history)
    tokens = TokenIssuer()
    tokens.add_admin(TOKEN)
    ctx = ServerContext(
        store=store,
        registry=registry,
        clock=clock,
        rng=rng,
        plugins=builtin_plugins(rng),
        services=ServiceAllocator("127.96.0.0/16", (30000, 32767), rng),
        tokens=tokens,
        authorizer=NodeAuthorizer(store, RBACAuthorizer(store)) if rbac else AlwaysAllow(),
        anonymous=ANONYMOUS if anonymous else ADMIN,
    )
    await bootstrap(ctx, rbac=rbac)
    async with anyio.create_task_group() as group:
        transport = AppTransport(HttpApp(ctx), group)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=None) as http:
            running = ApiServer(ctx, http, clock)
            await running.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
            yield running
        await store.aclose()
        group.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _plain_log() -> Iterator[None]:
    """Tracebacks in the log are plain text: drawing them takes longer than most tests."""
    structlog.configure(processors=[structlog.processors.ExceptionRenderer(), structlog.processors.KeyValueRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    """A server where everybody is the administrator."""
    async with running_server() as running:
        yield running


@pytest.fixture
async def guarded() -> AsyncIterator[ApiServer]:
    """A server that asks for credentials; `TOKEN` is the administrator's."""
    async with running_server(anonymous=True) as running:
        yield running


@pytest.fixture
async def ruled() -> AsyncIterator[ApiServer]:
    """A server with RBAC that asks for credentials."""
    async with running_server(anonymous=True, rbac=True) as running:
        yield running


@pytest.fixture
def start() -> Callable[..., Any]:
    """`running_server` itself, for tests that need several servers or other settings."""
    return running_server


@pytest.fixture
def admin() -> dict[str, str]:
    """The administrator's headers."""
    return {"authorization": f"Bearer {TOKEN}"}
