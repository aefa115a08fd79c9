"""Real kubectl binaries against a real socket."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from minik8s import NAMESPACES, SERVICE_ACCOUNTS
from minik8s.blocking import BlockingCluster

SKEW = "exceeds the supported minor version skew"


def find_kubectls() -> list[Path]:
    """The oldest supported and the newest kubectl of this machine.

    The one on PATH may be a dispatcher that picks another binary by the server's version; then the versioned binaries
    beside it are the real ones.
    """
    found = shutil.which("kubectl")
    if found is None:
        return []
    real = Path(found).resolve()
    versioned = {
        int(match[1]): path
        for path in real.parent.glob("kubectl.1.*")
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
    supported = sorted(minor for minor in versioned if minor >= 32)
    if not supported:
        return [real]
    return [versioned[minor] for minor in dict.fromkeys((supported[0], supported[-1]))]


KUBECTLS = find_kubectls()
OLDEST_MODERN = 28
"""Minor version from which kubectl knows the APIs of today; Debian's may be older."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kubectl_binary" in metafunc.fixturenames:
        metafunc.parametrize(
            "kubectl_binary", KUBECTLS or [None], ids=lambda p: p.name if p else "none", scope="module"
        )


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, rows: int = 31, columns: int = 101) -> None:
        self._unread = b""
        self._fd, inner = pty.openpty()
        self.resize(rows, columns)
        self._process = subprocess.Popen(
            command,
            env=env,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(inner)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes) -> None:
        os.write(self._fd, text)

    def expect(self, text: bytes) -> bytes:
        """Waits for `text`; answers what came before it. Fails when it does not come in 30 seconds."""
        while text not in self._unread:
            ready, _, _ = select.select([self._fd], [], [], 30)
            assert ready, f"{text!r} does not come: {self._unread!r}"
            data = self._read()
            assert data, f"{text!r} does not come any more: {self._unread!r}"
            self._unread += data
        before, _, self._unread = self._unread.partition(text)
        return before

    def end(self) -> tuple[int, bytes]:
        """Waits for the command's end: its exit code and what it said last."""
        while data := self._read():
            self._unread += data
        return self._process.wait(30), self._unread

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError:  # nobody has the terminal open any more
            return b""

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)


class Kubectl:
    """Runs kubectl; a failing command or an unexpected warning fails the test."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path) -> None:
        self.binary = binary
        self.env = {**os.environ, "KUBECONFIG": str(kubeconfig), "HOME": str(home), "KUBECTL_EXTERNAL_DIFF": "diff -u"}

    def run(self, *args: str, input: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.binary), *args],
            env=self.env,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def __call__(self, *args: str, input: str | None = None) -> str:
        """The output of a command that has to succeed without a word on stderr."""
        result = self.run(*args, input=input)
        assert result.returncode == 0, f"kubectl {' '.join(args)}: {result.stderr}\n{result.stdout}"
        noise = [line for line in result.stderr.splitlines() if line.strip() and SKEW not in line]
        assert not noise, f"kubectl {' '.join(args)} warned: {noise}"
        return result.stdout

    def fails(self, *args: str, input: str | None = None) -> str:
        """What a command that has to fail says on stderr."""
        result = self.run(*args, input=input)
        assert result.returncode != 0, f"kubectl {' '.join(args)} succeeded: {result.stdout}"
        return result.stderr

    def json(self, *args: str) -> Any:
        return json.loads(self(*args, "-o", "json"))

    def terminal(self, *args: str) -> Terminal:
        """A command that thinks it talks to somebody; to be closed."""
        return Terminal([str(self.binary), *args], self.env)


@cache
def minor_version(binary: Path) -> int:
    """kubectl's own minor version."""
    command = [str(binary), "version", "--client", "-o", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.sub(r"\D", "", json.loads(answer)["clientVersion"]["minor"]))


@pytest.fixture(autouse=True)
def _modern_kubectl(request: pytest.FixtureRequest) -> None:
    """Skips what needs a kubectl of today where there is only an old one."""
    if request.node.get_closest_marker("modern_kubectl") and "kubectl_binary" in request.fixturenames:
        binary = request.getfixturevalue("kubectl_binary")
        if binary is not None and minor_version(binary) < OLDEST_MODERN:
            pytest.skip(f"kubectl 1.{minor_version(binary)} only knows APIs that are gone from 1.36")


@pytest.fixture
def aiohttp_leftovers() -> Iterator[None]:
    """What aiohttp leaves to the garbage collector is collected here, quietly, not while somebody else's test runs."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module")
def wire_cluster() -> Iterator[BlockingCluster]:
    """One cluster for a module; its tests use namespaces of their own."""
    with BlockingCluster(nodes=2, runtime="simulated", freeze=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kubectl_admin(
    wire_cluster: BlockingCluster, kubectl_binary: Path | None, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    """kubectl without a namespace of its own."""
    if kubectl_binary is None:
        if os.environ.get("MINIK8S_REQUIRE_KUBECTL"):
            pytest.fail("MINIK8S_REQUIRE_KUBECTL is set, but there is no kubectl on PATH")
        pytest.skip("there is no kubectl on PATH")
    return Kubectl(kubectl_binary, wire_cluster.kubeconfig, tmp_path_factory.mktemp("home"))


def namespace_of(request: pytest.FixtureRequest) -> str:
    """A test's own namespace, named after it."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-60:].strip("-")


@pytest.fixture
def namespace(wire_cluster: BlockingCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh namespace in which pods can be created; deleted after the test."""
    name = namespace_of(request)
    client = wire_cluster.client
    wire_cluster.run(client.create, NAMESPACES, {"metadata": {"name": name}})
    wire_cluster.wait_for(SERVICE_ACCOUNTS, "default", lambda account: True, namespace=name)
    yield name
    wire_cluster.run(client.delete, NAMESPACES, name)


@pytest.fixture
def web() -> dict[str, Any]:
    """A Deployment of two replicas."""
    labels = {"app": "web"}
    container = {"name": "main", "image": "nginx:1"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


@pytest.fixture
def kubectl(kubectl_admin: Kubectl, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kubectl]:
    """kubectl whose context has a fresh namespace, deleted after the test."""
    namespace = namespace_of(request)
    kubectl_admin("create", "namespace", namespace)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_bytes(Path(kubectl_admin.env["KUBECONFIG"]).read_bytes())
    mine = Kubectl(kubectl_admin.binary, kubeconfig, Path(kubectl_admin.env["HOME"]))
    mine("config", "set-context", "--current", "--namespace", namespace)
    yield mine
    kubectl_admin("delete", "namespace", namespace, "--wait=false")
