"""Connections while endpoints come and go: none is lost, none is left."""

import asyncio
import random
import socket

import anyio
import pytest

from tests.proxy.world import World, backends, open_descriptors, service, slice_of

pytestmark = pytest.mark.anyio
CONNECTIONS, AT_ONCE = 1000, 25
ADDRESSES = ("127.64.0.2", "127.64.0.3", "127.64.0.4")


async def test_no_connection_is_lost_while_endpoints_change(port):
    """1,000 connections are opened, used and closed while the Service's endpoints change all the time."""
    before = open_descriptors()
    rng = random.Random(7)
    whole = 0

    async def talk(number: int, limit: anyio.CapacityLimiter, world: World, backend: int) -> None:
        nonlocal whole
        async with limit:
            reader, writer = await asyncio.open_connection("127.96.0.10", port)
            greeted = await reader.readline()
            world.slices.put(slice_of(backend, *rng.sample(ADDRESSES, rng.randint(1, 3))))  # maybe without its own
            writer.write(b"%d\n" % number)
            answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            whole += greeted.strip().decode() in ADDRESSES and answer == b"%d\n" % number

    async with backends(*ADDRESSES) as backend, World().running() as world:
        world.services.put(service(port))
        world.slices.put(slice_of(backend, *ADDRESSES))
        await world.done()
        limit = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            for number in range(CONNECTIONS):
                group.start_soon(talk, number, limit, world, backend)
        assert whole == CONNECTIONS
        while world.proxier._connections.living:  # the last ends are on their way
            await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
    assert open_descriptors() == before


async def test_a_client_that_vanishes_resets_its_endpoint(port):
    """In the middle of a conversation, a reset of the client's is one at the endpoint, which is not left waiting."""
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            seen.set_result("an end" if not await reader.read(1) else "data")
        except ConnectionResetError:
            seen.set_result("a reset")
        writer.close()

    server = await asyncio.start_server(serve, "127.64.0.2", 0)
    async with World().running() as world:
        world.services.put(service(port))
        world.slices.put(slice_of(server.sockets[0].getsockname()[1], "127.64.0.2"))
        await world.done()
        _, writer = await asyncio.open_connection("127.96.0.10", port)
        writer.write(b"x")
        await anyio.wait_all_tasks_blocked()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
        assert await seen == "a reset"
    server.close()
