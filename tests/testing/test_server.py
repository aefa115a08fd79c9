"""The test server answers, drains on SIGTERM and survives bad clients."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from minik8s.testing import server as module


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A running server and its URL."""
    program = [sys.executable, "-I", "-S", module.__file__, "--host", "127.0.0.1", "--port", "0", *options]
    with subprocess.Popen(program, stdout=subprocess.PIPE, env={**os.environ, "HOSTNAME": "web-0"}) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            yield process, "http://" + line.removeprefix("listening on ").strip()
        finally:
            process.kill()


def test_answers() -> None:
    """Identity, health, environment and echo; one connection serves many requests."""
    with serving("--version=v7", "--message", "hi") as (_, url), httpx.Client(base_url=url, timeout=20) as client:
        first, second = client.get("/").json(), client.get("/").json()
        assert first == {
            "hostname": "web-0",
            "version": "v7",
            "message": "hi",
            "address": url.removeprefix("http://"),
            "requests": 1,
        }
        assert second["requests"] == 2
        assert client.get("/healthz").text == client.get("/readyz").text == "ok\n"
        assert client.get("/env").json()["HOSTNAME"] == "web-0"
        echo = client.post("/echo?a=b&c", content=b"body", headers={"X-Test": "1"}).json()
        assert (echo["method"], echo["query"], echo["body"]) == ("POST", {"a": "b", "c": ""}, "body")
        assert echo["headers"]["x-test"] == "1"
        chunked = client.post("/echo", content=iter([b"one", b"two"])).json()
        assert chunked["body"] == "onetwo"
        assert client.get("/nope").status_code == 404
        assert client.get("/sleep?seconds=soon").status_code == 400
        assert client.head("/healthz").text == ""


def test_drains() -> None:
    """On SIGTERM a request under way is answered, idle connections end, new ones are refused, and the code is 0."""
    with serving() as (process, url):
        host, port = url.removeprefix("http://").split(":")
        with (
            socket.create_connection((host, int(port)), 20) as slow,
            socket.create_connection((host, int(port)), 20) as idle,
        ):
            idle.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert b"200 OK" in idle.recv(1000)
            slow.sendall(b"GET /sleep?seconds=0.3 HTTP/1.1\r\n\r\n")
            idle.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")  # answered after the slow one has been read
            assert b"200 OK" in idle.recv(1000)
            process.send_signal(signal.SIGTERM)
            assert idle.recv(1000) == b""
            answer = b""
            while data := slow.recv(1000):
                answer += data
            assert b"200 OK" in answer
            assert b"Connection: close" in answer
        assert process.wait(20) == 0


def test_exit() -> None:
    """/exit answers and ends the server with that code."""
    with serving() as (process, url):
        assert httpx.get(f"{url}/exit?code=7", timeout=20).status_code == 200
        assert process.wait(20) == 7


def test_hang_on_term() -> None:
    """With --hang-on-term only SIGKILL ends the server."""
    with serving("--hang-on-term") as (process, url):
        process.send_signal(signal.SIGTERM)
        assert httpx.get(f"{url}/readyz", timeout=20).text == "ok\n"
        process.kill()
        assert process.wait(20) == -signal.SIGKILL


def test_bad_requests() -> None:
    """Something that is not HTTP gets 400, a huge body 413, and the server goes on."""
    with serving() as (_, url):
        host, port = url.removeprefix("http://").split(":")
        huge = b"POST /echo HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"
        for sent, status in ((b"hello\r\n\r\n", b"400"), (huge, b"413")):
            with socket.create_connection((host, int(port)), 20) as connection:
                connection.sendall(sent)
                assert connection.recv(1000).split()[1] == status
        assert httpx.get(f"{url}/healthz", timeout=20).status_code == 200


def test_bad_options() -> None:
    """An unknown option is refused with the usage."""
    program = [sys.executable, "-I", "-S", module.__file__, "--nope", "1"]
    result = subprocess.run(program, capture_output=True, timeout=20, check=False)
    assert (result.returncode, result.stdout[:6]) == (2, b"usage:")


def test_stands_alone() -> None:
    """The server's file imports nothing but the standard library, so that it starts fast and can be copied."""
    names = {
        line.split()[1]
        for line in Path(module.__file__).read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert names - {"__future__"} <= sys.stdlib_module_names
    assert json.__name__ in names
