"""What the proxy's tests share."""

import socket

import pytest


@pytest.fixture
def port() -> int:
    """A port that is free on every loopback address a test uses."""
    with socket.socket() as sock:
        sock.bind(("", 0))
        return sock.getsockname()[1]


@pytest.fixture
def unused_port(port: int) -> int:
    """Another one."""
    with socket.socket() as first, socket.socket() as sock:
        first.bind(("", port))
        sock.bind(("", 0))
        return sock.getsockname()[1]
