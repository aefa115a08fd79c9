"""Processes of sandboxes: each container's own, a pod's, another's, or the machine's."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.kubelet.runtime.feasibility import examine
from minik8s.kubelet.runtime.protocol import SandboxConfig, StartError
from tests.kubelet.runtime.processes import in_namespace

pytestmark = pytest.mark.anyio


def namespace_of(container: Any) -> str:
    """The namespace of processes that a container's program is in."""
    return Path(f"/proc/{container.process.pid}/ns/pid").readlink().name


@pytest.fixture
async def apart(sandbox_bench: Any) -> Any:
    """The bench, where containers can have processes of their own."""
    if problem := (await examine()).shared:
        pytest.skip(problem)
    return sandbox_bench


WORDS = "$(tr '\\0' ' ' < $place/cmdline | cut -d' ' -f1,2)"
PROCESSES = f"for place in /proc/[0-9]*; do echo ${{place#/proc/}} {WORDS}; done"


async def test_a_container_has_processes_of_its_own(apart: Any) -> None:
    """Its program is process 1, commands beside it are numbered after it, and it sees no others."""
    container = await apart.sh("echo up; sleep 1000; echo done")
    await apart.first_line(container)
    result = await apart.runtime.exec(container, ["sh", "-c", f"echo $$; {PROCESSES}"], timeout=20)
    own, *lines = result.output.decode().splitlines()
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers[0] == 1
    assert int(own) in numbers
    assert len(numbers) <= 6, lines
    assert "sh -c" in lines[0]


async def test_process_1_is_spared_signals_that_it_does_not_handle(apart: Any) -> None:
    """As on every node: only SIGKILL ends a program that has no handler for its stop signal; one that has is told."""
    deaf = await apart.sh("echo up; while :; do sleep 0.05; done", name="deaf")
    hears = await apart.sh("trap 'echo told; exit 3' TERM; echo up; while :; do sleep 0.05; done", name="hears")
    for container in (deaf, hears):
        await apart.first_line(container)
        container.signal("SIGTERM")
    assert (await hears.wait()).exit_code == 3
    assert not deaf.process.ended
    deaf.signal("SIGKILL")
    end = await deaf.wait()
    assert (end.exit_code, end.signal) == (137, 9)


async def test_a_stop_signal_is_for_the_main_process(apart: Any) -> None:
    """Children do not get it with their parent, even in one process group."""
    child = "sh -c 'trap \"echo child\" TERM; echo up; read line' <&0"
    script = f"trap 'echo stopping' TERM; {child} & wait $!; wait $! 2>/dev/null; echo end"
    container = await apart.sh(script, stdin=True)
    await apart.first_line(container)
    container.signal("SIGTERM")
    await apart.output(container, len(b"up\nstopping\n"))
    container.close_stdin()
    assert (await container.wait()).exit_code == 0
    assert await apart.log(container) == b"up\nstopping\nend\n"


async def test_orphans_end_with_process_1(apart: Any) -> None:
    """What has left its parent, its group and its session ends with the container, and so do commands beside it."""
    script = "(setsid sh -c 'sleep 1000 & sleep 1000' &) ; echo up; read line"
    container = await apart.sh(script, stdin=True)
    await apart.first_line(container)
    await apart.runtime.exec(container, ["sh", "-c", "(setsid sleep 1000 &)"], timeout=20)
    inner = namespace_of(container)
    assert len(in_namespace(inner)) >= 3
    container.close_stdin()
    await container.wait()
    assert in_namespace(inner) == []


async def test_a_command_that_is_left_takes_its_children_along(apart: Any) -> None:
    """A session that its client closes ends with every process that it had, also in the container's namespace."""
    container = await apart.sh("echo up; exec sleep 1000")
    await apart.first_line(container)
    inner = namespace_of(container)
    session = await apart.runtime.open(container, ["sh", "-c", "sleep 1000 & sleep 1000; true"], stdin=True, tty=False)
    with anyio.fail_after(20):
        while len(in_namespace(inner)) < 1 + 3:  # noqa: ASYNC110 (nobody's children here)
            await anyio.sleep(0.01)
        await session.aclose()
        while len(in_namespace(inner)) > 1:  # noqa: ASYNC110 (nobody's children here)
            await anyio.sleep(0.01)
    assert not container.process.ended


async def test_a_pod_may_share_its_processes(apart: Any, tmp_path: Path) -> None:
    """Containers see each other below a process 1 that waits; each takes its own orphans along, and no others."""
    runtime = apart.runtime
    config = SandboxConfig("ns", "shared", "u", tmp_path / "shared", "shared", share_processes=True)
    own, apart.pod = apart.pod, await runtime.create_sandbox(config)
    first = await apart.sh("(setsid sleep 1001 &); echo up; read line", name="first", stdin=True)
    second = await apart.sh("(setsid sleep 1002 &); echo up; sleep 1000; true", name="second")
    for container in (first, second):
        await apart.first_line(container)
    look = ["sh", "-c", PROCESSES]
    lines = (await runtime.exec(second, look, timeout=20)).output.decode().splitlines()
    assert lines[0].split()[1] in ("/pause", "sleep")
    assert sum("sleep 1001" in line or "sleep 1002" in line for line in lines) == 2, lines
    first.close_stdin()
    await first.wait()
    lines = (await runtime.exec(second, look, timeout=20)).output.decode().splitlines()
    assert not [line for line in lines if "1001" in line]
    assert [line for line in lines if "1002" in line]
    inner = namespace_of(second)
    await runtime.remove_sandbox(apart.pod)
    assert in_namespace(inner) == []
    apart.pod = own


async def test_a_target_and_the_machines_processes(apart: Any, tmp_path: Path) -> None:
    """A container that is aimed at another sees its processes, with hostPID the machine's; nobody is an error."""
    runtime = apart.runtime
    target = await apart.sh("echo up; sleep 1003; true", name="target")
    await apart.first_line(target)
    _, log = await apart.run(PROCESSES, name="debug", target="target")
    assert [line for line in log.decode().splitlines() if "sleep 1003" in line]
    with pytest.raises(StartError, match="unable to find target container nobody") as caught:
        await apart.run("true", name="lost", target="nobody")
    assert caught.value.reason == "CreateContainerConfigError"
    config = SandboxConfig("ns", "host", "u", tmp_path / "host", "host", host_processes=True)
    own, apart.pod = apart.pod, await runtime.create_sandbox(config)
    _, log = await apart.run(f"ls -d /proc/{os.getpid()}", name="sees")
    assert log.decode().strip() == f"/proc/{os.getpid()}"
    await runtime.remove_sandbox(apart.pod)
    apart.pod = own


async def test_a_lost_process_1_of_a_pod_is_replaced(apart: Any, tmp_path: Path) -> None:
    """With it every container of the pod ends; the next to start finds another."""
    runtime = apart.runtime
    config = SandboxConfig("ns", "shared", "u", tmp_path / "shared", "shared", share_processes=True)
    own, apart.pod = apart.pod, await runtime.create_sandbox(config)
    container = await apart.sh("echo up; sleep 1000")
    await apart.first_line(container)
    os.kill(runtime._pods[apart.pod.id].pause.pid, signal.SIGKILL)
    assert (await container.wait()).exit_code == 137
    with anyio.fail_after(20):
        await runtime._pods[apart.pod.id].pause.wait()
    end, log = await apart.run("echo again", name="again")
    assert (end.exit_code, log) == (0, b"again\n")
    await runtime.remove_sandbox(apart.pod)
    apart.pod = own
