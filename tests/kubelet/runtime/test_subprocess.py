"""What the subprocess runtime promises beyond the protocol: what a container finds, and that nothing survives."""

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.kubelet.runtime.protocol import Mount, StartError
from tests.kubelet.runtime.processes import DAEMON, LINUX, alive, gone

pytestmark = pytest.mark.anyio

"""A grandchild in a session of its own whose parents have gone: nothing but descent connects it to its container."""


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_environment_is_exact(bench: Any) -> None:
    """A container has its own environment, the documented additions, and nothing of the host's."""
    os.environ["SECRET_OF_THE_HOST"] = "x"
    try:
        container = await bench.start("env", env={"A": "b=c", "HOME": "/elsewhere"}, image="registry.k8s.io/pause:3.10")
    finally:
        del os.environ["SECRET_OF_THE_HOST"]
    await container.wait()
    found = dict(line.split("=", 1) for line in (await bench.log(container)).decode().splitlines())
    root = found.pop("MINIK8S_ROOT")
    assert Path(root) == bench.directory / "pod" / "rootfs" / "c"
    assert found == {
        "A": "b=c",
        "HOME": "/elsewhere",
        "HOSTNAME": "web-0",
        "PATH": os.environ["PATH"],
        "POD_IP": bench.pod.address,
        "MINIK8S_TERMINATION_LOG": str(bench.directory / "c.termination"),
    }


async def test_mounts_lie_in_the_root(bench: Any) -> None:
    """A mount is found below $MINIK8S_ROOT, through its variable, and one mount may lie in another."""
    for name in ("config", "inner"):
        (bench.directory / name).mkdir()
    (bench.directory / "config" / "key").write_text("value\n")
    (bench.directory / "inner" / "deep").write_text("deeper\n")
    mounts = (
        Mount(bench.directory / "inner", "/etc/config/sub"),
        Mount(bench.directory / "config", "/etc/config/"),
        Mount(bench.directory / "config" / "key", "/../../etc/one-file"),
    )
    script = "cat etc/config/key $MINIK8S_ROOT/etc/config/sub/deep $MINIK8S_MOUNT_ETC_CONFIG/key etc/one-file"
    end, log = await bench.run(script, mounts=mounts)
    assert (end.exit_code, log) == (0, b"value\ndeeper\nvalue\nvalue\n")


async def test_removing_leaves_the_volumes_alone(bench: Any) -> None:
    """The root goes with the sandbox, what is mounted in it stays."""
    volume = bench.directory / "data"
    volume.mkdir()
    await bench.run("echo kept > data/file", mounts=(Mount(volume, "/data"),))
    await bench.runtime.remove_sandbox(bench.pod)
    assert not (bench.directory / "pod" / "rootfs").exists()
    assert (volume / "file").read_text() == "kept\n"


async def test_mounted_scripts_can_be_the_program(bench: Any) -> None:
    """An absolute program path is looked up in the container's root first."""
    script = bench.directory / "script"
    script.write_text("#!/bin/sh\necho from the volume\n")
    script.chmod(0o755)
    container = await bench.start("/scripts/run", mounts=(Mount(script, "/scripts/run"),))
    assert (await container.wait()).exit_code == 0
    assert await bench.log(container) == b"from the volume\n"


@pytest.mark.parametrize(
    ("working_dir", "expected"), [("", ""), ("/data", "data"), ("/no/such/place", "no/such/place")]
)
async def test_working_directory_in_the_root(bench: Any, working_dir: str, expected: str) -> None:
    """The working directory is the root's, where it is made if need be."""
    _, log = await bench.run("pwd", working_dir=working_dir, mounts=())
    assert log.decode().strip() == str(bench.directory / "pod" / "rootfs" / "c" / expected)


async def test_working_directory_of_the_host(bench: Any) -> None:
    """A directory that only the host has is used as it is."""
    _, log = await bench.run("pwd", working_dir=str(bench.directory))
    assert log.decode().strip() == str(bench.directory)


async def test_termination_log(bench: Any) -> None:
    """What is written to the termination log can be read at the host's path."""
    await bench.run("echo one > $MINIK8S_TERMINATION_LOG; echo two >> dev/termination-log")
    assert (bench.directory / "c.termination").read_text() == "one\ntwo\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("nope",), 'exec: "nope": executable file not found in $PATH'),
        (("/no/such",), 'exec: "/no/such": stat /no/such: no such file or directory'),
        (("/etc/passwd",), 'exec: "/etc/passwd": permission denied'),
        (("a\0b",), "a NUL byte in the command or environment"),
    ],
)
async def test_start_errors_read_like_upstream(bench: Any, argv: tuple[str, ...], message: str) -> None:
    """What cannot be started is told in the words of runc."""
    with pytest.raises(StartError) as caught:
        await bench.start(*argv)
    assert caught.value.reason == "StartError"
    assert caught.value.message == f"unable to start container process: {message}"


async def test_no_command(bench: Any) -> None:
    """An image without an entrypoint needs a command."""
    with pytest.raises(StartError, match="no command specified") as caught:
        await bench.start(argv=())
    assert caught.value.reason == "CreateContainerError"


async def test_output_keeps_its_order(bench: Any) -> None:
    """stdout and stderr are in the order of writing, a last line without end has no line break, all bytes pass."""
    _, log = await bench.run("for i in 1 2 3 4; do echo $i; echo e$i >&2; done; printf '\\303\\050 rest'")
    assert log == b"1\ne1\n2\ne2\n3\ne3\n4\ne4\n\xc3\x28 rest"


async def test_long_lines_stay_one_line(bench: Any) -> None:
    """A line longer than a record is put together again, with one timestamp."""
    _, log = await bench.run("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end")
    assert log == b"x" * 200000 + b"\nend\n"
    container = await bench.sh("head -c 50000 /dev/zero | tr '\\0' x; echo", name="second")
    await container.wait()
    assert len(await bench.log(container, timestamps=True)) == 50001 + len("2016-10-06T00:17:09.669794202Z ")


async def test_log_file_is_cri(bench: Any) -> None:
    """The log file has the format that log shippers read."""
    await bench.run("echo hello; printf rest")
    lines = (bench.directory / "c.log").read_text().splitlines()
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    assert re.fullmatch(rf"{time} stdout F hello", lines[0])
    assert re.fullmatch(rf"{time} stdout P rest", lines[1])


async def test_a_flood_blocks_nobody(bench: Any) -> None:
    """While one container floods its log, another is started, answers and ends."""
    flood = await bench.sh("yes", name="flood")
    await bench.output(flood, 1000)
    end, log = await bench.run("echo quick", name="quick")
    assert (end.exit_code, log) == (0, b"quick\n")
    flood.signal("SIGKILL")
    assert (await flood.wait()).exit_code == 137


async def test_exec_shares_environment(bench: Any) -> None:
    """A command beside a container has its environment and directory; its output and exit code come back."""
    container = await bench.sh("sleep 1000", env={"A": "b"})
    result = await bench.runtime.exec(container, ["sh", "-c", "echo $A $POD_IP; pwd; echo e >&2; exit 3"], timeout=20)
    root = bench.directory / "pod" / "rootfs" / "c"
    assert (result.exit_code, result.output.decode()) == (3, f"b {bench.pod.address}\n{root}\ne\n")


async def test_exec_timeout_kills(bench: Any) -> None:
    """A command that takes too long is killed with all it started."""
    container = await bench.sh("sleep 1000")
    pids = bench.directory / "pids"
    script = f"sleep 1000 & echo $! >> {pids}; echo $$ >> {pids}; wait"
    with pytest.raises(TimeoutError):
        await bench.runtime.exec(container, ["sh", "-c", script], timeout=0.3)
    for pid in pids.read_text().split():
        await gone(int(pid))


async def test_exec_ends_with_its_container(bench: Any) -> None:
    """A container's end ends the commands beside it."""
    container = await bench.sh("sleep 1000")

    async def command() -> None:
        result = await bench.runtime.exec(container, ["sh", "-c", "echo x > started; sleep 1000"], timeout=20)
        assert result.exit_code == 137

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(command)
        started = bench.directory / "pod" / "rootfs" / "c" / "started"
        with anyio.fail_after(20):
            while not started.exists():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        container.signal("SIGKILL")


async def test_exec_output_is_bounded(bench: Any) -> None:
    """A flood of output neither blocks the command nor is kept whole."""
    container = await bench.sh("sleep 1000")
    result = await bench.runtime.exec(container, ["sh", "-c", "head -c 5000000 /dev/zero; exit 4"], timeout=20)
    assert (result.exit_code, len(result.output)) == (4, 1 << 20)


async def test_signals_reach_the_program(bench: Any) -> None:
    """Signals that the host or Python ignore have their default effect in a container."""
    for name, code in (("SIGINT", 130), ("SIGPIPE", 141), ("SIGTERM", 143)):
        container = await bench.start("sleep", "1000")
        container.signal(name)
        assert (await container.wait()).exit_code == code


@LINUX
async def test_daemons_die_with_their_container(bench: Any) -> None:
    """A process that left its group and lost its parents is still killed with the container."""
    container = await bench.sh(DAEMON)
    daemon = int(await bench.first_line(container))
    assert alive(daemon)
    container.signal("SIGKILL")
    await container.wait()
    assert not alive(daemon)


@LINUX
async def test_daemons_die_when_the_main_process_ends(bench: Any) -> None:
    """The end of the main process is the end of the container, as it is in a pid namespace."""
    end, log = await bench.run("sleep 1000 & echo $!; exit 5")
    assert end.exit_code == 5
    assert not alive(int(log))


@LINUX
@pytest.mark.parametrize("victim", ["shim", "server"])
async def test_losing_the_supervisor_ends_the_container(bench: Any, victim: str) -> None:
    """Whoever kills a shim or the fork server ends the containers, never sets them free; the runtime goes on."""
    container = await bench.sh(DAEMON)
    daemon = int(await bench.first_line(container))
    os.kill(container.process.shim_pid if victim == "shim" else bench.spawner.pid, signal.SIGKILL)
    assert (await container.wait()).exit_code == 137
    await gone(container.process.pid)
    await gone(daemon)
    end, log = await bench.run("echo again", name="next")
    assert (end.exit_code, log) == (0, b"again\n")


@LINUX
async def test_containers_are_out_of_reach_of_the_terminal(bench: Any) -> None:
    """Containers, shims and server are in other sessions than the host, so its Ctrl-C is not theirs."""
    container = await bench.start("sleep", "1000")
    sessions = {os.getsid(pid) for pid in (bench.spawner.pid, container.process.shim_pid, container.process.pid)}
    assert os.getsid(0) not in sessions
    assert os.getsid(container.process.pid) == container.process.pid


async def test_cancelled_start_leaves_nothing(bench: Any) -> None:
    """A start that is cancelled leaves no container behind."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await bench.sh("echo $$ > pid; sleep 1000")
    assert scope.cancelled_caught
    await bench.spawner.aclose()
    pid = bench.directory / "pod" / "rootfs" / "c" / "pid"
    assert not pid.exists() or not alive(int(pid.read_text()))


@LINUX
async def test_many_at_once(bench: Any) -> None:
    """Fifty containers started side by side all run, and their descriptors are given back."""
    before = open_files()
    containers = []

    async def one(number: int) -> None:
        containers.append(await bench.start("sleep", "1000", name=f"c{number}"))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
    assert len({container.process.pid for container in containers}) == 50
    await bench.runtime.remove_sandbox(bench.pod)
    assert open_files() < before


@LINUX
async def test_usage(bench: Any) -> None:
    """Memory and CPU are summed over a container's processes."""
    container = await bench.sh("sleep 1000 & i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; wait")
    await bench.output(container, 4)
    usage = bench.runtime.usage(container)
    assert usage is not None
    assert usage.cpu_seconds > 0
    assert usage.memory_bytes > 100_000


async def test_stdin(bench: Any) -> None:
    """Without stdin a container reads end of file, with it it waits."""
    end, log = await bench.run("cat; echo end")
    assert (end.exit_code, log) == (0, b"end\n")
    container = await bench.sh("echo begin; cat; echo end", stdin=True, name="second")
    assert await bench.output(container, 6) == b"begin\n"
    os.write(container.stdin, b"line\n")
    assert await bench.output(container, 11) == b"begin\nline\n"


async def test_tty(bench: Any) -> None:
    """With tty all three descriptors are a terminal of the container's own."""
    end, log = await bench.run("test -t 0 && test -t 1 && test -t 2 && echo $TERM && ps >/dev/null", tty=True)
    assert (end.exit_code, log) == (0, b"xterm\r\n")


async def test_test_server_image(bench: Any) -> None:
    """The test server listens on the pod's address, passes a probe and drains on SIGTERM."""
    container = await bench.start(image="minik8s/testserver:v2", env={"MESSAGE": "hi"})
    await bench.output(container, 10)
    handler = {"httpGet": {"path": "/", "port": 8080}}
    result = await bench.runtime.probe(bench.pod, container, handler, timeout=10)
    assert result.success
    answer = json.loads(result.message)
    expected = {"hostname": "web-0", "version": "v2", "message": "hi", "address": f"{bench.pod.address}:8080"}
    assert answer == {**expected, "requests": 1}
    container.signal("SIGTERM")
    assert (await container.wait()).exit_code == 0


async def test_pause_image(bench: Any) -> None:
    """The pause image waits, and ends with 0 when told to."""
    container = await bench.start(image="pause")
    container.signal("SIGTERM")
    assert (await container.wait()).exit_code in (0, 143)  # 143: before its trap was set


async def test_python_image(bench: Any) -> None:
    """The python image runs this interpreter, with its packages."""
    container = await bench.start("python", "-c", "import anyio, sys; print(sys.prefix)", image="python:3.12-slim")
    assert (await container.wait()).exit_code == 0
    assert await bench.log(container) == f"{sys.prefix}\n".encode()
