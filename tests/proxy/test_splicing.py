"""Pipes between sockets, and the pool that they come from."""

import errno
import os
import socket
import sys

import pytest

from minik8s.proxy.splicing import Pipe, Pipes
from tests.proxy.world import open_descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="splice is Linux'")


def test_bytes_pass_in_order_and_say_when_they_cannot():
    """What one socket has received another sends; nothing to take and nobody to give it to are both told."""
    source, into = socket.socketpair()
    out, sink = socket.socketpair()
    pipe = Pipe()
    with source, into, out, sink:
        for sock in (into, out):
            sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            pipe.fill(into.fileno())
        source.sendall(b"hello")
        assert pipe.fill(into.fileno()) == len(pipe) == 5
        assert pipe.drain(out.fileno())
        assert sink.recv(100) == b"hello"
        source.close()
        assert pipe.fill(into.fileno()) == 0
    pipe.close()


def test_the_pool_is_bounded_and_leaves_nothing():
    """So many pipes and no more; one that still holds somebody's bytes is never used again."""
    before = open_descriptors()
    pipes = Pipes(2)
    first, second = pipes.take(), pipes.take()
    assert pipes.take() is None
    pipes.give_back(first)
    assert pipes.take() is first
    first.filled = 1
    pipes.give_back(first)
    assert len(pipes) == 1
    third = pipes.take()
    assert third is not first
    for pipe in (second, third):
        pipes.give_back(pipe)
    pipes.close()
    assert len(pipes) == 0
    assert open_descriptors() == before


def test_where_sockets_cannot_be_spliced():
    """A kernel that does not know how is asked once; a connection's own failure is something else."""
    pipes = Pipes(2)
    pipe = pipes.take()
    assert not pipes.refused(ConnectionResetError(errno.ECONNRESET, "reset"))
    assert pipes.refused(OSError(errno.EINVAL, "invalid"))
    pipes.give_back(pipe)
    assert pipes.take() is None
    assert len(pipes) == 0


def test_out_of_descriptors(monkeypatch):
    """Then bytes are copied."""

    def fails():
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(os, "pipe", fails)
    assert Pipes(2).take() is None
