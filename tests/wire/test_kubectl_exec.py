"""kubectl exec, attach, run and cp against real processes, over WebSocket and over SPDY, in a real terminal."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from minik8s.blocking import BlockingCluster

pytestmark = pytest.mark.modern_kubectl


@pytest.fixture(scope="module")
def wire_cluster() -> Iterator[BlockingCluster]:
    """One cluster for the module, whose containers are processes."""
    with BlockingCluster(nodes=1, freeze=True) as cluster:
        yield cluster


@pytest.fixture(params=["websocket", "spdy"])
def kubectl(kubectl: Any, request: pytest.FixtureRequest) -> Any:
    """kubectl that prefers one of the two transports."""
    preferred = "true" if request.param == "websocket" else "false"
    kubectl.env["KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] = preferred
    return kubectl


@pytest.fixture
def pod(kubectl: Any) -> str:
    """A pod that does nothing; its name."""
    kubectl("run", "p", "--image=busybox", "--env=GREETING=hello", "--", "sh", "-c", "exec sleep 1000")
    kubectl("wait", "pod/p", "--for=condition=Ready", "--timeout=30s")
    return "p"


def test_output_and_exit_code(kubectl: Any, pod: str) -> None:
    """stdout and stderr stay apart and the exit code is passed on."""
    result = kubectl.run("exec", pod, "--", "sh", "-c", "echo $GREETING; echo oh >&2; exit 7")
    assert (result.returncode, result.stdout) == (7, "hello\n")
    assert result.stderr == "oh\ncommand terminated with exit code 7\n"
    result = kubectl.run("exec", pod, "--", "nope")
    assert result.returncode == 127
    assert 'exec: "nope": executable file not found in $PATH' in result.stderr
    assert kubectl("exec", pod, "--", "true") == ""


def test_errors(kubectl: Any, pod: str) -> None:
    """What cannot be entered is refused with the server's text."""
    assert "container zz is not valid for pod p" in kubectl.fails("exec", pod, "-c", "zz", "--", "true")
    assert 'pods "zz" not found' in kubectl.fails("exec", "zz", "--", "true")


def test_a_large_input(kubectl: Any, pod: str) -> None:
    """Megabytes go in and come out whole, and the input's end is seen."""
    data = os.urandom(8 << 20)
    command = [str(kubectl.binary), "exec", "-i", pod, "--", "cat"]
    result = subprocess.run(command, env=kubectl.env, input=data, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert hashlib.sha256(result.stdout).digest() == hashlib.sha256(data).digest()


def test_a_terminal(kubectl: Any, pod: str) -> None:
    """exec -it is a terminal of the caller's size that follows it; Ctrl-C interrupts, Ctrl-D ends the shell."""
    with closing(kubectl.terminal("exec", "-it", pod, "--", "sh", "-c", "PS1='> ' exec sh")) as terminal:
        terminal.expect(b"> ")
        terminal.type(b"until stty size | grep 31; do :; done\n")  # the size may come a moment after the input
        terminal.expect(b"31 101")
        terminal.resize(40, 120)
        terminal.type(b"until stty size | grep 40; do :; done\n")
        terminal.expect(b"40 120")
        terminal.type(b"sh -c 'echo $((1+1)) ready; exec sleep 1000'\n")
        terminal.expect(b"2 ready\r\n")
        terminal.type(b"\x03")
        terminal.expect(b"> ")
        terminal.type(b"echo code $?\n")
        terminal.expect(b"code 130")
        terminal.expect(b"> ")
        terminal.type(b"(exit 5)\n")
        terminal.expect(b"> ")  # before it reads a line, a shell may throw away what has been typed ahead
        terminal.type(b"\x04")
        code, said = terminal.end()
        assert code == 5
        assert said.endswith(b"command terminated with exit code 5\r\n")


def test_run_and_remove(kubectl: Any) -> None:
    """run -it --rm talks to the container it has started, passes on its exit code, and cleans up."""
    script = "echo hi; read x; echo got $x; until stty size | grep 101; do :; done; exit 3"
    command = ["run", "-it", "--rm", "r", "--image=busybox", "--restart=Never", "--", "sh", "-c", script]
    with closing(kubectl.terminal(*command)) as terminal:
        terminal.expect(b"prompt")
        terminal.type(b"abc\n")
        terminal.expect(b"got abc\r\n31 101")
        code, said = terminal.end()
        assert code == 3
        assert b'pod "r" deleted' in said
    result = kubectl.run(
        "run", "-i", "--rm", "q", "--image=busybox", "--restart=Never", "--", "cat", input="data\n" * 5
    )
    assert result.returncode == 0
    assert result.stdout.startswith("data\n" * 5), "the container reads the whole input, then its end"


def test_attach(kubectl: Any) -> None:
    """attach -it takes over a container's terminal; a second client sees what the container says."""
    command = ["sh", "-c", "while read x; do echo got $x; done"]
    container = {"name": "c", "image": "busybox", "stdin": True, "tty": True, "command": command}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
    manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": spec}
    kubectl("create", "-f", "-", input=str(manifest).replace("True", "true").replace("'", '"'))
    kubectl("wait", "pod/a", "--for=condition=Ready", "--timeout=30s")
    with closing(kubectl.terminal("attach", "-it", "a")) as terminal:
        terminal.expect(b"prompt")
        terminal.type(b"one\n")
        terminal.expect(b"got one")
        terminal.type(b"\x04")
        code, _ = terminal.end()
        assert code == 0
    kubectl("wait", "pod/a", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
    assert "got one" in kubectl("logs", "a")


def test_debug(kubectl: Any, pod: str) -> None:
    """debug -it starts an ephemeral container in the pod, in a copy of it, or a pod on a node, and talks to it."""
    script = ["--image=busybox", "--", "sh", "-c", "read x; echo got $x; tty"]
    for target in (["p", "--target=p"], ["p", "--copy-to=copy", "--container=p"], ["node/node-1"]):
        with closing(kubectl.terminal("debug", "-it", *target, *script)) as terminal:
            terminal.expect(b"prompt")
            terminal.type(b"abc\n")
            terminal.expect(b"got abc\r\n/dev/")
            code, said = terminal.end()
            assert code == 0, said
    kubectl("wait", "pod/p", "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.exitCode}=0")
    [debugger] = kubectl.json("get", "pod", "p")["spec"]["ephemeralContainers"]
    assert debugger["targetContainerName"] == "p"


def test_copy(kubectl: Any, pod: str, tmp_path: Path) -> None:
    """cp carries files and directories both ways, byte for byte."""
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    (tree / "inner" / "large").write_bytes(os.urandom(3 << 20))
    (tree / "small").write_text("small\n")
    there = kubectl("exec", pod, "--", "sh", "-c", "pwd").strip()
    kubectl("cp", str(tree), f"{pod}:{there}/copy")
    kubectl.run("cp", f"{pod}:{there}/copy", str(tmp_path / "back"))
    for name in ("inner/large", "small"):
        assert (tmp_path / "back" / name).read_bytes() == (tree / name).read_bytes()
    assert kubectl("exec", pod, "--", "cat", f"{there}/copy/small") == "small\n"
