"""Health-check node ports: what a load balancer hears."""

import asyncio

import anyio
import httpx
import pytest

from minik8s.proxy.health import LONGEST_REQUEST
from tests.proxy.world import World, open_descriptors, service, slice_of

pytestmark = pytest.mark.anyio


def balanced(port: int, check: int):
    return service(port, type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=check)


async def test_health_follows_the_endpoints(port, unused_port):
    """503 without a ready endpoint on this machine, 200 with some, and how many; refused when the Service is gone."""
    async with World().running() as world, httpx.AsyncClient(trust_env=False) as client:
        svc, url = balanced(port, unused_port), f"http://127.0.0.1:{unused_port}/healthz"
        world.services.put(svc)
        await world.done()
        answer = await client.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/json")
        world.slices.put(slice_of(1, "127.64.0.2", "127.64.0.3"))
        await world.done()
        answer = await client.get(url)
        assert answer.status_code == 200
        assert answer.json() == {
            "service": {"namespace": "default", "name": "web"},
            "localEndpoints": 2,
            "serviceProxyHealthy": True,
        }
        world.services.put(service(port))
        await world.done()
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_askers_that_do_not_ask(port, unused_port):
    """Silence, garbage without end and a vanished client cost nothing that stays."""
    before = open_descriptors()
    async with World().running() as world:
        world.services.put(balanced(port, unused_port))
        await world.done()
        reader, silent = await asyncio.open_connection("127.0.0.1", unused_port)
        _, gone = await asyncio.open_connection("127.0.0.1", unused_port)
        gone.transport.abort()
        endless_reader, endless = await asyncio.open_connection("127.0.0.1", unused_port)
        endless.write(b"x" * (LONGEST_REQUEST + 1))
        with anyio.fail_after(10):
            assert b" 503 " in await endless_reader.readline()
            await anyio.wait_all_tasks_blocked()
            world.clock.fire()  # its patience is over
            assert await reader.read() == b""
        for writer in (silent, endless):
            writer.close()
    await anyio.wait_all_tasks_blocked()
    assert open_descriptors() == before
