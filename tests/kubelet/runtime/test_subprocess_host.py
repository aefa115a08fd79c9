"""What becomes of containers when the process that hosts them ends hard."""

import signal
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.kubelet.runtime.processes import DAEMON, LINUX, alive, gone

pytestmark = pytest.mark.anyio


HOST = """
import random, sys, anyio
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from minik8s.clock import RealClock
from minik8s.kubelet.runtime.addresses import machine_addresses
from minik8s.kubelet.runtime.images import ImageRegistry
from minik8s.kubelet.runtime.protocol import ContainerConfig, SandboxConfig
from minik8s.kubelet.runtime.subprocess import SubprocessRuntime

async def main():
    here, rng = Path(sys.argv[1]), random.Random(3)
    runtime = SubprocessRuntime(clock=RealClock(), rng=rng, images=ImageRegistry(directory=here),
                                addresses=machine_addresses("127.64.0.0/10", rng))
    pod = await runtime.create_sandbox(SandboxConfig("ns", "p", "u", here, "p"))
    argv = ("sh", "-c", sys.argv[3])
    image = await runtime.pull("busybox")
    container = await runtime.start(
        pod, ContainerConfig("c", image, argv, {}, "", (), here / "c.log", here / "t", stdin=True))
    print(f"{pod.address} {container.process.pid} {runtime._spawner.pid}", flush=True)
    try:
        await container.wait()
    finally:
        await runtime.aclose()

anyio.run(main)
"""


@LINUX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_survives_the_host(tmp_path: Path, how: signal.Signals) -> None:
    """However the hosting process ends, by SIGKILL or Ctrl-C, every process it started ends, daemons too."""
    package = Path(__file__).parents[3]
    host = await anyio.open_process(
        [sys.executable, "-c", HOST, str(tmp_path), str(package), DAEMON],
        stderr=subprocess.DEVNULL,
    )
    async with host:
        assert host.stdout is not None
        with anyio.fail_after(20):
            _, main, server = (await host.stdout.receive()).split()
            log = tmp_path / "c.log"
            while not log.read_text():  # noqa: ASYNC110
                await anyio.sleep(0.01)
        daemon = log.read_text().split()[-1]
        pids = [int(pid) for pid in (main, server, daemon)]
        assert all(map(alive, pids))
        host.send_signal(how)
        with anyio.fail_after(20):
            await host.wait()
        for pid in pids:
            await gone(pid)
