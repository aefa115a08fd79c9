"""What only the sandbox runtime promises: views of its own for a container, and nothing left of them anywhere."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.clock import RealClock
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.protocol import ImageError, Mount, RuntimeFailure, SandboxConfig, StartError
from tests.kubelet.runtime.processes import in_namespace

pytestmark = pytest.mark.anyio


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def make_root(root: Path, *tools: str) -> None:
    """A root file system with a few of this machine's tools and the libraries that they need."""
    for tool in tools:
        program = shutil.which(tool)
        assert program is not None
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        (root / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(program, root / "bin" / tool)
        for library in (word for word in listing.split() if word.startswith("/")):
            place = root / library.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, place)


async def test_an_image_with_a_root_file_system(sandbox_bench: Any, tmp_path: Path) -> None:
    """The container sees the image's files and no others, and what it writes stays its own."""
    make_root(tmp_path / "image", "sh", "ls", "cat", "mkdir")
    (tmp_path / "image" / "motd").write_text("hello\n")
    sandbox_bench.runtime._images.register("own", tmp_path / "image")
    script = "ls /; cat /motd; echo changed > /motd; cat /motd; cat /etc/hostname; mkdir /new; echo x > /dev/null"
    for name in ("first", "second"):
        end, log = await sandbox_bench.run(script, image="own", name=name)
        assert end.exit_code == 0, log
        own = [line for line in log.decode().split() if line not in ("lib", "lib64", "usr", "libx32", "lib32")]
        assert own == ["bin", "dev", "etc", "motd", "proc", "run", "sys", "hello", "changed", "web-0"]
    assert (tmp_path / "image" / "motd").read_text() == "hello\n"
    assert not (tmp_path / "image" / "new").exists()


async def test_a_read_only_root_of_an_image(sandbox_bench: Any, tmp_path: Path) -> None:
    """With readOnlyRootFilesystem only volumes take writes."""
    make_root(tmp_path / "image", "sh")
    (tmp_path / "volume").mkdir()
    sandbox_bench.runtime._images.register("own", tmp_path / "image")
    mounts = (Mount(tmp_path / "volume", "/data/deep"),)
    script = "echo x > /data/deep/y; echo x > /y"
    end, log = await sandbox_bench.run(script, image="own", mounts=mounts, read_only_root=True)
    assert end.exit_code == 2
    assert b"Read-only file system" in log
    assert (tmp_path / "volume" / "y").read_text() == "x\n"


async def test_a_root_needs_this_runtime(bench: Any, tmp_path: Path) -> None:
    """The subprocess runtime refuses an image that is a root file system, and says which runtime takes it."""
    bench.runtime._images.register("own", tmp_path)
    with pytest.raises(ImageError, match='needs runtime "sandbox"') as caught:
        await bench.runtime.pull("own")
    assert caught.value.reason == "ErrImagePull"


def test_a_directory_is_a_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory has an identity of its own; a word that is none, or has no slash, stays a command."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    images = ImageRegistry({"a": tmp_path / "a", "b": str(tmp_path / "b"), "c": str(tmp_path / "c")})
    a, b, c = (images.resolve(name) for name in "abc")
    assert (a.root, b.root, c.root) == (tmp_path / "a", tmp_path / "b", None)
    assert len({a.id, b.id, c.id}) == 3
    assert (a.argv, c.argv) == ((), (str(tmp_path / "c"),))
    monkeypatch.chdir(tmp_path)
    named = ImageRegistry({"a": "a", "b": "./b"})
    assert (named.resolve("a").argv, named.resolve("b").root) == (("a",), tmp_path / "b")


async def test_mounts_within_mounts(sandbox_bench: Any, tmp_path: Path) -> None:
    """A file within a volume, a volume within a volume, and one where the machine has a link (/var/run)."""
    for name in ("outer", "inner", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "is").write_text(name)
    mounts = (
        Mount(tmp_path / "inner", "/opt/outer/inner"),
        Mount(tmp_path / "outer", "/opt/outer"),
        Mount(tmp_path / "run" / "is", "/opt/outer/file"),
        Mount(tmp_path / "run", "/var/run/app", read_only=True),
    )
    script = "cd /opt/outer; cat is inner/is file /run/app/is; echo x > /run/app/y"
    _, log = await sandbox_bench.run(script, mounts=mounts)
    text, _, complaint = log.decode().partition("run" * 2)
    assert text == "outerinner"
    assert "Read-only" in complaint
    assert not (tmp_path / "run" / "y").exists()


async def test_commands_share_the_containers_view(sandbox_bench: Any, tmp_path: Path) -> None:
    """exec sees the container's mounts, network, user and host name; another container has its own mounts."""
    (tmp_path / "volume").mkdir()
    mounts = (Mount(tmp_path / "volume", "/srv/volume"),)
    first = await sandbox_bench.sh("echo up; echo x > /srv/mine; sleep 1000", mounts=mounts, run_as=(7, 8))
    await sandbox_bench.first_line(first)
    script = "ls -d /srv/volume /srv/mine; id -u; id -g; hostname; readlink /proc/self/ns/net"
    result = await sandbox_bench.runtime.exec(first, ["sh", "-c", script], timeout=20)
    network = result.output.decode().split()[-1]
    assert result.output.decode().split() == ["/srv/mine", "/srv/volume", "7", "8", "web-0", network]
    assert network != str(await anyio.Path("/proc/self/ns/net").readlink())
    _, log = await sandbox_bench.run("ls -d /srv/volume /srv/mine; readlink /proc/self/ns/net", name="other")
    assert log.decode().splitlines()[-1] == network, "the network is the pod's"
    assert b"/srv/mine\n" not in log


async def test_what_cannot_be_mounted(sandbox_bench: Any, tmp_path: Path) -> None:
    """What cannot be made, a mount over everything, or one in a directory of the machine: a StartError that says so."""
    (tmp_path / "file").touch()
    for place, said in (("/data", "Not a directory"), ("/", "cannot be mounted at /"), ("/proc/x", "/proc/x: ")):
        source = tmp_path / "file" / "x" if place == "/data" else tmp_path
        with pytest.raises(StartError, match=said) as caught:
            await sandbox_bench.sh("true", mounts=(Mount(source, place),))
        assert caught.value.reason == "CreateContainerError"


async def test_no_descriptor_is_left(sandbox_bench: Any, tmp_path: Path) -> None:
    """Pods and containers that end, fail to start or cannot be prepared leave no descriptor and no process."""
    runtime = sandbox_bench.runtime
    await sandbox_bench.run("true")
    before = open_files()
    for number in range(3):
        config = SandboxConfig("ns", "p", "u", tmp_path / str(number), "p")
        pod = await runtime.create_sandbox(config)
        await sandbox_bench.run("true")
        with pytest.raises(RuntimeFailure):
            await sandbox_bench.start("no-such-program")
        with pytest.raises(RuntimeFailure):
            await sandbox_bench.sh("true", mounts=(Mount(tmp_path, "/proc/x"),))
        await runtime.remove_sandbox(pod)
        assert not list((tmp_path / str(number)).glob("rootfs/*"))
    assert open_files() == before


SERVER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 80), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print("listening", flush=True)
while True:
    client, address = listener.accept()
    client.sendall(sys.argv[1].encode())
    client.close()
"""


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "::1"])
async def test_connections_to_a_pod(sandbox_bench: Any, host: str) -> None:
    """`connect` reaches who listens on the pod's own loopback addresses, be it IPv6; else it says where it tried."""
    container = await sandbox_bench.start("python3", "-c", SERVER, host)
    assert await sandbox_bench.first_line(container) == b"listening"
    async with await sandbox_bench.runtime.connect(sandbox_bench.pod, 80) as stream:
        assert await stream.receive() == host.encode()
    with pytest.raises(OSError, match="refused") as caught:
        await sandbox_bench.runtime.connect(sandbox_bench.pod, 81)
    assert str(caught.value) == (
        f'failed to connect to localhost:81 inside namespace "{sandbox_bench.pod.id}",'
        " IPv4: dial tcp4 127.0.0.1:81: connect: connection refused"
        " IPv6 dial tcp6 [::1]:81: connect: connection refused"
    )


async def test_pods_with_hostnetwork_share_their_nodes(sandbox_bench: Any, tmp_path: Path) -> None:
    """They have the node's address and name, find each other on its loopback, and reach pods by address."""
    runtime = sandbox_bench.runtime
    server = await sandbox_bench.start("python3", "-c", SERVER, "0.0.0.0")
    await sandbox_bench.first_line(server)
    pods = [
        await runtime.create_sandbox(SandboxConfig("ns", name, name, tmp_path / name, name, host_network=True))
        for name in ("one", "two")
    ]
    own = sandbox_bench.pod
    sandbox_bench.pod = pods[0]
    await sandbox_bench.first_line(await sandbox_bench.start("python3", "-c", SERVER, "127.0.0.1", name="one"))
    sandbox_bench.pod = pods[1]
    ask = "import socket, sys; print(*(socket.create_connection((a, 80), 9).recv(99).decode() for a in sys.argv[1:]))"
    script = f"hostname; cat /etc/hostname; tail -n 1 /etc/hosts; python3 -c '{ask}' 127.0.0.1 {own.address}"
    _, log = await sandbox_bench.run(script, name="two")
    assert log.decode().split() == ["node-1", "node-1", pods[1].address, "node-1", "127.0.0.1", "0.0.0.0"]
    async with await runtime.connect(pods[1], 80) as stream:
        assert await stream.receive() == b"127.0.0.1"
    for pod in pods:
        assert pod.address == "10.244.0.2"
        await runtime.remove_sandbox(pod)
    sandbox_bench.pod = own


async def test_a_killed_fork_server_is_replaced(sandbox_bench: Any, tmp_path: Path) -> None:
    """Its end takes every container along; those that start afterwards find their pod's network, and so do we."""
    container = await sandbox_bench.start("python3", "-c", SERVER, "0.0.0.0")
    await sandbox_bench.first_line(container)
    os.kill(sandbox_bench.spawner.pid, signal.SIGKILL)
    assert (await container.wait()).exit_code == 137
    again = await sandbox_bench.start("python3", "-c", SERVER, "0.0.0.0", name="again")
    await sandbox_bench.first_line(again)
    async with await sandbox_bench.runtime.connect(sandbox_bench.pod, 80) as stream:
        assert await stream.receive() == b"0.0.0.0"
    other = await sandbox_bench.runtime.create_sandbox(SandboxConfig("ns", "p", "u", tmp_path / "p", "p"))
    address, sandbox_bench.pod = sandbox_bench.pod.address, other
    ask = f"import socket; print(socket.create_connection(('{address}', 80), 9).recv(99).decode())"
    _, log = await sandbox_bench.run(f'python3 -c "{ask}"', name="asks")
    assert log == b"0.0.0.0\n"


async def test_a_killed_maker_of_sockets_is_replaced(sandbox_bench: Any) -> None:
    """What it made is as good as before, and so are containers; the next request finds another."""
    network = sandbox_bench.runtime._network
    container = await sandbox_bench.start("python3", "-c", SERVER, "0.0.0.0")
    await sandbox_bench.first_line(container)
    for pid in children_of(sandbox_bench.spawner.pid):
        if pid != container.process.shim_pid:
            os.kill(pid, signal.SIGKILL)
    async with anyio.create_task_group() as group:
        group.start_soon(network.run, RealClock())
        with anyio.fail_after(20):
            while True:
                try:
                    async with await sandbox_bench.runtime.connect(sandbox_bench.pod, 80) as stream:
                        assert await stream.receive() == b"0.0.0.0"
                        break
                except OSError:
                    await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert not container.process.ended


def children_of(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


HOST = """
import sys, anyio
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from minik8s import PODS, Cluster

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [
    {"name": "c", "image": "busybox", "command": ["sh", "-c", sys.argv[3]]}]}}

async def main():
    async with Cluster(runtime="sandbox", serve=False, directory=Path(sys.argv[1])) as cluster:
        await cluster.apply(POD)
        await cluster.wait_for(PODS, "p", "Ready")
        async with cluster.client.logs(PODS, "p", namespace="default", follow="true") as chunks:
            async for chunk in chunks:
                print(chunk.decode(), end="", flush=True)

anyio.run(main)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_survives_the_host(sandbox_bench: Any, tmp_path: Path, how: signal.Signals) -> None:
    """However the host ends: no process is left in the pod's or the fabric's namespaces, and no mount anywhere."""
    here = tmp_path / "cluster"
    script = "for kind in net mnt uts ipc user; do readlink /proc/self/ns/$kind; done; setsid sleep 1000 & sleep 1000"
    package = Path(__file__).parents[3]
    host = await anyio.open_process(
        [sys.executable, "-c", HOST, str(here), str(package), script], stderr=subprocess.DEVNULL
    )
    async with host:
        assert host.stdout is not None
        text = b""
        with anyio.fail_after(60):
            while text.count(b"\n") < 5:
                text += await host.stdout.receive()
        namespaces = text.decode().split()
        assert all(map(in_namespace, namespaces))
        host.send_signal(how)
        with anyio.fail_after(20):
            await host.wait()
        with anyio.fail_after(20):
            while any(map(in_namespace, namespaces)):  # noqa: ASYNC110 (nobody's children here cannot be awaited)
                await anyio.sleep(0.02)
    assert str(here) not in await anyio.Path("/proc/self/mountinfo").read_text()
