"""A seconds-long campaign of hostile clients on real connections; `python -m benchmarks.fuzz` runs it for minutes."""

from __future__ import annotations

from itertools import count
from typing import Any

import anyio
import pytest

from minik8s.api.resources import BUILTIN
from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from tests.apiserver.hostile import CRD, attack, prepare

pytestmark = pytest.mark.anyio

REQUESTS = 400


@pytest.mark.parametrize("seed", range(2))
async def test_hostile_clients(server: Any, seed: int) -> None:
    """No 500, no hang; afterwards everything can be listed, nobody watches, no place is taken."""
    await prepare(server)
    await server.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD)
    sock = listen("127.0.0.1", 0)
    steps = count()
    async with serve(HttpApp(server.ctx), sock, None):
        port = sock.getsockname()[1]
        with anyio.fail_after(120):
            _, wrong = await attack(port, seed, lambda: next(steps) >= REQUESTS)
        assert not wrong, wrong[0]
    for resource in BUILTIN:
        if "list" in resource.verbs:
            for accept in (
                "*/*",
                "application/json;as=Table;v=v1;g=meta.k8s.io",
                "application/vnd.kubernetes.protobuf",
            ):
                assert (await server.call("GET", resource.path(), headers={"accept": accept})).status_code in (200, 406)
    await server.settle()
    assert server.watchers == 0
    assert server.ctx.inflight.current == {False: 0, True: 0}
