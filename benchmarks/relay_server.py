"""The processes that the relay is measured with.

`python -m benchmarks.relay_server backend` answers `GET /BYTES` with that many bytes; `… relay PORT` is the proxy's TCP
relay in front of it. Either prints its URL and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys

from minik8s.clock import RealClock
from minik8s.proxy.networks import bind
from minik8s.proxy.poller import make_poller
from minik8s.proxy.relay import Connections, TcpListener
from minik8s.proxy.servicemap import Endpoint

ZEROS = memoryview(bytes(2**20))


class Backend(asyncio.Protocol):
    """Speaks just enough HTTP for one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._missing, self._paused = 0, False

    def data_received(self, data: bytes) -> None:
        size = int(data[5 : data.index(b" ", 5)])
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        self._missing = size
        self._write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._missing = 0

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._write)  # a transport that fails in here is confused

    def _write(self) -> None:
        """As fast as it is taken, so that a gibibyte is never in memory."""
        while self._missing and not self._paused and not self._transport.is_closing():
            part = min(self._missing, len(ZEROS))
            self._missing -= part
            self._transport.write(ZEROS[:part])


async def backend() -> None:
    server = await asyncio.get_running_loop().create_server(Backend, "127.0.0.1", 0)
    await _serve(server.sockets[0].getsockname()[1])
    server.close()


async def relay(port: int) -> None:
    connections = Connections(make_poller(asyncio.get_running_loop()), RealClock())
    listening = bind("127.0.0.1", 0, socket.AF_INET, socket.SOCK_STREAM)
    endpoint = Endpoint("127.0.0.1", port)
    listener = TcpListener(listening, connections, lambda _client, tried: None if tried else endpoint)
    listener.set_listening(True)
    await _serve(listener.address[1])
    listener.close()
    connections.close()


async def _serve(port: int) -> None:
    print(f"http://127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(backend() if sys.argv[1] == "backend" else relay(int(sys.argv[2])))
