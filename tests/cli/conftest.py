"""The command line under test: in this process against a simulated cluster, and as real processes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minik8s.api.resources import NAMESPACES
from minik8s.blocking import BlockingCluster
from minik8s.cli import main

ROOT = Path(__file__).parents[2]
SECONDS = 40.0


@pytest.fixture(scope="module")
def sandbox() -> Iterator[BlockingCluster]:
    """One cluster for a module; its tests use namespaces of their own."""
    with BlockingCluster(nodes=1, runtime="simulated", freeze=True) as cluster:
        yield cluster


class Invocations:
    """Runs commands in this process, against the sandbox and in the test's namespace."""

    def __init__(self, cluster: BlockingCluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder

    def invoke(self, *args: str, input: str | None = None) -> Result:
        env = {"KUBECONFIG": str(self.cluster.kubeconfig)}
        command, *rest = args
        result = CliRunner().invoke(main, [command, "-n", self.namespace, *rest], input=input, env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    def __call__(self, *args: str, input: str | None = None) -> str:
        """The output of a command that has to succeed without a word on stderr."""
        result = self.invoke(*args, input=input)
        assert (result.exit_code, result.stderr) == (0, "")
        return result.stdout

    def fails(self, *args: str, input: str | None = None) -> str:
        """The one line that a command which has to fail says on stderr."""
        result = self.invoke(*args, input=input)
        assert result.exit_code == 1
        assert result.stderr.count("\n") == 1, result.stderr
        return result.stderr.strip()


@pytest.fixture
def minik8s(sandbox: BlockingCluster, request: pytest.FixtureRequest, tmp_path: Path) -> Invocations:
    """The commands, in a fresh namespace."""
    namespace = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")
    document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    sandbox.run(sandbox.client.create, NAMESPACES, document)
    return Invocations(sandbox, namespace, tmp_path)


class Program:
    """`minik8s` as a process of its own, with a home and a temporary folder that belong to the test."""

    def __init__(self, folder: Path, *args: str, **options: Any) -> None:
        self.home, self.temporary = folder / "home", folder / "tmp"
        for path in (self.home, self.temporary):
            path.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "PYTHONDEVMODE")}
        paths = {"HOME": str(self.home), "TMPDIR": str(self.temporary), "PYTHONPATH": str(ROOT)}
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minik8s", *args], env=kept | paths, cwd=folder, text=True, **options
        )
        self._watchdog = threading.Timer(SECONDS, self.process.kill)
        self._watchdog.start()

    def line(self, containing: str) -> str:
        """Reads stdout up to the line that contains the text."""
        assert self.process.stdout
        seen = []
        for line in self.process.stdout:
            seen.append(line)
            if containing in line:
                return line
        pytest.fail(f"ended without saying {containing!r}: {seen} {self.process.stderr and self.process.stderr.read()}")

    def send(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def finish(self, input: str | None = None) -> tuple[int, str, str]:
        """Exit code, and what was not read yet of stdout and stderr."""
        out, err = self.process.communicate(input, timeout=SECONDS)
        return self.process.returncode, out or "", err or ""

    def close(self) -> None:
        self._watchdog.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts `minik8s` with arguments; what still runs after the test is killed."""
    started: list[Program] = []

    def program(*args: str, **options: Any) -> Program:
        started.append(Program(tmp_path, *args, **options))
        return started[-1]

    yield program
    for one in started:
        one.close()


@pytest.fixture
def port_in_use() -> Iterator[int]:
    """The port of somebody else's server on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], str], Any]:
    """Waits until a function answers something true, and answers that."""

    def wait(holds: Callable[[], Any], promise: str) -> Any:
        pause = threading.Event()
        for _ in range(int(SECONDS / 0.005)):
            if found := holds():
                return found
            pause.wait(0.005)
        pytest.fail(f"never came true: {promise}")

    return wait
